//! What well-behaved clients get.

use solder::http::*;

use crate::server::*;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";

fn text(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The last answer of a connection.
fn last(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[test]
fn a_request_is_answered() {
    let server = Server::start(Options::default());
    let answer = server.ask(b"GET /a%20b?c=d HTTP/1.1\r\nHost: localhost\r\nx-test: 1\r\n\r\n");
    let body = "GET /a%20b Some(\"c=d\") Some(\"1\")\n";
    let expected = format!(
        "HTTP/1.1 200 OK\r\n\
        Access-Control-Allow-Headers: accept, content-type, authorization\r\n\
        Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE\r\n\
        Access-Control-Allow-Origin: *\r\n\
        Content-Type: text/plain\r\n\
        Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(answer, expected);
}

/// Requests, and all that comes back until the server has seen that no more come.
#[test]
fn the_table_of_answers() {
    let server = Server::start(Options::default());
    let long = "x".repeat(5000);
    let chunks = format!("4\r\none\n\r\n4\r\ntwo\n\r\n1388\r\n{long}\r\n0\r\n\r\n");
    let table: [(&str, String); 24] = [
        // Chunks go out one by one.
        ("GET /chunks HTTP/1.1\r\nHost: localhost\r\n\r\n", format!("{CHUNKED}{chunks}")),
        // Old clients get them as they are, up to the end of the connection.
        (
            "GET /chunks HTTP/1.0\r\n\r\n",
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\none\ntwo\n{long}"),
        ),
        ("HEAD /chunks HTTP/1.1\r\nHost: localhost\r\n\r\n", CHUNKED.into()),
        // HEAD is answered as GET, without the body; the next request is found.
        (
            "HEAD /ignore HTTP/1.1\r\nHost: localhost\r\n\r\nGET /ignore HTTP/1.1\r\nHost: localhost\r\n\r\n",
            format!("{}{}", text("ignored\n").trim_end_matches("ignored\n"), text("ignored\n")),
        ),
        (
            "OPTIONS /v3/kv/put HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()),
        // Of the older protocol, one request a connection unless it is asked for more.
        ("GET /ignore HTTP/1.0\r\n\r\nGET /ignore HTTP/1.0\r\n\r\n", last("200 OK", "ignored\n")),
        (
            "GET /ignore HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /ignore HTTP/1.0\r\n\r\n",
            text("ignored\n").replace("\r\n\r\n", "\r\nConnection: keep-alive\r\n\r\n")
                + &last("200 OK", "ignored\n"),
        ),
        (
            "GET /ignore HTTP/1.1\r\nHost: localhost\r\nConnection: foo, Close\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            last("200 OK", "ignored\n"),
        ),
        // Bodies.
        ("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", text("hello")),
        ("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", text("")),
        ("POST /echo HTTP/1.1\r\nHost: localhost\r\n\r\n", text("")),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
            3;a=\"b\";c\r\nabc\r\n00A\r\n0123456789\r\n0;last\r\nTrailer: dropped\r\nB:\r\n\r\n\
            GET /ignore HTTP/1.1\r\nHost: localhost\r\n\r\n",
            text("abc0123456789") + &text("ignored\n"),
        ),
        ("POST /echo HTTP/1.1\r\nHost: localhost\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", text("")),
        // Who waits for leave to send gets it, unless the body has come already.
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
            text("ab"),
        ),
        // A body that nobody asked for is skipped.
        (
            "POST /ignore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nabGET /ignore HTTP/1.1\r\nHost: localhost\r\n\r\n",
            text("ignored\n") + &text("ignored\n"),
        ),
        (
            "POST /ignore HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\
            GET /ignore HTTP/1.1\r\nHost: localhost\r\n\r\n",
            text("ignored\n") + &text("ignored\n"),
        ),
        // The path is what it is.
        ("GET //kv//a/../b HTTP/1.1\r\nHost: localhost\r\n\r\n", text("GET //kv//a/../b None None\n")),
        (
            "GET http://LocalHost:1/a?b HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
            text("GET /a Some(\"b\") None\n"),
        ),
        ("GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", text("GET / None None\n")),
        ("GET http://localhost?q HTTP/1.1\r\nHost: localhost\r\n\r\n", text("GET / Some(\"q\") None\n")),
        // An empty line before a request is left over from a client that ended its last body with one.
        ("\r\nGET /a HTTP/1.1\r\nHost: localhost\r\nX-Test: \t b \r\n\r\n", text("GET /a None Some(\"b\")\n")),
        (
            "GET /empty HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n".into(),
        ),
        // What a header is given cannot end it.
        (
            "GET /split HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "HTTP/1.1 301 Moved Permanently\r\nLocation: /  Set-Cookie: a=b    HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                .into(),
        ),
    ];
    for (request, expected) in table {
        assert_eq!(without_cors(&server.ask(request.as_bytes())), expected, "{request}");
    }
}

#[test]
fn a_handler_that_fails_is_not_taken_for_one_that_answers() {
    let server = Server::start(Options::default());
    let silent = without_cors(&server.ask(b"GET /silent HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_eq!(
        silent,
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let unfinished = without_cors(&server.ask(b"GET /unfinished HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_eq!(unfinished, CHUNKED, "no last chunk");
}

#[test]
fn a_hundred_requests_at_once_are_answered_in_order() {
    let server = Server::start(Options::default());
    let one = |number: usize| format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let requests: String = (0..100).map(one).collect();
    let expected: String = (0..100).map(|number| text(&format!("GET /{number} None None\n"))).collect();
    assert_eq!(without_cors(&server.ask(requests.as_bytes())), expected);
}

/// However the network cuts it, a request is the same.
#[test]
fn pieces_make_no_difference() {
    let server = Server::start(Options::default());
    let request = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc\
        POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nde\r\n1\r\nf\r\n0\r\n\r\n\
        GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +1\r\n\r\n";
    let whole = server.ask(request);
    assert!(whole.contains("abc") && whole.contains("def") && whole.contains("400 Bad Request"), "{whole}");
    for cut in 1..request.len() {
        let mut client = server.connect();
        client.stream.set_nodelay(true).expect("open");
        client.send(&request[..cut]);
        std::thread::sleep(std::time::Duration::from_micros(300));
        client.send(&request[cut..]);
        assert_eq!(client.rest(), whole, "cut at {cut}");
    }
    let mut client = server.connect();
    client.stream.set_nodelay(true).expect("open");
    request.iter().for_each(|byte| client.send(&[*byte]));
    assert_eq!(client.rest(), whole, "byte by byte");
}

#[test]
fn leave_to_send_is_given_once() {
    let server = Server::start(Options::default());
    let mut client = server.connect();
    let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-Continue\r\n";
    client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
    assert_eq!(client.read_to("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(b"2\r\nab\r\n");
    client.send(b"0\r\n\r\n");
    assert_eq!(without_cors(&client.answer()), text("ab"));
    // Who is refused gets no leave, and the connection ends: nobody can know whether a body follows.
    client.send(format!("{head}Content-Length: 2000000\r\n\r\n").as_bytes());
    let refused = without_cors(&client.rest());
    assert_eq!(refused, last("413 Content Too Large", "the body has more than 1048576 bytes\n"));
    let unread =
        "POST /ignore HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(without_cors(&server.ask(unread.as_bytes())), last("200 OK", "ignored\n"));
}

#[test]
fn large_bodies_go_through() {
    let server = Server::start(Options::default());
    let body: String = (0..1 << 20).map(|at: u32| char::from(b'a' + (at % 23) as u8)).collect();
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(
            format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .as_bytes(),
        );
        assert_eq!(without_cors(&client.answer()), text(&body));
    }
    for chunk_bytes in [1000, 4096, 100_000] {
        client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in body.as_bytes().chunks(chunk_bytes) {
            client.send(format!("{:x}\r\n", chunk.len()).as_bytes());
            client.send(chunk);
            client.send(b"\r\n");
        }
        client.send(b"0\r\n\r\n");
        assert!(without_cors(&client.answer()) == text(&body), "in chunks of {chunk_bytes}");
    }
}

#[test]
fn a_watcher_that_goes_is_noticed() {
    let server = Server::start(Options::default());
    let mut client = server.connect();
    // A next request waits behind the watch.
    client.send(
        b"GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\nGET /ignore HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    client.read_to("watching\n\r\n");
    assert!(server.gone.recv_timeout(std::time::Duration::from_millis(50)).is_err(), "it is still there");
    client.stream.shutdown(std::net::Shutdown::Write).expect("open");
    server.gone.recv_timeout(LONG).expect("it has gone");
    assert_eq!(client.rest(), "5\r\ngone\n\r\n0\r\n\r\n");
}

#[test]
fn ports_are_refused_with_advice() {
    let listener = Listener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.address());
    let error = |url: &str| Listener::bind(url).err().expect("it cannot be bound");
    let in_use = error(&url);
    assert!(in_use.contains(&listener.address().to_string()), "{in_use}");
    assert!(in_use.contains("another program listens there") && in_use.lines().count() == 1, "{in_use}");
    assert!(error("https://127.0.0.1:0").contains("TLS is not supported yet"), "https");
    assert!(error("http://192.0.2.1:0").contains("no such address"), "an address of nobody");
    for url in ["http://", "localhost", "http://127.0.0.1:port", "http://127.0.0.1:70000", "/tmp/socket"] {
        let error = error(url);
        assert!(error.starts_with(&format!("cannot listen on {url}: ")), "{error}");
        assert!(error.ends_with("give it as http://ADDRESS:PORT, such as http://127.0.0.1:2379"), "{error}");
    }
    for url in ["http://localhost:0", "http://127.0.0.1:0/", "0.0.0.0:0"] {
        assert!(Listener::bind(url).expect("a free port").address().is_ipv4(), "{url}");
    }
}
