//! Defragmenting: a copy of the pages in use takes the place of the file.
//!
//! ```text
//!   make    data.mdb --pages in use--> data.mdb.copy, synced        the database is read meanwhile, not written
//!   adopt   close; look into the copy; rename; sync the directory; open
//! ```
//!
//! A crash before the rename leaves the old file, and a copy that the next start removes; one after it leaves the new file.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use heed::{CompactionOption, EnvFlags};
use rustix::fs::OFlags;

use super::{Backend as _, Inspect, Lmdb, Open, Reading, StoreError, Usage, data_path, failed, io_error};

fn copy_path(dir: &Path) -> PathBuf {
    dir.join("data.mdb.copy")
}

/// Removes what was left of a copy.
pub(super) fn remove(dir: &Path) -> Result<(), StoreError> {
    let path = copy_path(dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error(&path, "cannot be removed", error))
        }
        _ => Ok(()),
    }
}

pub(super) fn make(lmdb: &Lmdb) -> Result<(), StoreError> {
    let Usage { used_bytes, page_bytes, .. } = lmdb.usage()?;
    let needed_bytes = used_bytes + 2 * u64::from(page_bytes);
    let free_bytes = lmdb.free_bytes(&lmdb.held())?;
    if free_bytes < needed_bytes {
        let dir = lmdb.dir.display();
        return Err(StoreError::Full {
            what: format!(
                "defragmenting {dir} needs {needed_bytes} bytes of free disk, {free_bytes} are free: free some space"
            ),
        });
    }
    write(lmdb)
}

fn write(lmdb: &Lmdb) -> Result<(), StoreError> {
    let path = copy_path(&lmdb.dir);
    // Each piece that LMDB writes (1 MiB) is synced before the next one: a sync of the log never waits for more than that.
    let sync = OFlags::DSYNC.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(sync).mode(0o600);
    let file = options.open(&path);
    let mut file = file.map_err(|error| io_error(&path, "cannot be made", error))?;
    let copied = lmdb.held().env.copy_to_file(&mut file, CompactionOption::Enabled);
    let done = copied
        .map_err(|error| failed(&lmdb.dir, error))
        .and_then(|()| file.sync_all().map_err(|error| io_error(&path, "cannot be synced", error)));
    // The room is needed for other things than half a copy.
    done.or_else(|error| remove(&lmdb.dir).and(Err(error)))
}

pub(super) fn adopt(lmdb: &Lmdb, check: &mut Inspect<'_>) -> Result<(), StoreError> {
    let mut alone = lmdb.alone();
    // First of all: on a small board there is not address space enough for both.
    *alone = None;
    let (path, data) = (copy_path(&lmdb.dir), data_path(&lmdb.dir));
    look_into(&path, check)?;
    fs::rename(&path, &data)
        .and_then(|()| File::open(&lmdb.dir)?.sync_all())
        .map_err(|error| io_error(&path, "cannot take its place", error))?;
    *alone = Some(Open::new(&lmdb.dir, &lmdb.options)?);
    Ok(())
}

fn look_into(path: &Path, check: &mut Inspect<'_>) -> Result<(), StoreError> {
    let bytes = fs::metadata(path).map_err(|error| io_error(path, "cannot be read", error))?.len();
    let open = Open::at(path, bytes, EnvFlags::NO_SUB_DIR | EnvFlags::NO_LOCK)?;
    let txn = open.reader().map_err(|error| failed(path, error))?;
    check(&Reading { txn, tables: open.tables, dir: path, _open: None })
}
