//! Which seeds a random test runs: `SEED=n` one, `SEEDS=a..b` some, else its own.

use std::{env, ops::Range};

pub(crate) fn asked_for(usual: Range<u64>) -> Range<u64> {
    let number = |text: &str| text.trim().parse::<u64>().expect("SEED is a number, SEEDS is a..b");
    match (env::var("SEED"), env::var("SEEDS")) {
        (Ok(seed), _) => number(&seed)..number(&seed) + 1,
        (_, Ok(seeds)) => {
            let (first, end) = seeds.split_once("..").expect("SEEDS is a..b");
            number(first)..number(end)
        }
        _ => usual,
    }
}
