//! Entries, one after the other: the store's side of `apply`, and of commands that pause.

use crc32fast::Hasher;

use super::{
    Store, StoreError,
    apply::{Apply, Executed},
    state::AsOf,
    unfinished::{Course, Pace},
};
use crate::types::{Command, Entry, EntryId, Outcome, Payload};

/// What came of applying an entry.
#[derive(Debug)]
#[must_use]
pub enum Applying {
    Done(Outcome),
    /// In part: as much is pending as may be, or it takes so long that others should have their turn. Nobody sees anything of
    /// it yet. Apply the same entry again, once `pending_full` says no; nothing else comes before it.
    Paused,
}

impl Store {
    /// An entry that is applied in part, and how many keys it has changed so far.
    pub fn unfinished(&self) -> Option<(EntryId, u32)> {
        self.unfinished.as_ref().map(|unfinished| (unfinished.entry, unfinished.changes))
    }

    /// Applies the next entry, in memory; if it changes very many keys, a part of it.
    ///
    /// Errors: this board cannot go on: its database cannot be read, or the entry is one that this build does not know.
    /// The store is of no use any more then.
    pub fn apply(&mut self, entry: &Entry) -> Result<Applying, StoreError> {
        let applied = self.applied();
        assert!(
            !self.broken,
            "entry {} after one that could not be applied, {applied} was the last",
            entry.id
        );
        assert!(self.mark.is_none(), "entry {} while catching up: {:?}", entry.id, self.mark);
        assert_eq!(entry.index(), applied.index.next(), "entry {} after {applied}", entry.id);
        assert!(entry.term() >= applied.term, "entry {} after {applied}", entry.id);
        self.broken = true;
        self.check_goes_on(entry.id)?;
        let applying = self.apply_next(entry)?;
        self.broken = false;
        if self.pace().closes_layer(&self.pending) {
            self.seal();
        }
        Ok(applying)
    }

    /// Is it the entry that is half done, if one is? A log that was cut by hand may have lost that.
    fn check_goes_on(&self, entry: EntryId) -> Result<(), StoreError> {
        match &self.unfinished {
            Some(half_done) if half_done.entry != entry => Err(StoreError::Corrupt {
                what: format!(
                    "entry {} is half done in the database, the log goes on with {entry}",
                    half_done.entry
                ),
            }),
            _ => Ok(()),
        }
    }

    /// `apply` until it is done, whatever is pending then.
    #[cfg(feature = "testing")]
    pub fn apply_whole(&mut self, entry: &Entry) -> Result<Outcome, StoreError> {
        loop {
            if let Applying::Done(outcome) = self.apply(entry)? {
                return Ok(outcome);
            }
        }
    }

    fn apply_next(&mut self, entry: &Entry) -> Result<Applying, StoreError> {
        let pace = self.pace();
        let snapshot = self.backend.read()?;
        let state = self.state.as_mut().expect("the store has been initialised");
        let course = Course::new(entry.id, self.unfinished.take(), state.hash);
        let mut apply = Apply {
            base: &*snapshot,
            pending: &mut self.pending,
            learned: self.learned.get_mut(),
            hasher: Hasher::new_with_initial(course.hash()),
            state,
            course,
            pace,
            changes: 0,
        };
        let executed = match &entry.payload {
            Payload::Empty => Executed::Done(Outcome::None),
            Payload::Command { data, .. } => {
                let command = Command::decode(data).map_err(StoreError::Command)?;
                apply.command(&command, entry.term())?
            }
            Payload::Membership { change, info, .. } => {
                apply.membership(*change, info)?;
                Executed::Done(Outcome::None)
            }
        };
        match executed {
            Executed::Done(outcome) => {
                apply.finish(entry.id);
                Ok(Applying::Done(outcome))
            }
            Executed::Paused(unfinished) => {
                self.unfinished = Some(*unfinished);
                Ok(Applying::Paused)
            }
        }
    }

    fn pace(&self) -> Pace {
        Pace {
            pending_bytes_max: self.options.pending_bytes_max,
            flush_pages_max: self.options.flush_pages_max,
            page_bytes: self.usage.page_bytes,
            branch_pages: self.branch_pages,
            pending_before: self.pending.bytes(),
        }
    }

    pub(super) fn seal(&mut self) {
        let as_of = AsOf { state: self.state().clone(), unfinished: self.unfinished.clone() };
        self.pending.seal(as_of);
    }
}
