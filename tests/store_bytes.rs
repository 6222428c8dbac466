//! A fixed story leads to fixed numbers: the hash of the state, hashes at revisions, and every row of the database, byte by
//! byte. The same on every board, whatever its words, its byte order and its pages: members compare these numbers.

#[path = "golden/mod.rs"]
pub mod golden;

use std::{fmt::Write, sync::Arc};

use solder::{store::*, types::*};

const LIMITS: SliceLimits = SliceLimits { rows: 3, bytes: 100 };

fn put(key: &[u8], value: &[u8], lease: i64) -> Command {
    let lease = LeaseId(lease);
    Command::Put(PutRequest { key: key.into(), value: value.into(), lease, ..PutRequest::default() })
}

fn delete(range: KeyRange) -> Command {
    Command::DeleteRange(DeleteRangeRequest { range, prev_kv: false })
}

/// Every table, every kind of change, numbers that need all their bits.
fn story() -> Vec<Command> {
    let far = LeaseId(i64::MIN + 1);
    let keep =
        PutRequest { key: b"a".into(), ignore_value: true, ignore_lease: true, ..PutRequest::default() };
    let within = PutRequest { key: b"txn".into(), value: b"1".into(), ..PutRequest::default() };
    let gone = DeleteRangeRequest { range: KeyRange::prefix(b"p/"), prev_kv: false };
    let compare = Compare {
        range: KeyRange::single(b"a"),
        result: CompareResult::Greater,
        value: CompareValue::Version(1),
    };
    let txn = TxnRequest {
        compare: vec![compare],
        success: vec![TxnOp::Put(within), TxnOp::DeleteRange(gone)],
        failure: vec![],
    };
    let alarm = AlarmRequest {
        action: AlarmAction::Activate,
        member: NodeId(0xfedc_ba98_7654_3210),
        kind: AlarmKind::NoSpace,
    };
    let remaining = LeaseRemaining { id: far, remaining_s: 4_000_000_000 };
    let refused = put(b"a", b"no such lease", 77);
    vec![
        Command::LeaseGrant { id: far, ttl_s: 9_000_000_000 },
        Command::LeaseGrant { id: LeaseId(i64::MAX), ttl_s: 2 },
        put(b"a", b"1", far.0),
        put(b"a", b"2", i64::MAX),
        put(b"p/\x00\xff", &[0x80; 300], 0),
        put(b"p/12345678", b"", far.0),
        Command::Put(keep),
        refused,
        Command::LeaseCheckpoint { leases: vec![remaining], only_in: None },
        delete(KeyRange::single(b"nothing")),
        Command::Txn(txn),
        put(&[0xff; limits::KEY_BYTES_MAX], b"longest", far.0),
        Command::Compact { revision: Revision(4) },
        put(b"b", b"1", i64::MAX),
        Command::LeaseRevoke { id: LeaseId(i64::MAX), only_in: None },
        Command::Alarm(alarm),
    ]
}

fn entries() -> Vec<Payload> {
    let id = ProposalId { origin: NodeId(1), number: u64::MAX };
    let change = MembershipChange::AddLearner(NodeId(1 << 63));
    let mut payloads: Vec<Payload> =
        story().iter().map(|command| Payload::Command { id, data: command.encode() }).collect();
    payloads.insert(0, Payload::Empty);
    payloads.push(Payload::Membership { id, change, info: b"info".into() });
    payloads
}

fn hash(store: &Store, revision: i64) -> String {
    let mut cursor = match store.hash_at(Revision(revision)) {
        Ok(cursor) => cursor,
        Err(error) => return error.to_string(),
    };
    loop {
        if let Some(HashAt { hash, revision, compact_revision }) =
            store.hash(&mut cursor, LIMITS).expect("readable")
        {
            return format!("{hash:08x} of {revision}, compacted {compact_revision}");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All rows but the one that says what kind of board this is.
fn rows(backend: &dyn Backend, told: &mut String) {
    let snapshot = backend.read().expect("readable");
    for table in Table::ALL {
        for row in snapshot.scan(table, &[]).expect("readable") {
            let (key, value) = row.expect("readable");
            if (table, key) != (Table::Meta, &b"layout"[..]) {
                writeln!(told, "{} {} {}", table.name(), hex(key), hex(value)).expect("memory");
            }
        }
    }
}

fn tell(backend: Arc<dyn Backend>) -> String {
    let mut store = Store::open(backend.clone(), Options::default()).expect("a fresh database");
    store.init(ClusterId(0xc1), Membership::of_voters([NodeId(1), NodeId(u64::MAX)])).expect("room");
    let mut told = String::new();
    for (payload, index) in entries().into_iter().zip(1..) {
        store.apply_whole(&Entry { id: EntryId::new(3, index), payload }).expect("applied");
        writeln!(told, "entry {index} revision {} state {:08x}", store.revision(), store.state_hash())
            .expect("memory");
    }
    let hashes = |store: &Store| -> String {
        (1..=store.revision().0).map(|revision| format!("hash {}\n", hash(store, revision))).collect()
    };
    let pending = hashes(&store);
    while let Some(job) = store.start_flush(Index(u64::MAX)) {
        store.finish_flush(job.run(&*backend)).expect("room");
    }
    assert_eq!(hashes(&store), pending, "flushing and removing change no hash");
    told += &pending;
    rows(&*backend, &mut told);
    told
}

const ADVICE: &str = "members of different builds compare these numbers, and a released format never changes: make a \
                      new version in store/state.rs. If this one was never released, UPDATE_GOLDENFILES=1 cargo test \
                      --test store_bytes";

#[test]
fn the_bytes_of_the_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = LmdbOptions { map_bytes: 1 << 20, map_bytes_max: 1 << 24, headroom_bytes: 0 };
    let lmdb = tell(Arc::new(Lmdb::open(dir.path(), &options).expect("LMDB opens")));
    assert_eq!(tell(Arc::new(Twin::new())), lmdb, "the twin is as the real one");
    golden::check("tests/data/0.1.0/store.golden", &lmdb, ADVICE);
}

/// What boards say to each other when one catches up.
#[test]
fn the_bytes_of_a_transfer() {
    let twin: Arc<dyn Backend> = Arc::new(Twin::new());
    tell(twin.clone());
    let mut store = Store::open(twin, Options::default()).expect("it was written above");
    let base = store.pin_transfer(TransferId(1)).expect("no flush is under way");
    let slice = store.transfer_slice(KeyRev::default(), 1 << 20).expect("readable");
    let tail = store.transfer_tail().expect("readable");
    let mut told = String::new();
    let mut say = |name: &str, bytes: Vec<u8>| writeln!(told, "{name} {}", hex(&bytes)).expect("memory");
    say("base", postcard::to_stdvec(&base).expect("memory"));
    say("slice", postcard::to_stdvec(&slice).expect("memory"));
    say("tail", postcard::to_stdvec(&tail).expect("memory"));
    golden::check("tests/data/0.1.0/transfer.golden", &told, ADVICE);
}
