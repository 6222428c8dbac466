//! Removal: takes compacted versions out of the database, in slices that ride on flushes.
//!
//! Compaction at C takes effect for readers at once; what it makes unreachable goes away behind them. Removal walks
//! `revs` upwards to C. At each record x it deletes the older versions of x's key, for nobody can read them any more,
//! and x itself if it is a tombstone. Two things stay although C would allow it: what is of revision C itself (a
//! history from C on shows all of C) and so a tombstone made exactly at C. The next compaction's walk starts with C
//! again, and finds them.
//!
//! - Nothing is removed before all up to the target is in the database and the compaction itself is.
//! - The walk passes no pin: neither a revision that somebody reads at, nor the cursor of a transfer. For were a
//!   tombstone removed between two slices of a transfer, its receiver would keep the put that it had got before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{StoreError, Table, Transaction, format};
use crate::types::{Bug, Bugs, KeyRev, Revision};

/// The records that one slice walks over at most, so that a long walk over what stays does not hold up a flush.
const RECORDS_PER_SLICE: u32 = 4096;

/// Deleting one version makes about so many pages dirty: its leaf in `revs`, its leaf in `keys`, what is above.
const PAGES_PER_DELETE: u32 = 3;

/// How far removal has come. Kept in `meta`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// All is done for the records below. (Of records at or above it, none that is a tombstone was removed here.)
    pub(super) done: KeyRev,
    /// Tombstones below may be missing. Above `done` only if they were removed at a board that this one got its
    /// content from.
    pub(super) reach: KeyRev,
    /// Where the walk goes on.
    walk: KeyRev,
    /// The revision that the walk is for.
    target: Revision,
}

impl Progress {
    /// Of a board whose content came from elsewhere.
    pub(super) fn received(done: KeyRev, reach: KeyRev) -> Progress {
        Progress { done, reach, walk: done, target: done.main }
    }

    fn is_finished(&self) -> bool {
        self.walk > KeyRev::end_of(self.target)
    }

    fn advance(&mut self, walk: KeyRev) {
        self.walk = walk;
        self.done = self.done.max(walk.min(KeyRev { main: self.target, sub: 0 }));
        self.reach = self.reach.max(self.done);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinId(u64);

/// Names a transfer for as long as it lives. Chosen by who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransferId(pub u64);

/// What removal must not take away.
#[derive(Debug, Default)]
pub(super) struct Pins {
    last: u64,
    revisions: BTreeMap<PinId, Revision>,
    transfers: BTreeMap<TransferId, KeyRev>,
}

impl Pins {
    pub(super) fn pin(&mut self, revision: Revision) -> PinId {
        self.last += 1;
        self.revisions.insert(PinId(self.last), revision);
        PinId(self.last)
    }

    pub(super) fn unpin(&mut self, id: PinId) {
        self.revisions.remove(&id);
    }

    pub(super) fn set_transfer(&mut self, id: TransferId, cursor: KeyRev) {
        self.transfers.insert(id, cursor);
    }

    pub(super) fn move_transfer(&mut self, id: TransferId, cursor: KeyRev) {
        let pinned = self.transfers.get_mut(&id);
        let pinned = pinned.unwrap_or_else(|| panic!("{id:?} moves to {cursor} without having been pinned"));
        *pinned = cursor.max(*pinned);
    }

    pub(super) fn unpin_transfer(&mut self, id: TransferId) {
        self.transfers.remove(&id);
    }
}

/// One slice of removal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    from: Progress,
    /// The walk stops before this record.
    until: KeyRev,
    deletes_max: u32,
}

impl Plan {
    /// What can be removed now, if anything. `compacted` is what the database knows of.
    pub(super) fn make(
        progress: &Progress,
        compacted: Revision,
        pins: &Pins,
        pages_max: u32,
        bugs: Bugs,
    ) -> Option<Plan> {
        let mut from = *progress;
        let target = pins.revisions.values().copied().fold(compacted, Ord::min);
        if target > from.target {
            from.target = target;
            from.walk = from.done;
        }
        let mut until = KeyRev::end_of(from.target).next();
        if !bugs.has(Bug::CompactPastTransfer) {
            until = pins.transfers.values().map(|cursor| cursor.next()).fold(until, Ord::min);
        }
        let deletes_max = (pages_max / PAGES_PER_DELETE).max(1);
        (from.target.0 > 0 && !from.is_finished() && from.walk < until).then_some(Plan {
            from,
            until,
            deletes_max,
        })
    }

    pub(super) fn target(&self) -> Revision {
        self.from.target
    }

    /// Removes; gives the progress to be kept in the same transaction.
    pub(super) fn run(&self, txn: &mut dyn Transaction) -> Result<Progress, StoreError> {
        let mut progress = self.from;
        let mut deletes = 0;
        for _ in 0..RECORDS_PER_SLICE {
            let Some(record) = next_record(txn, progress.walk)?.filter(|record| record.rev < self.until)
            else {
                progress.advance(self.until);
                return Ok(progress);
            };
            let room = self.deletes_max - deletes;
            let (doomed, all) = self.doomed(txn, &record, room as usize)?;
            deletes += doomed.len() as u32;
            for rev in doomed {
                txn.delete(Table::Keys, &format::with_rev(record.prefix.clone(), rev))?;
                txn.delete(Table::Revs, &format::rev_key(rev))?;
            }
            if !all {
                return Ok(progress);
            }
            progress.advance(record.rev.next());
        }
        Ok(progress)
    }

    /// Versions that can go because of one record, no more than `max`; and whether that is all of them. A tombstone goes
    /// with the last of what it hides, and never before the walk has passed it (`Progress::reach`).
    fn doomed(
        &self,
        txn: &dyn Transaction,
        record: &Walked,
        max: usize,
    ) -> Result<(Vec<KeyRev>, bool), StoreError> {
        let target = self.from.target;
        let mut doomed = Vec::new();
        for row in txn.scan(Table::Keys, &format::with_rev(record.prefix.clone(), record.rev))? {
            let (prefix, rev) = format::split_version_key(row?.0)?;
            if prefix != record.prefix {
                break;
            }
            let older = rev < record.rev;
            if rev.main < target && (older || record.tombstone) {
                doomed.push(rev);
            }
            if doomed.len() > max {
                // Of these the oldest are left for the next slice, and the record itself.
                doomed.retain(|rev| *rev < record.rev);
                doomed.truncate(max);
                return Ok((doomed, false));
            }
        }
        Ok((doomed, true))
    }
}

/// A record that the walk has come to.
struct Walked {
    rev: KeyRev,
    prefix: Vec<u8>,
    tombstone: bool,
}

fn next_record(txn: &dyn Transaction, from: KeyRev) -> Result<Option<Walked>, StoreError> {
    let Some((row, bytes)) = txn.seek(Table::Revs, &format::rev_key(from))? else { return Ok(None) };
    let rev = format::decode_rev(row)?;
    let record = format::decode_record(rev, bytes)?;
    Ok(Some(Walked { rev, prefix: format::key_prefix(record.key), tombstone: record.tombstone }))
}
