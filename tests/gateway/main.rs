//! The API over real sockets, against a server in this process: what recorded cases do not say. They are in
//! `tests/conformance`.

mod calls;
mod discovery;
mod exposition;
mod large;
mod raw_values;
mod server;
mod sockets;
mod streams;
mod vast;
