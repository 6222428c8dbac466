//! An HTTP client of the v3 API, for whoever talks to a cluster from outside: the commands, and agents on other boards.
//!
//! ```text
//!   Client --call--> Connection (one kept alive) --> the endpoint that answered last, else the next in turn
//!     |                                                           |
//!     +--stream--> Stream --line by line--> Watch, snapshot <-----+
//! ```
//!
//! - Connecting is tried at all endpoints in turn. Once a write has been sent it is never sent again: if its connection
//!   breaks, the error says that the outcome is unknown. A read is asked again, elsewhere.
//! - Nothing waits for ever but a stream; what is held whole has a bound.
//! - A `Watch` goes on where it was, at whatever endpoint: no event is lost, none comes twice.
//!
//! Here you will not find: what a message means, printing, exit codes.

mod body;
mod calls;
mod connection;
mod core;
mod endpoint;
mod error;
mod keepalive;
mod plain;
mod stream;
mod watch;

pub use self::{
    connection::Keepalive,
    core::{Client, Options},
    endpoint::Endpoint,
    error::ClientError,
    keepalive::KeepAlive,
    plain::{PlainAnswer, PlainRequest, ask_plain},
    stream::Stream,
    watch::Watch,
};
