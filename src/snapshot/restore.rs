//! Makes a data directory of a snapshot.
//!
//! ```text
//!   DIR.partial/RESTORING        says that the directory is ours: a later attempt may remove it
//!              /made/..          what the caller puts there
//!                   /db, wal     the store, in synced slices; a log that begins behind it
//!   DIR                          its name, once all is synced
//! ```
//!
//! It is a new cluster: members of the old one must not mistake it for theirs. Its history goes on from the snapshot's.
//! Alarms were about the old one's boards, and are not taken over.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Block, Head, Reader, SnapshotError};
use crate::{
    store::{
        self, Lease, Lmdb, LmdbOptions, ReceiveEnd, RevRecord, Store, TransferBase, TransferSlice,
        TransferTail,
    },
    types::{
        Bugs, Bytes, ClusterId, EntryId, HardState, Index, KeyRev, LeaseId, Membership, NodeId, Revision,
    },
    wal::{self, Directory, Known, Record, Wal, WalError},
};

/// Records are kept in transactions of so much. LMDB's memory and the number of syncs are weighed against each other.
const SLICE_BYTES: u64 = 256 << 10;

/// Stands in a directory that is being made.
const MARK: &str = "RESTORING";

/// Of what, and for whom, a data directory is made.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The new cluster. All members that are restored to be one cluster get the same, and the same members.
    pub cluster: ClusterId,
    pub membership: Membership,
    /// What their operator tells of them.
    pub members: Vec<(NodeId, Bytes)>,
    /// The one whose directory this is.
    pub member: NodeId,
    /// The newest revision becomes so much higher, so that none is given twice that clients saw after the snapshot.
    pub bump_revision: u64,
    /// The newest revision counts as compacted: who watches, or reads the past, is told to begin anew.
    pub mark_compacted: bool,
    pub skip_hash_check: bool,
    /// The snapshot must be of this cluster, and whoever belongs or has belonged to it is kept out of the new one: what it has
    /// from the authority would let it in there, too.
    pub only_of: Option<ClusterId>,
    pub lmdb: LmdbOptions,
    pub wal_segment_bytes: u32,
}

/// What has been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    pub applied: EntryId,
    pub revision: Revision,
    pub records: u64,
}

/// Makes `dir`, which must not exist or be empty. `begin` is given the directory while it is empty, and puts there what else
/// belongs into it (synced, but for the directory itself).
///
/// Errors: the snapshot is broken, or this board has no room. There is no `dir` then.
pub fn restore(
    snapshot: &Path,
    dir: &Path,
    options: &RestoreOptions,
    rng: fastrand::Rng,
    begin: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<Restored, SnapshotError> {
    let mut reader = Reader::open(snapshot, options.skip_hash_check)?;
    let head = reader.head()?;
    let options = &options.without_those_of(&head, snapshot)?;
    check_free(dir)?;
    let partial = Partial::begin(dir)?;
    let made = partial.made();
    begin(&made).map_err(|error| SnapshotError::io(&made, "cannot be begun", error))?;
    let restored = fill_store(&mut reader, &head, &made.join("db"), options)?;
    let wal = wal::Options {
        segment_bytes: options.wal_segment_bytes,
        cluster: options.cluster,
        member: options.member,
        bugs: Bugs::default(),
    };
    let path = made.join("wal");
    let disk = Directory::open(&path).map_err(|error| SnapshotError::io(&path, "cannot be made", error))?;
    make_log(disk, wal, &options.membership, restored.applied, rng)?;
    partial.finish(dir)?;
    Ok(restored)
}

impl RestoreOptions {
    fn without_those_of(&self, head: &Head, path: &Path) -> Result<RestoreOptions, SnapshotError> {
        let mut options = self.clone();
        let Some(cluster) = self.only_of else { return Ok(options) };
        if head.cluster != cluster {
            return Err(SnapshotError::OtherCluster { path: path.to_path_buf(), of: head.cluster, cluster });
        }
        let old = head.membership.members().chain(head.membership.removed.iter().copied());
        let strangers: Vec<NodeId> = old.filter(|id| !self.membership.contains(*id)).collect();
        options.membership.removed.extend(strangers);
        Ok(options)
    }
}

fn check_free(dir: &Path) -> Result<(), SnapshotError> {
    let free = match fs::read_dir(dir).map(|mut files| files.next().is_none()) {
        Ok(free) => free,
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) if error.kind() == ErrorKind::NotADirectory => false,
        Err(error) => return Err(SnapshotError::io(dir, "cannot be read", error)),
    };
    if free { Ok(()) } else { Err(SnapshotError::Exists { path: dir.to_path_buf() }) }
}

/// A directory in the making. What is left of it is removed when it is dropped.
struct Partial {
    path: PathBuf,
}

impl Partial {
    fn begin(dir: &Path) -> Result<Partial, SnapshotError> {
        let mut name = dir.file_name().unwrap_or_default().to_os_string();
        name.push(".partial");
        let path = dir.with_file_name(name);
        if path.join(MARK).exists() {
            fs::remove_dir_all(&path)
                .map_err(|error| SnapshotError::io(&path, "cannot be removed", error))?;
        }
        match make_directory(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(SnapshotError::Exists { path });
            }
            Err(error) => return Err(SnapshotError::io(&path, "cannot be made", error)),
        }
        let partial = Partial { path };
        File::create_new(partial.path.join(MARK))
            .and_then(|_| make_directory(&partial.made()))
            .map_err(|error| SnapshotError::io(&partial.path, "cannot be written to", error))?;
        Ok(partial)
    }

    fn made(&self) -> PathBuf {
        self.path.join("made")
    }

    /// All that is in it is durable before it has its name, and has it durably when this returns.
    fn finish(self, dir: &Path) -> Result<(), SnapshotError> {
        let finished = self.try_finish(dir);
        finished.map_err(|error| SnapshotError::io(dir, "cannot be finished", error))
    }

    fn try_finish(&self, dir: &Path) -> io::Result<()> {
        let made = self.made();
        sync_directory(&made.join("db"))?;
        sync_directory(&made.join("wal"))?;
        sync_directory(&made)?;
        fs::rename(&made, dir)?;
        match dir.parent() {
            Some(parent) if parent != Path::new("") => sync_directory(parent),
            _ => sync_directory(Path::new(".")),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // What is left if this fails, too, has its mark, and is removed by the next attempt.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Values can be secrets.
fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn fill_store(
    reader: &mut Reader,
    head: &Head,
    db: &Path,
    options: &RestoreOptions,
) -> Result<Restored, SnapshotError> {
    let mut filling = Filling::begin(head, db, options)?;
    while let Some(block) = reader.next_block()? {
        let kept = match block {
            Block::Head(_) => unreachable!("there is one, and it was first"),
            // They were the old cluster's.
            Block::Members(_) => true,
            Block::Leases(leases) => {
                filling.leases.extend(leases);
                true
            }
            Block::Records(records) => filling.records(records)?,
        };
        if !kept {
            return Err(reader.broken("no store has such records"));
        }
    }
    filling.end(head, options)?.ok_or_else(|| reader.broken("no store is like this"))
}

/// A store that is being filled: it catches up, and what it is sent comes from a file.
struct Filling {
    store: Store,
    cursor: KeyRev,
    applied: EntryId,
    /// Not yet kept.
    waiting: Vec<RevRecord>,
    waiting_bytes: u64,
    leases: Vec<(LeaseId, Lease)>,
    records: u64,
}

impl Filling {
    fn begin(head: &Head, db: &Path, options: &RestoreOptions) -> Result<Filling, SnapshotError> {
        let lmdb = Arc::new(Lmdb::open(db, &options.lmdb)?);
        let mut store = Store::open(lmdb, store::Options::default())?;
        store.init(options.cluster, Membership::default())?;
        // A snapshot has nothing of what is compacted: all is removed below, and nothing from there on.
        let place = KeyRev { main: head.compacted.max(Revision(0)), sub: 0 };
        let cursor =
            store.receive_begin(TransferBase { done: place, reach: place, applied: head.applied })?;
        Ok(Filling {
            store,
            cursor,
            applied: head.applied,
            waiting: Vec::new(),
            waiting_bytes: 0,
            leases: Vec::new(),
            records: 0,
        })
    }

    /// False: no store has such records.
    fn records(&mut self, records: Vec<RevRecord>) -> Result<bool, SnapshotError> {
        for record in records {
            self.waiting_bytes += record.weight_bytes();
            self.waiting.push(record);
            if self.waiting_bytes >= SLICE_BYTES && !self.keep()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn keep(&mut self) -> Result<bool, SnapshotError> {
        let records = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let Some(last) = records.last() else { return Ok(true) };
        self.records += records.len() as u64;
        let (after, next) = (self.cursor, last.rev);
        let slice = TransferSlice { after, records, next, done: false, applied: self.applied };
        self.cursor = self.store.receive_slice(&slice)?;
        Ok(self.cursor == next)
    }

    /// `None`: no store is like this.
    fn end(mut self, head: &Head, options: &RestoreOptions) -> Result<Option<Restored>, SnapshotError> {
        if !self.keep()? {
            return Ok(None);
        }
        let Some(tail) = self.tail(head, options) else { return Ok(None) };
        let ended = self.store.receive_finish(&tail)?;
        let (applied, revision) = (self.store.applied(), self.store.revision());
        let restored = Restored { applied, revision, records: self.records };
        Ok((ended == ReceiveEnd::Done).then_some(restored))
    }

    fn tail(&mut self, head: &Head, options: &RestoreOptions) -> Option<TransferTail> {
        let bump = i64::try_from(options.bump_revision).ok()?;
        let revision = Revision(head.revision.0.checked_add(bump)?);
        Some(TransferTail {
            cluster: options.cluster,
            at: head.applied,
            revision,
            compacted: if options.mark_compacted { revision } else { head.compacted },
            last: self.cursor,
            state_hash: head.state_hash,
            membership: options.membership.clone(),
            members: options.members.clone(),
            alarms: Vec::new(),
            leases: std::mem::take(&mut self.leases),
        })
    }
}

/// A log that begins where a store ends, on an empty disk.
pub fn make_log(
    disk: Directory,
    options: wal::Options,
    members: &Membership,
    applied: EntryId,
    rng: fastrand::Rng,
) -> Result<(), WalError> {
    let known = Known { applied: Index(0), catching_up: false, members };
    let (mut wal, _) = Wal::open(disk, options, known, rng)?;
    let state = HardState { term: applied.term, vote: None };
    wal.write(&[Record::HardState(state), Record::LogStart(applied)], members)?;
    wal.sync()
}
