//! What well-behaved clients get.

use solder::http::*;

use crate::server::*;

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

#[test]
fn chunks_come_one_by_one() {
    let server = Server::start(Options::default());
    let answer = without_cors(&server.ask(b"GET /chunks HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let long = "x".repeat(5000);
    let body = format!("4\r\none\n\r\n4\r\ntwo\n\r\n1388\r\n{long}\r\n0\r\n\r\n");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(answer, format!("{head}{body}"));
}
