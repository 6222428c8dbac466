//! The store beside a model that is too simple to be wrong: whatever is asked of both, they answer the same, whatever
//! happens to the store underneath: flushes, crashes, removal, full disks, full maps.
//!
//! `SEED=n` runs one seed, `SEEDS=a..b` some, `OPERATIONS=n` changes how many operations a seed has. A failing seed is
//! printed as a command line.

#[path = "../seeds/mod.rs"]
pub mod seeds;

mod catch_up;
mod chance;
mod machine;
mod model;

use std::{ops::Range, panic};

use solder::types::{Bug, Bugs};

/// Over all seeds, more than two million operations.
const SEEDS: Range<u64> = 0..4000;

fn for_each_seed(test: &str, all: Range<u64>, run: impl Fn(u64) -> u64 + panic::RefUnwindSafe) -> u64 {
    seeds::asked_for(all)
        .map(|seed| match panic::catch_unwind(|| run(seed)) {
            Ok(operations) => operations,
            Err(cause) => {
                eprintln!("\nto repeat: SEED={seed} cargo test --test store_model {test}\n");
                panic::resume_unwind(cause)
            }
        })
        .sum()
}

#[test]
fn the_store_answers_as_the_model_does() {
    let operations = for_each_seed("the_store_answers_as_the_model_does", SEEDS, |seed| {
        machine::run(seed, Bugs::default())
    });
    println!("{operations} operations");
    if seeds::asked_for(SEEDS) == SEEDS {
        assert!(operations >= 2_000_000, "{operations} operations");
    }
}

#[test]
fn a_board_that_catches_up_ends_with_the_same_content() {
    let all = 0..5000;
    for_each_seed("a_board_that_catches_up_ends_with_the_same_content", all, |seed| {
        catch_up::run(seed, Bugs::default())
    });
}

/// The tests above see: with a line of the store made wrong on purpose, some seed fails.
fn is_found(bug: Bug, run: impl Fn(u64, Bugs) -> u64 + panic::RefUnwindSafe) {
    let fails = |seed: &u64| panic::catch_unwind(|| run(*seed, Bugs::only(bug))).is_err();
    let found = (0..200).find(fails);
    println!("{bug:?} is found by seed {}", found.unwrap_or_else(|| panic!("{bug:?} is not found")));
}

#[test]
fn an_applied_index_beside_the_transaction_is_found() {
    is_found(Bug::AppliedTwice, machine::run);
}

#[test]
fn removal_that_passes_a_transfer_is_found() {
    is_found(Bug::CompactPastTransfer, catch_up::run);
}
