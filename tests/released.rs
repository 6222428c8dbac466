//! What released versions wrote is read by this one. The log's samples are read by `tests/wal`; this is about the store's
//! database, which only a board with the same words and pages can open; others refuse it.
//!
//! `UPDATE_GOLDENFILES=1` writes the sample of a version that has none yet. One that is there is never written again.

use std::{env, fs, path::Path, sync::Arc};

use solder::{store::*, types::*};
use tempfile::TempDir;

/// Samples by the words of the board that wrote them. Pages were of 4096 bytes.
const SAMPLES: [(u32, &str); 2] = [(64, "tests/data/0.1.0/db"), (32, "tests/data/0.1.0/db-32")];

fn sample(fits: impl Fn(u32) -> bool) -> &'static Path {
    let (_, sample) = SAMPLES.into_iter().find(|(word_bits, _)| fits(*word_bits)).expect("32 or 64 bits");
    Path::new(sample)
}

/// One that this board's words could have written.
fn ours() -> &'static Path {
    sample(|word_bits| word_bits == usize::BITS)
}

fn can_be_read_here() -> bool {
    let fits = rustix::param::page_size() == 4096 && cfg!(target_endian = "little");
    if !fits {
        eprintln!("SKIPPED: {} was written on a board with other pages", ours().display());
    }
    fits
}

fn options() -> Options {
    Options { pending_bytes_max: 1 << 20, flush_pages_max: 64, bugs: Bugs::default() }
}

fn open(directory: &Path) -> Store {
    let options = LmdbOptions { map_bytes: 1 << 20, headroom_bytes: 0, ..LmdbOptions::default() };
    let lmdb = Lmdb::open(directory, &options).expect("a sample opens");
    Store::open(Arc::new(lmdb), self::options()).expect("a sample is a store")
}

/// A store that has seen every kind of row.
fn write_sample() {
    let scratch = TempDir::new().expect("a temporary directory");
    let options = LmdbOptions { map_bytes: 1 << 20, headroom_bytes: 0, ..LmdbOptions::default() };
    let lmdb: Arc<dyn Backend> = Arc::new(Lmdb::open(scratch.path(), &options).expect("a new database"));
    let mut store = Store::open(lmdb.clone(), self::options()).expect("a new store");
    store.init(ClusterId(0x50_1d), Membership::of_voters([NodeId(1)])).expect("room");
    for (index, payload) in (1..).zip(payloads()) {
        let entry = Entry { id: EntryId::new(3, index), payload };
        store.apply_whole(&entry).expect("it is well-formed");
    }
    while let Some(job) = store.start_flush(Index(u64::MAX)) {
        store.finish_flush(job.run(&*lmdb)).expect("room");
    }
    fs::create_dir_all(ours()).expect("tests/data can be written");
    fs::copy(scratch.path().join("data.mdb"), ours().join("data.mdb")).expect("room");
}

fn payloads() -> Vec<Payload> {
    let put = |key: &str, value: &str, lease| {
        Command::Put(PutRequest {
            key: key.into(),
            value: value.into(),
            lease: LeaseId(lease),
            ..PutRequest::default()
        })
    };
    let commands = [
        Command::LeaseGrant { id: LeaseId(7), ttl_s: 60 },
        put("boards/a", "1", 0),
        put("boards/a", "2", 7),
        put("boards/b", "on", 7),
        put("gone", "x", 0),
        Command::DeleteRange(DeleteRangeRequest { range: KeyRange::single(b"gone"), prev_kv: false }),
        Command::Compact { revision: Revision(2) },
        Command::Alarm(AlarmRequest {
            action: AlarmAction::Activate,
            member: NodeId(1),
            kind: AlarmKind::NoSpace,
        }),
    ];
    let id = ProposalId { origin: NodeId(1), number: 1 };
    let change = MembershipChange::AddLearner(NodeId(2));
    let mut payloads: Vec<Payload> =
        commands.iter().map(|command| Payload::Command { id, data: command.encode() }).collect();
    payloads.push(Payload::Membership { id, change, info: b"board b".into() });
    payloads
}

#[test]
fn the_database_of_0_1_0_opens() {
    if !can_be_read_here() {
        return;
    }
    if env::var_os("UPDATE_GOLDENFILES").is_some() && !ours().exists() {
        write_sample();
    }
    let copy = TempDir::new().expect("a temporary directory");
    fs::copy(ours().join("data.mdb"), copy.path().join("data.mdb")).expect("the sample is there");
    let store = open(copy.path());

    assert_eq!((store.cluster(), store.applied()), (ClusterId(0x50_1d), EntryId::new(3, 9)));
    assert_eq!((store.revision(), store.compacted()), (Revision(6), Revision(2)));
    assert!(
        store.membership().voters.contains(&NodeId(1)) && store.membership().learners.contains(&NodeId(2))
    );
    assert_eq!(store.members().expect("it reads"), [(NodeId(2), Bytes::from(b"board b"))]);
    assert_eq!(store.alarms().collect::<Vec<_>>(), [(NodeId(1), AlarmKind::NoSpace)]);
    assert_eq!(store.lease(LeaseId(7)).expect("it reads").expect("granted").ttl_s, 60);
    let held = store.lease_keys(LeaseId(7), None, 10).expect("it reads");
    assert_eq!(held, [Bytes::from("boards/a"), Bytes::from("boards/b")]);

    let limits = SliceLimits { rows: 100, bytes: 1 << 20 };
    let history = store.history(KeyRev::new(2, 0), &KeyRange::all(), limits).expect("it is not compacted");
    let told: Vec<String> = history
        .events
        .iter()
        .map(|event| match event.tombstone {
            true => format!("{} {:?} deleted", event.rev, event.key),
            false => format!("{} {:?} = {:?}", event.rev, event.key, event.value),
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"2.0 "boards/a" = "1""#,
            r#"3.0 "boards/a" = "2""#,
            r#"4.0 "boards/b" = "on""#,
            r#"5.0 "gone" = "x""#,
            r#"6.0 "gone" deleted"#,
        ]
    );
}

/// LMDB's file is laid out in words: a card that was moved to a board with others must not be misread.
#[test]
fn the_database_of_a_board_with_other_words_is_refused() {
    let theirs = sample(|word_bits| word_bits != usize::BITS);
    let copy = TempDir::new().expect("a temporary directory");
    let path = copy.path().join("data.mdb");
    fs::copy(theirs.join("data.mdb"), &path).expect("the sample is there");
    let before = fs::read(&path).expect("it was copied");
    let options = LmdbOptions { map_bytes: 1 << 20, headroom_bytes: 0, ..LmdbOptions::default() };
    let Err(error) = Lmdb::open(copy.path(), &options) else { panic!("{} was opened", theirs.display()) };
    let error = error.to_string();
    assert!(
        error.contains("is no database of this kind of board: it was made with another word size"),
        "{error}"
    );
    assert!(fs::read(&path).expect("it is there") == before, "what is refused is not touched");
}
