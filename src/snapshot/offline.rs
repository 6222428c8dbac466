//! Saves a snapshot without a server: from the data directory of a board that is not running, or does not start any more.
//!
//! Nothing is changed there, but for files that locks are held on. What the log has beyond the database is applied in
//! memory: as much as may be pending, at most. A command that changes more than that has been applied in parts, which
//! are in the database; one that was not done yet, and so was never answered, is left out.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{SnapshotCursor, SnapshotError, Summary, next_piece, verify};
use crate::{
    store::{Applying, Lmdb, LmdbOptions, Options, Store, StoreError},
    types::{Entry, Membership, NodeId, Payload},
    wal::{self, Directory, Known},
};

/// More than may be pending on any board.
const PENDING_BYTES_MAX: u64 = 64 << 20;

const PIECE_BYTES: usize = 64 << 10;

/// A snapshot's file in the making: it has its name only when it is whole and on the disk.
pub struct NewFile {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    sha: Sha256,
    done: bool,
}

impl NewFile {
    /// Errors: there is such a file already, or none can be written.
    pub fn create(path: &Path) -> Result<NewFile, SnapshotError> {
        if path.exists() {
            return Err(SnapshotError::Exists { path: path.to_path_buf() });
        }
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".partial");
        let partial = path.with_file_name(name);
        // Values can be secrets.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial);
        let file = file.map_err(|error| SnapshotError::io(&partial, "cannot be written", error))?;
        Ok(NewFile { path: path.to_path_buf(), partial, file, sha: Sha256::new(), done: false })
    }

    pub fn append(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.sha.update(bytes);
        self.file
            .write_all(bytes)
            .map_err(|error| SnapshotError::io(&self.partial, "cannot be written", error))
    }

    /// Of what was appended so far.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha.clone().finalize().into()
    }

    /// Reads it all again, and gives it its name.
    pub fn finish(mut self) -> Result<Summary, SnapshotError> {
        self.sync()?;
        let summary = verify(&self.partial, false)?;
        self.rename().map_err(|error| SnapshotError::io(&self.path, "cannot be written", error))?;
        self.done = true;
        Ok(summary)
    }

    fn sync(&self) -> Result<(), SnapshotError> {
        self.file.sync_all().map_err(|error| SnapshotError::io(&self.partial, "cannot be synced", error))
    }

    fn rename(&self) -> io::Result<()> {
        fs::rename(&self.partial, &self.path)?;
        let parent = self.path.parent().filter(|parent| *parent != Path::new(""));
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.done {
            // A part of a snapshot is of no use. If this fails, too, its name says that it is not whole.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Saves what the data directory `dir` holds to a new file.
///
/// Errors: a server has it open; it holds no store, a store that is catching up, or a damaged one.
pub fn save_offline(dir: &Path, out: &Path) -> Result<Summary, SnapshotError> {
    let store = open(dir)?;
    let mut cursor = SnapshotCursor::begin(&store)?;
    let mut file = NewFile::create(out)?;
    while let Some(piece) = next_piece(&store, &mut cursor, PIECE_BYTES)? {
        file.append(&piece)?;
    }
    let sha = file.sha256();
    file.append(&sha)?;
    file.finish()
}

fn open(dir: &Path) -> Result<Store, SnapshotError> {
    let db = dir.join("db");
    let none = |what| SnapshotError::NoStore { path: dir.to_path_buf(), what };
    if !db.join("data.mdb").exists() {
        return Err(none("there is no store here: is it a data directory?"));
    }
    let lmdb = Arc::new(Lmdb::open(&db, &LmdbOptions { headroom_bytes: 0, ..LmdbOptions::default() })?);
    let options = Options { pending_bytes_max: PENDING_BYTES_MAX, ..Options::default() };
    let mut store = Store::open(lmdb, options)?;
    if !store.is_initialised() {
        return Err(none("the store has never been one of a cluster: there is nothing to be saved"));
    }
    if store.receive_mark().is_some() {
        return Err(none("the store is catching up: save the snapshot from another member"));
    }
    replay(&mut store, &dir.join("wal"))?;
    Ok(store)
}

/// Applies what the log has beyond the database, as far as it is known to be committed.
fn replay(store: &mut Store, dir: &Path) -> Result<(), SnapshotError> {
    let disk = Directory::open_read_only(dir);
    let mut disk = disk.map_err(|error| SnapshotError::io(dir, "cannot be read", error))?;
    let applied = store.applied();
    let membership = store.membership().clone();
    let known = Known { applied: applied.index, catching_up: false, members: &membership };
    let Some((header, recovered)) = wal::peek(&mut disk, known)? else { return Ok(()) };
    if header.cluster != store.cluster() {
        return Err(SnapshotError::NoStore {
            path: dir.to_path_buf(),
            what: "the log is another cluster's than the database: two data directories have been mixed up",
        });
    }
    // A log from before the store caught up has nothing to say.
    if recovered.start != applied {
        return Ok(());
    }
    for entry in &recovered.entries {
        if !is_committed(entry, store.membership(), header.member) || !apply(store, entry)? {
            break;
        }
    }
    Ok(())
}

/// False: it is not done, and more of it is not to be had in memory. Nothing of it can be seen then.
fn apply(store: &mut Store, entry: &Entry) -> Result<bool, StoreError> {
    loop {
        match store.apply(entry)? {
            Applying::Done(_) => return Ok(true),
            Applying::Paused if store.pending_full() => return Ok(false),
            Applying::Paused => {}
        }
    }
}

/// A sole voter's log is the majority's. Where there are more, nobody knows from one log what the others have; an entry that
/// brings the second one needs that one's voice already (Raft thesis 4.1).
fn is_committed(entry: &Entry, members: &Membership, voter: NodeId) -> bool {
    let after = match &entry.payload {
        Payload::Membership { change, .. } => members.with(*change),
        Payload::Empty | Payload::Command { .. } => Some(members.clone()),
    };
    let alone = |members: &Membership| members.voters.iter().eq([&voter]);
    alone(members) && after.is_some_and(|after| alone(&after))
}
