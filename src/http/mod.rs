//! HTTP/1.1 on httparse: bytes in, requests out; answers in, bytes out.
//!
//! ```text
//!   listener -> server -- a task for each --> connection -> Handler
//!                 |                            |    ^  head, chunked, guard   pure
//!              sweeper: cuts the slow        link   +- exchange, body, websocket
//! ```
//!
//! - What two readers could understand differently is refused, never repaired.
//! - A connection that waits holds no buffer; every bound stands in `limits`.
//! - No clock is read and no timer set for a request: one sweeper looks after all connections.
//! - Nothing that comes from outside can panic.
//!
//! Here you will not find: etcd's API, JSON, threads, locks. TLS has its place in `link`.

use std::fmt;

mod answer;
mod body;
mod chunked;
mod connection;
mod exchange;
mod guard;
mod head;
mod limits;
mod link;
mod listener;
mod pool;
mod server;
mod shared;
mod signal;
mod status;
mod sweeper;
mod url;
mod websocket;

pub use chunked::{BadChunk, Chunked, Piece};
pub use exchange::Exchange;
pub use guard::{Guard, Refusal};
pub use head::{Framing, HeadError, RequestHead, parse_head};
pub use limits::{Limits, Options};
pub use listener::Listener;
pub use server::serve;
pub use shared::Room;
pub use status::reason;
pub use url::{BadEscape, decode_path, decode_query};
pub use websocket::WebSocket;

/// The peer is gone, or the connection is of no use any more. Handlers return it with `?`; nothing is to be done about it.
#[derive(Debug)]
pub struct Closed;

/// Why a body cannot be had. Unless the peer is gone the handler answers, and the connection is closed afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// 413.
    TooLarge {
        bytes_max: usize,
    },
    /// 400: the chunks are malformed.
    Malformed,
    /// 503: the bodies of others take all the room. Later there may be some.
    Busy,
    Closed,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::TooLarge { bytes_max } => write!(f, "the body has more than {bytes_max} bytes"),
            BodyError::Malformed => f.write_str("the chunks of the body are malformed"),
            BodyError::Busy => f.write_str("too many requests have large bodies: try again later"),
            BodyError::Closed => f.write_str("the connection is closed"),
        }
    }
}

impl std::error::Error for BodyError {}

/// Answers requests.
#[allow(async_fn_in_trait)]
pub trait Handler: 'static {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Closed>;
}

/// The head of an answer. Content-Length or Transfer-Encoding, Date-less; the server adds its standing headers (CORS).
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub status: u16,
    /// Empty: none.
    pub content_type: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
}
