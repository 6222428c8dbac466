//! The simulator's judges, judged: their own unit tests, and histories made by chance that must be accepted, then
//! spoilt, then refused.

#[path = "simulation/judges/mod.rs"]
pub mod judges;
#[path = "judges/model.rs"]
mod model;
#[path = "judges/spoil.rs"]
mod spoil;

use judges::linearizable::judge;

use crate::{
    model::Run,
    spoil::{SPOILS, Sight},
};

const SEEDS: u64 = 3_000;

/// Calls in one history.
const CALLS: usize = 50;

fn run(seed: u64) -> (Run, fastrand::Rng) {
    let mut rng = fastrand::Rng::with_seed(seed);
    (Run::by_chance(&mut rng, CALLS), rng)
}

#[test]
fn every_legal_history_is_accepted() {
    for seed in 0..SEEDS {
        let (run, _) = run(seed);
        let history = run.history();
        if let Err(why) = judge(&history, None) {
            panic!("seed {seed}, without the truth: {why}");
        }
        if let Err(why) = judge(&history, Some(&run.truth().unwrap())) {
            panic!("seed {seed}, with the truth: {why}");
        }
    }
}

#[test]
fn every_spoilt_history_is_refused() {
    for spoil in SPOILS {
        let (mut tried, mut refused) = (0u64, 0u64);
        for seed in 0..SEEDS {
            let (mut run, mut rng) = run(seed);
            if !(spoil.apply)(&mut run, &mut rng) {
                continue;
            }
            tried += 1;
            let history = run.history();
            let with_truth = run.truth().and_then(|truth| judge(&history, Some(&truth)));
            assert!(with_truth.is_err(), "{}: accepted with the truth, seed {seed}", spoil.name);
            let without = judge(&history, None).is_err();
            assert!(without || spoil.sight != Sight::Always, "{}: accepted, seed {seed}", spoil.name);
            refused += u64::from(without);
        }
        let percent = 100 * refused / tried.max(1);
        println!("{}: {tried} tried, {percent} % refused without the truth", spoil.name);
        assert!(tried > SEEDS / 4, "{}: fits {tried} histories of {SEEDS} only", spoil.name);
        if let Sight::Mostly { percent_min } = spoil.sight {
            assert!(percent >= percent_min, "{}: only {percent} % refused without the truth", spoil.name);
        }
    }
}
