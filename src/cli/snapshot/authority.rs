//! The key of the cluster's authority, beside a snapshot.
//!
//! It is read from a data directory of this machine, by who may read that directory: with it anybody gets into the cluster, so
//! no server tells it to a client, be it over TLS or from the same board, where every user and every program can ask.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    cli::{failure::Failure, output::Output},
    config,
    member::{self, AuthorityCopy},
    snapshot,
    types::{Bytes, ClusterId, MemberRow, hex},
};

/// Where it is kept.
pub(super) fn path(snapshot: &Path) -> PathBuf {
    let mut name = OsString::from(snapshot);
    name.push(".authority");
    PathBuf::from(name)
}

/// With the key by which its member is known.
pub(super) struct Held {
    copy: AuthorityCopy,
    key: Bytes,
}

/// By the member whose directory this is; `None`: the one that `solder serve` would use.
pub(super) fn held(dir: Option<&Path>) -> Result<Held, Failure> {
    let dir = match dir {
        Some(dir) => dir.to_owned(),
        None => config::load(&config::Flags::of([])).map_err(Failure::error)?.data_dir,
    };
    let cluster = member::cluster(&dir).map_err(Failure::error)?;
    let (copy, key) = AuthorityCopy::of(&member::tls_dir(&dir), cluster).map_err(Failure::error)?;
    Ok(Held { copy, key })
}

/// Only with a snapshot of that member's own cluster: the ids of clusters that have nothing to do with each other may be the same,
/// keys are not.
pub(super) fn keep(held: Option<&Held>, snapshot: &Path) -> Result<(), Failure> {
    let Some(Held { copy, key }) = held else { return Ok(()) };
    let is_it = |row: &[u8]| MemberRow::decode(row).is_ok_and(|row| row.key == *key);
    if !snapshot::members(snapshot).map_err(Failure::error)?.iter().any(|(_, row)| is_it(row)) {
        return Err(Failure::error(
            "the authority was not saved: no member of the saved cluster has the key of that data directory: give the one of a \
             member with --with-authority=DIR",
        ));
    }
    let path = path(snapshot);
    copy.write(&path).map_err(Failure::error)?;
    Output::new().line(format_args!(
        "Authority saved at {}: whoever has that file gets into the cluster",
        path.display()
    ));
    Ok(())
}

pub(super) fn beside(snapshot: &Path) -> Result<AuthorityCopy, Failure> {
    AuthorityCopy::read(&path(snapshot)).map_err(Failure::error)
}

/// Beside what etcd tells of a snapshot.
pub(super) fn tell(snapshot: &Path, cluster: ClusterId) {
    let path = path(snapshot);
    if !path.exists() {
        return;
    }
    match AuthorityCopy::read(&path) {
        Ok(copy) if copy.cluster() == cluster => {
            eprintln!("{} has the authority of its cluster: SHA-256 {}", path.display(), hex(copy.pin()));
        }
        Ok(copy) => {
            eprintln!("{} has the authority of another cluster, {}", path.display(), copy.cluster())
        }
        Err(wrong) => eprintln!("{wrong}"),
    }
}
