//! Raft, told in golden scripts (`tests/scripts/raft`), tried at random, and fed nonsense.

#[path = "../seeds/mod.rs"]
pub mod seeds;

mod board;
mod random;
mod script;
mod totality;
mod words;
