//! HTTP/1.1 on httparse: bytes in, requests out; answers in, bytes out.

use std::time::Duration;

/// What a connection may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Request line and headers.
    pub head_bytes_max: usize,
    pub connections_max: usize,
    /// From the first byte of a head to its last.
    pub head_timeout: Duration,
    /// Without progress in a body, or in an answer that nobody takes.
    pub body_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
}

/// The peer is gone, or the connection is of no use any more. Handlers return it with `?`; nothing is to be done about it.
#[derive(Debug)]
pub struct Closed;

/// Why a body cannot be had.
#[derive(Debug)]
pub enum BodyError {
    TooLarge { bytes_max: usize },
    Closed,
}

/// Answers requests.
#[allow(async_fn_in_trait)]
pub trait Handler: 'static {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Closed>;
}

/// One request and its answer.
pub struct Exchange<'a> {
    _connection: std::marker::PhantomData<&'a ()>,
}

/// The head of an answer. Content-Length or Transfer-Encoding, Date-less; the server adds its standing headers (CORS).
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub status: u16,
    pub content_type: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
}

impl Exchange<'_> {
    pub fn method(&self) -> &str {
        unimplemented!()
    }

    /// As it came, percent-encoded, without the query.
    pub fn path(&self) -> &str {
        unimplemented!()
    }

    /// As it came, behind the question mark.
    pub fn query(&self) -> Option<&str> {
        unimplemented!()
    }

    /// The only or first header of that name, whatever its case.
    pub fn header(&self, _name: &str) -> Option<&[u8]> {
        unimplemented!()
    }

    /// The whole body. Answers `100 Continue` first if the client waits for it.
    pub async fn body(&mut self, _bytes_max: usize) -> Result<Vec<u8>, BodyError> {
        unimplemented!()
    }

    /// A whole answer.
    pub async fn reply(&mut self, _head: Head<'_>, _body: &[u8]) -> Result<(), Closed> {
        unimplemented!()
    }

    /// Begins a chunked answer.
    pub async fn start(&mut self, _head: Head<'_>) -> Result<(), Closed> {
        unimplemented!()
    }

    /// One chunk, sent at once.
    pub async fn chunk(&mut self, _bytes: &[u8]) -> Result<(), Closed> {
        unimplemented!()
    }

    /// Ends a chunked answer.
    pub async fn finish(&mut self) -> Result<(), Closed> {
        unimplemented!()
    }

    /// Returns when the peer has closed its side or the server stops. Bytes of a next request wait.
    pub async fn closed(&mut self) {
        unimplemented!()
    }

    pub fn wants_websocket(&self) -> bool {
        unimplemented!()
    }

    /// Shakes hands; the exchange is over afterwards.
    pub async fn websocket(&mut self, _message_bytes_max: usize) -> Result<WebSocket<'_>, Closed> {
        unimplemented!()
    }
}

/// An open WebSocket. Pings are answered below.
pub struct WebSocket<'a> {
    _connection: std::marker::PhantomData<&'a ()>,
}

impl WebSocket<'_> {
    /// The next text or binary message; `None`: closed in order. Cancel-safe.
    pub async fn receive(&mut self) -> Result<Option<Vec<u8>>, Closed> {
        unimplemented!()
    }

    pub async fn send(&mut self, _text: &str) -> Result<(), Closed> {
        unimplemented!()
    }

    pub async fn close(&mut self) -> Result<(), Closed> {
        unimplemented!()
    }
}
