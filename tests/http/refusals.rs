//! What is refused, because a proxy in between could have understood it in another way, or because it is too much.

use solder::http::*;

use crate::server::*;

/// Lines of a head, with LF for CR LF, and why they are refused.
const REFUSED: &[(&str, &str)] = &[
    // Lengths.
    ("Content-Length: 5\nTransfer-Encoding: chunked", "both Content-Length and Transfer-Encoding are there"),
    ("Transfer-Encoding: chunked\nContent-Length: 5", "both Content-Length and Transfer-Encoding are there"),
    ("Content-Length: 5\nContent-Length: 5", "there are two Content-Length headers"),
    ("Content-Length: 5\ncontent-length: 6", "there are two Content-Length headers"),
    ("Content-Length: 5, 5", "the Content-Length is not a number"),
    ("Content-Length: +5", "the Content-Length is not a number"),
    ("Content-Length: -5", "the Content-Length is not a number"),
    ("Content-Length: 0x5", "the Content-Length is not a number"),
    ("Content-Length: 5 5", "the Content-Length is not a number"),
    ("Content-Length: 5_0", "the Content-Length is not a number"),
    ("Content-Length: 1e1", "the Content-Length is not a number"),
    ("Content-Length: \u{b}5", "a header's value is malformed"),
    ("Content-Length:\n 5", "a header's name is malformed"),
    ("Content-Length: 5.0", "the Content-Length is not a number"),
    ("Content-Length: \u{b2}", "the Content-Length is not a number"),
    ("Content-Length:", "the Content-Length is not a number"),
    ("Content-Length: 18446744073709551616", "the Content-Length is not a number"),
    ("Content-Length: 99999999999999999999999999", "the Content-Length is not a number"),
    // Transfer codings.
    ("Transfer-Encoding: gzip", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding: gzip, chunked", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding: chunked, identity", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding: identity", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding: identity, chunked", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding: chunked,", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding: ,chunked", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding:\n\tchunked", "a header's name is malformed"),
    ("Transfer-Encoding: xchunked", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding: chunked;q=1", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding: \"chunked\"", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding: chunked\nTransfer-Encoding: chunked", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding: chunked\nTransfer-Encoding: x", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding: x\nTransfer-Encoding: chunked", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding:", "the Transfer-Encoding is not chunked"),
    ("Transfer-Encoding:\u{b}chunked", "a header's value is malformed"),
    // Names and lines.
    ("Transfer-Encoding : chunked", "a header's name is malformed"),
    ("Transfer-Encoding\t: chunked", "a header's name is malformed"),
    (" Transfer-Encoding: chunked", "a header's name is malformed"),
    ("X: y\n Transfer-Encoding: chunked", "a header's name is malformed"),
    ("X: y\n\tfolded", "a header's name is malformed"),
    ("X", "a header's name is malformed"),
    (": x", "a header's name is malformed"),
    ("X\0: y", "a header's name is malformed"),
    ("X: \0", "a header's value is malformed"),
    ("X: a\u{7f}", "a header's value is malformed"),
    ("X: a\rb", "a header's value is malformed"),
    ("X: a\rContent-Length: 5", "a header's value is malformed"),
    ("X: a\r\r", "a header's value is malformed"),
    ("\u{e4}: b", "a header's name is malformed"),
    // Hosts.
    ("Host: localhost", "there are two Host headers"),
    ("Host: other", "there are two Host headers"),
    ("Origin: http://a\nOrigin: http://a", "there are two Origin headers"),
];

/// Whole requests with their real line ends.
const REFUSED_WHOLE: &[(&str, &str)] = &[
    ("GET / HTTP/1.1\r\n\r\n", "there is no Host header"),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "the Host header is malformed"),
    ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "the Host header is malformed"),
    ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "the Host header is malformed"),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "the Host header is malformed"),
    ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0 knows no Transfer-Encoding"),
    ("GET / HTTP/1.1\nHost: localhost\n\n", "a line does not end with CR LF"),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nX: y\n\r\n", "a line does not end with CR LF"),
    ("GET / HTTP/1.1\r\nHost: localhost\r\n\n", "a line does not end with CR LF"),
    ("\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "a line does not end with CR LF"),
    ("GET / HTTP/1.1\rHost: localhost\r\n\r\n", "a line does not end with CR LF"),
    ("GET / HTTP/1.1\r\nHost: localhost\r\n\rX", "a line does not end with CR LF"),
    ("GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n", "the request line is malformed"),
    ("GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n", "this is HTTP/1.1"),
    ("GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "the request line is malformed"),
    (" GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "the request line is malformed"),
    ("G\0T / HTTP/1.1\r\nHost: localhost\r\n\r\n", "the request line is malformed"),
    ("GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n", "the request line is malformed"),
    ("GET /\r HTTP/1.1\r\nHost: localhost\r\n\r\n", "the request line is malformed"),
    ("GET a HTTP/1.1\r\nHost: localhost\r\n\r\n", "the target is not a path"),
    ("GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", "the target is not a path"),
    ("CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", "the target is not a path"),
    ("GET ftp://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "the target is not a path"),
    (
        "GET http://other/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "the target names another host than the Host header",
    ),
    (
        "GET http:///a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "the target names another host than the Host header",
    ),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "gRPC clients such as etcdctl are not served"),
    ("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", "this is HTTP/1.1"),
    ("GET / HTTP/1.2\r\nHost: localhost\r\n\r\n", "this is HTTP/1.1"),
    ("GET / http/1.1\r\nHost: localhost\r\n\r\n", "this is HTTP/1.1"),
    ("GET /\r\nHost: localhost\r\n\r\n", "the request line is malformed"),
    (
        "GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 200-ok\r\n\r\n",
        "nothing but 100-continue can be expected",
    ),
    ("\u{16}\u{3}\u{1}\u{2}", "the request line is malformed"),
];

/// Behind each stands a request that must not be answered.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn assert_refused(server: &Server, request: &str, reason: &str) {
    let mut client = server.connect();
    client.send(request.as_bytes());
    client.send(HIDDEN.as_bytes());
    let answer = client.rest();
    let status = ["HTTP/1.1 400 ", "HTTP/1.1 505 ", "HTTP/1.1 417 "];
    assert!(status.iter().any(|status| answer.starts_with(status)), "{request:?}: {answer}");
    assert!(answer.contains(reason), "{request:?}: {answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{request:?}: {answer}");
    assert!(!answer.contains("hidden") && answer.matches("HTTP/1.1 ").count() <= 2, "{request:?}: {answer}");
}

#[test]
fn heads_that_could_be_understood_otherwise_are_refused() {
    let server = Server::start(Options::default());
    for (lines, reason) in REFUSED {
        let lines = lines.replace('\n', "\r\n");
        let request = format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n0\r\n\r\n");
        assert_refused(&server, &request, reason);
        let request = format!("POST /echo HTTP/1.1\r\n{lines}\r\nHost: localhost\r\n\r\n0\r\n\r\n");
        assert_refused(&server, &request, reason);
    }
    for (request, reason) in REFUSED_WHOLE {
        assert_refused(&server, request, reason);
    }
}

#[test]
fn chunks_that_could_be_understood_otherwise_are_refused() {
    let server = Server::start(Options::default());
    let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(20_000));
    let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(5000));
    let bodies = [
        "\r\n",
        "g\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "-1\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "1 \r\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "1\r\na\r\r\n0\r\n\r\n",
        "1;\n\r\na\r\n0\r\n\r\n",
        "1;\0\r\na\r\n0\r\n\r\n",
        "1;a\rb\r\na\r\n0\r\n\r\n",
        ";\r\na\r\n0\r\n\r\n",
        "0\r\n\n",
        "0\r\n a: b\r\n\r\n",
        "0\r\na: b\n\r\n",
        "0\r\n: b\r\n\r\n",
        "10000000000000000\r\na",
        "ffffffffffffffff1\r\na",
        "0000000000000001\r\na\r\n0\r\n\r\n",
        &long,
        &trailers,
    ];
    for body in bodies {
        let request =
            format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_refused(&server, &request, "the chunks of the body are malformed");
        // Nor is it skipped where nobody asks for it.
        let mut client = server.connect();
        client.send(request.replace("/echo", "/ignore").as_bytes());
        client.send(HIDDEN.as_bytes());
        let answer = client.rest();
        assert!(answer.ends_with("ignored\n"), "{body:?}: {answer}");
    }
}

#[test]
fn heads_are_bounded() {
    let server = Server::start(Options::default());
    let head = |headers: &str| format!("GET /fits HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let fill = |bytes: usize| head(&format!("X: {}\r\n", "y".repeat(bytes - head("X: \r\n").len())));
    assert!(server.ask(fill(16 * 1024).as_bytes()).contains("GET /fits"), "16 KiB");
    assert!(server.ask(head(&"X: y\r\n".repeat(99)).as_bytes()).contains("GET /fits"), "100 headers");
    let too_large = [
        fill(16 * 1024 + 1),
        fill(16 * 1024 + 8).replace("\r\n\r\n", ""),
        head(&"X: y\r\n".repeat(100)),
        head(&"X: y\r\n".repeat(100_000)),
        format!("GET /{} HTTP/1.1\r\n", "x".repeat(1 << 20)),
        "G".repeat(17_000),
        "\r\n".repeat(9000),
    ];
    for request in too_large {
        let mut client = server.connect();
        // The server may have had enough before it is all sent.
        let _ = std::io::Write::write_all(&mut client.stream, request.as_bytes());
        let answer = client.rest();
        let start = request.get(..40).unwrap_or(&request);
        assert!(
            answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"),
            "{start:?}: {answer}"
        );
    }
}

/// Nobody has to send a gigabyte, or to take it, to learn that it is too much.
#[test]
fn bodies_are_bounded() {
    let server = Server::start(Options::default());
    for framing in ["Content-Length: 1073741824", "Content-Length: 18446744073709551615"] {
        let mut client = server.connect();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\nabc").as_bytes());
        let answer = client.rest();
        assert!(answer.starts_with("HTTP/1.1 413 Content Too Large\r\n"), "{answer}");
    }
    let mut client = server.connect();
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n");
    assert!(client.rest().starts_with("HTTP/1.1 413 Content Too Large\r\n"), "announced by a chunk");
    let mut client = server.connect();
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    while std::io::Write::write_all(&mut client.stream, chunk.as_bytes()).is_ok() {}
    assert!(client.rest().starts_with("HTTP/1.1 413 Content Too Large\r\n"), "chunk by chunk");
    // One that is not read is not read to its end either.
    let mut client = server.connect();
    client.send(b"POST /ignore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n");
    assert!(client.rest().contains("\r\nConnection: close\r\n"), "not asked for");
}
