//! A data directory made of a snapshot: of a member of a new cluster, as `open` would found it, that begins with what was
//! saved. All its members are made of the same snapshot, in the same way; or, with the old cluster's authority, there is
//! one, and the others join it.

use std::{io, path::Path};

use super::{
    Options,
    core::autopilot::now_s,
    directory::{self, DataDir, Identity, draw},
    open::{founder, founding, of_authority},
    options::Start,
};
use crate::{
    peer::AuthorityCopy,
    snapshot::{self, RestoreOptions, Restored, SnapshotError},
    types::{ClusterId, NodeId},
};

/// How a snapshot is taken over.
#[derive(Clone, Copy, Default)]
pub struct Restoring<'a> {
    /// The newest revision becomes so much higher, so that none is given twice that clients saw after the snapshot.
    pub bump_revision: u64,
    /// The newest revision counts as compacted: who watches is told to begin anew.
    pub mark_compacted: bool,
    pub skip_hash_check: bool,
    /// Of the cluster that the snapshot is of: what it has signed goes on to count.
    pub authority: Option<&'a AuthorityCopy>,
}

/// Makes the data directory of `options`, which must not exist or be empty.
///
/// Errors: the snapshot is broken, or there is no room. Nothing is left behind then.
pub fn restore(snapshot: &Path, options: &Options, how: Restoring<'_>) -> Result<Restored, SnapshotError> {
    if how.authority.is_some() && !matches!(options.start, Start::Alone) {
        return Err(SnapshotError::NoStore {
            path: options.data_dir.clone(),
            what: "with the authority one board begins alone, and the others join it by a URL: leave --initial-cluster out",
        });
    }
    let (identity, (membership, members)) = match how.authority {
        None => (founder(options), founding(options)),
        // Those of the old cluster must not take it for theirs: what would be made of the settings may be the same.
        Some(authority) => {
            let (cluster, member) = (ClusterId(draw()), NodeId(draw()));
            let name = options.name.clone();
            let identity =
                Identity { cluster, member, name, incarnation: draw(), becomes: None, founded_s: now_s() };
            (identity, of_authority(options, member, authority.cluster()))
        }
    };
    let restore = RestoreOptions {
        cluster: identity.cluster,
        membership,
        members,
        member: identity.member,
        bump_revision: how.bump_revision,
        mark_compacted: how.mark_compacted,
        skip_hash_check: how.skip_hash_check,
        only_of: how.authority.map(AuthorityCopy::cluster),
        lmdb: options.lmdb.clone(),
        wal_segment_bytes: options.wal_segment_bytes,
    };
    snapshot::restore(snapshot, &options.data_dir, &restore, fastrand::Rng::new(), |dir| {
        let begun = DataDir::open(dir).and_then(|made| made.identity(|| identity));
        begun.map(drop).map_err(|error| io::Error::other(error.to_string()))?;
        let authority = how.authority.map_or(Ok(()), |authority| authority.found(&directory::tls(dir)));
        authority.map_err(io::Error::other)
    })
}
