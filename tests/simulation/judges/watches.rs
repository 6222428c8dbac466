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

#[cfg(test)]
mod tests {
    use solder::types::KeyRev;

    use super::*;

    fn event(main: i64, sub: u32, key: &str) -> Event {
        Event {
            at: KeyRev::new(main, sub),
            key: key.into(),
            value: Some(format!("{main}.{sub}").as_str().into()),
        }
    }

    /// Revisions 2 to 5; 4 changes three keys, 3 and 5 change one that nobody follows.
    fn truth() -> Truth {
        let mut truth = Truth::default();
        let (two, three, five) = (event(2, 0, "a"), event(3, 0, "z"), event(5, 0, "z"));
        truth.learn(&[two, three, event(4, 0, "a"), event(4, 1, "z"), event(4, 2, "b"), five]).unwrap();
        truth
    }

    fn watcher(start: i64) -> Watcher {
        Watcher::new("w", KeyRange::new(b"a", b"c"), Revision(start))
    }

    #[track_caller]
    fn refused(verdict: Verdict, why: &str) {
        let reason = verdict.unwrap_err();
        assert!(reason.contains(why), "{reason}");
    }

    #[test]
    fn everything_once_in_pieces() {
        let mut watcher = watcher(2);
        watcher.received(&truth(), &[event(2, 0, "a")]).unwrap();
        assert_eq!(watcher.next(), Revision(3));
        refused(watcher.finish(&truth()), "never told of");
        watcher.received(&truth(), &[event(4, 0, "a"), event(4, 2, "b")]).unwrap();
        watcher.progress(&truth(), Revision(5)).unwrap();
        assert_eq!(watcher.next(), Revision(6));
        watcher.finish(&truth()).unwrap();
    }

    #[test]
    fn everything_at_once() {
        let mut watcher = watcher(1);
        watcher.received(&truth(), &[event(2, 0, "a"), event(4, 0, "a"), event(4, 2, "b")]).unwrap();
        watcher.finish(&truth()).unwrap();
    }

    #[test]
    fn a_start_in_the_middle_or_ahead() {
        watcher(3).received(&truth(), &[event(4, 0, "a"), event(4, 2, "b")]).unwrap();
        watcher(9).finish(&truth()).unwrap();
        refused(watcher(3).received(&truth(), &[event(2, 0, "a")]), "told again of revision 2");
        refused(
            watcher(3).received(&truth(), &[event(2, 0, "a"), event(4, 0, "a"), event(4, 2, "b")]),
            "from revision 3 on told",
        );
    }

    #[test]
    fn an_event_twice() {
        let mut watcher = watcher(2);
        watcher.received(&truth(), &[event(2, 0, "a")]).unwrap();
        refused(watcher.clone().received(&truth(), &[event(2, 0, "a")]), "told again of revision 2");
        let twice = [event(4, 0, "a"), event(4, 0, "a"), event(4, 2, "b")];
        refused(watcher.received(&truth(), &twice), "instead of");
    }

    #[test]
    fn a_gap() {
        refused(watcher(2).received(&truth(), &[event(4, 0, "a"), event(4, 2, "b")]), "instead of");
        refused(watcher(2).progress(&truth(), Revision(2)), "but never of");
        refused(watcher(2).finish(&truth()), "never told of");
    }

    #[test]
    fn half_a_revision_or_out_of_order() {
        refused(watcher(3).received(&truth(), &[event(4, 0, "a")]), "instead of");
        refused(watcher(3).received(&truth(), &[event(4, 2, "b")]), "instead of");
        refused(watcher(3).received(&truth(), &[event(4, 2, "b"), event(4, 0, "a")]), "instead of");
        refused(
            watcher(2).received(&truth(), &[event(4, 0, "a"), event(4, 2, "b"), event(2, 0, "a")]),
            "instead of",
        );
    }

    #[test]
    fn what_never_happened() {
        refused(watcher(2).received(&truth(), &[]), "nothing at all");
        refused(watcher(2).received(&truth(), &[event(2, 0, "b")]), "instead of");
        refused(watcher(5).received(&truth(), &[event(5, 0, "z")]), "instead of");
        refused(watcher(5).received(&truth(), &[event(6, 0, "a")]), "instead of");
        refused(watcher(5).progress(&truth(), Revision(6)), "5 is the newest");
        let deleted = Event { value: None, ..event(2, 0, "a") };
        refused(watcher(2).received(&truth(), &[deleted]), "instead of");
    }

    #[test]
    fn compaction_excuses_what_lies_before_it() {
        let mut behind = watcher(2);
        behind.compacted(Revision(3), Revision(3)).unwrap();
        assert_eq!(behind.next(), Revision(3));
        refused(behind.clone().compacted(Revision(3), Revision(3)), "refused revision 3");
        behind.received(&truth(), &[event(4, 0, "a"), event(4, 2, "b")]).unwrap();
        refused(behind.compacted(Revision(5), Revision(5)), "refused revision 5");
        refused(watcher(2).compacted(Revision(4), Revision(3)), "only 3 was asked for");
    }
}
