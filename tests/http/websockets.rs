//! WebSockets, from the handshake to the end.

use std::{net::TcpStream, time::Duration};

use async_io::Async;
use async_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};
use futures_lite::StreamExt;
use solder::http::*;

use crate::server::*;

type Socket = WebSocketStream<Async<TcpStream>>;

async fn open(server: &Server) -> Socket {
    let stream = Async::<TcpStream>::connect(server.address).await.expect("it listens");
    client_async(format!("ws://{}/websocket", server.address), stream).await.expect("a handshake").0
}

async fn next(socket: &mut Socket) -> Message {
    socket.next().await.expect("open").expect("a message")
}

fn code(message: &Message) -> u16 {
    match message {
        Message::Close(Some(CloseFrame { code, .. })) => (*code).into(),
        other => panic!("no end: {other:?}"),
    }
}

#[test]
fn messages_go_to_and_fro() {
    let server = Server::start(Options::default());
    wait(async {
        let mut socket = open(&server).await;
        for text in ["one", "", &"x".repeat(60_000), "\u{fc}"] {
            socket.send(Message::text(text)).await.expect("open");
            assert_eq!(next(&mut socket).await, Message::text(text));
        }
        socket.send(Message::Ping(b"are you there"[..].into())).await.expect("open");
        assert_eq!(next(&mut socket).await, Message::Pong(b"are you there"[..].into()));
        socket.send(Message::binary(b"bytes".as_slice())).await.expect("open");
        assert_eq!(next(&mut socket).await, Message::text("bytes"));
    });
}

#[test]
fn either_side_may_end_it() {
    let server = Server::start(Options::default());
    wait(async {
        let mut socket = open(&server).await;
        socket.close(None).await.expect("open");
        assert!(matches!(next(&mut socket).await, Message::Close(_)), "the end is answered");
        assert!(socket.next().await.is_none());

        let mut socket = open(&server).await;
        socket.send(Message::text("close")).await.expect("open");
        assert_eq!(code(&next(&mut socket).await), 1000);
        assert!(socket.next().await.is_none());
    });
}

#[test]
fn the_end_of_the_server_is_told() {
    let mut server = Server::start(Options::default());
    let mut socket = wait(open(&server));
    wait(async {
        socket.send(Message::text("x")).await.expect("open");
        next(&mut socket).await;
    });
    server.wish_to_stop();
    assert_eq!(code(&wait(next(&mut socket))), 1001);
    server.wait();
}

#[test]
fn messages_are_bounded() {
    let server = Server::start(Options::default());
    wait(async {
        let mut socket = open(&server).await;
        // The server may have had enough before all is sent.
        let _ = socket.send(Message::text("x".repeat(100_000))).await;
        assert!(!matches!(socket.next().await, Some(Ok(Message::Text(_)))), "it was taken");
    });
}

#[test]
fn half_a_message_is_not_waited_for() {
    let limits = Limits { body_timeout: Duration::from_millis(200), ..Limits::default() };
    let server = Server::with_limits(limits);
    let mut client = handshake(&server);
    // A frame of text of 100 bytes, masked with zeros; only three of them come.
    client.send(b"\x81\xe4\0\0\0\0abc");
    assert_eq!(client.rest(), "");
}

/// By hand, with the example of RFC 6455 section 1.3.
fn handshake(server: &Server) -> Client {
    let mut client = server.connect();
    client.send(
        b"GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x82\0\0\0\0hi",
    );
    assert_eq!(
        without_cors(&client.read_to("\r\n\r\n")),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nConnection: Upgrade\r\n\r\n"
    );
    // What was sent right behind the handshake is not lost.
    assert_eq!(client.read(4), b"\x81\x02hi");
    client
}

#[test]
fn frames_that_break_the_rules_end_it() {
    let server = Server::start(Options::default());
    // Not masked; a reserved bit; an unknown kind; a part of nothing; text that is none.
    for frame in [
        &b"\x81\x02hi"[..],
        b"\xc1\x82\0\0\0\0hi",
        b"\x83\x82\0\0\0\0hi",
        b"\x80\x82\0\0\0\0hi",
        b"\x81\x82\0\0\0\0\xff\xff",
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
    ] {
        let mut client = handshake(&server);
        client.send(frame);
        client.rest();
    }
}

#[test]
fn bad_handshakes_are_refused() {
    let server = Server::start(Options::default());
    let good = "GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    assert!(server.ask(good.as_bytes()).starts_with("HTTP/1.1 101 "));
    for (from, to, status) in [
        ("Version: 13", "Version: 8", "426 Upgrade Required"),
        ("Sec-WebSocket-Version: 13\r\n", "", "426 Upgrade Required"),
        ("Connection: Upgrade\r\n", "", "400 Bad Request"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", "400 Bad Request"),
        ("Host", "Content-Length: 2\r\nHost", "400 Bad Request"),
        ("GET", "POST", "400 Bad Request"),
        ("Upgrade: websocket", "Upgrade: h2c", "400 Bad Request"),
    ] {
        let answer = server.ask(good.replace(from, to).as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{to:?}: {answer}");
    }
}
