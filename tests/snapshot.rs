//! Snapshots: what is saved is one state, whatever happens meanwhile; what is restored is that state; what is not whole is
//! refused.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use solder::{
    snapshot::*,
    store::{self, *},
    types::*,
    wal::{self, Directory, Known, Record, Wal},
};
use tempfile::TempDir;

const LIMITS: SliceLimits = SliceLimits { rows: 1000, bytes: 1 << 20 };
const SAMPLE: &str = "tests/data/0.1.0/snapshot";
const ROOMY: LmdbOptions =
    LmdbOptions { map_bytes: 1 << 20, map_bytes_max: 1 << 30, headroom_bytes: 64 << 10 };

fn dir() -> TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a directory")
}

struct Board {
    backend: Arc<dyn Backend>,
    store: Store,
}

impl Board {
    fn new() -> Board {
        Board::over(Arc::new(Twin::new()))
    }

    fn over(backend: Arc<dyn Backend>) -> Board {
        // So small that removal takes many flushes.
        let options = store::Options { flush_pages_max: 64, ..store::Options::default() };
        let mut store = Store::open(backend.clone(), options).expect("it opens");
        if !store.is_initialised() {
            store.init(ClusterId(0xc1), Membership::of_voters([NodeId(1)])).expect("room");
        }
        Board { backend, store }
    }

    fn lmdb(dir: &Path) -> Board {
        Board::over(Arc::new(Lmdb::open(dir, &ROOMY).expect("LMDB opens")))
    }

    fn payload(&mut self, payload: Payload) -> Entry {
        let id = EntryId { term: Term(3), index: self.store.applied().index.next() };
        let entry = Entry { id, payload };
        self.store.apply_whole(&entry).expect("applied");
        entry
    }

    fn apply(&mut self, command: &Command) -> Entry {
        self.payload(Payload::Command { id: ProposalId::default(), data: command.encode() })
    }

    fn put(&mut self, key: &str, value: impl Into<Bytes>, lease: i64) -> Entry {
        let lease = LeaseId(lease);
        self.apply(&Command::Put(PutRequest {
            key: key.into(),
            value: value.into(),
            lease,
            ..PutRequest::default()
        }))
    }

    fn delete(&mut self, range: KeyRange) {
        self.apply(&Command::DeleteRange(DeleteRangeRequest { range, prev_kv: false }));
    }

    fn compact(&mut self, revision: i64) {
        self.apply(&Command::Compact { revision: Revision(revision) });
    }

    /// One job, if there is one.
    fn flush_once(&mut self) -> bool {
        let Some(job) = self.store.start_flush(Index(u64::MAX)) else { return false };
        self.store.finish_flush(job.run(&*self.backend)).expect("room");
        true
    }

    fn flush(&mut self) {
        while self.flush_once() {}
    }
}

/// Every kind of thing that a store holds: history, tombstones, leases and keys that left them, a compaction in its midst.
fn story(board: &mut Board) {
    for (id, ttl_s) in [(i64::MIN + 1, 9_000_000_000), (7, 60), (i64::MAX, 2)] {
        board.apply(&Command::LeaseGrant { id: LeaseId(id), ttl_s });
    }
    board.put("a", "1", 7);
    board.put("a", "2", i64::MAX);
    board.put("gone/early", "x", 7);
    board.delete(KeyRange::single("gone/early"));
    board.put("kept/old", vec![0x80; 300], i64::MIN + 1);
    board.put("gone/late", "x", 0);
    board.compact(7);
    board.put("a", "3", 7);
    board.delete(KeyRange::single("gone/late"));
    board.put("gone/late", "again", i64::MAX);
    board.apply(&Command::LeaseRevoke { id: LeaseId(i64::MAX), only_in: None });
    let remaining = LeaseRemaining { id: LeaseId(i64::MIN + 1), remaining_s: 4_000_000_000 };
    board.apply(&Command::LeaseCheckpoint { leases: vec![remaining], only_in: None });
    alarm(board, AlarmAction::Activate);
    let change = MembershipChange::AddLearner(NodeId(1 << 63));
    board.payload(Payload::Membership { id: ProposalId::default(), change, info: b"info".into() });
}

/// While it is on, puts are refused.
fn alarm(board: &mut Board, action: AlarmAction) {
    let (member, kind) = (NodeId(u64::MAX), AlarmKind::NoSpace);
    board.apply(&Command::Alarm(AlarmRequest { action, member, kind }));
}

fn told() -> Board {
    let mut board = Board::new();
    story(&mut board);
    board
}

/// One that goes on.
fn told_and_disarmed() -> Board {
    let mut board = told();
    alarm(&mut board, AlarmAction::Deactivate);
    board
}

fn take(store: &Store, cursor: &mut SnapshotCursor, pieces: usize, bytes: usize) -> (Vec<u8>, bool) {
    let mut stream = Vec::new();
    for _ in 0..pieces {
        match next_piece(store, cursor, bytes).expect("readable") {
            Some(piece) => {
                assert!(piece.len() <= bytes);
                stream.extend(piece);
            }
            None => return (stream, true),
        }
    }
    (stream, false)
}

/// The file of a store as it is now.
fn file_of(store: &Store) -> Vec<u8> {
    let mut cursor = SnapshotCursor::begin(store).expect("readable");
    let (stream, ended) = take(store, &mut cursor, usize::MAX, 1 << 20);
    assert!(ended);
    with_sha(stream)
}

fn with_sha(mut stream: Vec<u8>) -> Vec<u8> {
    let sha = Sha256::digest(&stream);
    stream.extend(sha);
    stream
}

fn options(member: u64) -> RestoreOptions {
    RestoreOptions {
        cluster: ClusterId(0xc2),
        membership: Membership::of_voters([NodeId(member)]),
        members: vec![(NodeId(member), b"the new one".into())],
        member: NodeId(member),
        bump_revision: 0,
        mark_compacted: false,
        skip_hash_check: false,
        only_of: None,
        lmdb: ROOMY,
        wal_segment_bytes: wal::Options::SEGMENT_BYTES_MIN,
    }
}

/// A file, and where a data directory may be made of it.
struct Scene {
    dir: TempDir,
    file: PathBuf,
}

impl Scene {
    fn new(bytes: &[u8]) -> Scene {
        let dir = dir();
        let file = dir.path().join("snapshot");
        fs::write(&file, bytes).expect("room");
        Scene { dir, file }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn restore(&self, options: &RestoreOptions) -> Result<Restored, SnapshotError> {
        let rng = fastrand::Rng::with_seed(1);
        restore(&self.file, &self.data(), options, rng, |dir| {
            assert_eq!(fs::read_dir(dir)?.count(), 0, "it is empty still");
            fs::write(dir.join("member.toml"), "me")
        })
    }

    fn nothing_is_left(&self) -> bool {
        !self.data().exists() && !self.dir.path().join("data.partial").exists()
    }
}

fn told_hash(store: &Store, revision: i64) -> HashAt {
    let mut cursor = store.hash_at(Revision(revision)).expect("not compacted");
    loop {
        if let Some(hash) = store.hash(&mut cursor, LIMITS).expect("readable") {
            return hash;
        }
    }
}

/// What clients can see of a store.
fn seen(store: &Store) -> String {
    let (compacted, revision) = (store.compacted().0.max(1), store.revision().0);
    let hashes: Vec<HashAt> = (compacted..=revision).map(|at| told_hash(store, at)).collect();
    let history = store.history(KeyRev::new(compacted, 0), &KeyRange::all(), LIMITS).expect("readable");
    let leases: BTreeMap<LeaseId, (Lease, Vec<Bytes>)> = store
        .leases()
        .expect("readable")
        .into_iter()
        .map(|(id, lease)| (id, (lease, store.lease_keys(id, None, 100).expect("readable"))))
        .collect();
    format!("{hashes:?}\n{:?}\n{leases:?}\n{}", history.events, store.state_hash())
}

#[test]
fn what_is_restored_is_what_was_saved() {
    let mut board = told();
    let scene = Scene::new(&file_of(&board.store));
    let restored = scene.restore(&options(9)).expect("it is whole");
    assert_eq!(restored.applied, board.store.applied());
    assert_eq!(restored.revision, board.store.revision());
    assert_eq!(fs::read_to_string(scene.data().join("member.toml")).expect("there"), "me");
    assert!(!scene.dir.path().join("data.partial").exists());

    let mut other = Board::lmdb(&scene.data().join("db"));
    assert_eq!(seen(&other.store), seen(&board.store));
    assert_eq!(other.store.cluster(), ClusterId(0xc2));
    assert_eq!(*other.store.membership(), Membership::of_voters([NodeId(9)]));
    assert_eq!(other.store.members().expect("readable"), [(NodeId(9), b"the new one".into())]);
    assert_eq!(other.store.alarms().count(), 0);
    assert_eq!(other.store.receive_mark(), None);

    // Both go on in the same way; what is compacted is removed from both.
    for board in [&mut board, &mut other] {
        alarm(board, AlarmAction::Deactivate);
        board.put("a", "4", 7);
        board.delete(KeyRange::all());
        board.compact(board.store.revision().0);
        board.apply(&Command::LeaseRevoke { id: LeaseId(7), only_in: None });
        board.flush();
    }
    assert_eq!(seen(&other.store), seen(&board.store));
}

/// Boards with certificates of the authority that is taken over would be let in as members that a list has not heard of.
#[test]
fn with_the_authority_who_belonged_to_the_old_cluster_is_kept_out() {
    let mut board = told();
    let change = MembershipChange::AddLearner(NodeId(5));
    board.payload(Payload::Membership { id: ProposalId::default(), change, info: Bytes::new() });
    let change = MembershipChange::Remove(NodeId(5));
    board.payload(Payload::Membership { id: ProposalId::default(), change, info: Bytes::new() });
    let scene = Scene::new(&file_of(&board.store));
    let of = |cluster| RestoreOptions { only_of: Some(ClusterId(cluster)), ..options(9) };
    let error = scene.restore(&of(0xc5)).expect_err("of another cluster").to_string();
    assert!(error.contains("is of cluster c1, and the authority of cluster c5"), "{error}");
    assert!(scene.nothing_is_left());
    scene.restore(&of(0xc1)).expect("it is whole");
    let store = Board::lmdb(&scene.data().join("db")).store;
    let removed = [NodeId(1), NodeId(5), NodeId(1 << 63)].into();
    assert_eq!(*store.membership(), Membership { removed, ..Membership::of_voters([NodeId(9)]) });
}

/// What log and store of a restored directory say fits together, and another cluster's member is refused.
#[test]
fn the_restored_log_begins_where_the_store_ends() {
    let board = told();
    let scene = Scene::new(&file_of(&board.store));
    let Restored { applied, .. } = scene.restore(&options(9)).expect("it is whole");
    let members = Membership::of_voters([NodeId(9)]);
    let known = Known { applied: applied.index, catching_up: false, members: &members };
    let open = |cluster, member| {
        let wal = wal::Options {
            segment_bytes: wal::Options::SEGMENT_BYTES_MIN,
            cluster: ClusterId(cluster),
            member: NodeId(member),
            bugs: Bugs::default(),
        };
        let disk = Directory::open(scene.data().join("wal")).expect("it is there");
        Wal::open(disk, wal, known, fastrand::Rng::with_seed(2))
    };
    assert!(matches!(open(0xc1, 9), Err(wal::WalError::Foreign { .. })));
    assert!(matches!(open(0xc2, 1), Err(wal::WalError::Foreign { .. })));
    let (mut wal, recovered) = open(0xc2, 9).expect("whole");
    assert_eq!((recovered.start, recovered.entries.len(), recovered.warning), (applied, 0, None));
    assert_eq!(recovered.hard_state, HardState { term: Term(3), vote: None });
    let next = Entry { id: EntryId { term: Term(4), index: applied.index.next() }, payload: Payload::Empty };
    wal.write(&[Record::Entry(next.clone())], &members).expect("room");
    wal.sync().expect("a disk");
    drop(wal);
    let (_, recovered) = open(0xc2, 9).expect("whole");
    assert_eq!((recovered.start, recovered.entries), (applied, vec![next]));

    let log = solder::replica::boot::Log {
        hard_state: recovered.hard_state,
        start: recovered.start,
        entries: Vec::new(),
    };
    let store = Board::lmdb(&scene.data().join("db")).store;
    let boot = solder::replica::boot::reconcile(&store, log).expect("no gap");
    assert_eq!((boot.log_start, boot.restored.applied), (None, applied));
}

#[test]
fn a_snapshot_is_of_one_state_whatever_happens_meanwhile() {
    for (bytes, flush) in [(64, true), (100, false), (1000, true)] {
        let mut board = told_and_disarmed();
        for n in 0..300 {
            board.put(&format!("many/{}", n % 100), vec![n as u8; 40], 0);
        }
        board.compact(60);
        let expected = file_of(&board.store);
        let mut cursor = SnapshotCursor::begin(&board.store).expect("readable");
        let pin = board.store.pin(cursor.pinned());
        let mut stream = Vec::new();
        for n in 0.. {
            let (some, ended) = take(&board.store, &mut cursor, 5, bytes);
            stream.extend(some);
            if ended {
                break;
            }
            if cursor.remaining_bytes() == 0 {
                assert!(next_piece(&board.store, &mut cursor, bytes).expect("readable").is_none());
            }
            board.put("a", vec![n as u8; 10], 7);
            board.delete(KeyRange::single(format!("many/{n}").as_bytes()));
            board.put(&format!("new/{n}"), "x", 0);
            if n == 10 {
                board.apply(&Command::LeaseRevoke { id: LeaseId(7), only_in: None });
                board.apply(&Command::LeaseGrant { id: LeaseId(7), ttl_s: 5 });
            }
            board.compact(board.store.revision().0 - 1);
            if flush {
                board.flush();
            }
        }
        board.store.unpin(pin);
        assert_eq!(cursor.remaining_bytes(), 0);
        assert!(with_sha(stream) == expected, "{bytes} bytes a piece");
    }
}

/// What is compacted is not in it, however far removal has come.
#[test]
fn removal_changes_nothing_of_a_snapshot() {
    let mut board = told_and_disarmed();
    for n in 0..2000 {
        board.put(&format!("many/{}", n % 700), vec![n as u8; 40], 0);
        if n % 3 == 0 {
            board.delete(KeyRange::single(format!("many/{}", n % 500).as_bytes()));
        }
    }
    board.compact(board.store.revision().0 - 100);
    let expected = file_of(&board.store);
    let mut flushes = 0;
    while board.flush_once() {
        flushes += 1;
        assert!(file_of(&board.store) == expected, "after {flushes} flushes");
    }
    assert!(flushes > 3, "removal took {flushes}");
    let summary = verify(&Scene::new(&expected).file, false).expect("it is whole");
    assert!(summary.total_keys < 900, "{summary:?}");
}

/// Without the pin removal goes on, and the stream says so instead of leaving out what was removed.
#[test]
fn a_stream_that_was_not_pinned_ends_with_an_error() {
    let mut board = told_and_disarmed();
    for n in 0..50 {
        board.put("a", vec![n; 100], 0);
    }
    let mut cursor = SnapshotCursor::begin(&board.store).expect("readable");
    take(&board.store, &mut cursor, 3, 64);
    board.compact(board.store.revision().0);
    board.flush();
    let error = loop {
        match next_piece(&board.store, &mut cursor, 64) {
            Ok(piece) => assert!(piece.is_some(), "it ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ReadError::Refused(Error::Compacted(_))), "{error}");
}

#[test]
fn every_byte_that_is_wrong_is_seen() {
    let whole = file_of(&told().store);
    let scene = Scene::new(&whole);
    verify(&scene.file, false).expect("it is whole");
    let refused = |bytes: &[u8], skip: bool, what: &str| {
        fs::write(&scene.file, bytes).expect("room");
        match verify(&scene.file, skip) {
            Err(SnapshotError::Broken { .. } | SnapshotError::Version { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
    };
    for at in 0..whole.len() {
        refused(&whole[..at], false, &format!("cut at {at}"));
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            refused(&bytes, false, &format!("byte {at} ^ {flip:02x}"));
            if at < whole.len() - 32 {
                refused(&bytes, true, &format!("byte {at} ^ {flip:02x}, though its sha256 is not looked at"));
            }
        }
    }
    for at in 0..whole.len() - 32 {
        refused(&whole[..at], true, &format!("cut at {at}, though its sha256 is not looked at"));
    }
    refused(&[&whole[..], b"x"].concat(), false, "one byte more");
    refused(&[&whole[..], &whole[..]].concat(), false, "twice");
    // Its sha256 alone may be skipped: a stream of which the last message is missing.
    for skipped in [&whole[..whole.len() - 32], &[&whole[..whole.len() - 32], &[7; 32]].concat()] {
        refused(skipped, false, "without its sha256");
        fs::write(&scene.file, skipped).expect("room");
        verify(&scene.file, true).expect("nothing else is wrong");
    }
}

#[test]
fn what_is_broken_leaves_no_directory() {
    let whole = file_of(&told().store);
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let scene = Scene::new(&bytes);
        assert!(scene.restore(&options(9)).is_err(), "byte {at}");
        assert!(scene.nothing_is_left(), "byte {at}");
    }
    let scene = Scene::new(&whole[..whole.len() - 1]);
    let error = scene.restore(&options(9)).expect_err("cut").to_string();
    assert!(error.contains("no whole snapshot") && error.contains("save it again"), "{error}");
    assert!(scene.nothing_is_left());
    // Nor does a command that could not do its part.
    let scene = Scene::new(&whole);
    let failed = restore(&scene.file, &scene.data(), &options(9), fastrand::Rng::with_seed(1), |_| {
        Err(io::Error::other("no"))
    });
    assert!(failed.is_err() && scene.nothing_is_left());
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let scene = Scene::new(&file_of(&told().store));
    fs::create_dir(scene.data()).expect("room");
    scene.restore(&options(9)).expect("an empty directory is taken");
    let error = scene.restore(&options(9)).expect_err("it is not empty any more");
    assert!(matches!(error, SnapshotError::Exists { .. }), "{error}");
    assert_eq!(Board::lmdb(&scene.data().join("db")).store.cluster(), ClusterId(0xc2), "and it is whole");

    // What an attempt that was cut off left behind makes way, what is somebody's own does not.
    let scene = Scene::new(&file_of(&told().store));
    let partial = scene.dir.path().join("data.partial");
    fs::create_dir(&partial).expect("room");
    fs::write(partial.join("mine"), "x").expect("room");
    let error = scene.restore(&options(9)).expect_err("there is something");
    assert!(matches!(&error, SnapshotError::Exists { path } if *path == partial), "{error}");
    fs::write(partial.join("RESTORING"), "").expect("room");
    scene.restore(&options(9)).expect("it was begun before");
    assert!(!partial.exists());
    fs::write(scene.dir.path().join("file"), "x").expect("room");
    let error =
        restore(&scene.file, &scene.dir.path().join("file"), &options(9), fastrand::Rng::new(), |_| Ok(()));
    assert!(matches!(error, Err(SnapshotError::Exists { .. })));
}

/// `--bump-revision --mark-compacted`: no client sees a revision twice, and all who watch begin anew.
#[test]
fn revisions_can_be_bumped() {
    let board = told();
    let scene = Scene::new(&file_of(&board.store));
    let bumped = RestoreOptions { bump_revision: 1_000_000, mark_compacted: true, ..options(9) };
    let revision = Revision(board.store.revision().0 + 1_000_000);
    assert_eq!(scene.restore(&bumped).expect("whole").revision, revision);
    let mut other = Board::lmdb(&scene.data().join("db"));
    assert_eq!((other.store.revision(), other.store.compacted()), (revision, revision));
    let watched = other.store.history(KeyRev::new(20, 0), &KeyRange::all(), LIMITS);
    assert!(matches!(watched, Err(ReadError::Refused(Error::Compacted(at))) if at == revision));
    other.flush();
    let now = KeyRev::end_of(revision);
    let a = other.store.get(b"a", now).expect("readable").expect("it is there");
    assert_eq!((&a.value[..], a.rev), (&b"3"[..], KeyRev::new(8, 0)));
    other.put("a", "4", 0);
    let a = other.store.get(b"a", KeyRev::end_of(revision.next())).expect("readable").expect("there");
    assert_eq!((a.rev.main, a.version), (revision.next(), 4));
    // And what was restored can be saved again.
    let again = Scene::new(&file_of(&other.store));
    assert_eq!(again.restore(&options(9)).expect("whole").revision, revision.next());

    let scene = Scene::new(&file_of(&board.store));
    let beyond = RestoreOptions { bump_revision: u64::MAX, ..options(9) };
    assert!(scene.restore(&beyond).is_err() && scene.nothing_is_left());
}

/// A store that was never written to has a snapshot, too.
#[test]
fn an_empty_store() {
    let board = Board::new();
    let scene = Scene::new(&file_of(&board.store));
    let summary = verify(&scene.file, false).expect("whole");
    assert_eq!((summary.revision, summary.compacted, summary.total_keys), (Revision(1), Revision(-1), 0));
    scene.restore(&options(9)).expect("whole");
    let mut other = Board::lmdb(&scene.data().join("db"));
    other.put("a", "1", 0);
    assert_eq!(other.store.revision(), Revision(2));
}

#[test]
fn who_catches_up_serves_nothing() {
    let mut board = told();
    let request = RangeRequest { range: KeyRange::all(), ..RangeRequest::default() };
    let mut range = RangeCursor::new(board.store.range_at(&request).expect("now"));
    let mut hash = board.store.hash_at(Revision(0)).expect("now");
    let mut snapshot = SnapshotCursor::begin(&board.store).expect("now");
    board.flush();
    let applied = EntryId::new(3, 1000);
    let base = TransferBase { done: KeyRev::default(), reach: KeyRev::default(), applied };
    board.store.receive_begin(base).expect("room");

    fn refused<T>(result: Result<T, impl Into<ReadError>>) -> bool {
        matches!(result.map_err(Into::into), Err(ReadError::Refused(Error::NotReady)))
    }
    let (store, now) = (&board.store, KeyRev::end_of(board.store.revision()));
    assert!(refused(store.range_at(&request)) && refused(store.range(&mut range, LIMITS)));
    assert!(refused(store.get(b"a", now)) && refused(store.record(KeyRev::new(8, 0))));
    assert!(refused(store.history(now, &KeyRange::all(), LIMITS)));
    assert!(refused(store.hash_at(Revision(0))) && refused(store.hash(&mut hash, LIMITS)));
    assert!(refused(SnapshotCursor::begin(store)));
    while !refused(next_piece(store, &mut snapshot, 1 << 20)) {
        assert!(snapshot.remaining_bytes() > 0, "it ended as if it were whole");
    }
    assert!(board.store.start_defragment().is_none());
}

/// A data directory as a server leaves it when power goes: some entries are in the log only.
struct Left {
    scene: Scene,
    expected: Vec<u8>,
}

impl Left {
    fn new(members: &[u64]) -> Left {
        let scene = Scene::new(b"");
        let data = scene.data();
        fs::create_dir(&data).expect("room");
        let mut board = Board::lmdb(&data.join("db"));
        for id in members {
            let change = MembershipChange::AddVoter(NodeId(*id));
            board.payload(Payload::Membership { id: ProposalId::default(), change, info: Bytes::new() });
        }
        story(&mut board);
        alarm(&mut board, AlarmAction::Deactivate);
        board.flush();
        let flushed = file_of(&board.store);
        let begins = board.store.applied();
        let entries: Vec<Entry> = (0..50).map(|n| board.put(&format!("late/{n}"), "x", 7)).collect();
        let expected = if members.is_empty() { file_of(&board.store) } else { flushed };
        Left::log(&data.join("wal"), begins, &entries);
        Left { scene, expected }
    }

    fn log(dir: &Path, begins: EntryId, entries: &[Entry]) {
        let options = wal::Options {
            segment_bytes: wal::Options::SEGMENT_BYTES_MIN,
            cluster: ClusterId(0xc1),
            member: NodeId(1),
            bugs: Bugs::default(),
        };
        let members = Membership::of_voters([NodeId(1)]);
        let known = Known { applied: Index(0), catching_up: false, members: &members };
        let disk = Directory::open(dir).expect("room");
        let (mut wal, _) = Wal::open(disk, options, known, fastrand::Rng::with_seed(1)).expect("a new log");
        let state = HardState { term: begins.term, vote: Some(NodeId(1)) };
        let mut records = vec![Record::HardState(state), Record::LogStart(begins)];
        records.extend(entries.iter().cloned().map(Record::Entry));
        wal.write(&records, &members).expect("room");
        wal.sync().expect("a disk");
    }

    /// What files there are, but for locks, and what is in them.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for folder in ["db", "wal"] {
            for file in fs::read_dir(self.scene.data().join(folder)).expect("it is there") {
                let path = file.expect("it can be listed").path();
                let name = path.file_name().expect("a name").to_string_lossy().to_lowercase();
                if !name.contains("lock") {
                    files.insert(path.clone(), fs::read(&path).expect("readable"));
                }
            }
        }
        files
    }
}

#[test]
fn saved_without_a_server() {
    // A sole voter's log is committed; of several nobody knows it here, and what the database has is saved.
    for members in [&[][..], &[5, 6]] {
        let left = Left::new(members);
        let (before, out) = (left.files(), left.scene.dir.path().join("out"));
        let summary = save_offline(&left.scene.data(), &out).expect("it can be read");
        assert!(fs::read(&out).expect("there") == left.expected, "{members:?}");
        assert_eq!(verify(&out, false).expect("whole"), summary);
        assert!(left.files() == before, "{members:?}: nothing was changed");
        assert!(matches!(save_offline(&left.scene.data(), &out), Err(SnapshotError::Exists { .. })));
    }
}

#[test]
fn what_cannot_be_saved_is_left_alone() {
    let left = Left::new(&[]);
    let (data, out) = (left.scene.data(), left.scene.dir.path().join("out"));
    let board = Board::lmdb(&data.join("db"));
    let error = save_offline(&data, &out).expect_err("it is in use");
    assert!(matches!(error, SnapshotError::Store(StoreError::InUse { .. })), "{error}");
    drop(board);
    let nowhere = left.scene.dir.path().join("nowhere");
    let error = save_offline(&nowhere, &out).expect_err("there is nothing").to_string();
    assert!(error.contains("is it a data directory?") && !nowhere.exists(), "{error}");
    assert!(!out.exists());

    let mut board = Board::lmdb(&data.join("db"));
    let base = TransferBase { applied: EntryId::new(3, 1000), ..TransferBase::default() };
    board.store.receive_begin(base).expect("room");
    drop(board);
    let error = save_offline(&data, &out).expect_err("it is catching up").to_string();
    assert!(error.contains("catching up") && !out.exists(), "{error}");
}

/// The sample is what every board writes of this state, whatever its words, bytes and pages, and what every later build
/// reads.
#[test]
fn the_bytes_of_a_snapshot() {
    let bytes = file_of(&told().store);
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        fs::write(SAMPLE, &bytes).expect("tests/data can be written");
    }
    assert!(
        fs::read(SAMPLE).expect("the sample is there") == bytes,
        "{SAMPLE} differs: a released format never changes: raise VERSION in src/snapshot/format.rs, and read both. If \
         this one was never released, UPDATE_GOLDENFILES=1 cargo test --test snapshot"
    );
    let summary = verify(Path::new(SAMPLE), false).expect("it is whole");
    let Summary { cluster, applied, revision, compacted, total_keys, leases, .. } = summary;
    assert_eq!((cluster, applied), (ClusterId(0xc1), EntryId::new(3, 17)));
    assert_eq!((revision, compacted, total_keys, leases), (Revision(11), Revision(7), 7, 2));
    let mut reader = Reader::open(Path::new(SAMPLE), false).expect("it is there");
    let Some(Block::Head(head)) = reader.next_block().expect("whole") else { panic!("the head comes first") };
    assert_eq!(head.alarms, [(NodeId(u64::MAX), AlarmKind::NoSpace)]);
    assert_eq!(head.membership.learners, [NodeId(1 << 63)].into());
    let members = vec![(NodeId(1 << 63), Bytes::from(b"info"))];
    assert_eq!(reader.next_block().expect("whole"), Some(Block::Members(members)));
}

#[test]
fn a_newer_format_is_known_as_such() {
    let mut bytes = file_of(&told().store);
    bytes[8] = 2;
    let error = verify(&Scene::new(&bytes).file, false).expect_err("it is newer").to_string();
    assert!(error.contains("install the newer build"), "{error}");
}

/// More than fits in any one piece, block or transaction.
#[test]
fn a_large_store() {
    let mut board = Board::new();
    for n in 0..3000u32 {
        board.put(&format!("key-{:08x}", n.wrapping_mul(0x9e37_79b9)), vec![n as u8; 900], 0);
        if n % 500 == 0 {
            board.put("huge", vec![n as u8; 1 << 20], 0);
        }
        if board.store.pending_full() {
            board.flush();
        }
    }
    let mut cursor = SnapshotCursor::begin(&board.store).expect("readable");
    let (stream, ended) = take(&board.store, &mut cursor, usize::MAX, 32 << 10);
    assert!(ended);
    let scene = Scene::new(&with_sha(stream));
    assert_eq!(scene.restore(&options(9)).expect("whole").records, 3006);
    let other = Board::lmdb(&scene.data().join("db"));
    assert_eq!(told_hash(&other.store, 0), told_hash(&board.store, 0));
}
