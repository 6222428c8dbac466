//! Defragmenting: the file becomes as small as what is in use, and whatever goes wrong, nothing that was there is lost.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use solder::{store::*, types::*};
use tempfile::TempDir;

#[path = "runner/small_disk.rs"]
mod small_disk;

use small_disk::small_disk;

const HEADROOM_BYTES: u64 = 256 << 10;
const OPTIONS: LmdbOptions =
    LmdbOptions { map_bytes: 1 << 20, map_bytes_max: 1 << 30, headroom_bytes: HEADROOM_BYTES };
const LIMITS: SliceLimits = SliceLimits { rows: 1000, bytes: 1 << 20 };

fn dir() -> TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a directory")
}

/// Between fork and exec a process that another test starts holds all that is open here, locks too.
fn open_lmdb(dir: &Path) -> Lmdb {
    loop {
        match Lmdb::open(dir, &OPTIONS) {
            Err(StoreError::InUse { .. }) => std::thread::yield_now(),
            opened => return opened.expect("LMDB opens"),
        }
    }
}

struct Board {
    dir: PathBuf,
    backend: Arc<Lmdb>,
    store: Store,
}

impl Board {
    fn open(dir: &Path) -> Board {
        let backend = Arc::new(open_lmdb(dir));
        let mut store = Store::open(backend.clone(), Options::default()).expect("the store opens");
        if !store.is_initialised() {
            store.init(ClusterId(1), Membership::of_voters([NodeId(1)])).expect("room");
        }
        Board { dir: dir.to_path_buf(), backend, store }
    }

    fn crash(self) -> Board {
        let dir = self.dir.clone();
        drop(self);
        Board::open(&dir)
    }

    /// Much was there, little is.
    fn with_holes(dir: &Path) -> Board {
        let mut board = Board::open(dir);
        for n in 0..2000 {
            board.put(&format!("key-{n:04}"), vec![n as u8; 700]);
            board.flush();
        }
        let range = KeyRange::new(b"key-0100", b"key-2000");
        board.apply(&Command::DeleteRange(DeleteRangeRequest { range, prev_kv: false }));
        board.put("last", b"1".to_vec());
        board.compact();
        board
    }

    fn compact(&mut self) {
        self.apply(&Command::Compact { revision: self.store.revision() });
        self.flush();
    }

    fn apply(&mut self, command: &Command) {
        let id = EntryId { term: Term(1), index: self.store.applied().index.next() };
        let payload = Payload::Command { id: ProposalId::default(), data: command.encode() };
        self.store.apply_whole(&Entry { id, payload }).expect("applied");
    }

    fn put(&mut self, key: &str, value: Vec<u8>) {
        self.apply(&Command::Put(PutRequest {
            key: key.into(),
            value: value.into(),
            ..PutRequest::default()
        }));
    }

    fn flush(&mut self) {
        while let Some(job) = self.store.start_flush(Index(u64::MAX)) {
            self.store.finish_flush(job.run(&*self.backend)).expect("room");
        }
    }

    fn defragment(&mut self) -> Result<Defragmented, StoreError> {
        let job = self.store.start_defragment().expect("nothing is under way");
        self.store.finish_defragment(job.run(&*self.backend))
    }

    fn hash(&self) -> HashAt {
        let mut cursor = self.store.hash_at(Revision(0)).expect("now");
        loop {
            if let Some(hash) = self.store.hash(&mut cursor, LIMITS).expect("readable") {
                return hash;
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data.mdb")
    }

    fn copy(&self) -> PathBuf {
        self.dir.join("data.mdb.copy")
    }
}

fn len(path: &Path) -> u64 {
    fs::metadata(path).expect("it is there").len()
}

#[test]
fn disk_is_given_back() {
    let dir = dir();
    let mut board = Board::with_holes(dir.path());
    let (hash, before) = (board.hash(), board.store.usage());
    assert_eq!(before.file_bytes, len(&board.data()));
    assert!(before.file_bytes > 8 * before.used_bytes, "{before:?}");

    let done = board.defragment().expect("room");
    assert_eq!((done.before, done.after), (before, board.store.usage()));
    assert_eq!(done.after.file_bytes, len(&board.data()));
    assert!(done.after.file_bytes <= done.after.used_bytes + 4 * u64::from(before.page_bytes), "{done:?}");
    assert!(!board.copy().exists());
    assert_eq!(board.hash(), hash);
    let blocks_bytes = fs::metadata(board.data()).expect("it is there").blocks() * 512;
    assert!(blocks_bytes >= done.after.file_bytes + HEADROOM_BYTES, "{blocks_bytes} bytes have their blocks");

    for n in 0..500 {
        board.put(&format!("new-{n}"), vec![n as u8; 700]);
        board.flush();
    }
    let hash = board.hash();
    board.defragment().expect("room");
    assert_eq!(board.hash(), hash);
    let board = board.crash();
    assert_eq!((board.hash(), board.store.flushed()), (hash, board.store.applied()));
}

/// Puts and reads go on while the copy is made, and none is flushed; what is pending then outlives the exchange.
#[test]
fn puts_go_on_meanwhile() {
    let dir = dir();
    let mut board = Board::with_holes(dir.path());
    board.put("pending before", b"1".to_vec());
    let flushed = board.store.flushed();
    let job = board.store.start_defragment().expect("nothing is under way");
    assert!(board.store.start_defragment().is_none() && board.store.start_flush(Index(u64::MAX)).is_none());
    let backend = board.backend.clone();
    let copying = std::thread::spawn(move || job.run(&*backend));
    let mut n = 0;
    while n < 100 || !copying.is_finished() {
        board.put(&format!("meanwhile-{n}"), vec![1; 100]);
        let now = KeyRev::end_of(board.store.revision());
        assert!(board.store.get(b"key-0001", now).expect("readable").is_some());
        assert!(!board.store.flush_due() && board.store.start_flush(Index(u64::MAX)).is_none());
        n += 1;
    }
    let hash = board.hash();
    board.store.finish_defragment(copying.join().expect("no panic")).expect("room");
    assert_eq!((board.hash(), board.store.flushed()), (hash, flushed));
    board.flush();
    assert_eq!(board.store.flushed(), board.store.applied());
    assert_eq!(board.crash().hash(), hash);
}

#[test]
fn a_crash_leaves_the_old_file_or_the_new_one() {
    let dir = dir();
    let board = Board::with_holes(dir.path());
    let (hash, old_bytes) = (board.hash(), len(&board.data()));

    // While the copy is made: a part of it is there.
    fs::write(board.copy(), vec![0; 100_000]).expect("room");
    let mut board = board.crash();
    assert!(!board.copy().exists(), "the rest of a copy is removed");
    assert_eq!((board.hash(), len(&board.data())), (hash, old_bytes));

    // Before the rename.
    let job = board.store.start_defragment().expect("nothing is under way");
    job.run(&*board.backend).expect("room");
    assert!(len(&board.copy()) < old_bytes / 4);
    let mut board = board.crash();
    assert!(!board.copy().exists());
    assert_eq!((board.hash(), len(&board.data())), (hash, old_bytes));

    // After it.
    let job = board.store.start_defragment().expect("nothing is under way");
    job.run(&*board.backend).expect("room");
    let (copy, data) = (board.copy(), board.data());
    drop(board);
    fs::rename(copy, data).expect("it is there");
    let mut board = Board::open(dir.path());
    assert_eq!(board.hash(), hash);
    assert!(len(&board.data()) < old_bytes / 4);
    board.put("more", b"1".to_vec());
    board.flush();
    board.defragment().expect("room");
}

/// The job's result was lost, or its error came: the store goes on, and the next job does it all again.
#[test]
fn what_failed_can_be_done_again() {
    let dir = dir();
    let mut board = Board::with_holes(dir.path());
    let hash = board.hash();
    board.store.start_defragment().expect("nothing is under way");
    let full = StoreError::Full { what: "as a test wants it".into() };
    assert!(matches!(board.store.finish_defragment(Err(full)), Err(StoreError::Full { .. })));
    board.put("more", b"1".to_vec());
    board.flush();
    board.defragment().expect("room");
    assert_ne!(board.hash(), hash);
}

/// The disk fills up while the copy is written.
#[test]
fn a_copy_that_does_not_fit_is_given_up() {
    let dir = dir();
    let mut board = Board::with_holes(dir.path());
    let hash = board.hash();
    std::os::unix::fs::symlink("/dev/full", board.copy()).expect("room");
    let error = board.defragment().expect_err("nothing can be written");
    assert!(
        matches!(error, StoreError::Full { .. }) && error.to_string().contains("free some space"),
        "{error}"
    );
    assert!(fs::symlink_metadata(board.copy()).is_err(), "what was written of it is removed");
    board.put("more", b"1".to_vec());
    board.flush();
    assert_ne!(board.hash(), hash);
    let hash = board.hash();
    board.defragment().expect("room");
    assert_eq!(board.hash(), hash);
}

#[test]
fn another_copy_than_was_made_is_refused() {
    let dir = dir();
    let mut board = Board::with_holes(dir.path());
    let job = board.store.start_defragment().expect("nothing is under way");
    let report = job.run(&*board.backend).expect("room");
    let aside = dir.path().join("aside");
    fs::copy(board.copy(), &aside).expect("room");
    board.store.finish_defragment(Ok(report)).expect("it is as it was made");
    board.put("more", b"1".to_vec());
    board.flush();
    let (hash, job) = (board.hash(), board.store.start_defragment().expect("nothing is under way"));
    let report = job.run(&*board.backend).expect("room");
    fs::rename(aside, board.copy()).expect("it is there");
    let error = board.store.finish_defragment(Ok(report)).expect_err("it is older");
    assert!(error.to_string().contains("the defragmented copy ends at entry"), "{error}");
    let board = board.crash();
    assert_eq!(board.hash(), hash);
    assert!(!board.copy().exists());
}

#[test]
fn a_disk_without_room_is_told_ahead() {
    let dir = dir();
    let Some(_unmount) = small_disk(dir.path(), "16m") else { return };
    let mut board = Board::open(&dir.path().join("db"));
    for n in 0..1000 {
        board.put(&format!("key-{n:04}"), vec![n as u8; 1500]);
        board.flush();
    }
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![0; 16 << 20]).expect_err("it fills the disk");
    let used_bytes = board.store.usage().used_bytes;
    let error = board.defragment().expect_err("nothing is free");
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    let told = error.to_string();
    assert!(told.contains("bytes of free disk") && told.contains("are free: free some space"), "{told}");
    let needed: u64 = told
        .split(" needs ")
        .nth(1)
        .expect("how much")
        .split(' ')
        .next()
        .expect("a number")
        .parse()
        .expect("a number");
    assert!((used_bytes..used_bytes + (64 << 10)).contains(&needed), "{told}");
    assert!(!board.copy().exists());
    board.put("more", b"1".to_vec());
    board.flush();
    let hash = board.hash();
    fs::remove_file(&ballast).expect("it is there");
    board.defragment().expect("there is room now");
    assert_eq!(board.hash(), hash);
}
