//! How many simulated seconds a second of one core pays for.
//!
//! `cargo bench --bench simulation`

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::time::Instant;

use simulation::knobs::{Knobs, SECOND};
use solder::types::Bugs;

/// Replicas and operations a simulated second.
const CASES: [(u64, u64); 5] = [(1, 20), (3, 20), (3, 200), (5, 20), (7, 20)];
const SIMULATED_S: u64 = 600;

fn main() {
    println!("replicas  operations/s  simulated s per s of one core  answered");
    for (voters, operations) in CASES {
        let knobs = Knobs::calm(voters, operations, SIMULATED_S * SECOND);
        let started = Instant::now();
        let report =
            simulation::run_with(1, knobs, Bugs::default()).expect("nothing goes wrong in a calm world");
        let simulated_s = report.simulated as f64 / 1e6;
        println!(
            "{voters:8}  {operations:12}  {:29.0}  {:.1}/s",
            simulated_s / started.elapsed().as_secs_f64(),
            report.acknowledged as f64 / simulated_s
        );
    }
}
