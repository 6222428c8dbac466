//! The client commands: what they print against answers that etcd gave, how they move between endpoints, and how they get
//! on with a server that runs.

mod commands;
mod moves;
mod recorded;
mod scripted;
#[path = "../support/mod.rs"]
pub mod support;
