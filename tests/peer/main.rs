//! Peers over real sockets.

mod ask;
mod duels;
mod hostile;
mod lanes;
mod members;
mod plain;
mod raw;
mod refusals;
mod support;
mod tls;
