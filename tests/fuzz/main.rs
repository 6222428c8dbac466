//! The fuzz targets for a moment, on any compiler: all of their corpora, and inputs mutated from them by chance.
//!
//! `FUZZ_SECONDS=600` for longer; `FUZZ_SEED=..` repeats a run. An input that fails is kept in `target/fuzz/`. With coverage to
//! guide it: see `fuzz/README.md`.

#[path = "../../fuzz/targets/mod.rs"]
pub mod targets;

mod mutate;
mod seeds;

use std::{
    collections::BTreeSet,
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    mutate::Mutator,
    targets::{ALL, Target},
};

const SECONDS: u64 = 2;

/// Larger inputs cost more time than they find.
const INPUT_BYTES_MAX: usize = 64 << 10;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = root().join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file that can be read")).collect()
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn fuzz(name: &str) {
    let (_, target) = ALL.iter().find(|(other, _)| *other == name).expect("it is a target");
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    corpus.iter().for_each(|input| run(name, *target, input));
    let seed = number("FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("FUZZ_SEED={seed}");
    let mut mutator = Mutator::new(seed, &corpus);
    let end = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(SECONDS));
    let mut runs = 0u64;
    while Instant::now() < end {
        let mut input = mutator.next();
        input.truncate(INPUT_BYTES_MAX);
        run(name, *target, &input);
        runs += 1;
    }
    println!("{name}: {} inputs kept, {runs} mutated", corpus.len());
}

/// Keeps the input if it fails.
fn run(name: &str, target: Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        let folder = root().join("target/fuzz");
        let file = folder.join(format!("{name}-{:08x}", crc32fast::hash(input)));
        let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, input));
        eprintln!("the input is in {} ({kept:?})", file.display());
        resume_unwind(panic);
    }
}

/// Makes a test of every target.
macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name));
        })*

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

tests! { http_head http_chunked json_bodies wal_records snapshot_stream command_decode peer_greeting peer_frames raft_step txn_text }

#[test]
fn every_target_is_run_and_has_its_file() {
    let names: BTreeSet<&str> = ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, TESTED.iter().copied().collect());
    for name in names {
        assert!(
            root().join(format!("fuzz/fuzz_targets/{name}.rs")).exists(),
            "{name} cannot be run by cargo-fuzz"
        );
    }
}
