//! Clusters under faults, from seeds.
//!
//! ```text
//! cargo test --test simulation                                   a few hundred seeds
//! SEED=17 cargo test --test simulation seeds                     one of them
//! SEEDS=1000..9000 cargo test --release --test simulation seeds  hours
//! ```

#[path = "simulation/mod.rs"]
mod simulation;
