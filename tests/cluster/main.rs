//! Clusters of real processes, each member in a network namespace of its own, under load and through faults.
//!
//! ```text
//!   clients at all members: put, get, txn, compact --> History --+
//!   leases, kept for a while and then left                       +--> judges
//!   much at a time, now and then
//!   watches, resumed at whatever member answers    --> Truth ----+
//!        ^
//!   faults: ways cut in one direction or both, wires pulled, kill -9, SIGSTOP, restarts, disks full or slow
//! ```
//!
//! It needs root, and `ip`: where there is neither, it says so and tests nothing. `SEED=..` repeats what is done (not what
//! comes of it), `ROUNDS=..` is for long runs. `SOLDER_UNDER_TEST=/usr/bin/etcd` tests the tests.

#[path = "../history/clerk.rs"]
pub mod clerk;
#[path = "../simulation/judges/mod.rs"]
pub mod judges;
#[path = "../support/mod.rs"]
pub mod support;

mod boards;
mod bulk;
mod faults;
mod knobs;
mod leases;
mod pauses;
mod scenes;
mod slow_disk;
mod story;

use std::env;

use crate::support::net::loudly;

/// Elections are quick, so that a test sees many.
const QUICK: [&str; 2] = ["--heartbeat-interval=50", "--election-timeout=500"];

fn asked(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn by_chance(test: &str, members: usize, rounds: u64) {
    let (rounds, seed) =
        (asked("ROUNDS").unwrap_or(rounds), asked("SEED").unwrap_or_else(|| fastrand::u64(..)));
    loudly(&format!("{test}: again with SEED={seed} ROUNDS={rounds} cargo test --test cluster {test}"));
    story::by_chance(members, seed, rounds, &QUICK);
}

#[test]
fn three_members_through_faults_by_chance() {
    by_chance("three_members_through_faults_by_chance", 3, 8);
}

#[test]
fn five_members_through_faults_by_chance() {
    by_chance("five_members_through_faults_by_chance", 5, 4);
}
