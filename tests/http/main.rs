//! The HTTP server against real sockets.

mod answers;
mod hostile;
mod random;
mod refusals;
mod server;
mod stop;
mod websockets;
