//! Watches, told in golden scripts (`tests/scripts/watch`), tried at random against a naive model.

mod random;
mod script;
mod world;
