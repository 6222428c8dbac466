//! A data directory made of a snapshot: of a member of a new cluster, as `open` would found it, that begins with what was
//! saved. All its members are made of the same snapshot, in the same way.

use std::{io, path::Path};

use super::{
    Options,
    directory::DataDir,
    open::{founder, founding},
};
use crate::snapshot::{self, RestoreOptions, Restored, SnapshotError};

/// How a snapshot is taken over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restoring {
    /// The newest revision becomes so much higher, so that none is given twice that clients saw after the snapshot.
    pub bump_revision: u64,
    /// The newest revision counts as compacted: who watches is told to begin anew.
    pub mark_compacted: bool,
    pub skip_hash_check: bool,
}

/// Makes the data directory of `options`, which must not exist or be empty.
///
/// Errors: the snapshot is broken, or there is no room. Nothing is left behind then.
pub fn restore(snapshot: &Path, options: &Options, how: Restoring) -> Result<Restored, SnapshotError> {
    let identity = founder(options);
    let (membership, members) = founding(options);
    let restore = RestoreOptions {
        cluster: identity.cluster,
        membership,
        members,
        member: identity.member,
        bump_revision: how.bump_revision,
        mark_compacted: how.mark_compacted,
        skip_hash_check: how.skip_hash_check,
        lmdb: options.lmdb.clone(),
        wal_segment_bytes: options.wal_segment_bytes,
    };
    snapshot::restore(snapshot, &options.data_dir, &restore, fastrand::Rng::new(), |dir| {
        let begun = DataDir::open(dir).and_then(|made| made.identity(|| identity));
        begun.map(drop).map_err(|error| io::Error::other(error.to_string()))
    })
}
