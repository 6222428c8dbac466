//! A whole cluster in one thread, on virtual time, from one seed.
//!
//! ```text
//!   seed --> Knobs --> World: a queue of happenings in the order of virtual time
//!                        |
//!     clients, nemesis --+--> board: Replica + Wal on a twin disk + Store on a twin database or LMDB
//!                        |        ^ effects take time: syncs, applying, flushes, messages
//!                        v        |
//!                      judges <---+ after every step
//! ```
//!
//! The raft, wal, store and replica that run here are the real ones. What is simulated is what they touch: wires, disks,
//! power, clients, and the threads that would own them, so that every order of things can happen and happens again.
//!
//! What chance brings about too seldom is played scene by scene (`stories`), in worlds against one bug.
//!
//! A run has two halves. While it is stormy, faults come at the rates that the seed drew. Then they stop, all boards that
//! still have a disk come back, and within a bound all must serve again and agree.

#![allow(unreachable_pub, reason = "shared by a test and a benchmark, each a crate of its own")]
#![allow(dead_code, reason = "neither of the two uses all of it")]

mod boards;
mod clients;
mod database;
#[path = "judges/mod.rs"]
pub mod judges;
pub mod knobs;
mod nemesis;
mod network;
mod pilot;
mod stories;
mod world;

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
};

use solder::types::{Bug, Bugs};

pub use self::world::Report;
use self::{knobs::Knobs, world::World};

/// Virtual time.
pub type Micros = u64;

/// Why a run is wrong.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub reason: String,
}

/// Runs the world that `seed` draws.
pub fn run(seed: u64) -> Result<Report, Failure> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let knobs = Knobs::draw(&mut rng);
    run_with(seed, knobs, Bugs::default())
}

/// A world that is hard on a bug, and the bug in it.
pub fn run_with_bug(seed: u64, bug: Bug) -> Result<Report, Failure> {
    let knobs = Knobs::against(bug, &mut fastrand::Rng::with_seed(seed));
    run_with(seed, knobs, Bugs::only(bug))
}

/// The same world without the bug.
pub fn run_without_bug(seed: u64, bug: Bug) -> Result<Report, Failure> {
    let knobs = Knobs::against(bug, &mut fastrand::Rng::with_seed(seed));
    run_with(seed, knobs, Bugs::default())
}

/// Runs one world. What the code under test asserts is a failure of the run like any other.
pub fn run_with(seed: u64, knobs: Knobs, bugs: Bugs) -> Result<Report, Failure> {
    let run = || World::new(seed, knobs, bugs)?.run();
    let reason = match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(report)) => return Ok(report),
        Ok(Err(reason)) => reason,
        Err(_) => LAST_PANIC.take(),
    };
    Err(Failure { seed, reason })
}

thread_local!(static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) });

/// Panics are kept to be told with their seed; printed at once they would be told a thousand times over.
pub fn quiet_panics() {
    panic::set_hook(Box::new(|panic| LAST_PANIC.set(panic.to_string())));
}
