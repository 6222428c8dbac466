//! Peers over real sockets.

mod ask;
mod boards;
mod copy;
mod duels;
mod hostile;
mod identity;
mod join;
mod keys;
mod lanes;
mod members;
mod plain;
mod raw;
mod refusals;
mod renewal;
mod support;
mod tls;
