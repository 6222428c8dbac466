//! Bytes that are not what was written, in the database and in what a peer sends: they are refused, or they are answered as
//! what they say; nothing of them stops a process without a word.
//!
//! `SEED=n cargo test --test store_damage` repeats one.

use std::{ops::Range, panic, sync::Arc};

use fastrand::Rng;
use solder::{store::*, types::*};

const SEEDS: Range<u64> = 0..6000;
const LIMITS: SliceLimits = SliceLimits { rows: 100, bytes: 1 << 16 };

type Rows = Vec<(Table, Vec<u8>, Vec<u8>)>;

fn for_each_seed(run: impl Fn(Rng) + panic::RefUnwindSafe) {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => seed.parse().map(|seed| seed..seed + 1).expect("a number"),
        Err(_) => SEEDS,
    };
    for seed in seeds {
        if let Err(cause) = panic::catch_unwind(|| run(Rng::with_seed(seed))) {
            eprintln!("SEED={seed} cargo test --test store_damage");
            panic::resume_unwind(cause);
        }
    }
}

fn put(key: &str, value: &str, lease: i64) -> Command {
    let lease = LeaseId(lease);
    Command::Put(PutRequest { key: key.into(), value: value.into(), lease, ..PutRequest::default() })
}

fn apply(store: &mut Store, command: &Command) -> Result<Outcome, StoreError> {
    let applied = store.applied();
    let id = EntryId { term: applied.term.max(Term(1)), index: applied.index.next() };
    let payload = Payload::Command { id: ProposalId::default(), data: command.encode() };
    store.apply(&Entry { id, payload })
}

fn flush(store: &mut Store, twin: &Twin) -> Result<(), StoreError> {
    while let Some(job) = store.start_flush(Index(u64::MAX)) {
        store.finish_flush(job.run(twin))?;
    }
    Ok(())
}

fn delete(range: KeyRange) -> Command {
    Command::DeleteRange(DeleteRangeRequest { range, prev_kv: false })
}

/// A store with something in every table, and versions that a compaction would take.
fn good() -> Twin {
    let twin = Twin::new();
    let mut store = Store::open(Arc::new(twin.clone()), Options::default()).expect("a fresh database");
    store.init(ClusterId(1), Membership::of_voters([NodeId(1)])).expect("room");
    let mut commands = vec![Command::LeaseGrant { id: LeaseId(7), ttl_s: 60 }];
    commands.extend((0..12).map(|n| put(["a", "b", "c/long/key"][n % 3], "value", 7 * (n as i64 % 2))));
    commands.extend([delete(KeyRange::single(b"b")), put("b", "again", 0), delete(KeyRange::single(b"a"))]);
    commands.extend([Command::Compact { revision: Revision(5) }, put("d", "last", 7)]);
    for command in &commands {
        apply(&mut store, command).expect("a good database");
    }
    let change = MembershipChange::AddLearner(NodeId(2));
    let payload = Payload::Membership { id: ProposalId::default(), change, info: b"info".into() };
    let id = EntryId { term: Term(1), index: store.applied().index.next() };
    store.apply(&Entry { id, payload }).expect("a good database");
    flush(&mut store, &twin).expect("room");
    twin
}

fn rows(twin: &Twin) -> Rows {
    let snapshot = twin.read().expect("readable");
    let of = |table| snapshot.scan(table, &[]).expect("readable").map(move |row| (table, row.expect("readable")));
    Table::ALL.into_iter().flat_map(of).map(|(table, (key, value))| (table, key.into(), value.into())).collect()
}

/// Flips, cuts, lengthens or replaces some bytes.
fn spoil(bytes: &mut Vec<u8>, rng: &mut Rng) {
    match rng.u8(..5) {
        0 => bytes.truncate(rng.usize(..=bytes.len())),
        1 => bytes.extend((0..rng.usize(1..20)).map(|_| rng.u8(..))),
        2 if !bytes.is_empty() => {
            let at = rng.usize(..bytes.len());
            bytes[at..].iter_mut().for_each(|byte| *byte = rng.u8(..));
        }
        3 if !bytes.is_empty() => {
            let at = rng.usize(..bytes.len());
            bytes[at] = *rng.choice(&[0, 1, 0x7f, 0x80, 0xff]).expect("five");
        }
        _ if !bytes.is_empty() => {
            let at = rng.usize(..bytes.len());
            bytes[at] ^= 1 << rng.u8(..8);
        }
        _ => bytes.push(rng.u8(..)),
    }
}

fn read_all(store: &Store) {
    let _ = (store.leases(), store.members(), store.lease(LeaseId(7)), store.lease_keys(LeaseId(7), None, 9));
    let orders = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
    let targets = [SortTarget::Key, SortTarget::Version, SortTarget::Value];
    for (sort_order, sort_target) in orders.into_iter().flat_map(|order| targets.map(|target| (order, target))) {
        let range = KeyRange::all();
        let request = RangeRequest { range, sort_order, sort_target, limit: 2, ..RangeRequest::default() };
        let Ok(range) = store.range_at(&request) else { continue };
        let mut cursor = RangeCursor::new(range);
        while store.range(&mut cursor, LIMITS).is_ok_and(|slice| slice.end.is_none()) {}
    }
    for rev in [KeyRev::new(5, 0), KeyRev::end_of(store.revision())] {
        let _ = (store.history(rev, &KeyRange::all(), LIMITS), store.record(rev));
        let _ = (store.get(b"a", rev), store.get(b"d", rev), store.transfer_slice(rev, 1 << 20));
    }
    let _ = store.transfer_tail();
    if let Ok(mut cursor) = store.hash_at(Revision(0)) {
        while matches!(store.hash(&mut cursor, LIMITS), Ok(None)) {}
    }
}

fn write_all(store: &mut Store, twin: &Twin) -> Result<(), StoreError> {
    let keep = PutRequest { key: b"d".into(), ignore_value: true, ignore_lease: true, ..PutRequest::default() };
    let revision = store.revision();
    let checkpoint = vec![LeaseRemaining { id: LeaseId(7), remaining_s: 3 }];
    let commands = [
        put("a", "1", 0),
        Command::Put(keep),
        put("c/long/key", "2", 7),
        Command::LeaseGrant { id: LeaseId(8), ttl_s: 60 },
        Command::LeaseCheckpoint { leases: checkpoint, only_in: None },
        Command::LeaseRevoke { id: LeaseId(7), only_in: None },
        delete(KeyRange::prefix(b"c")),
        Command::Compact { revision },
        delete(KeyRange::all()),
    ];
    for command in &commands {
        apply(store, command)?;
    }
    flush(store, twin)
}

#[test]
fn damaged_rows_are_survived() {
    let good = rows(&good());
    for_each_seed(|mut rng| {
        let mut spoiled = good.clone();
        for _ in 0..rng.usize(1..3) {
            let (_, key, value) = rng.choice(&mut spoiled).expect("some rows");
            spoil(if rng.u8(..4) == 0 { key } else { value }, &mut rng);
        }
        let twin = Twin::new();
        twin.write(&mut |txn| spoiled.iter().try_for_each(|(table, key, value)| txn.put(*table, key, value)))
            .expect("room");
        let Ok(mut store) = Store::open(Arc::new(twin.clone()), Options::default()) else { return };
        if store.is_initialised() {
            read_all(&store);
            let _ = write_all(&mut store, &twin);
        }
    });
}
