//! What the server is told, and what a connection may cost: every bound next to its reason.

use std::time::Duration;

/// How the server serves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub limits: Limits,
    /// Names that a request may call this board by. Empty: on loopback only `localhost` and plain addresses, elsewhere
    /// any. `*`: any, everywhere. Otherwise these, `localhost` and plain addresses, everywhere.
    pub host_whitelist: Vec<String>,
    /// Origins (`http://name:port`) whose web pages may use this board, beside its own. `*`: any.
    pub cors: Vec<String>,
}

/// What a connection may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Request line and headers. More is answered with 431.
    pub head_bytes_max: usize,
    /// A connection costs about 1 KB while it waits. One more is answered with 503 and closed.
    pub connections_max: usize,
    /// All bodies beyond 4 KiB together that are held at one time, from their first byte until their request is answered;
    /// one alone is never refused for it. More is [`BodyError::Busy`](super::BodyError::Busy).
    pub bodies_bytes_max: usize,
    /// All answers together that peers are too slow to take, each from the moment at which its peer takes no more. Beyond it
    /// those are cut who have been waiting longest, and nothing large is made before they are gone ([`Room`](super::Room)).
    /// Watchers come back at their revision.
    pub answers_bytes_max: usize,
    /// From the first byte of a head, or from the connection's beginning, to the head's last.
    pub head_timeout: Duration,
    /// For every 4 KiB of a body, or of an answer that the peer takes too slowly.
    pub body_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// From the wish to stop until all that is still open is cut.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_bytes_max: 16 * 1024,
            connections_max: 16_384,
            bodies_bytes_max: 16 << 20,
            answers_bytes_max: 8 << 20,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            stop_timeout: Duration::from_secs(5),
        }
    }
}

/// Browsers send about twenty.
pub(super) const HEADERS_MAX: usize = 100;

/// A buffer of the pool. Most heads with their bodies fit; larger bodies are read to where they stay.
pub(super) const BUFFER_BYTES: usize = 4096;

/// Buffers that wait for use. They are in use only while a request is under way, so few serve many connections.
pub(super) const BUFFERS_MAX: usize = 16;

/// An answer's body up to here is copied behind its head, which costs less than a second slice for the system call.
pub(super) const COPIED_BYTES_MAX: usize = 3072;

/// The rest of an answer that is not counted against `answers_bytes_max`.
pub(super) const REST_BYTES_FREE: usize = 4096;

/// What a peer must move within `body_timeout`, or it is cut.
pub(super) const PROGRESS_BYTES_MIN: usize = 4096;

/// Rests of bodies that nobody asked for are read and dropped up to here so that the connection stays of use.
pub(super) const DROPPED_BYTES_MAX: usize = 64 * 1024;

/// A peer that still sends when the connection ends gets this long to read the answer...
pub(super) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// ...or this much to send.
pub(super) const LINGER_BYTES_MAX: usize = 8 << 20;

/// Bytes of next requests that may wait behind an answer that is still streamed.
pub(super) const AHEAD_BYTES_MAX: usize = 16 * 1024;
