//! One token, one cluster: boards that found a cluster by a discovery service, from seeds.
//!
//! ```text
//! cargo test --test founding                                   some thousand seeds, and the bugs that they must find
//! SEED=17 cargo test --test founding seeds                     one of them
//! SEEDS=1000..99000 cargo test --release --test founding seeds minutes
//! ```
//!
//! What decides is the real thing: `join::turn`, and the service's registry on a real store. What is simulated is what may
//! happen around it: messages lost, doubled and late, requests that overtake each other within the service, its restarts and the end of
//! its token; strangers who know the token; boards that lose their power after each step, their data, or their whole card.

#[path = "../seeds/mod.rs"]
pub(crate) mod seeds;

mod board;
mod service;
mod world;

use std::ops::Range;

use world::{Bend, Report, World};

const SEEDS: Range<u64> = 0..4000;

/// Each bend has to be found in so many.
const SEEDS_FOR_A_BEND: u64 = 100;

#[test]
fn seeds() {
    let (seeds, mut total) = (seeds::asked_for(SEEDS), Report::default());
    for seed in seeds.clone() {
        match World::new(seed, None).run() {
            Ok(report) => total.add(&report),
            Err(why) => panic!("SEED={seed} cargo test --test founding seeds\n    {why}"),
        }
    }
    eprintln!("{} seeds: {total:?}", seeds.end - seeds.start);
    if seeds == SEEDS {
        assert_tried(&total);
    }
}

/// Passing means nothing if nothing was tried.
fn assert_tried(total: &Report) {
    let Report {
        founded,
        joined,
        blocked,
        crashes,
        wiped,
        lost_data,
        lost,
        doubled,
        outrun,
        late,
        ended,
        restarts,
        strangers,
    } = *total;
    for (what, count, least) in [
        ("clusters", founded, 2000),
        ("boards that joined", joined, 8000),
        ("tokens whose founder lost its card first", blocked, 100),
        ("boards without power", crashes, 2000),
        ("lost cards", wiped, 300),
        ("lost data with keys left", lost_data, 300),
        ("lost messages", lost, 10_000),
        ("doubled messages", doubled, 5000),
        ("registrations that others outran", outrun, 1000),
        ("boards that came after the size was reached", late, 1000),
        ("tokens that ended", ended, 100),
        ("restarts of the service", restarts, 1000),
        ("registrations of strangers", strangers, 1000),
    ] {
        assert!(count >= least, "only {count} {what}");
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in seeds::asked_for(SEEDS).take(20) {
        let (first, second) = (World::new(seed, None).run(), World::new(seed, None).run());
        assert_eq!(format!("{first:?}"), format!("{second:?}"), "seed {seed}");
    }
}

/// The judge can see.
#[test]
fn what_would_make_two_clusters_is_found() {
    for bend in [Bend::Impatient, Bend::FirstById, Bend::Credulous] {
        let found = (0..SEEDS_FOR_A_BEND)
            .find_map(|seed| World::new(seed, Some(bend)).run().err().map(|why| (seed, why)));
        let (seed, why) = found.unwrap_or_else(|| panic!("{bend:?} was not found"));
        eprintln!("{bend:?}: seed {seed}: {why}");
    }
}
