//! A hub with a store that forgets nothing, and the post between them.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use solder::{
    types::{Bytes, KeyRev, Revision},
    watch::{Event, Hub, Interest, Options, Scan, Slice},
};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) rev: KeyRev,
    pub(crate) key: Bytes,
    /// `None`: deleted.
    pub(crate) value: Option<String>,
    /// The value before, if it was looked up and there was one.
    pub(crate) prev: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handle(pub(crate) Rc<Change>);

impl Event for Handle {
    fn rev(&self) -> KeyRev {
        self.0.rev
    }

    fn key(&self) -> &Bytes {
        &self.0.key
    }

    fn is_delete(&self) -> bool {
        self.0.value.is_none()
    }

    fn weight_bytes(&self) -> u64 {
        10 + self.0.value.as_ref().map_or(0, |value| value.len() as u64)
    }
}

/// The store's side, as its thread would do it.
pub(crate) struct Store {
    /// All there ever was. What is compacted is not given to anybody.
    pub(crate) changes: Vec<(KeyRev, Bytes, Option<String>)>,
    pub(crate) revision: Revision,
    pub(crate) compacted: Revision,
    interest: Interest,
    /// What is compacted is nevertheless read from here on.
    pub(crate) kept: Option<Revision>,
    /// Events of one slice at most; and of one publication, but whole revisions.
    pub(crate) slice_max: usize,
    pub(crate) publish_max: usize,
}

/// What the store says, in order.
pub(crate) enum Report {
    Applied { events: Vec<Change>, told: Revision, revision: Revision },
    Scanned(Result<(Vec<Change>, KeyRev), Revision>),
    Compacted(Revision),
}

impl Store {
    fn new() -> Store {
        Store {
            changes: Vec::new(),
            revision: Revision(1),
            compacted: Revision(-1),
            interest: Interest::default(),
            kept: None,
            slice_max: 100,
            publish_max: 100,
        }
    }

    /// The value of a key after a revision.
    pub(crate) fn value_at(&self, key: &Bytes, revision: Revision) -> Option<String> {
        let mut past =
            self.changes.iter().rev().filter(|(rev, other, _)| rev.main <= revision && other == key);
        past.next().and_then(|(_, _, value)| value.clone())
    }

    fn read(&self, from: KeyRev, interest: &Interest, max: usize) -> (Vec<Change>, KeyRev) {
        let mut events: Vec<Change> = Vec::new();
        let readable_from = self.kept.map_or(self.compacted, |kept| kept.min(self.compacted));
        let some = self.changes.iter().filter(|(rev, key, _)| *rev >= from && interest.wants(key));
        for (rev, key, value) in some {
            if events.len() >= max {
                return (events, *rev);
            }
            let before = Revision(rev.main.0 - 1);
            let readable = interest.wants_prev(key) && before >= readable_from;
            let prev = if readable { self.value_at(key, before) } else { None };
            events.push(Change { rev: *rev, key: key.clone(), value: value.clone(), prev });
        }
        (events, beginning(self.revision.next()))
    }

    /// Whole revisions, and none if the first is too large.
    fn news(&self, from: Revision) -> (Vec<Change>, Revision) {
        let (mut events, next) = self.read(beginning(from), &self.interest, self.publish_max);
        events.retain(|event| event.rev.main < next.main);
        (events, Revision(next.main.0 - 1))
    }

    /// One revision of several changes.
    pub(crate) fn write(&mut self, changes: Vec<(Bytes, Option<String>)>) -> Report {
        self.revision = self.revision.next();
        for (sub, (key, value)) in (0..).zip(changes) {
            self.changes.push((KeyRev { main: self.revision, sub }, key, value));
        }
        let (events, told) = self.news(self.revision);
        Report::Applied { events, told, revision: self.revision }
    }

    /// Several revisions told of at once.
    pub(crate) fn write_all(&mut self, revisions: Vec<Vec<(Bytes, Option<String>)>>) -> Report {
        let first = self.revision.next();
        revisions.into_iter().for_each(|changes| drop(self.write(changes)));
        let (events, told) = self.news(first);
        Report::Applied { events, told, revision: self.revision }
    }

    pub(crate) fn compact(&mut self, revision: Revision) -> Report {
        let readable = self.compacted;
        self.kept = Some(self.kept.map_or(readable, |kept| kept.min(readable)));
        self.compacted = revision;
        Report::Compacted(revision)
    }

    pub(crate) fn carry_out(&mut self, scan: &Scan) -> Report {
        self.interest = scan.interest.clone();
        if scan.heard >= self.compacted {
            // And the values before. What was let go stays so.
            let owed = scan.owed.map(|owed| Revision(owed.0 - 1));
            self.kept = self.kept.and_then(|kept| Some(owed?.max(kept)));
        }
        let from = scan.from.main;
        let is_kept = scan.is_kept() && self.kept.is_some_and(|kept| from > kept);
        let slice = if from < self.compacted && !is_kept {
            Err(self.compacted)
        } else {
            Ok(self.read(scan.from, &scan.read, self.slice_max))
        };
        Report::Scanned(slice)
    }
}

pub(crate) struct World {
    pub(crate) hub: Hub<Handle>,
    pub(crate) store: Store,
    /// What the hub has asked for, and the store has not done yet.
    pub(crate) asked: VecDeque<Scan>,
    /// What the store has said, and the hub has not heard yet.
    pub(crate) said: VecDeque<Report>,
    pub(crate) names: BTreeMap<String, solder::watch::StreamId>,
}

/// Where a revision begins.
fn beginning(revision: Revision) -> KeyRev {
    KeyRev { main: revision, sub: 0 }
}

fn handles(events: Vec<Change>) -> Vec<Handle> {
    events.into_iter().map(|event| Handle(Rc::new(event))).collect()
}

impl World {
    pub(crate) fn new(options: Options) -> World {
        let store = Store::new();
        let hub = Hub::new(options, store.revision, store.compacted);
        World { hub, store, asked: VecDeque::new(), said: VecDeque::new(), names: BTreeMap::new() }
    }

    /// The hub hears what the store said first.
    pub(crate) fn hear(&mut self) {
        match self.said.pop_front() {
            Some(Report::Applied { events, told, revision }) => {
                self.hub.publish(handles(events), told, revision);
            }
            Some(Report::Scanned(slice)) => {
                let slice = slice.map(|(events, next)| Slice { events: handles(events), next });
                self.hub.scanned(slice);
            }
            Some(Report::Compacted(revision)) => self.hub.compact(revision),
            None => {}
        }
    }
}
