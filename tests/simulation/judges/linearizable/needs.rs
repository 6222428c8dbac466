//! What must have happened unseen: deletes and puts that only a call of unknown outcome can have made.
//!
//! A need has a deadline, the last revision in which it may have happened; a call can meet one need, in any revision
//! above its floor. Whoever can meet an early deadline can meet every later one, so it is enough that for each deadline
//! there are as many calls as there are needs up to it.

use std::collections::{BTreeMap, BTreeSet};

use solder::types::{Bytes, Revision};

use super::{
    super::{
        Verdict,
        history::{Call, Op},
    },
    effects::Effects,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Put,
    Delete,
}

/// Needs by key and kind, each with its deadline.
#[derive(Debug, Default)]
pub(super) struct Needs<'a> {
    deadlines: BTreeMap<(&'a Bytes, Change), Vec<Revision>>,
    /// Puts of which only the revision is known. They may be among those above, so they are held against the calls by
    /// themselves.
    named: BTreeMap<&'a Bytes, BTreeSet<Revision>>,
}

impl<'a> Needs<'a> {
    pub(super) fn put(&mut self, key: &'a Bytes, deadline: Revision) {
        self.deadlines.entry((key, Change::Put)).or_default().push(deadline);
    }

    /// Needed in this very revision.
    pub(super) fn put_in(&mut self, key: &'a Bytes, revision: Revision) {
        self.named.entry(key).or_default().insert(revision);
    }

    pub(super) fn delete(&mut self, key: &'a Bytes, deadline: Revision) {
        self.deadlines.entry((key, Change::Delete)).or_default().push(deadline);
    }

    pub(super) fn check(self, calls: &[Call], floors: &[Revision], effects: &Effects<'_>) -> Verdict {
        let mut open: BTreeMap<(&Bytes, Change), Vec<Revision>> = BTreeMap::new();
        for (number, (call, floor)) in calls.iter().zip(floors).enumerate() {
            let is_open = call.answer().is_none() && effects.made(number).is_none();
            if let Some(change) = may_make(&call.op).filter(|_| is_open) {
                open.entry(change).or_default().push(*floor);
            }
        }
        for floors in open.values_mut() {
            floors.sort_unstable();
        }
        let named =
            self.named.into_iter().map(|(key, revisions)| ((key, Change::Put), Vec::from_iter(revisions)));
        for (what @ (key, change), deadlines) in self.deadlines.into_iter().chain(named) {
            let floors = open.get(&what).map_or(&[][..], Vec::as_slice);
            if let Some((deadline, count)) = first_unmet(deadlines, floors) {
                return Err(format!(
                    "{key:?} needs {count} times a {change:?} that nobody was told of, up to revision {deadline}; \
                     not so many were asked for"
                ));
            }
        }
        Ok(())
    }
}

fn may_make(op: &Op) -> Option<(&Bytes, Change)> {
    match op {
        Op::Put { key, .. } | Op::Cas { key, .. } => Some((key, Change::Put)),
        Op::Delete { key } => Some((key, Change::Delete)),
        Op::Get { .. } | Op::Compact { .. } => None,
    }
}

/// The first deadline that cannot be met, and how many needs there are up to it. `floors` are sorted.
fn first_unmet(mut deadlines: Vec<Revision>, floors: &[Revision]) -> Option<(Revision, usize)> {
    deadlines.sort_unstable();
    let mut needs = deadlines.into_iter().zip(1..);
    needs.find(|(deadline, count)| floors.partition_point(|floor| floor < deadline) < *count)
}
