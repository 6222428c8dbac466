//! The database of a board: the twin in memory, or LMDB on a RAM disk; and what goes wrong with it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use solder::store::{Backend, Inspect, Lmdb, LmdbOptions, Snapshot, StoreError, Twin, Usage, Work};
use tempfile::TempDir;

/// What survives of a board's store when its power goes.
pub(super) struct Database {
    medium: Medium,
    full: Arc<AtomicBool>,
}

enum Medium {
    Twin(Twin),
    Lmdb(TempDir),
}

impl Database {
    pub(super) fn new(lmdb: bool) -> Database {
        let medium = if lmdb { Medium::Lmdb(on_ram_disk()) } else { Medium::Twin(Twin::new()) };
        Database { medium, full: Arc::default() }
    }

    /// From now on no transaction finds room.
    pub(super) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Opens what the last life left. An LMDB of that life must have been dropped.
    pub(super) fn open(&self) -> Result<Arc<dyn Backend>, StoreError> {
        let full = self.full.clone();
        Ok(match &self.medium {
            Medium::Twin(twin) => Arc::new(Faulty { inner: twin.clone(), full }),
            Medium::Lmdb(directory) => {
                let options = LmdbOptions { map_bytes: 64 << 20, ..LmdbOptions::default() };
                Arc::new(Faulty { inner: Lmdb::open(directory.path(), &options)?, full })
            }
        })
    }
}

fn on_ram_disk() -> TempDir {
    let ram = Path::new("/dev/shm");
    let directory = if ram.is_dir() { TempDir::new_in(ram) } else { TempDir::new() };
    directory.expect("a temporary directory can be made")
}

/// A database whose transactions are done and then not committed.
struct Faulty<B> {
    inner: B,
    full: Arc<AtomicBool>,
}

fn full() -> StoreError {
    StoreError::Full { what: "the simulated disk".into() }
}

impl<B: Backend> Backend for Faulty<B> {
    fn read(&self) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        self.inner.read()
    }

    fn write(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let full = self.full.load(Ordering::Relaxed);
        self.inner.write(&mut |transaction| {
            work(transaction)?;
            if full { Err(self::full()) } else { Ok(()) }
        })
    }

    fn secure(&self) -> Result<(), StoreError> {
        match self.full.load(Ordering::Relaxed) {
            true => Err(full()),
            false => self.inner.secure(),
        }
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        self.inner.usage()
    }

    fn make_copy(&self) -> Result<(), StoreError> {
        match self.full.load(Ordering::Relaxed) {
            true => Err(full()),
            false => self.inner.make_copy(),
        }
    }

    fn adopt_copy(&self, check: &mut Inspect<'_>) -> Result<(), StoreError> {
        self.inner.adopt_copy(check)
    }
}
