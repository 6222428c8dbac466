//! `--force-new-cluster`: what a surviving board has becomes a new cluster of this board alone, for the day when the majority
//! is lost for good.
//!
//! ```text
//!   member.toml: becomes = NEW     from here on there is no way back: any start goes on
//!   all that the log has is applied, committed or not; the database takes it
//!   database: cluster NEW, this member its only voter, all others removed
//!   the log is removed, and begun anew behind the database
//!   tls/: an authority of its own, where boards go by keys and this one does not have the old one's
//!   member.toml: cluster_id = NEW
//! ```
//!
//! Each step can be done twice. Members of the old cluster are refused from then on, as those of any other.

use std::{fs, io, path::Path, sync::Arc};

use crate::{
    peer::BoardTls,
    snapshot,
    store::{Applying, Backend, Lmdb, Store},
    types::{ClusterId, Entry, EntryId, Index, Membership, NodeId, Payload},
    wal::{self, Directory},
};

use super::{
    OpenError, Options,
    directory::{DataDir, Identity, draw, io_error, sync_directory},
    open::open_log,
    roll::Roll,
};

/// Begins it, if it is asked for and there is anybody else in the cluster; or ends what was begun.
pub(super) fn refound(options: &Options, dir: &DataDir, identity: Identity) -> Result<Identity, OpenError> {
    let identity = match identity.becomes {
        None if !options.force_new_cluster => return Ok(identity),
        None => match begin(options, dir, identity.clone())? {
            Some(begun) => begun,
            None => return Ok(identity),
        },
        Some(_) => identity,
    };
    let cluster = identity.becomes.expect("it was begun");
    let (backend, mut store) = open_store(options, dir)?;
    if store.cluster() != cluster {
        let entries = read_log(options, dir, &identity, &store)?;
        apply(&mut store, &*backend, entries)?;
        store.refound(cluster, identity.member)?;
    }
    make_log(options, dir, (cluster, identity.member), &store)?;
    let goes_by_keys = found_authority(dir, &store, identity.member)?;
    log::warn!(
        "--force-new-cluster: this board is the only member of the new cluster {cluster}, at index {}, revision {}; boards of \
         the old one are to join it with empty data directories: {}",
        store.applied().index,
        store.revision(),
        if goes_by_keys {
            "with a URL of `solder invite`; URLs of before let nobody in"
        } else {
            "`solder member add`"
        }
    );
    dir.keep(Identity { cluster, becomes: None, ..identity })
}

/// `None`: this member is alone already.
fn begin(options: &Options, dir: &DataDir, identity: Identity) -> Result<Option<Identity>, OpenError> {
    let (_, store) = open_store(options, dir)?;
    let entries = read_log(options, dir, &identity, &store)?;
    if is_alone(store.membership(), &entries, identity.member) {
        log::info!("--force-new-cluster has nothing to do: this board is the only member of its cluster");
        found_authority(dir, &store, identity.member)?;
        return Ok(None);
    }
    let last = entries.last().map_or(store.applied(), |entry| entry.id);
    log::warn!(
        "--force-new-cluster: this board's data ends at term {}, index {}; {} of its entries are not in the database yet, which \
         is at revision {}; all of them are applied, the other members removed",
        last.term,
        last.index,
        entries.len(),
        store.revision()
    );
    dir.keep(Identity { becomes: Some(ClusterId(draw())), ..identity }).map(Some)
}

/// Where boards go by keys. Losing the boards that had the authority's must not end joining.
fn found_authority(dir: &DataDir, store: &Store, me: NodeId) -> Result<bool, OpenError> {
    let roll = Roll::new(&store.members()?);
    if roll.row(me).is_none_or(|row| row.key.is_empty()) {
        return Ok(false);
    }
    let Some(mut tls) = BoardTls::open(&dir.tls()).map_err(OpenError::Keys)? else { return Ok(false) };
    if !tls.has_authority_key() {
        log::warn!(
            "--force-new-cluster: this board does not have the key of the old cluster's authority: a new authority is made"
        );
    }
    tls.found_anew().map_err(OpenError::Keys)?;
    Ok(true)
}

fn is_alone(members: &Membership, entries: &[Entry], me: NodeId) -> bool {
    let changes = |entry: &Entry| matches!(entry.payload, Payload::Membership { .. });
    members.members().eq([me]) && !entries.iter().any(changes)
}

fn open_store(options: &Options, dir: &DataDir) -> Result<(Arc<Lmdb>, Store), OpenError> {
    let none = |what| OpenError::NoStore { path: dir.path().to_path_buf(), what };
    let backend = Arc::new(Lmdb::open(&dir.db(), &options.lmdb)?);
    let store = Store::open(backend.clone(), options.store)?;
    if !store.is_initialised() || store.membership().is_blank() {
        return Err(none(
            "this board has never been told of its cluster: --force-new-cluster needs one that has served",
        ));
    }
    if store.receive_mark().is_some() {
        return Err(none(
            "the store was catching up and is not whole: use --force-new-cluster on another board",
        ));
    }
    Ok((backend, store))
}

fn open_disk(path: &Path) -> Result<Directory, OpenError> {
    Directory::open(path).map_err(|error| io_error(path, "cannot be opened", &error))
}

/// What it has beyond the store.
fn read_log(
    options: &Options,
    dir: &DataDir,
    identity: &Identity,
    store: &Store,
) -> Result<Vec<Entry>, OpenError> {
    let disk = open_disk(&dir.wal())?;
    let (_, boot) = open_log(options, identity, store, disk, &mut fastrand::Rng::new())?;
    Ok(boot.restored.entries)
}

fn apply(store: &mut Store, backend: &dyn Backend, entries: Vec<Entry>) -> Result<(), OpenError> {
    for entry in entries {
        while let Applying::Paused = store.apply(&entry)? {
            flush(store, backend)?;
        }
        if store.pending_full() {
            flush(store, backend)?;
        }
    }
    while store.has_pending() {
        flush(store, backend)?;
    }
    Ok(())
}

fn flush(store: &mut Store, backend: &dyn Backend) -> Result<(), OpenError> {
    if let Some(job) = store.start_flush(Index(u64::MAX)) {
        let flushed = job.run(backend);
        store.finish_flush(flushed)?;
    }
    Ok(())
}

fn make_log(
    options: &Options,
    dir: &DataDir,
    (cluster, member): (ClusterId, NodeId),
    store: &Store,
) -> Result<(), OpenError> {
    let path = dir.wal();
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error(&path, "cannot be removed", &error));
        }
        _ => sync_directory(dir.path()).map_err(|error| io_error(dir.path(), "cannot be synced", &error))?,
    }
    let wal = wal::Options { segment_bytes: options.wal_segment_bytes, cluster, member, bugs: options.bugs };
    let applied: EntryId = store.applied();
    let made = snapshot::make_log(open_disk(&path)?, wal, store.membership(), applied, fastrand::Rng::new());
    Ok(made?)
}
