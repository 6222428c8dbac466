//! Clients that take their time, or all there is.

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use solder::http::*;

use crate::server::*;

const SHORT: Duration = Duration::from_millis(200);
const GOOD: &[u8] = b"GET /ignore HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Everything is to be quick but what a test waits for.
fn limits() -> Limits {
    Limits { head_timeout: LONG, body_timeout: LONG, idle_timeout: LONG, ..Limits::default() }
}

/// The client is cut, not before its time and not long after.
fn assert_cut(mut client: Client, what: &str) -> String {
    let start = Instant::now();
    let rest = client.rest();
    assert!(start.elapsed() > SHORT / 2, "{what}: cut after {:?}", start.elapsed());
    assert!(start.elapsed() < LONG / 2, "{what}: cut only after {:?}", start.elapsed());
    rest
}

#[test]
fn a_head_must_come_in_time() {
    let server = Server::with_limits(Limits { head_timeout: SHORT, ..limits() });
    assert_eq!(assert_cut(server.connect(), "silent from the beginning"), "");
    let mut client = server.connect();
    client.send(GOOD);
    client.answer();
    client.send(b"GET / HT");
    assert_eq!(assert_cut(client, "in the middle of a second head"), "");
    // Bytes that drip do not help.
    let mut client = server.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    let start = Instant::now();
    while client.stream.write_all(b"x").is_ok() {
        assert!(start.elapsed() < LONG, "a head may take for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_connection_may_not_idle_for_ever() {
    let server = Server::with_limits(Limits { idle_timeout: SHORT, ..limits() });
    let mut client = server.connect();
    client.send(GOOD);
    client.answer();
    assert_eq!(assert_cut(client, "idle"), "");
    // Waiting for something to happen is not idling.
    let mut watcher = server.connect();
    watcher.send(b"GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\n");
    watcher.read_to("watching\n\r\n");
    assert!(server.gone.recv_timeout(4 * SHORT).is_err(), "a watcher was cut");
}

#[test]
fn a_body_must_come_in_time() {
    let server = Server::with_limits(Limits { body_timeout: SHORT, ..limits() });
    for head in ["Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n186a0\r\n"] {
        let mut client = server.connect();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{head}abc").as_bytes());
        assert_eq!(assert_cut(client, head), "");
        // Nor a byte now and then.
        let mut client = server.connect();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{head}").as_bytes());
        let start = Instant::now();
        while client.stream.write_all(b"x").is_ok() {
            assert!(start.elapsed() < LONG, "{head}: a body may take for ever");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let mut client = server.connect();
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let start = Instant::now();
    while client.stream.write_all(b"1\r\nx\r\n").is_ok() {
        assert!(start.elapsed() < LONG, "small chunks may take for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Slow, but fast enough.
    let mut client = server.connect();
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
    for _ in 0..20 {
        client.send(&[b'x'; 5000]);
        std::thread::sleep(SHORT / 10);
    }
    assert!(client.answer().starts_with("HTTP/1.1 200 OK"), "a slow body");
}

#[test]
fn an_answer_must_be_taken_in_time() {
    let server = Server::with_limits(Limits { body_timeout: SHORT, ..limits() });
    let mut client = server.connect();
    client.send(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n");
    std::thread::sleep(4 * SHORT);
    let mut taken = 0;
    let mut piece = vec![0; 1 << 20];
    while let Ok(bytes @ 1..) = client.stream.read(&mut piece) {
        taken += bytes;
        assert!(taken < 1 << 30, "it was not cut");
    }
}

#[test]
fn five_hundred_half_open_connections_do_not_hinder_a_good_one() {
    let server = Server::start(Options::default());
    let mut half_open: Vec<Client> = (0..500).map(|_| server.connect()).collect();
    for (number, client) in half_open.iter_mut().enumerate() {
        let head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nabc";
        client.send(&head[..number * head.len() / 500]);
    }
    let mut good = server.connect();
    for _ in 0..100 {
        good.send(GOOD);
        assert!(good.answer().ends_with("ignored\n"));
    }
}

#[test]
fn connections_are_bounded() {
    let server = Server::with_limits(Limits { connections_max: 2, ..limits() });
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        client.send(GOOD);
        client.answer();
    }
    let mut third = server.connect();
    let answer = third.rest();
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ntoo many connections\n"), "{answer}");
    drop(clients);
    eventually("there is room again", || server.ask(GOOD).ends_with("ignored\n"));
}

#[test]
fn bodies_together_are_bounded() {
    let server = Server::with_limits(Limits { bodies_bytes_max: 100_000, ..limits() });
    let head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n";
    // One alone may be larger than all together.
    let mut first = server.connect();
    first.send(head);
    first.send(&vec![b'x'; 199_999]);
    let mut second = server.connect();
    second.send(head);
    second.send(&vec![b'x'; 200_000]);
    let mut busy = second.answer();
    // Who came second is not known for certain.
    if busy.starts_with("HTTP/1.1 200 OK") {
        second.send(head);
        second.send(&vec![b'x'; 200_000]);
        busy = second.answer();
    }
    assert!(busy.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{}", &busy[..100]);
    first.send(b"x");
    assert!(first.answer().starts_with("HTTP/1.1 200 OK"), "the first");
    eventually("there is room again", || {
        let mut third = server.connect();
        third.send(head);
        third.send(&vec![b'x'; 200_000]);
        third.answer().starts_with("HTTP/1.1 200 OK")
    });
}

#[test]
fn strangers_are_kept_away() {
    let options = Options { cors: vec!["http://friend:8080".into()], ..Options::default() };
    let server = Server::start(options);
    let ask = |headers: &str| server.ask(format!("GET /ignore HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes());
    let rebound = ask("Host: evil.example:2379");
    assert!(rebound.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{rebound}");
    assert!(rebound.contains("\"evil.example\"") && rebound.contains("--host-whitelist"), "{rebound}");
    let stranger = ask("Host: localhost\r\nOrigin: http://evil.example");
    assert!(stranger.starts_with("HTTP/1.1 403 Forbidden\r\n") && stranger.contains("--cors"), "{stranger}");
    let preflight =
        server.ask(b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n");
    assert!(preflight.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{preflight}");
    for headers in
        ["Host: localhost\r\nOrigin: http://friend:8080", "Host: localhost:1\r\nOrigin: http://localhost:1"]
    {
        assert!(ask(headers).ends_with("ignored\n"), "{headers}");
    }
}
