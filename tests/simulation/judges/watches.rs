//! Are watchers told every change once, in order, whole revisions at a time?
//!
//! A watcher is judged at every delivery, so a failure names the delivery that was wrong. It stays the same watcher
//! while it moves from member to member: what it resumes from is its own next revision.

use solder::types::{KeyRange, Revision};

use super::{
    Verdict,
    truth::{Event, Truth},
};

/// One client that follows the changes of a range.
#[derive(Clone, Debug)]
pub struct Watcher {
    name: String,
    range: KeyRange,
    /// All before it was told, or was compacted before it could be.
    next: Revision,
}

impl Watcher {
    /// From `start` on; `start` is a revision, not "now".
    pub fn new(name: impl Into<String>, range: KeyRange, start: Revision) -> Watcher {
        Watcher { name: name.into(), range, next: start }
    }

    /// The revision to resume from, at this member or another.
    pub fn next(&self) -> Revision {
        self.next
    }

    /// It was told of `events`: one or more whole revisions.
    pub fn received(&mut self, truth: &Truth, events: &[Event]) -> Verdict {
        let Some(last) = events.last() else {
            return Err(format!("{}: told of nothing at all", self.name));
        };
        let told_to = last.at.main;
        if told_to < self.next {
            return Err(format!("{}: told again of revision {told_to}, {} is next", self.name, self.next));
        }
        let due = self.due(truth, told_to);
        if !due.iter().copied().eq(events) {
            return Err(format!(
                "{}: from revision {} on told {events:?} instead of {due:?}",
                self.name, self.next
            ));
        }
        self.next = told_to.next();
        Ok(())
    }

    /// It was told that nothing is left to tell up to and including `revision`.
    pub fn progress(&mut self, truth: &Truth, revision: Revision) -> Verdict {
        if revision > truth.last() {
            return Err(format!(
                "{}: told of revision {revision}, {} is the newest",
                self.name,
                truth.last()
            ));
        }
        if let Some(missed) = self.due(truth, revision).first() {
            return Err(format!("{}: told to be at revision {revision} but never of {missed:?}", self.name));
        }
        self.next = self.next.max(revision.next());
        Ok(())
    }

    /// It was told that what it asks for is compacted up to `compacted`; `asked` is the highest revision for which a
    /// compaction was asked so far. From there it goes on.
    pub fn compacted(&mut self, compacted: Revision, asked: Revision) -> Verdict {
        if compacted > asked {
            return Err(format!(
                "{}: told that {compacted} is compacted, only {asked} was asked for",
                self.name
            ));
        }
        if self.next >= compacted {
            return Err(format!("{}: refused revision {}, compacted is {compacted}", self.name, self.next));
        }
        self.next = compacted;
        Ok(())
    }

    /// The run is over and this watcher was given all the time it needs.
    pub fn finish(&self, truth: &Truth) -> Verdict {
        match self.due(truth, truth.last()).first() {
            Some(missed) => Err(format!("{}: never told of {missed:?}", self.name)),
            None => Ok(()),
        }
    }

    /// What it has yet to be told, up to `to`.
    fn due<'a>(&self, truth: &'a Truth, to: Revision) -> Vec<&'a Event> {
        truth.between(self.next, to).iter().filter(|event| self.range.contains(&event.key)).collect()
    }
}
