//! The store over the real LMDB: what only a real file can get wrong.

#[path = "runner/mod.rs"]
mod runner;
#[path = "runner/small_disk.rs"]
mod small_disk;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use small_disk::small_disk;
use solder::{store::*, types::*};

const ROOMY: LmdbOptions =
    LmdbOptions { map_bytes: 1 << 20, map_bytes_max: 1 << 30, headroom_bytes: 1 << 20 };
const LIMITS: SliceLimits = SliceLimits { rows: 1000, bytes: 1 << 20 };

/// In memory where there is a file system for it: no test here needs a disk.
fn dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a directory")
}

struct Board {
    backend: Arc<Lmdb>,
    store: Store,
}

impl Board {
    fn open(dir: &Path, options: &LmdbOptions) -> Board {
        let backend = Arc::new(Lmdb::open(dir, options).expect("LMDB opens"));
        let mut store = Store::open(backend.clone(), Options::default()).expect("the store opens");
        if !store.is_initialised() {
            store.init(ClusterId(1), Membership::of_voters([NodeId(1)])).expect("room");
        }
        Board { backend, store }
    }

    fn apply(&mut self, command: &Command) -> Outcome {
        let id = EntryId { term: Term(1), index: self.store.applied().index.next() };
        let payload = Payload::Command { id: ProposalId::default(), data: command.encode() };
        self.store.apply_whole(&Entry { id, payload }).expect("applied")
    }

    fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Outcome {
        self.apply(&put(key, value))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        while let Some(job) = self.store.start_flush(Index(u64::MAX)) {
            self.store.finish_flush(job.run(&*self.backend))?;
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Option<RevRecord> {
        self.store.get(key, KeyRev::end_of(self.store.revision())).expect("readable")
    }

    fn count(&self) -> u64 {
        let request = RangeRequest { range: KeyRange::all(), count_only: true, ..RangeRequest::default() };
        let mut cursor = RangeCursor::new(self.store.range_at(&request).expect("now"));
        loop {
            if let Some(end) = self.store.range(&mut cursor, LIMITS).expect("readable").end {
                return end.count;
            }
        }
    }
}

fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Command {
    Command::Put(PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() })
}

#[test]
fn keys_of_every_length() {
    let dir = dir();
    let mut board = Board::open(dir.path(), &ROOMY);
    board.apply(&Command::LeaseGrant { id: LeaseId(1), ttl_s: 60 });
    let key = |len: usize| vec![0xff; len];
    for len in 1..=limits::KEY_BYTES_MAX {
        let request = PutRequest { key: key(len).into(), lease: LeaseId(1), ..PutRequest::default() };
        assert!(matches!(board.apply(&Command::Put(request)), Outcome::Put(_)), "{len} bytes");
    }
    let bytes = limits::KEY_BYTES_MAX + 1;
    assert_eq!(board.put(key(bytes), b"v"), Outcome::Refused(Error::KeyTooLong { bytes }));
    board.flush().expect("room");
    for len in 1..=limits::KEY_BYTES_MAX {
        assert_eq!(board.get(&key(len)).expect("there").key.len(), len);
    }
    assert_eq!(board.count(), limits::KEY_BYTES_MAX as u64);
    board.apply(&Command::LeaseRevoke { id: LeaseId(1), only_in: None });
    board.flush().expect("room");
    assert_eq!(board.count(), 0);
}

#[test]
fn the_map_grows_until_it_may_not() {
    let dir = dir();
    let small = LmdbOptions { map_bytes: 1 << 17, map_bytes_max: 1 << 20, ..ROOMY };
    let mut board = Board::open(dir.path(), &small);
    let mut error = None;
    for n in 0..2000 {
        board.put(format!("key-{n}").into_bytes(), vec![1; 1000]);
        error = board.flush().err();
        if error.is_some() {
            break;
        }
    }
    let error = error.expect("2 MB do not fit in one");
    assert!(
        matches!(error, StoreError::Full { .. }) && error.to_string().contains("raise the quota"),
        "{error}"
    );
    let applied = board.store.applied();
    assert!(applied.index.0 > 300 && board.store.flushed() < applied, "it has grown: {applied}");
    // What could not be flushed can be read, and the same flush fails in the same way.
    assert_eq!(board.count(), applied.index.0);
    assert!(matches!(board.flush(), Err(StoreError::Full { .. })));
    let flushed = board.store.flushed().index.0;
    drop(board);

    let mut board = Board::open(dir.path(), &ROOMY);
    assert_eq!((board.store.applied().index.0, board.count()), (flushed, flushed));
    for n in flushed..2000 {
        board.put(format!("key-{n}").into_bytes(), vec![1; 1000]);
    }
    board.flush().expect("room");
    assert_eq!((board.store.flushed().index.0, board.count()), (2000, 2000));
}

#[test]
fn a_full_disk_changes_nothing_and_is_survived() {
    // Met in a commit, and met while the headroom is allocated.
    for headroom_bytes in [8 << 20, 64 << 10] {
        let dir = dir();
        let Some(_unmount) = small_disk(dir.path(), "512k") else { return };
        let options = LmdbOptions { headroom_bytes, ..ROOMY };
        let ballast = dir.path().join("ballast");
        std::fs::write(&ballast, vec![0; 200 << 10]).expect("room for it");
        let mut board = Board::open(&dir.path().join("db"), &options);
        let error = (0..1000).find_map(|n: u32| {
            board.put(format!("key-{n}").into_bytes(), vec![1; 1000]);
            board.flush().err()
        });
        let error = error.expect("1 MB does not fit");
        assert!(matches!(error, StoreError::Full { .. }) && error.to_string().contains("disk"), "{error}");
        assert!(matches!(board.store.secure_room(), Err(StoreError::Full { .. })));
        let applied = board.store.applied();
        assert!(board.store.flushed() < applied);
        assert_eq!(board.count(), applied.index.0, "all can be read");
        let map_bytes = mapped_bytes(&dir.path().join("db/data.mdb"));
        assert!(map_bytes <= 4 << 20, "a full disk has no use for a map of {map_bytes} bytes");

        std::fs::remove_file(&ballast).expect("it is there");
        board.flush().expect("there is room again");
        assert_eq!(board.store.flushed(), applied);
        drop(board);
        let board = Board::open(&dir.path().join("db"), &options);
        assert_eq!(board.count(), applied.index.0);
    }
}

#[test]
fn a_map_that_fills_up_is_told_ahead() {
    let dir = dir();
    let options = LmdbOptions { map_bytes: 1 << 17, map_bytes_max: 2 << 20, headroom_bytes: 256 << 10 };
    let mut board = Board::open(dir.path(), &options);
    for n in 0..2000 {
        match board.store.secure_room() {
            Ok(()) => {}
            Err(error @ StoreError::Full { .. }) => {
                assert!(n > 500 && error.to_string().contains("raise the quota"), "after {n} puts: {error}");
                // In pieces: one delete of everything would make more pages dirty than are kept free.
                for prefix in 10..100 {
                    let range = KeyRange::prefix(format!("key-{prefix}").as_bytes());
                    board.apply(&Command::DeleteRange(DeleteRangeRequest { range, prev_kv: false }));
                    board.flush().expect("the room that was kept is enough");
                }
                board.put("last", "1");
                let revision = board.store.revision();
                board.apply(&Command::Compact { revision });
                board.flush().expect("removal needs no more than is kept");
                return board.store.secure_room().expect("there is room again");
            }
            Err(error) => panic!("{error}"),
        }
        board.put(format!("key-{n}").into_bytes(), vec![1; 1000]);
        board.flush().expect("there was room, so it was said");
    }
    panic!("2 MB do not fit in 2 MiB with all that is around them");
}

/// The address space that a file takes in this process.
fn mapped_bytes(file: &Path) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("proc(5)");
    let of_file = maps.lines().filter(|line| line.ends_with(&file.display().to_string()));
    let bytes = |line: &str| -> Option<u64> {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        Some(u64::from_str_radix(to, 16).ok()? - u64::from_str_radix(from, 16).ok()?)
    };
    of_file.map(|line| bytes(line).expect("from-to in hex")).sum()
}

#[test]
fn room_is_secured_ahead() {
    let dir = dir();
    let Some(_unmount) = small_disk(dir.path(), "512k") else { return };
    let options = LmdbOptions { headroom_bytes: 200 << 10, ..ROOMY };
    let mut board = Board::open(&dir.path().join("db"), &options);
    board.store.secure_room().expect("there is room");
    std::fs::write(dir.path().join("ballast"), vec![0; 1 << 20]).expect_err("it fills the disk");
    for n in 0..20 {
        board.put(format!("key-{n}").into_bytes(), vec![1; 1000]);
        board.flush().expect("what was secured is there");
    }
}

fn in_use(dir: &Path) -> bool {
    match Lmdb::open(dir, &ROOMY) {
        Ok(_) => false,
        Err(error @ StoreError::InUse { .. }) => error.to_string().contains("stop the other solder"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_database_is_opened_once() {
    let dir = dir();
    let database = dir.path().join("db");
    let alias = dir.path().join("alias");
    let board = Board::open(&database, &ROOMY);
    std::os::unix::fs::symlink(&database, &alias).expect("a link");
    assert!(in_use(&database));
    assert!(in_use(&alias), "by another path");
    let other = || {
        let mut process = runner::command(std::env::current_exe().expect("this test"));
        process.args(["--ignored", "--exact", "opens_the_database_of_another_process"]);
        process.env("STORE_LMDB_DIR", &database).output().expect("runs").status.success()
    };
    assert!(!other(), "another process");
    drop(board);
    assert!(other(), "another process, afterwards");
    assert!(!in_use(&alias));
}

#[test]
#[ignore = "a_database_is_opened_once runs it in a process of its own"]
fn opens_the_database_of_another_process() {
    let dir = std::env::var("STORE_LMDB_DIR").expect("run by a_database_is_opened_once");
    assert!(!in_use(Path::new(&dir)));
}

/// A row of `meta`, as `format` draws it.
fn sealed(name: &str, body: &[u8]) -> Vec<u8> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(body);
    [&hasher.finalize().to_le_bytes(), body].concat()
}

fn open_with_layout(layout: &[u8]) -> StoreError {
    let dir = dir();
    let board = Board::open(dir.path(), &ROOMY);
    board.backend.write(&mut |txn| txn.put(Table::Meta, b"layout", layout)).expect("room");
    Store::open(board.backend.clone(), Options::default()).err().expect("it is refused")
}

#[test]
fn a_database_of_another_kind_of_board_is_refused() {
    let layout = |format: u16, page_bytes: u32, word_bits: u32| {
        let body = postcard::to_stdvec(&(format, page_bytes, word_bits)).expect("three numbers");
        open_with_layout(&sealed("layout", &body)).to_string()
    };
    assert!(layout(1, 1 << 15, usize::BITS).contains("pages of 32768 bytes"));
    assert!(layout(1, 4096, 16).contains("words of 16 bits"));
    assert!(layout(2, 4096, usize::BITS).contains("install the newer build"));
    assert!(matches!(open_with_layout(b"damaged"), StoreError::Corrupt { .. }));

    // LMDB of another word size has its magic number elsewhere.
    let dir = dir();
    drop(Board::open(dir.path(), &ROOMY));
    let file = dir.path().join("data.mdb");
    let mut bytes = std::fs::read(&file).expect("it is there");
    bytes.rotate_left(4);
    std::fs::write(&file, bytes).expect("room");
    let error = Lmdb::open(dir.path(), &ROOMY).err().expect("it is refused");
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("32 or 64 bits"), "{error}");
}

#[test]
fn a_damaged_record_is_never_answered() {
    let dir = dir();
    let mut board = Board::open(dir.path(), &ROOMY);
    board.put("a", "1");
    board.put("b", "2");
    board.flush().expect("room");
    let rev = [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];
    let damage = |txn: &mut dyn Transaction| {
        let mut record = txn.get(Table::Revs, &rev)?.expect("revision 3").to_vec();
        *record.last_mut().expect("a value") ^= 1;
        txn.put(Table::Revs, &rev, &record)
    };
    board.backend.write(&mut { damage }).expect("room");

    assert_eq!(&board.get(b"a").expect("there").value[..], b"1");
    let now = KeyRev::end_of(board.store.revision());
    let error = board.store.get(b"b", now).expect_err("damaged");
    assert!(matches!(error, ReadError::Store(StoreError::Corrupt { .. })), "{error}");
    assert!(error.to_string().contains("revision 3.0"), "{error}");
    assert!(board.store.history(KeyRev::new(3, 0), &KeyRange::single("x"), LIMITS).is_err());
    assert!(board.store.transfer_slice(KeyRev::default(), 1 << 20).is_err());
    let mut hash = board.store.hash_at(Revision(0)).expect("now");
    assert!(board.store.hash(&mut hash, LIMITS).is_err());
}

/// The store thread goes on while the flush thread writes, commits and grows the map.
#[test]
fn reads_and_puts_go_on_during_a_flush() {
    let dir = dir();
    let mut board = Board::open(dir.path(), &LmdbOptions { map_bytes: 1 << 16, ..ROOMY });
    let mut expected = 0;
    for round in 0..40u32 {
        for n in 0..100u32 {
            board.put(
                format!("key-{:08x}", (round * 100 + n).wrapping_mul(0x9e37_79b9)).into_bytes(),
                vec![1; 300],
            );
            expected += 1;
        }
        let Some(job) = board.store.start_flush(Index(u64::MAX)) else { continue };
        let backend = board.backend.clone();
        let flush = std::thread::spawn(move || job.run(&*backend));
        while !flush.is_finished() {
            assert_eq!(board.count(), expected);
            board.put(format!("new-{round}-{expected}").into_bytes(), b"v");
            expected += 1;
        }
        let result = flush.join().expect("no panic");
        assert_eq!(board.count(), expected, "before the layer is dropped");
        board.store.finish_flush(result).expect("room");
        assert_eq!(board.count(), expected, "after it was dropped");
    }
    board.flush().expect("room");
    drop(board);
    assert_eq!(Board::open(dir.path(), &ROOMY).count(), expected);
}

/// One entry is one transaction, however large: more pages than LMDB keeps in its list of dirty ones.
#[test]
fn an_entry_of_many_pages_is_flushed_whole() {
    let dir = dir();
    let mut board = Board::open(dir.path(), &ROOMY);
    let keys: u64 = 30_000;
    for n in 0..keys {
        // Each on a leaf of `keys` that it shares with few others.
        board.put(
            format!("{:016x}{}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15), "k".repeat(900)).into_bytes(),
            b"v",
        );
        if board.store.flush_due() {
            board.flush().expect("room");
        }
    }
    let all = DeleteRangeRequest { range: KeyRange::all(), prev_kv: false };
    assert!(matches!(board.apply(&Command::DeleteRange(all)), Outcome::Delete(done) if done.deleted == keys));
    board.flush().expect("room");
    assert_eq!((board.count(), board.store.flushed()), (0, board.store.applied()));

    // And removal brings the pages back.
    let used_bytes = board.backend.usage().expect("usage").used_bytes;
    board.put("last", "1");
    let revision = board.store.revision();
    board.apply(&Command::Compact { revision });
    board.flush().expect("room");
    let now = board.backend.usage().expect("usage").used_bytes;
    assert!(now < used_bytes / 100, "{now} bytes of {used_bytes} are in use still");
}

/// Values may be secrets. Older builds left the directory to others to read.
#[test]
fn nobody_else_reads_the_database() {
    let scratch = dir();
    let path = scratch.path().join("db");
    let data = path.join("data.mdb");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let mut board = Board::open(&path, &ROOMY);
    assert_eq!((mode(&path), mode(&data)), (0o700, 0o600));
    assert!(matches!(board.put("key", "value"), Outcome::Put(_)));
    board.flush().expect("room");
    board.backend.make_copy().expect("room");
    assert_eq!(mode(&path.join("data.mdb.copy")), 0o600, "it takes the file's place");
    drop(board);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o644)).expect("it is ours");
    drop(Board::open(&path, &ROOMY));
    assert_eq!((mode(&path), mode(&data)), (0o700, 0o600));
}
