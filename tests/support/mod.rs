//! What tests of the running binary share: a server in a process of its own, and clients that speak to it over sockets.
//!
//! ```text
//!   test --> Server    spawn, wait until it serves, kill -9, SIGTERM, start again on the same directory
//!        --> Client    etcd's calls in a few words; tells "refused" from "nobody knows"
//!              \--> http::Connection    a request, its answer; keep-alive
//!        --> Follower  a watch that is resumed at its next revision, for as long as the test lasts
//!              \--> http::Stream        an answer that does not end, chunk by chunk
//! ```
//!
//! Nothing in here knows how Solder is made. `SOLDER_UNDER_TEST=/usr/bin/etcd` runs the same tests against etcd: what
//! fails there is a fault of the test.

pub mod certificates;
pub mod client;
pub mod cluster;
pub mod disk;
pub mod follower;
pub mod http;
pub mod net;
#[path = "../runner/mod.rs"]
pub mod runner;
pub mod server;
