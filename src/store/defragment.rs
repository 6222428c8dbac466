//! Defragmenting: gives disk back that pages take which nothing is on any more.
//!
//! ```text
//!   start_defragment --DefragmentJob--> run, on the flush thread --report or error--> finish_defragment
//! ```
//!
//! - While the job is out there is no flush: what is applied stays pending, until `pending_full` pushes back.
//! - Reads go on, but for the moment in which `finish_defragment` exchanges the files.
//! - Whatever happens when, the database is the old file or the new one, and both hold the same.

use super::{Backend, Job, Store, StoreError, Usage, state};
use crate::types::EntryId;

/// The work of defragmenting. Can be sent to the thread that is to wait for the disk.
#[derive(Debug)]
pub struct DefragmentJob {
    /// The last entry in the database.
    flushed: EntryId,
}

/// The job is done: a copy lies beside the database.
#[derive(Debug)]
pub struct DefragmentReport {
    /// The last entry that must be in the copy.
    flushed: EntryId,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defragmented {
    pub before: Usage,
    pub after: Usage,
}

impl DefragmentJob {
    /// Makes the copy. Errors: the database is as it was. `Full`: there is not enough free disk for what is in use (the
    /// message says how much); the same can be tried again. Anything else ends the process.
    pub fn run(&self, backend: &dyn Backend) -> Result<DefragmentReport, StoreError> {
        backend.make_copy()?;
        Ok(DefragmentReport { flushed: self.flushed })
    }
}

impl Store {
    /// `None`: a job is out already, or the store is catching up.
    pub fn start_defragment(&mut self) -> Option<DefragmentJob> {
        if !self.may_start_job() {
            return None;
        }
        self.job = Some(Job::Defragment);
        Some(DefragmentJob { flushed: self.flushed() })
    }

    /// Puts the copy in the place of the database: a few milliseconds in which nobody reads. Gives the job's error back:
    /// after `Full` all is as it was, anything else ends the process.
    pub fn finish_defragment(
        &mut self,
        result: Result<DefragmentReport, StoreError>,
    ) -> Result<Defragmented, StoreError> {
        let job = self.job.take();
        assert_eq!(job, Some(Job::Defragment), "what ended was another job: {result:?}");
        let DefragmentReport { flushed } = result?;
        let before = self.usage;
        self.backend.adopt_copy(&mut |copy| {
            let applied = state::applied(copy)?;
            if applied == Some(flushed) { Ok(()) } else { Err(wrong_copy(applied, flushed)) }
        })?;
        self.measure()?;
        match self.backend.secure() {
            // Who asks for room next is told.
            Ok(()) | Err(StoreError::Full { .. }) => Ok(Defragmented { before, after: self.usage }),
            Err(error) => Err(error),
        }
    }
}

fn wrong_copy(applied: Option<EntryId>, flushed: EntryId) -> StoreError {
    let applied = applied.unwrap_or_default();
    StoreError::Corrupt {
        what: format!("the defragmented copy ends at entry {applied}, the database at {flushed}"),
    }
}
