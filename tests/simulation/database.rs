//! The database of a board: the twin in memory, or LMDB on a RAM disk.

use std::{path::Path, sync::Arc};

use solder::store::{Backend, Lmdb, LmdbOptions, Twin};
use tempfile::TempDir;

/// What survives of a board's store when its power goes.
pub enum Database {
    Twin(Twin),
    Lmdb(TempDir),
}

impl Database {
    pub fn new(lmdb: bool) -> Database {
        match lmdb {
            false => Database::Twin(Twin::new()),
            true => Database::Lmdb(on_ram_disk()),
        }
    }

    /// Opens what the last life left. An LMDB of that life must have been dropped.
    pub fn open(&self) -> Arc<dyn Backend> {
        match self {
            Database::Twin(twin) => Arc::new(twin.clone()),
            Database::Lmdb(directory) => {
                let options = LmdbOptions { map_bytes: 64 << 20, ..LmdbOptions::default() };
                Arc::new(Lmdb::open(directory.path(), options).expect("a database that was closed opens again"))
            }
        }
    }
}

fn on_ram_disk() -> TempDir {
    let ram = Path::new("/dev/shm");
    let directory = if ram.is_dir() { TempDir::new_in(ram) } else { TempDir::new() };
    directory.expect("a temporary directory can be made")
}
