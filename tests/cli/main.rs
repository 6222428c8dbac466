//! The client commands: what they print against answers that etcd gave, how they move between endpoints, and how they get
//! on with a server that runs.

mod board;
mod commands;
mod disks;
mod leases;
mod moves;
mod recorded;
mod scripted;
mod settings;
#[path = "../support/mod.rs"]
pub mod support;
mod terminal;
