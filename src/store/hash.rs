//! The hash of all that is readable up to a revision. The same on every board with the same compacted revision, whatever
//! its page size, and however far removal has come there: what is compacted is passed over though it may still stand.

use crc32fast::Hasher;

use super::{ReadError, SliceLimits, Store, StoreError, Table, format, view::View};
use crate::types::{Error, KeyRev, Revision};

/// How far a hash has come.
pub struct HashCursor {
    revision: Revision,
    compacted: Revision,
    next: KeyRev,
    hasher: Hasher,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashAt {
    pub hash: u32,
    /// All up to here counts.
    pub revision: Revision,
    /// What had been compacted when the hash was begun. Hashes with different ones cannot be compared.
    pub compact_revision: Revision,
}

impl HashCursor {
    /// The revision to be pinned as long as the hash is taken.
    pub fn pinned(&self) -> Revision {
        self.compacted
    }
}

impl Store {
    /// Begins a hash of all up to a revision; 0 is the newest.
    pub fn hash_at(&self, revision: Revision) -> Result<HashCursor, Error> {
        self.check_ready()?;
        let compacted = self.compacted();
        let revision = if revision.0 > 0 { revision } else { self.revision() };
        if revision > self.revision() {
            return Err(Error::FutureRevision);
        }
        if revision < compacted {
            return Err(Error::Compacted(compacted));
        }
        Ok(HashCursor { revision, compacted, next: KeyRev::default(), hasher: Hasher::new() })
    }

    /// Goes on. `None`: there is more to be looked at.
    ///
    /// Errors: `Compacted` if the cursor was not pinned, and removal took what it has yet to see.
    pub fn hash(&self, cursor: &mut HashCursor, limits: SliceLimits) -> Result<Option<HashAt>, ReadError> {
        self.check_removed(cursor.compacted)?;
        let snapshot = self.backend.read()?;
        let view = self.view(&*snapshot);
        let mut rows = view.scan(Table::Revs, &format::rev_key(cursor.next))?;
        for _ in 0..limits.rows.max(1) {
            let Some((row, bytes)) = rows.next()? else { return Ok(Some(cursor.end())) };
            let rev = format::decode_rev(row)?;
            if rev.main > cursor.revision {
                return Ok(Some(cursor.end()));
            }
            cursor.next = rev.next();
            if readable(&view, cursor.compacted, rev, bytes)? {
                cursor.hasher.update(row);
                cursor.hasher.update(bytes);
            }
        }
        Ok(None)
    }
}

impl HashCursor {
    fn end(&self) -> HashAt {
        let hash = self.hasher.clone().finalize();
        HashAt { hash, revision: self.revision, compact_revision: self.compacted }
    }
}

/// Can anybody who reads at the compacted revision or later come upon this record?
pub(super) fn readable(
    view: &View<'_>,
    compacted: Revision,
    rev: KeyRev,
    bytes: &[u8],
) -> Result<bool, StoreError> {
    let record = format::decode_record(rev, bytes)?;
    if rev.main >= compacted {
        return Ok(true);
    }
    let newest = view.newest_at(record.key, KeyRev::end_of(compacted))?;
    Ok(!record.tombstone && newest.is_some_and(|newest| newest.rev == rev))
}
