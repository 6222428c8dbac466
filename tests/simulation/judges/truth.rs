//! What really happened: every change of every key since the empty store, as the members' histories tell it.
//!
//! It is learnt as the run goes on: each time a member has applied something, it is shown what that member's history
//! holds. The first to tell a revision writes it down, every other must agree.

use solder::types::{Bytes, KeyRev, Revision};

use super::Verdict;

/// The revision of a store in which nothing was ever written.
pub const EMPTY: Revision = Revision(1);

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: KeyRev,
    pub key: Bytes,
    /// `None`: deleted.
    pub value: Option<Bytes>,
}

/// All changes so far, in order, without a gap.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    events: Vec<Event>,
}

impl Truth {
    /// Shows what a member has: whole revisions, in order, any part of the past, and beyond it only what comes next.
    pub fn learn(&mut self, told: &[Event]) -> Verdict {
        for revision in told.chunk_by(|a, b| a.at.main == b.at.main) {
            self.learn_revision(revision)?;
        }
        Ok(())
    }

    fn learn_revision(&mut self, told: &[Event]) -> Verdict {
        let revision = told[0].at.main;
        if revision <= self.last() {
            let known = self.between(revision, revision);
            return if known == told {
                Ok(())
            } else {
                Err(format!("members disagree on revision {revision}: {known:?} or {told:?}"))
            };
        }
        if revision != self.last().next() {
            return Err(format!("revision {} is followed by revision {revision}", self.last()));
        }
        if !told.iter().map(|event| event.at.sub).eq(0..told.len() as u32) {
            return Err(format!("the changes of revision {revision} are not numbered from 0 on: {told:?}"));
        }
        self.events.extend_from_slice(told);
        Ok(())
    }

    /// The newest revision; `EMPTY` if nothing happened yet.
    pub fn last(&self) -> Revision {
        self.events.last().map_or(EMPTY, |event| event.at.main)
    }

    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// All changes of the revisions `from..=to`.
    pub fn between(&self, from: Revision, to: Revision) -> &[Event] {
        let start = self.events.partition_point(|event| event.at.main < from);
        let end = self.events.partition_point(|event| event.at.main <= to);
        &self.events[start..end.max(start)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(main: i64, sub: u32, value: &str) -> Event {
        Event { at: KeyRev::new(main, sub), key: b"k".into(), value: Some(value.into()) }
    }

    #[test]
    fn members_tell_the_same_in_any_pieces() {
        let mut truth = Truth::default();
        truth.learn(&[put(2, 0, "a"), put(3, 0, "b"), put(3, 1, "c")]).unwrap();
        truth.learn(&[put(3, 0, "b"), put(3, 1, "c"), put(4, 0, "d")]).unwrap();
        truth.learn(&[]).unwrap();
        assert_eq!(truth.last(), Revision(4));
        assert_eq!(truth.events().len(), 4);
        assert_eq!(truth.between(Revision(3), Revision(3)), [put(3, 0, "b"), put(3, 1, "c")]);
        assert_eq!(truth.between(Revision(5), Revision(3)), []);
    }

    #[test]
    fn what_cannot_be_true() {
        let mut truth = Truth::default();
        truth.learn(&[put(2, 0, "a"), put(3, 0, "b"), put(3, 1, "c")]).unwrap();
        assert!(truth.learn(&[put(2, 0, "other")]).unwrap_err().contains("disagree on revision 2"));
        assert!(truth.learn(&[put(3, 0, "b")]).unwrap_err().contains("disagree on revision 3"), "half of it");
        assert!(truth.learn(&[put(5, 0, "e")]).unwrap_err().contains("3 is followed by revision 5"));
        assert!(truth.learn(&[put(4, 1, "d")]).unwrap_err().contains("not numbered from 0"));
        assert!(Truth::default().learn(&[put(1, 0, "a")]).is_err(), "nothing happens in revision 1");
    }
}
