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
    store.apply_whole(&Entry { id, payload })
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
    store.apply_whole(&Entry { id, payload }).expect("a good database");
    flush(&mut store, &twin).expect("room");
    twin
}

fn rows(twin: &Twin) -> Rows {
    let snapshot = twin.read().expect("readable");
    let of =
        |table| snapshot.scan(table, &[]).expect("readable").map(move |row| (table, row.expect("readable")));
    Table::ALL
        .into_iter()
        .flat_map(of)
        .map(|(table, (key, value))| (table, key.into(), value.into()))
        .collect()
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
    for (sort_order, sort_target) in
        orders.into_iter().flat_map(|order| targets.map(|target| (order, target)))
    {
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
    let keep =
        PutRequest { key: b"d".into(), ignore_value: true, ignore_lease: true, ..PutRequest::default() };
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

fn receiver() -> (Store, Twin) {
    let twin = Twin::new();
    let mut store = Store::open(Arc::new(twin.clone()), Options::default()).expect("a fresh database");
    store.init(ClusterId(1), Membership::default()).expect("room");
    (store, twin)
}

/// Numbers and lengths that a change of single bytes hardly ever makes.
fn exaggerate(slice: &mut TransferSlice, tail: &mut TransferTail, rng: &mut Rng) {
    let far = [i64::MIN, -1, 0, 1, 3, 1 << 40, 1 << 61, i64::MAX - 1, i64::MAX];
    let mut far = || *rng.choice(&far).expect("some");
    let rev = KeyRev { main: Revision(far()), sub: far() as u32 };
    let (revision, long) = (Revision(far()), vec![b'k'; limits::KEY_BYTES_MAX + 1]);
    let at = rng.usize(..slice.records.len());
    match rng.u8(..12) {
        0 => slice.next = rev,
        1 => slice.records[at].rev = rev,
        2 => slice.records[at].key = long.into(),
        3 => slice.records[at].key = Bytes::new(),
        4 => slice.records[at].version = rev.main.0,
        5 => slice.records.swap(0, at),
        6 => tail.revision = revision,
        7 => tail.compacted = revision,
        8 => tail.last = rev,
        9 => tail.at.index = Index(revision.0 as u64),
        10 => tail.leases.push((LeaseId(revision.0), Lease { ttl_s: rev.main.0, remaining_s: None })),
        _ => slice.after = rev,
    }
}

fn postcard_spoiled<T: serde::Serialize + serde::de::DeserializeOwned>(
    value: &T,
    rng: &mut Rng,
) -> Option<T> {
    let mut bytes = postcard::to_stdvec(value).expect("memory");
    spoil(&mut bytes, rng);
    postcard::from_bytes(&bytes).ok()
}

#[test]
fn nonsense_from_a_peer_is_not_kept() {
    let mut sender = Store::open(Arc::new(good()), Options::default()).expect("a good database");
    let base = sender.pin_transfer(TransferId(1)).expect("no flush is under way");
    let good = (
        sender.transfer_slice(KeyRev::default(), 1 << 20).expect("readable"),
        sender.transfer_tail().expect("readable"),
    );
    let good = panic::AssertUnwindSafe(good);
    for_each_seed(|mut rng| {
        let (mut slice, mut tail) = good.0.clone();
        match rng.u8(..3) {
            0 => slice = postcard_spoiled(&slice, &mut rng).unwrap_or(slice),
            1 => tail = postcard_spoiled(&tail, &mut rng).unwrap_or(tail),
            _ => exaggerate(&mut slice, &mut tail, &mut rng),
        }
        let (mut store, twin) = receiver();
        store.receive_begin(base).expect("room");
        let cursor = store.receive_slice(&slice).expect("room");
        assert!(store.receive_slice(&slice).expect("room") >= cursor);
        if store.receive_finish(&tail).expect("room") == ReceiveEnd::Done {
            read_all(&store);
            let _ = write_all(&mut store, &twin);
        }
        for (table, key, _) in rows(&twin) {
            assert!(table != Table::LeaseKeys || key.len() <= 8 + limits::KEY_BYTES_MAX, "{table:?}");
            assert!(table != Table::Keys || key.len() <= 1161 + 12, "{table:?}");
            assert!(table != Table::Revs || key[0] < 0x80, "{table:?}: a revision below 0");
        }
    });
}

#[test]
fn what_a_store_sends_is_kept() {
    let mut sender = Store::open(Arc::new(good()), Options::default()).expect("a good database");
    let base = sender.pin_transfer(TransferId(1)).expect("no flush is under way");
    let (mut store, twin) = receiver();
    let mut cursor = store.receive_begin(base).expect("room");
    loop {
        let slice = sender.transfer_slice(cursor, 150).expect("readable");
        cursor = store.receive_slice(&slice).expect("room");
        assert_eq!(cursor, slice.next);
        if slice.done {
            break;
        }
    }
    assert_eq!(
        store.receive_finish(&sender.transfer_tail().expect("readable")).expect("room"),
        ReceiveEnd::Done
    );
    assert_eq!(store.state_hash(), sender.state_hash());
    write_all(&mut store, &twin).expect("a good database");
}
