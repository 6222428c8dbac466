//! Watches, told in golden scripts (`tests/scripts/watch`), tried at random against a naive model.

#[path = "../seeds/mod.rs"]
pub mod seeds;

mod random;
mod script;
mod world;
