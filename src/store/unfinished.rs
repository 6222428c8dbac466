//! A command that is applied in parts, because it changes more than may be pending, or more than others can wait for.
//!
//! ```text
//!   apply(entry) -> Paused -> flush -> apply(the same entry) -> Paused -> .. -> Done
//!
//!   layers, database:   the state as BEFORE the command | rows of its revision so far | Unfinished
//! ```
//!
//! Until it is done, the store is as before it: nobody reads beyond the state's revision, and that moves once, at the
//! end. A restart goes on from the mark that is in the database with the rows that it speaks of.
//!
//! To go on is to execute the command from its start again, passing over what is done. That leads to the same, because
//! what it reads stays as it was: keys are read at places in history, which no compaction can reach before the command
//! is done, and leases and alarms are changed by commands that come later. What vanishes on the way, the rows of keys
//! that a lease holds, is not asked for again. And it is no more work for being done in many parts: deletes and
//! compares that are done are not repeated, but remembered.
//!
//! So the outcome and the hash of the state do not depend on where a board paused, flushed, or lost its power.

use serde::{Deserialize, Serialize};

use super::layer::Pending;
use crate::types::{Bytes, EntryId};

/// Others get their turn after so many changes: a few milliseconds.
const CHANGES_PER_PART: u32 = 1024;

/// The least that a part makes pending, as a share of what may be: one that is nearly full does not tear small commands.
const PART_SHARE: u64 = 64;

/// How far a command has come. Kept in `meta`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unfinished {
    /// The command's.
    pub(super) entry: EntryId,
    /// Changes of keys made so far.
    pub(super) changes: u32,
    /// The running checksum, these changes included.
    pub(super) hash: u32,
    /// Whether the compares held: of the transaction and those nested in it, in the order in which they were decided.
    paths: Vec<bool>,
    /// Keys deleted by each of the deletes that are done.
    deletes: Vec<u32>,
    under_way: Option<UnderWay>,
}

/// Where a delete has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnderWay {
    /// The key that it deleted last.
    pub(super) after: Bytes,
    pub(super) deleted: u32,
}

impl Unfinished {
    /// Nothing is done yet.
    fn new(entry: EntryId, hash: u32) -> Unfinished {
        Unfinished { entry, changes: 0, hash, paths: Vec::new(), deletes: Vec::new(), under_way: None }
    }

    /// What holding it costs.
    pub(super) fn weight_bytes(&self) -> u64 {
        let after = self.under_way.as_ref().map_or(0, |under_way| under_way.after.len());
        (size_of::<Unfinished>() + after + self.paths.len() + 4 * self.deletes.len()) as u64
    }
}

/// One execution of a command: what those before it did, what this one adds.
pub(super) struct Course {
    so_far: Unfinished,
    /// Changes that were made by those before.
    done: u32,
    /// The next compares, and the next delete, among those that are known.
    next_path: usize,
    next_delete: usize,
}

impl Course {
    /// `before`: it goes on from there. `hash`: of the state.
    pub(super) fn new(entry: EntryId, before: Option<Unfinished>, hash: u32) -> Course {
        let so_far = before.unwrap_or_else(|| Unfinished::new(entry, hash));
        assert_eq!(so_far.entry, entry, "it goes on with another entry");
        Course { done: so_far.changes, so_far, next_path: 0, next_delete: 0 }
    }

    /// The checksum that this execution goes on from.
    pub(super) fn hash(&self) -> u32 {
        self.so_far.hash
    }

    /// Changes that are passed over.
    pub(super) fn done(&self) -> u32 {
        self.done
    }

    /// Was all that a command needs looked at before?
    pub(super) fn goes_on(&self) -> bool {
        self.done > 0
    }

    /// Did the next compares hold? `None`: that is to be seen.
    pub(super) fn path(&mut self) -> Option<bool> {
        self.next_path += 1;
        self.so_far.paths.get(self.next_path - 1).copied()
    }

    pub(super) fn decided(&mut self, holds: bool) {
        self.so_far.paths.push(holds);
    }

    /// How many keys the next delete deleted. `None`: it is not done yet.
    pub(super) fn deleted(&mut self) -> Option<u32> {
        self.next_delete += 1;
        self.so_far.deletes.get(self.next_delete - 1).copied()
    }

    /// Where the delete that is not done yet goes on; `None` at its beginning.
    pub(super) fn under_way(&mut self) -> Option<UnderWay> {
        self.so_far.under_way.take()
    }

    pub(super) fn delete_done(&mut self, deleted: u32) {
        self.so_far.deletes.push(deleted);
    }

    /// The mark at a place between two changes.
    pub(super) fn mark(&self, changes: u32, hash: u32, under_way: Option<UnderWay>) -> Unfinished {
        Unfinished { changes, hash, under_way, ..self.so_far.clone() }
    }
}

/// When a layer is closed, and when a command is to pause.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) pending_bytes_max: u64,
    pub(super) flush_pages_max: u32,
    pub(super) page_bytes: u32,
    pub(super) branch_pages: u64,
    /// What was pending when this part began.
    pub(super) pending_before: u64,
}

impl Pace {
    /// Is the active layer as large as a flush may be?
    pub(super) fn closes_layer(&self, pending: &Pending) -> bool {
        pending.active.pages(self.page_bytes, self.branch_pages) >= u64::from(self.flush_pages_max)
    }

    /// After so many changes of this part.
    pub(super) fn pauses(&self, pending: &Pending, changes: u32) -> bool {
        let (bytes, max) = (pending.bytes(), self.pending_bytes_max);
        changes >= CHANGES_PER_PART || (bytes >= max && bytes - self.pending_before >= max / PART_SHARE)
    }
}
