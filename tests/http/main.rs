//! The HTTP server against real sockets.

mod answers;
mod server;
