//! The end of a server.

use std::{net::TcpStream, time::Duration};

use solder::http::*;

use crate::server::*;

#[test]
fn what_is_under_way_is_answered() {
    let mut server = Server::start(Options::default());
    let mut slow = server.connect();
    let mut idle = server.connect();
    let mut fresh = server.connect();
    let mut half = server.connect();
    let mut watcher = server.connect();
    watcher.send(b"GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\n");
    watcher.read_to("watching\n\r\n");
    idle.send(b"GET /ignore HTTP/1.1\r\nHost: localhost\r\n\r\n");
    idle.answer();
    half.send(b"GET /ign");
    slow.send(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    std::thread::sleep(Duration::from_millis(50));
    let took = server.stop();
    assert!(took < LONG / 4, "stopped after {took:?}");
    let answer = slow.rest();
    assert!(answer.contains("\r\nConnection: close\r\n") && answer.ends_with("slow\n"), "{answer}");
    assert_eq!(watcher.rest(), "5\r\ngone\n\r\n0\r\n\r\n");
    for client in [&mut idle, &mut fresh, &mut half] {
        assert_eq!(client.rest(), "");
    }
    TcpStream::connect(server.address).expect_err("nobody listens any more");
}

#[test]
fn who_does_not_come_to_an_end_is_cut() {
    let limits = Limits { stop_timeout: Duration::from_millis(200), ..Limits::default() };
    let mut server = Server::with_limits(limits);
    let mut client = server.connect();
    client.send(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.read(1000);
    let took = server.stop();
    assert!(took >= Duration::from_millis(200) && took < LONG / 4, "stopped after {took:?}");
}

#[test]
fn a_server_without_connections_stops_at_once() {
    let took = Server::start(Options::default()).stop();
    assert!(took < Duration::from_secs(2), "stopped after {took:?}");
}
