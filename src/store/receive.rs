//! The receiver's side of catching up. `transfer` has the whole of it.
//!
//! Between `receive_begin` and `receive_finish` a mark stands in the database: this store is between two states, serves
//! nothing and applies nothing. Every step is one synced transaction together with the mark, so that a crash anywhere
//! leaves a store that can go on from its cursor, with this sender or another.
//!
//! When may content be kept and added to? Let c be the cursor: all up to c is here. A tombstone that the sender has
//! removed is missing from what it sends. If it stood at or before c, that is the receiver's affair: its own records up to c
//! are whole. If it stood behind c, a put before c that it hid would come back to life, unless the content up to c comes
//! from boards where everything up to that tombstone had been removed, puts included. Hence: the sender's `reach` must
//! not lie behind c, or not behind the least `done` of those who sent what is here.

use serde::{Deserialize, Serialize};

use super::{
    RevRecord, Store, StoreError, Table, Transaction, TransferBase, TransferSlice, TransferTail,
    format::{self, Version},
    removal::Progress,
    state::{self, AsOf, State},
    view::Found,
};
use crate::types::{EntryId, KeyRev, LeaseId};

/// Stands in the database while the store catches up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveMark {
    /// All up to here is kept.
    pub cursor: KeyRev,
    /// The least `done` and the farthest `reach` of this store's own content and of all that was sent.
    pub base: TransferBase,
    /// The furthest entry that this store or anybody who sent to it had applied. It is committed, and a leader that does
    /// not know so yet must be told: it could be waiting for this very board to acknowledge it.
    pub committed: EntryId,
}

/// How a transfer's last step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveEnd {
    /// The store is as of the tail's entry.
    Done,
    /// The sender had not applied as much as this store has content of. Ask it for a tail again later.
    SenderBehind,
    /// Records of before the tail have not come. Ask for slices from the cursor on.
    SliceMissing,
    /// No store sends such a tail. Nothing of it was taken.
    Unsound,
}

impl Store {
    /// Some: this store is catching up.
    pub fn receive_mark(&self) -> Option<ReceiveMark> {
        self.mark
    }

    /// Begins, or goes on, with a sender of this base. Gives the cursor from which it is to send: everything, if what is
    /// here cannot be added to; of an entry that is half done here, the rest of its revision. What was pending is
    /// forgotten (the log has it). No job of the flush thread may be under way.
    pub fn receive_begin(&mut self, sender: TransferBase) -> Result<KeyRev, StoreError> {
        assert_eq!(self.job, None, "a transfer began during a job");
        let before = self.mark.unwrap_or(ReceiveMark {
            cursor: self.flushed_as_of().last_change(),
            base: TransferBase { applied: self.flushed(), ..self.transfer_base() },
            committed: self.flushed_as_of().last(),
        });
        let committed = further(before.committed, sender.applied);
        let whole = sender.reach <= before.cursor.next();
        let resumes = self.mark.is_some() && sender.reach <= before.base.done;
        let mark = if whole || resumes {
            let done = before.base.done.min(sender.done);
            let reach = before.base.reach.max(sender.reach);
            ReceiveMark { base: TransferBase { done, reach, ..before.base }, committed, ..before }
        } else {
            ReceiveMark { cursor: KeyRev::default(), base: sender, committed }
        };
        let wipe = !(whole || resumes);
        self.backend.write(&mut |txn| {
            state::put_mark(txn, Some(&mark))?;
            if wipe {
                [Table::Keys, Table::Revs, Table::LeaseKeys]
                    .into_iter()
                    .try_for_each(|table| txn.clear(table))?;
            }
            Ok(())
        })?;
        self.load()?;
        Ok(mark.cursor)
    }

    /// Keeps a slice, and gives the cursor for the next one. What is here already is passed over, and a slice that begins
    /// behind the cursor altogether (one before it was lost) or that no store sends. Slices of a transfer that is over must
    /// not come here.
    pub fn receive_slice(&mut self, slice: &TransferSlice) -> Result<KeyRev, StoreError> {
        let before = self.mark.unwrap_or_else(|| panic!("a slice up to {} without a beginning", slice.next));
        if slice.after > before.cursor || !slice.is_sound() {
            return Ok(before.cursor);
        }
        let mut mark = before;
        self.backend.write(&mut |txn| {
            mark = ReceiveMark { committed: further(before.committed, slice.applied), ..before };
            for record in &slice.records {
                if record.rev > mark.cursor {
                    keep(txn, record)?;
                    mark.cursor = record.rev;
                }
            }
            state::put_mark(txn, Some(&mark))
        })?;
        self.mark = Some(mark);
        Ok(mark.cursor)
    }

    /// Takes the rest, and is whole again, as of the tail's entry.
    pub fn receive_finish(&mut self, tail: &TransferTail) -> Result<ReceiveEnd, StoreError> {
        let mark = self.mark.unwrap_or_else(|| panic!("a tail at {} without a beginning", tail.at));
        if !tail.is_sound() {
            return Ok(ReceiveEnd::Unsound);
        }
        if self.is_ahead_of(tail, &mark) {
            return Ok(ReceiveEnd::SenderBehind);
        }
        if mark.cursor < tail.last {
            return Ok(ReceiveEnd::SliceMissing);
        }
        let progress = Progress::received(mark.base.done, mark.base.reach);
        let as_of = AsOf { state: state_of(tail), unfinished: None };
        self.backend.write(&mut |txn| {
            replace_small_tables(txn, tail)?;
            state::put_as_of(txn, &as_of)?;
            state::put_progress(txn, &progress)?;
            state::put_mark(txn, None)
        })?;
        self.load()?;
        Ok(ReceiveEnd::Done)
    }

    /// Is there anything here that the sender has yet to apply: entries, records, or a compaction that removed some?
    fn is_ahead_of(&self, tail: &TransferTail, mark: &ReceiveMark) -> bool {
        let reach = mark.base.reach;
        // Who was never told of its cluster is told, be it by a sender that has not applied anything either.
        let is_news = tail.at.index > self.flushed().index || self.membership().is_blank();
        !is_news
            || tail.revision < mark.cursor.main
            || (reach > KeyRev::default() && tail.compacted < reach.main)
    }
}

fn further(a: EntryId, b: EntryId) -> EntryId {
    if a.index < b.index { b } else { a }
}

/// Puts a record into all tables it has a row in. Records come in order: what is here of its key is older.
fn keep(txn: &mut dyn Transaction, record: &RevRecord) -> Result<(), StoreError> {
    let RevRecord { rev, key, value, .. } = record;
    let version = Version {
        tombstone: record.tombstone,
        create: record.create,
        version: record.version,
        lease: record.lease,
    };
    let held_before = newest_lease(txn, key)?;
    if held_before != version.lease {
        if !held_before.is_none() {
            txn.delete(Table::LeaseKeys, &format::held_key(held_before, key))?;
        }
        if !version.lease.is_none() {
            txn.put(Table::LeaseKeys, &format::held_key(version.lease, key), &[])?;
        }
    }
    txn.put(Table::Keys, &format::version_key(key, *rev), &format::encode_version(&version))?;
    txn.put(Table::Revs, &format::rev_key(*rev), &format::encode_record(*rev, &version, key, value))
}

/// The lease that holds a key at present.
fn newest_lease(txn: &dyn Transaction, key: &[u8]) -> Result<LeaseId, StoreError> {
    let prefix = format::key_prefix(key);
    match txn.seek(Table::Keys, &prefix)? {
        Some((row, value)) if row.starts_with(&prefix) => {
            Ok(Found::decode(row, prefix.len(), value)?.version.lease)
        }
        _ => Ok(LeaseId::NONE),
    }
}

fn state_of(tail: &TransferTail) -> State {
    State {
        cluster: tail.cluster,
        applied: tail.at,
        revision: tail.revision,
        compacted: tail.compacted,
        hash: tail.state_hash,
        membership: tail.membership.clone(),
        alarms: tail.alarms.iter().copied().collect(),
        leases: tail.leases.len() as u32,
    }
}

fn replace_small_tables(txn: &mut dyn Transaction, tail: &TransferTail) -> Result<(), StoreError> {
    txn.clear(Table::Leases)?;
    for (id, lease) in &tail.leases {
        txn.put(Table::Leases, &format::lease_key(*id), &format::encode_plain(lease))?;
    }
    txn.clear(Table::Members)?;
    for (id, info) in &tail.members {
        txn.put(Table::Members, &format::member_key(*id), info)?;
    }
    Ok(())
}
