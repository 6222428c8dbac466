//! Export: all that can be read, as of one applied entry, in slices. What snapshots are made of.
//!
//! What is written meanwhile has later revisions and is passed over; the small tables are taken at the beginning. Of what is
//! compacted nothing comes, though it may still stand here: so what comes does not depend on how far removal is, no
//! tombstone is missing of which the put is there, and equal states give equal exports on all boards.
//!
//! Pin `pinned` as long as it lasts; what is readable from there on stays.

use super::{ReadError, RevRecord, SliceLimits, Store, Table, TransferTail, format, hash::readable};
use crate::types::{KeyRev, Revision};

/// How far an export has come.
#[derive(Debug)]
pub struct ExportCursor {
    revision: Revision,
    compacted: Revision,
    next: KeyRev,
}

/// Some records, ascending.
#[derive(Debug)]
pub struct ExportSlice {
    pub records: Vec<RevRecord>,
    /// There are no more.
    pub done: bool,
}

impl ExportCursor {
    /// The revision to be pinned.
    pub fn pinned(&self) -> Revision {
        self.compacted
    }
}

impl Store {
    /// Begins one. The tail is all but the records: members, leases and what is true of the store as a whole.
    pub fn export(&self) -> Result<(TransferTail, ExportCursor), ReadError> {
        self.check_ready()?;
        let tail = self.transfer_tail()?;
        let (revision, compacted) = (tail.revision, tail.compacted);
        Ok((tail, ExportCursor { revision, compacted, next: KeyRev::default() }))
    }

    /// Goes on. There can be few records in a slice, or none, where much is compacted.
    ///
    /// Errors: `Compacted` if the cursor was not pinned, and removal took what it has yet to see; `NotReady`.
    pub fn export_slice(
        &self,
        cursor: &mut ExportCursor,
        limits: SliceLimits,
    ) -> Result<ExportSlice, ReadError> {
        self.check_removed(cursor.compacted)?;
        let snapshot = self.backend.read()?;
        let view = self.view(&*snapshot);
        let mut rows = view.scan(Table::Revs, &format::rev_key(cursor.next))?;
        let mut slice = ExportSlice { records: Vec::new(), done: false };
        let mut bytes = 0;
        for _ in 0..limits.rows.max(1) {
            let row = rows.next()?.map(|(row, bytes)| format::decode_rev(row).map(|rev| (rev, bytes)));
            let Some((rev, record)) = row.transpose()?.filter(|(rev, _)| rev.main <= cursor.revision) else {
                slice.done = true;
                break;
            };
            cursor.next = rev.next();
            if readable(&view, cursor.compacted, rev, record)? {
                let record = format::decode_record(rev, record)?;
                bytes += record.weight_bytes();
                slice.records.push(record.into());
            }
            if bytes >= limits.bytes {
                break;
            }
        }
        Ok(slice)
    }
}
