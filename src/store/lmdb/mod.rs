//! The database: LMDB, always fully synced.
//!
//! ```text
//!   DIR/data.mdb        LMDB's pages
//!   DIR/data.mdb.copy   what defragmenting makes of them (`copy`); removed if found
//!   DIR/lock.mdb        LMDB's reader slots
//!   DIR/LOCK            held (flock) while the store is open: LMDB's own locks do not survive being opened twice
//! ```
//!
//! - Never NOSYNC, NOMETASYNC or WRITEMAP: a power cut could leave a file that is no database.
//! - The map grows, and the file is exchanged, only while no transaction is open: each holds `open` for reading.
//! - Read transactions are not tied to threads (NOTLS), so one can be opened wherever one is needed.
//! - Blocks for the next transactions are allocated ahead (`headroom_bytes`), so that a full disk is known before it is
//!   met. Met in a commit, it is LMDB's EIO: it writes short, and calls that so.
//! - The kernel is told not to read ahead: look-ups are scattered, and memory is short.

#![allow(unsafe_code)]

mod copy;

use std::{
    fs::{self, DirBuilder, File},
    io::ErrorKind,
    ops::{Bound, Deref},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use heed::{
    CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithoutTls, types::Bytes,
};
use rustix::{
    fs::{FallocateFlags, fallocate, fstatvfs},
    io::Errno,
};

use crate::system::owner_only;

use super::{Backend, FileLock, Inspect, Row, Rows, Snapshot, StoreError, Table, Transaction, Usage, Work};

/// How the database is opened.
#[derive(Clone, Debug)]
pub struct LmdbOptions {
    /// Address space taken at first. It doubles when it is full.
    pub map_bytes: u64,
    /// Where growing ends. On a 32-bit board that is `MAP_BYTES_MAX` at the latest.
    pub map_bytes_max: u64,
    /// The part of the file that is allocated beyond what is in use: what the largest usual flush writes, twice.
    pub headroom_bytes: u64,
}

impl Default for LmdbOptions {
    fn default() -> LmdbOptions {
        let map_bytes_max = MAP_BYTES_MAX.min(1 << 34);
        LmdbOptions { map_bytes: 64 << 20, map_bytes_max, headroom_bytes: 8 << 20 }
    }
}

/// The largest map. With 32-bit words the address space is 2 or 3 GiB, in pieces, and LMDB's file offsets end at 2 GiB: a map
/// that cannot be had when it has to grow would end the process at every start.
const MAP_BYTES_MAX: u64 = if usize::BITS == 32 { 1 << 30 } else { 1 << 46 };

/// Who could not open the file again has ended the process.
const STILL_OPEN: &str = "the database is open";

type Tables = [Database<'static, Bytes, Bytes>; Table::ALL.len()];

pub struct Lmdb {
    /// Read: a transaction is open. Write: none is, and the map may be moved or the file exchanged.
    open: RwLock<Option<Open>>,
    options: LmdbOptions,
    dir: PathBuf,
    /// Given up last, when LMDB has been closed.
    _lock: FileLock,
}

/// The file as it is open.
struct Open {
    env: Env<WithoutTls>,
    tables: Tables,
    page_bytes: u32,
    /// `data.mdb`, to allocate its blocks.
    data: File,
    /// The file has its blocks up to here.
    allocated_bytes: AtomicU64,
}

/// Held as long as something is done with the file.
struct Held<'a>(RwLockReadGuard<'a, Option<Open>>);

impl Deref for Held<'_> {
    type Target = Open;

    fn deref(&self) -> &Open {
        self.0.as_ref().expect(STILL_OPEN)
    }
}

impl Open {
    fn new(dir: &Path, options: &LmdbOptions) -> Result<Open, StoreError> {
        // The map must hold what the file holds already.
        let file_bytes = fs::metadata(data_path(dir)).map_or(0, |file| file.len());
        let map_bytes = options.map_bytes.min(options.map_bytes_max).max(file_bytes);
        Open::at(dir, map_bytes, EnvFlags::empty())
    }

    /// A path as LMDB wants it: with NO_SUB_DIR it is the file's, else the directory's.
    fn at(path: &Path, map_bytes: u64, flags: EnvFlags) -> Result<Open, StoreError> {
        let env = open_env(path, map_bytes, flags)?;
        if !flags.contains(EnvFlags::NO_LOCK) {
            env.clear_stale_readers().map_err(|error| failed(path, error))?;
        }
        let (tables, page_bytes) = open_tables(&env).map_err(|error| failed(path, error))?;
        let data = env.try_clone_inner_file().map_err(|error| failed(path, error))?;
        Ok(Open { env, tables, page_bytes, data, allocated_bytes: AtomicU64::new(0) })
    }

    fn reader(&self) -> heed::Result<RoTxn<'static, WithoutTls>> {
        self.env.clone().static_read_txn()
    }
}

impl Lmdb {
    /// Opens the database in a directory, which is made if it is not there.
    pub fn open(dir: &Path, options: &LmdbOptions) -> Result<Lmdb, StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| io_error(dir, "cannot be made", error))?;
        let lock = take_lock(dir)?;
        copy::remove(dir)?;
        // Values may be secrets, and older builds were not as careful.
        [dir, &data_path(dir)].into_iter().for_each(owner_only);
        let map_bytes_max = options.map_bytes_max.min(MAP_BYTES_MAX);
        Ok(Lmdb {
            open: RwLock::new(Some(Open::new(dir, options)?)),
            options: LmdbOptions { map_bytes_max, ..options.clone() },
            dir: dir.to_path_buf(),
            _lock: lock,
        })
    }

    fn held(&self) -> Held<'_> {
        Held(self.open.read().expect("no panic while it is held"))
    }

    /// Waits until no transaction is open, and keeps it so.
    fn alone(&self) -> RwLockWriteGuard<'_, Option<Open>> {
        self.open.write().expect("no panic while it is held")
    }

    fn try_write(&self, work: &mut Work<'_>) -> Result<(), Failed> {
        let open = self.held();
        // A transaction may find room in pages that are free though no more can be had.
        match self.allocate(&open) {
            Ok(()) | Err(StoreError::Full { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let txn = open.env.write_txn().map_err(|error| failed(&self.dir, error))?;
        let mut writing = Writing { txn, tables: &open.tables, dir: &self.dir, map_is_full: false };
        // Dropping it, here or below, aborts.
        work(&mut writing).map_err(|error| Failed { error, map_is_full: writing.map_is_full })?;
        match writing.txn.commit() {
            // Trying again is safe, even if it was a sync that failed: all that was committed before had been synced, and
            // all of this transaction is written anew.
            Err(heed::Error::Io(error)) if is_eio(&error) && self.is_disk_full(&open)? => {
                Err(disk_full(&self.dir).into())
            }
            done => done.map_err(|error| Failed {
                map_is_full: is_map_full(&error),
                error: failed(&self.dir, error),
            }),
        }
    }

    /// Has the blocks allocated that the next transactions may write.
    fn allocate(&self, open: &Open) -> Result<(), StoreError> {
        let headroom_bytes = self.options.headroom_bytes;
        let used_bytes = (open.env.info().last_page_number as u64 + 1) * u64::from(open.page_bytes);
        let wanted_bytes = used_bytes + headroom_bytes;
        // Not for every page: once half of it is used up. None may be wanted.
        if headroom_bytes == 0
            || open.allocated_bytes.load(Ordering::Relaxed) >= wanted_bytes - headroom_bytes / 2
        {
            return Ok(());
        }
        match fallocate(&open.data, FallocateFlags::KEEP_SIZE, used_bytes, headroom_bytes) {
            Ok(()) => open.allocated_bytes.store(wanted_bytes, Ordering::Relaxed),
            Err(Errno::NOSPC | Errno::DQUOT) => return Err(disk_full(&self.dir)),
            // A file system that knows no such thing. Then a full disk is met when it is met.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => open.allocated_bytes.store(u64::MAX, Ordering::Relaxed),
            Err(error) => return Err(io_error(&self.dir, "cannot be given room", error.into())),
        }
        Ok(())
    }

    /// Has the file system less left than the headroom?
    fn is_disk_full(&self, open: &Open) -> Result<bool, StoreError> {
        Ok(self.free_bytes(open)? < self.options.headroom_bytes)
    }

    /// What the file system has left.
    fn free_bytes(&self, open: &Open) -> Result<u64, StoreError> {
        let free = fstatvfs(&open.data);
        let free = free.map_err(|error| io_error(&self.dir, "cannot be asked", error.into()))?;
        Ok(free.f_bavail.saturating_mul(free.f_frsize))
    }

    /// Doubles the map. False: it is as large as it may be.
    fn grow(&self) -> Result<bool, StoreError> {
        let alone = self.alone();
        let open = alone.as_ref().expect(STILL_OPEN);
        let map_bytes = open.env.info().map_size as u64;
        let larger = map_size(map_bytes.saturating_mul(2).min(self.options.map_bytes_max), open.page_bytes)?;
        if larger as u64 <= map_bytes {
            return Ok(false);
        }
        // SAFETY: every transaction of this environment is opened with `self.open` held for reading and closed before
        // it is let go, so none is open now; no other process has the file open, `LOCK` sees to that.
        unsafe { open.env.resize(larger) }.map_err(|error| failed(&self.dir, error))?;
        Ok(true)
    }

    /// Opens the file again if LMDB will have no more of it: a full disk has stopped it in the middle of a commit's last
    /// page, and every later transaction is told so (MDB_PANIC). What is in the file is whole then, with that commit or
    /// without, and the same rows are written again.
    fn revive(&self) -> Result<(), StoreError> {
        if !matches!(self.held().reader(), Err(heed::Error::Mdb(MdbError::Panic))) {
            return Ok(());
        }
        let mut alone = self.alone();
        *alone = None;
        *alone = Some(Open::new(&self.dir, &self.options)?);
        Ok(())
    }
}

impl Backend for Lmdb {
    fn read(&self) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        let open = self.held();
        let txn = open.reader().map_err(|error| failed(&self.dir, error))?;
        Ok(Box::new(Reading { txn, tables: open.tables, dir: &self.dir, _open: Some(open) }))
    }

    fn write(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        loop {
            match self.try_write(work) {
                // Not where the disk is full: a larger map would not help, only take its address space.
                Err(Failed { map_is_full: true, .. }) if self.grow()? => {}
                Err(Failed { error: full @ StoreError::Full { .. }, .. }) => {
                    self.revive()?;
                    return Err(full);
                }
                done => return done.map_err(|failed| failed.error),
            }
        }
    }

    fn secure(&self) -> Result<(), StoreError> {
        self.allocate(&self.held())?;
        let Usage { used_bytes, capacity_bytes, .. } = self.usage()?;
        if used_bytes + self.options.headroom_bytes > capacity_bytes {
            Err(map_full(&self.dir))
        } else {
            Ok(())
        }
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let open = self.held();
        let txn = open.reader().map_err(|error| failed(&self.dir, error))?;
        let mut used_bytes = open.env.unnamed_database_stat().non_free_page_size() as u64;
        for table in &open.tables {
            let stat = table.stat(&txn).map_err(|error| failed(&self.dir, error))?;
            used_bytes += stat.non_free_page_size() as u64;
        }
        let file = open.data.metadata().map_err(|error| io_error(&self.dir, "cannot be asked", error))?;
        Ok(Usage {
            page_bytes: open.page_bytes,
            word_bits: usize::BITS,
            file_bytes: file.len(),
            used_bytes,
            capacity_bytes: self.options.map_bytes_max,
        })
    }

    fn make_copy(&self) -> Result<(), StoreError> {
        copy::make(self)
    }

    fn adopt_copy(&self, check: &mut Inspect<'_>) -> Result<(), StoreError> {
        copy::adopt(self, check)
    }
}

fn take_lock(dir: &Path) -> Result<FileLock, StoreError> {
    let path = dir.join("LOCK");
    let file = File::create(&path).map_err(|error| io_error(&path, "cannot be made", error))?;
    FileLock::take(file)
        .map_err(|error| io_error(&path, "cannot be locked", error))?
        .map_err(|_| StoreError::InUse { path: dir.to_path_buf() })
}

fn data_path(dir: &Path) -> PathBuf {
    dir.join("data.mdb")
}

fn open_env(path: &Path, map_bytes: u64, flags: EnvFlags) -> Result<Env<WithoutTls>, StoreError> {
    let mut env = EnvOpenOptions::new().read_txn_without_tls();
    env.map_size(map_size(map_bytes, 64 << 10)?).max_dbs(Table::ALL.len() as u32);
    // SAFETY: NO_READ_AHEAD changes how pages are read in, nothing else. Of the flags that give up safety only NO_LOCK is
    // ever added, for a file that nobody else knows of.
    unsafe { env.flags(flags | EnvFlags::NO_READ_AHEAD) };
    // SAFETY: nobody else changes the file under the map: `LOCK` is held, the path is not opened twice in this process
    // either, and Solder itself touches the file through LMDB only. It is on a local disk (README).
    unsafe { env.open(path) }.map_err(|error| failed(path, error))
}

fn open_tables(env: &Env<WithoutTls>) -> heed::Result<(Tables, u32)> {
    let txn = env.write_txn()?;
    let opened = env.create_databases_and_commit(txn, |opener, txn| -> heed::Result<_> {
        let mut tables = Vec::with_capacity(Table::ALL.len());
        for table in Table::ALL {
            tables.push(opener.create_database::<Bytes, Bytes>(txn, Some(table.name()))?);
        }
        let tables: [_; Table::ALL.len()] = tables.try_into().expect("one for each");
        Ok(CommitOrAbort::<_, ()>::Commit(tables))
    })?;
    Ok((opened.unwrap_commit(), env.unnamed_database_stat().page_size))
}

/// A size that LMDB takes: whole pages, and no more than an address can say.
fn map_size(bytes: u64, page_bytes: u32) -> Result<usize, StoreError> {
    let unit = u64::from(page_bytes).max(64 << 10);
    usize::try_from(bytes.next_multiple_of(unit)).map_err(|_| StoreError::Full {
        what: format!("a map of {bytes} bytes is more than this board can address"),
    })
}

fn io_error(path: &Path, what: &str, error: std::io::Error) -> StoreError {
    StoreError::Io { what: format!("{} {what}", path.display()), error }
}

fn disk_full(dir: &Path) -> StoreError {
    StoreError::Full { what: format!("the disk of {} is full: free some space", dir.display()) }
}

fn map_full(dir: &Path) -> StoreError {
    let dir = dir.display();
    StoreError::Full { what: format!("the map of {dir} is full: compact, delete keys, or raise the quota") }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn is_map_full(error: &heed::Error) -> bool {
    matches!(error, heed::Error::Mdb(MdbError::MapFull))
}

fn is_eio(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

/// What LMDB says, in words that help.
fn failed(path: &Path, error: heed::Error) -> StoreError {
    let dir = path.display();
    match error {
        heed::Error::Mdb(MdbError::MapFull) => map_full(path),
        heed::Error::Io(error) if is_full(&error) => disk_full(path),
        heed::Error::Mdb(MdbError::Invalid | MdbError::VersionMismatch) => StoreError::Foreign {
            what: format!(
                "{dir}/data.mdb is no database of this kind of board: it was made with another word size (32 or 64 \
                 bits), by another LMDB, or it is damaged: clear the data directory and join the cluster again, or \
                 restore a snapshot"
            ),
        },
        heed::Error::EnvAlreadyOpened => StoreError::InUse { path: dir.to_string().into() },
        heed::Error::Io(error) => StoreError::Io { what: dir.to_string(), error },
        error @ heed::Error::Mdb(MdbError::PageNotFound | MdbError::Corrupted) => {
            StoreError::Corrupt { what: format!("{dir}: {error}") }
        }
        error => StoreError::Io { what: dir.to_string(), error: std::io::Error::other(error.to_string()) },
    }
}

struct Reading<'a> {
    /// It keeps the environment open by itself, so it does not borrow what it is held by.
    txn: RoTxn<'static, WithoutTls>,
    tables: Tables,
    dir: &'a Path,
    /// Let go after the transaction: fields are dropped in their order. A copy is read by who has it alone.
    _open: Option<Held<'a>>,
}

struct Writing<'a> {
    txn: RwTxn<'a>,
    tables: &'a Tables,
    dir: &'a Path,
    /// That is why the last change failed.
    map_is_full: bool,
}

impl Writing<'_> {
    fn done<T>(&mut self, done: heed::Result<T>) -> Result<(), StoreError> {
        done.map(|_| ()).map_err(|error| {
            self.map_is_full = is_map_full(&error);
            failed(self.dir, error)
        })
    }
}

/// Why a transaction was given up.
struct Failed {
    error: StoreError,
    /// With a larger map it would have a chance.
    map_is_full: bool,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        Failed { error, map_is_full: false }
    }
}

/// What both kinds of transaction can read with.
trait Parts {
    fn parts(&self) -> (&RoTxn<'_>, &Tables, &Path);
}

impl Parts for Reading<'_> {
    fn parts(&self) -> (&RoTxn<'_>, &Tables, &Path) {
        (self.txn.deref(), &self.tables, self.dir)
    }
}

impl Parts for Writing<'_> {
    fn parts(&self) -> (&RoTxn<'_>, &Tables, &Path) {
        (self.txn.deref(), self.tables, self.dir)
    }
}

/// Both kinds of transaction read in the same way.
macro_rules! snapshot {
    ($view:ident) => {
        impl Snapshot for $view<'_> {
            fn get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
                let (txn, tables, dir) = self.parts();
                tables[table as usize].get(txn, key).map_err(|error| failed(dir, error))
            }

            fn seek(&self, table: Table, key: &[u8]) -> Result<Option<Row<'_>>, StoreError> {
                let (txn, tables, dir) = self.parts();
                let table = &tables[table as usize];
                let row = if key.is_empty() {
                    table.first(txn)
                } else {
                    table.get_greater_than_or_equal_to(txn, key)
                };
                row.map_err(|error| failed(dir, error))
            }

            fn seek_before(&self, table: Table, key: &[u8]) -> Result<Option<Row<'_>>, StoreError> {
                let (txn, tables, dir) = self.parts();
                tables[table as usize].get_lower_than(txn, key).map_err(|error| failed(dir, error))
            }

            fn branch_pages(&self, table: Table) -> Result<u64, StoreError> {
                let (txn, tables, dir) = self.parts();
                let stat = tables[table as usize].stat(txn).map_err(|error| failed(dir, error))?;
                Ok(stat.branch_pages as u64)
            }

            fn scan(&self, table: Table, key: &[u8]) -> Result<Rows<'_>, StoreError> {
                let (txn, tables, dir) = self.parts();
                // LMDB knows no empty key.
                let from = if key.is_empty() { Bound::Unbounded } else { Bound::Included(key) };
                let bounds = (from, Bound::Unbounded);
                let rows = tables[table as usize].range(txn, &bounds).map_err(|error| failed(dir, error))?;
                Ok(Box::new(rows.map(move |row| row.map_err(|error| failed(dir, error)))))
            }
        }
    };
}

snapshot!(Reading);
snapshot!(Writing);

impl Transaction for Writing<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let done = self.tables[table as usize].put(&mut self.txn, key, value);
        self.done(done)
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        let done = self.tables[table as usize].delete(&mut self.txn, key);
        self.done(done)
    }

    fn clear(&mut self, table: Table) -> Result<(), StoreError> {
        let done = self.tables[table as usize].clear(&mut self.txn);
        self.done(done)
    }
}
