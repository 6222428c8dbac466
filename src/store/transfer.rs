//! The sender's side of catching up: another board gets what this one holds.
//!
//! ```text
//!   sender                                        receiver
//!   pin_transfer -> base          ------------->  receive_begin(base) -> cursor
//!   move_transfer(cursor)         <-------------
//!   transfer_slice(cursor)        ------------->  receive_slice: one synced transaction with the new cursor
//!   move_transfer(new cursor)     <-------------
//!     .. until a slice is `done`
//!   transfer_tail                 ------------->  receive_finish
//! ```
//!
//! Slices hold the records of `revs` that are there, upwards from the cursor. A full transfer starts at the beginning, an
//! incremental one where the receiver stands; nothing else is different.
//!
//! What must hold: no tombstone behind the cursor is removed here, for it hides puts that the receiver has. So removal
//! does not pass the cursor of a living transfer, and the receiver starts anew if removal had passed it before.

use serde::{Deserialize, Serialize};

use super::{Job, Lease, RevRecord, Store, StoreError, Table, format, removal::TransferId};
use crate::types::{
    AlarmKind, Bytes, ClusterId, EntryId, KeyRev, LeaseId, Membership, NodeId, Revision, limits,
};

/// How far removal has come at a sender, as the receiver must know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferBase {
    /// Below, all that can be removed is.
    pub done: KeyRev,
    /// At it and above, no tombstone has been removed.
    pub reach: KeyRev,
    /// The sender has applied this: it is committed.
    pub applied: EntryId,
}

/// Some records, ascending: all that are there behind `after` and up to `next`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferSlice {
    /// The cursor that was asked for.
    pub after: KeyRev,
    pub records: Vec<RevRecord>,
    /// The cursor once the records are kept.
    pub next: KeyRev,
    /// There was nothing behind `next` when the slice was read: if no entry was applied since, the tail may follow.
    pub done: bool,
    /// The sender has applied this: it is committed.
    pub applied: EntryId,
}

/// All but the history, as of one applied entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferTail {
    pub cluster: ClusterId,
    pub at: EntryId,
    pub revision: Revision,
    pub compacted: Revision,
    /// The last record there is. Who has not got as far has missed a slice.
    pub last: KeyRev,
    pub state_hash: u32,
    pub membership: Membership,
    pub members: Vec<(NodeId, Bytes)>,
    pub alarms: Vec<(NodeId, AlarmKind)>,
    pub leases: Vec<(LeaseId, Lease)>,
}

// What comes from a peer has a checksum and a sender who is known, but nothing says that it makes sense. What is kept here
// is compared with other members' from then on, so what makes none is not kept.

/// No cluster gets there: a million a second take it 70 000 years.
const REVISION_MAX: i64 = 1 << 61;

impl TransferSlice {
    /// Could a store have sent it?
    pub(super) fn is_sound(&self) -> bool {
        let mut before = self.after;
        let ascending = self.records.iter().all(|record| {
            let follows = record.rev > before && (0..=REVISION_MAX).contains(&record.rev.main.0);
            before = record.rev;
            follows && (1..=limits::KEY_BYTES_MAX).contains(&record.key.len())
        });
        ascending && self.next == before
    }
}

impl TransferTail {
    /// Could a store have sent it?
    pub(super) fn is_sound(&self) -> bool {
        let revisions = (1..=REVISION_MAX).contains(&self.revision.0)
            && (-1..=self.revision.0).contains(&self.compacted.0)
            && self.last.main <= self.revision;
        let leases = self.leases.len() <= limits::LEASES_MAX && self.leases.is_sorted_by(|a, b| a.0 < b.0);
        revisions && leases && self.at.index.0 <= REVISION_MAX as u64
    }
}

impl Store {
    /// Begins a transfer: until it is moved, removal stands still. Tell the receiver the base. `None`: removal is at work
    /// at this moment; ask again when that flush has ended.
    pub fn pin_transfer(&mut self, id: TransferId) -> Option<TransferBase> {
        if self.job == Some(Job::Flush { removes: true }) {
            return None;
        }
        self.pins.set_transfer(id, KeyRev::default());
        Some(self.transfer_base())
    }

    pub(super) fn transfer_base(&self) -> TransferBase {
        TransferBase { done: self.progress.done, reach: self.progress.reach, applied: self.applied() }
    }

    /// The receiver keeps all up to `cursor`: removal may come as far. It never goes back.
    pub fn move_transfer(&mut self, id: TransferId, cursor: KeyRev) {
        self.pins.move_transfer(id, cursor);
    }

    /// The transfer has ended, or was given up: it cannot be continued after this.
    pub fn unpin_transfer(&mut self, id: TransferId) {
        self.pins.unpin_transfer(id);
    }

    /// The records behind `after`: at least one if there is one, more as long as they fit.
    pub fn transfer_slice(&self, after: KeyRev, bytes_max: u64) -> Result<TransferSlice, StoreError> {
        let snapshot = self.backend.read()?;
        let mut rows = self.view(&*snapshot).scan(Table::Revs, &format::rev_key(after.next()))?;
        let applied = self.applied();
        let mut slice = TransferSlice { after, records: Vec::new(), next: after, done: false, applied };
        let mut bytes = 0;
        while let Some((row, record)) = rows.next()? {
            let rev = format::decode_rev(row)?;
            // What is unfinished is nobody's yet: sender and tail are as before it.
            if rev.main > self.revision() {
                break;
            }
            let record = format::decode_record(rev, record)?;
            bytes += record.weight_bytes();
            if bytes > bytes_max && !slice.records.is_empty() {
                return Ok(slice);
            }
            slice.next = record.rev;
            slice.records.push(record.into());
        }
        slice.done = true;
        Ok(slice)
    }

    /// To be asked for in the same instant as the slice that was `done`, with nothing applied in between.
    pub fn transfer_tail(&self) -> Result<TransferTail, StoreError> {
        let state = self.state();
        let snapshot = self.backend.read()?;
        let last = self
            .view(&*snapshot)
            .seek_before(Table::Revs, &format::rev_key(KeyRev::end_of(state.revision)))?;
        let last = last.map_or(Ok(KeyRev::default()), |(row, _)| format::decode_rev(row))?;
        drop(snapshot);
        Ok(TransferTail {
            cluster: state.cluster,
            at: state.applied,
            revision: state.revision,
            compacted: state.compacted,
            last,
            state_hash: state.hash,
            membership: state.membership.clone(),
            members: self.members()?,
            alarms: state.alarms.iter().copied().collect(),
            leases: self.leases()?,
        })
    }
}
