//! The simulator's judges, judged.

#[path = "simulation/judges/mod.rs"]
pub mod judges;
