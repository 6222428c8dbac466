#![doc = include_str!("../ARCHITECTURE.md")]

pub mod cli;
pub mod raft;
pub mod replica;
pub mod store;
pub mod types;
pub mod wal;
