//! One cluster under load, through faults by chance, and what is told of it judged.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use solder::types::{KeyRev, Revision};

use crate::{
    boards::{Cluster, PATIENCE, until_written},
    bulk::Bulk,
    clerk::{Book, Clerk, KEYS},
    faults::{self, Fault},
    judges::{
        linearizable::judge,
        truth::{EMPTY, Event, Truth},
    },
    knobs::Knobs,
    leases::{self, Keeper},
    support::{
        follower::{Change, Follower},
        net::loudly,
    },
};

/// What a cluster may say that has no leader, or too much to do.
const EXCUSED: &[&str] = &["future revision", "too many requests", "not leader", "database space exceeded"];

/// Some know one member only, the others all of them.
const ROVING: u64 = 3;
const KEEPERS: u64 = 4;

/// They go elsewhere after this time, as etcd's robustness tests do; what becomes of their call nobody knows.
const HASTE: Duration = Duration::from_millis(200);

/// Whatever happens to the test: its clients end.
pub(crate) struct Ending<'a>(pub(crate) &'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is watched and written down beside the faults.
pub(crate) struct Story {
    seed: u64,
    book: Mutex<Book>,
    watches: Vec<Follower>,
    stop: AtomicBool,
    leases_ended: AtomicU64,
}

impl Story {
    /// From the first revision on, before anybody writes.
    pub(crate) fn begin(cluster: &Cluster, seed: u64) -> Story {
        let follow = |member| {
            let mut addresses = cluster.addresses();
            addresses.rotate_left(member);
            Follower::among(&addresses, b"", EMPTY.next().0)
        };
        Story {
            seed,
            book: Mutex::default(),
            watches: cluster.members().map(follow).collect(),
            stop: AtomicBool::new(false),
            leases_ended: AtomicU64::new(0),
        }
    }

    /// Load, as long as `happenings` goes on.
    pub(crate) fn under_load(&self, cluster: &mut Cluster, happenings: impl FnOnce(&mut Cluster)) {
        let addresses = cluster.addresses();
        let members = addresses.len() as u64;
        self.stop.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            let _ending = Ending(&self.stop);
            for number in 0..members + ROVING {
                let known = match addresses.get(number as usize) {
                    Some(address) => vec![*address],
                    None => rotated(&addresses, number),
                };
                let mut clerk = Clerk::new(number, &known, self.seed).excusing(EXCUSED);
                if known.len() > 1 {
                    clerk = clerk.patient_for(HASTE);
                }
                scope.spawn(move || self.write(clerk));
            }
            for number in 0..KEEPERS {
                let mut keeper = Keeper::new(number, &rotated(&addresses, number), self.seed);
                scope.spawn(move || {
                    let ended = keeper.run(&self.stop);
                    self.leases_ended.fetch_add(ended, Ordering::Relaxed);
                });
            }
            let mut bulk = Bulk::new(&addresses, self.seed);
            scope.spawn(move || bulk.run(&self.stop));
            happenings(cluster);
        });
    }

    fn write(&self, mut clerk: Clerk) {
        while !self.stop.load(Ordering::Relaxed) {
            let watched = self.watches.iter().map(Follower::last).min();
            clerk.call(&self.book, watched.expect("somebody watches"));
            // Several clusters' worth of processes share a machine, and a history has to be judged.
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// All is well again, and nobody writes: does everything that was told fit together?
    pub(crate) fn judge(mut self, cluster: &Cluster) {
        let addresses = cluster.addresses();
        leases::all_end(&mut cluster.boards[cluster.leader()].client());
        let readers = addresses.len() as u64 + ROVING;
        for (number, address) in (readers..).zip(&addresses) {
            Clerk::new(number, &[*address], self.seed).look_at_all(&self.book);
        }
        let last = cluster.boards[0].client().get(KEYS[0]).expect("it serves").revision;
        cluster.assert_equal_at(last);
        let mut truth = Truth::default();
        for watch in &mut self.watches {
            let told = events(&watch.reach(last));
            truth.learn(&told).unwrap_or_else(|why| panic!("a watch: {why}"));
            assert_eq!(
                told.last().map(|event| event.at.main),
                Some(Revision(last)),
                "a watch ends elsewhere"
            );
        }
        let history = self.book.into_inner().expect("nobody panicked").history;
        let calls = history.calls();
        let answered = calls.iter().filter(|call| call.answered.is_some()).count();
        loudly(&format!(
            "{} calls, {} without an answer, {last} revisions, {} leases seen to end, watches resumed {} times",
            calls.len(),
            calls.len() - answered,
            self.leases_ended.into_inner(),
            self.watches.iter().map(|watch| watch.lives().saturating_sub(1)).sum::<u64>(),
        ));
        judge(&history, Some(&truth)).unwrap_or_else(|why| panic!("not linearizable: {why}"));
    }
}

/// Faults by chance, one or some at a time; after each all must be well again.
pub(crate) fn by_chance(members: usize, seed: u64, rounds: u64, args: &[&str]) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let knobs = Knobs::draw(args, &mut rng);
    println!("{knobs:?}");
    let Some(mut cluster) = Cluster::start(members, knobs) else { return };
    let story = Story::begin(&cluster, seed);
    let (mut bag, mut skipped) = (Vec::new(), BTreeSet::new());
    story.under_load(&mut cluster, |cluster| {
        for round in 0..rounds {
            let what: Vec<Fault> = (0..rng.usize(1..=4)).map(|_| draw(&mut bag, &mut rng)).collect();
            println!("round {round}: {what:?}");
            for (place, fault) in what.iter().enumerate() {
                // Those behind the first find a cluster that may have no leader.
                if place == 0 || fault.needs_nobody() {
                    let had = cluster.inflict(*fault, &mut rng);
                    skipped.extend((!had).then(|| format!("{fault:?}")));
                    faults::a_while(&mut rng);
                }
            }
            cluster.heal();
            let written = until_written(&cluster.addresses(), PATIENCE);
            written.unwrap_or_else(|why| panic!("after {what:?}: {why}\n{}", cluster.last_words()));
        }
    });
    for fault in skipped {
        loudly(&format!("SKIPPED: THIS KERNEL CANNOT DO {fault}"));
    }
    cluster.assert_small();
    story.judge(&cluster);
}

/// Each before any comes again.
fn draw(bag: &mut Vec<Fault>, rng: &mut fastrand::Rng) -> Fault {
    if bag.is_empty() {
        bag.extend(faults::ALL);
        rng.shuffle(bag);
    }
    bag.pop().expect("it was filled")
}

fn rotated<T: Clone>(all: &[T], by: u64) -> Vec<T> {
    let mut all = all.to_vec();
    let by = by as usize % all.len();
    all.rotate_left(by);
    all
}

/// With the number of each change in its revision, as the order of telling has it.
fn events(changes: &[Change]) -> Vec<Event> {
    let revisions = changes.chunk_by(|a, b| a.revision == b.revision);
    let numbered = revisions.flat_map(|revision| (0..).zip(revision));
    numbered
        .map(|(sub, change)| Event {
            at: KeyRev::new(change.revision, sub),
            key: change.key.as_slice().into(),
            value: change.value.as_ref().map(|value| value.as_slice().into()),
        })
        .collect()
}
