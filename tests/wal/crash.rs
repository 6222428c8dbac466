//! Random writes, power cuts at random points, blocks torn: what was synced is there, what was not is there whole, batch
//! by batch, or not at all; nothing else ever is.

use solder::{
    types::{Bug, Bugs, EntryId},
    wal::{Faults, Options, Record, Recovered, Twin, Wal, WalError},
};

use crate::{
    seeds,
    support::{Model, entry, hard_state, members, open, options},
};

/// One board and its lives.
struct Board {
    twin: Twin,
    rng: fastrand::Rng,
    options: Options,
    /// What was durable for certain at some time, and what each batch written since would make of it.
    durable: Model,
    pending: Vec<Model>,
    /// What the store holds durably.
    applied: u64,
    term: u64,
    seen: Seen,
}

/// What the crashes left behind.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    torn: u32,
    headers: u32,
    lives: u32,
    reused: u32,
}

/// Why a life ended wrongly, for the mutants.
type Verdict = Result<(), String>;

impl Board {
    fn new(seed: u64, bugs: Bugs) -> Board {
        let mut rng = fastrand::Rng::with_seed(seed);
        let options = Options { bugs, ..options(rng.u32(4..12)) };
        let (durable, pending) = (Model::default(), Vec::new());
        Board {
            twin: Twin::new(),
            rng,
            options,
            durable,
            pending,
            applied: 0,
            term: 1,
            seen: Seen::default(),
        }
    }

    /// Boots, works, loses power at any verb.
    fn life(&mut self) -> Verdict {
        // Sometimes already the boot does not come to its end.
        self.arm(6);
        let seed = self.rng.u64(..);
        let Ok((wal, recovered)) = open(self.twin.clone(), &self.options, self.applied, seed) else {
            self.twin.crash(&mut self.rng);
            let (wal, recovered) = open(self.twin.clone(), &self.options, self.applied, seed)
                .map_err(|error| format!("cannot open: {error}"))?;
            return self.work(wal, recovered);
        };
        self.work(wal, recovered)
    }

    fn arm(&mut self, verbs_max: u64) {
        let power_for_verbs = self.rng.bool().then(|| self.rng.u64(1..=verbs_max));
        self.twin.set_faults(Faults { power_for_verbs, ..Faults::default() });
    }

    fn check(&mut self, found: Model) -> Verdict {
        let mut candidates = std::iter::once(&self.durable).chain(&self.pending);
        let Some(now) = candidates.find(|model| model.beyond(self.applied) == found) else {
            return Err(format!("found {found:?}, durable was {:?}, then {:?}", self.durable, self.pending));
        };
        (self.durable, self.pending) = (now.clone(), Vec::new());
        Ok(())
    }

    fn work(&mut self, mut wal: Wal<Twin>, recovered: Recovered) -> Verdict {
        self.seen.lives += 1;
        self.seen.torn += u32::from(recovered.warning.is_some());
        self.seen.headers += u32::from(!recovered.repaired.is_empty());
        self.check(recovered.into())?;
        self.arm(60);
        for _ in 0..self.rng.u32(..40) {
            if self.turn(&mut wal).is_err() {
                break;
            }
        }
        // A process that is killed leaves what it wrote to the kernel; power that goes does not.
        if self.rng.u8(..4) > 0 {
            self.twin.crash(&mut self.rng);
        }
        self.twin.set_faults(Faults::default());
        Ok(())
    }

    fn turn(&mut self, wal: &mut Wal<Twin>) -> Result<(), WalError> {
        let records = self.records();
        // A group may be several batches, and any prefix of them may be what is durable.
        let mut model = self.durable.clone();
        for batch in batches(&records, &self.options) {
            model = model.with(batch);
            self.pending.push(model.clone());
        }
        wal.write(&records, &members())?;
        if self.rng.u8(..10) == 0 {
            return Err(WalError::Io { verb: "killed", file: String::new(), reason: String::new() });
        }
        wal.sync()?;
        self.pending.clear();
        self.durable = model;
        self.apply(wal);
        wal.secure_room()
    }

    fn apply(&mut self, wal: &mut Wal<Twin>) {
        let last = self.durable.last().index.0;
        if self.rng.u8(..3) == 0 && last > self.applied {
            self.applied = self.rng.u64(self.applied..=last);
            wal.release(solder::types::Index(self.applied));
        }
    }

    fn records(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        let last = self.durable.last().index.0;
        if last < self.applied {
            // The store was caught up, and the log was not told: it begins anew.
            return vec![Record::LogStart(EntryId::new(self.term, self.applied))];
        }
        match self.rng.u8(..20) {
            0..3 => {
                self.term += 1;
                records.push(hard_state(self.term, self.rng.u64(1..4)));
            }
            // Caught up from a peer: the store now holds more than the log.
            3 => {
                let at = EntryId::new(self.term, last + self.rng.u64(1..50));
                self.applied = self.applied.max(at.index.0);
                return vec![Record::LogStart(at)];
            }
            _ => {}
        }
        let truncates = self.rng.u8(..4) == 0;
        let next = if truncates { self.rng.u64(self.applied..=last) + 1 } else { last + 1 };
        let count = [1, 1, 2, 5][self.rng.usize(..4)];
        records.extend((0..count).map(|at| entry(self.term, next + at, self.size())));
        records
    }

    fn size(&mut self) -> usize {
        match self.rng.u8(..10) {
            0 => self.rng.usize(..7000),
            1 => 0,
            _ => self.rng.usize(..400),
        }
    }
}

/// How a group is split, from what the format says: as many records as fit into an empty segment.
fn batches<'a>(mut records: &'a [Record], options: &Options) -> Vec<&'a [Record]> {
    let capacity = options.segment_bytes as usize - 2 * 4096 - 40;
    let mut batches = Vec::new();
    while !records.is_empty() {
        let mut bytes = 0;
        let fits = records.iter().take_while(|record| {
            bytes += 4 + postcard::to_stdvec(record).expect("a small record").len();
            bytes <= capacity
        });
        let (batch, rest) = records.split_at(fits.count());
        batches.push(batch);
        records = rest;
    }
    batches
}

fn run(seed: u64, bugs: Bugs) -> Result<Seen, String> {
    let mut board = Board::new(seed, bugs);
    for _ in 0..25 {
        board.life()?;
    }
    board.seen.reused = board.twin.counts().writes as u32 / board.twin.counts().allocations.max(1) as u32;
    Ok(board.seen)
}

/// A few thousand seeds, or those of `SEEDS=first..end`.
#[test]
fn nothing_synced_is_lost_and_nothing_is_invented() {
    for seed in seeds::asked_for(0..3000) {
        if let Err(what) = run(seed, Bugs::default()) {
            panic!("SEED={seed} cargo test --test wal nothing_synced: {what}");
        }
    }
}

#[test]
fn the_crashes_are_worth_their_name() {
    let seen: Vec<Seen> = (0..300).map(|seed| run(seed, Bugs::default()).expect("a good log")).collect();
    let sum = |count: fn(&Seen) -> u32| seen.iter().map(count).sum::<u32>();
    let (lives, torn, headers) = (sum(|seen| seen.lives), sum(|seen| seen.torn), sum(|seen| seen.headers));
    assert!(torn > lives / 200 && headers > lives / 1000, "{lives} lives, {torn} torn, {headers} headers");
    assert!(sum(|seen| seen.reused) > 300 * 10, "writes for each segment that was made");
}

#[test]
fn the_deliberate_bugs_are_found() {
    for bug in [Bug::TruncatedSuffixKept, Bug::TornBatchAccepted, Bug::BatchesShareBlock] {
        assert!((0..200).any(|seed| run(seed, Bugs::only(bug)).is_err()), "{bug:?} is not found");
    }
}
