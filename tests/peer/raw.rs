//! A peer that is played by the test, byte by byte.

use std::{
    io,
    net::{TcpListener, TcpStream},
};

use async_io::Async;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use solder::{
    peer::{Bye, Frame, GREETING_BYTES, Greeting, PeerUrl, Purpose},
    types::NodeId,
};

use crate::support::CLUSTER;

pub(crate) const FRAME_BYTES_MAX: u32 = 4 << 20;

pub(crate) struct Raw {
    pub(crate) socket: Async<TcpStream>,
    input: Vec<u8>,
}

/// A good one of an urgent connection.
pub(crate) fn greeting(from: u64, to: u64) -> Greeting {
    Greeting {
        lowest: 1,
        highest: 1,
        purpose: Purpose::Urgent,
        verdict: None,
        cluster: CLUSTER,
        from: NodeId(from),
        to: NodeId(to),
        frame_bytes_max: FRAME_BYTES_MAX,
        incarnation: from,
        known_as: 0,
        is_led: false,
    }
}

impl Raw {
    pub(crate) fn new(socket: Async<TcpStream>) -> Raw {
        Raw { socket, input: Vec::new() }
    }

    pub(crate) async fn dial(url: &PeerUrl) -> Raw {
        let address =
            format!("{}:{}", url.host, url.port).parse::<std::net::SocketAddr>().expect("an address");
        Raw::new(Async::<TcpStream>::connect(address).await.expect("it listens"))
    }

    /// Dials, greets, and is welcome.
    pub(crate) async fn join(url: &PeerUrl, greeting: Greeting) -> Raw {
        let mut raw = Raw::dial(url).await;
        let answer = raw.greet(greeting).await;
        assert_eq!((answer.verdict, answer.from, answer.to), (None, greeting.to, greeting.from));
        raw
    }

    pub(crate) async fn greet(&mut self, greeting: Greeting) -> Greeting {
        self.write(&greeting.encode()).await;
        self.read_greeting().await
    }

    pub(crate) async fn read_greeting(&mut self) -> Greeting {
        let mut bytes = [0; GREETING_BYTES];
        self.socket.read_exact(&mut bytes).await.expect("a greeting");
        Greeting::decode(&bytes).expect("a good greeting")
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("it reads");
    }

    pub(crate) async fn send(&mut self, frame: Frame) {
        self.write(&bytes_of(&frame)).await;
    }

    /// The next frame; `None`: the other side has closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = Frame::decode(&self.input, FRAME_BYTES_MAX).expect("good frames") {
                self.input.drain(..length);
                return Some(frame);
            }
            let mut bytes = [0; 4096];
            match self.socket.read(&mut bytes).await {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("reading: {error}"),
            }
        }
    }

    /// The reason that the other side gives for the end.
    pub(crate) async fn bye(&mut self) -> Option<Bye> {
        let mut why = None;
        while let Some(frame) = self.next().await {
            if let Frame::Bye(bye) = frame {
                why = Some(bye);
            }
        }
        why
    }
}

pub(crate) fn bytes_of(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes, FRAME_BYTES_MAX).expect("it is small enough");
    bytes
}

/// Is dialled.
pub(crate) struct RawListener(Async<TcpListener>);

impl RawListener {
    pub(crate) fn bind() -> RawListener {
        RawListener(Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).expect("a free port"))
    }

    pub(crate) fn url(&self) -> PeerUrl {
        let port = self.0.get_ref().local_addr().expect("bound").port();
        PeerUrl::parse(&format!("http://127.0.0.1:{port}")).expect("a URL")
    }

    /// The next that dials, before it has greeted.
    pub(crate) async fn accept_silently(&self) -> Raw {
        let (socket, _) = self.0.accept().await.expect("a connection");
        Raw::new(socket)
    }

    /// The next that dials, its greeting answered; and for what it is.
    pub(crate) async fn accept(&self) -> (Raw, Purpose) {
        let mut raw = self.accept_silently().await;
        let theirs = raw.read_greeting().await;
        let answer = Greeting { from: theirs.to, to: theirs.from, ..theirs };
        raw.write(&answer.encode()).await;
        (raw, theirs.purpose)
    }
}
