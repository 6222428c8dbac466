//! The watches of one connection.

use std::collections::{BTreeSet, VecDeque};

use crate::types::Revision;

use super::{WatchId, index::Number};

/// Names an open stream. Small, and given again once the stream is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u32);

#[derive(Default)]
pub(super) struct Stream {
    /// In order of the ids.
    watches: Vec<(WatchId, Number)>,
    /// Those who have something to say, each once. Who has lost it since is passed over.
    pub(super) ready: VecDeque<Number>,
    /// Those who are behind and wait for a slice.
    pub(super) behind: BTreeSet<(Revision, Number)>,
    /// Somebody waits for its next message.
    pub(super) waiting: bool,
    /// What it is registered with among those who ask for a slice.
    pub(super) asks: Option<Revision>,
}

impl Stream {
    pub(super) fn get(&self, id: WatchId) -> Option<Number> {
        let place = self.watches.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        Some(self.watches[place].1)
    }

    pub(super) fn add(&mut self, id: WatchId, watcher: Number) {
        match self.watches.binary_search_by_key(&id, |&(id, _)| id) {
            Ok(_) => panic!("{id:?} is in use on its stream"),
            Err(place) => {
                // Most streams have one.
                if self.watches.is_empty() {
                    self.watches.reserve_exact(1);
                }
                self.watches.insert(place, (id, watcher));
            }
        }
    }

    pub(super) fn remove(&mut self, id: WatchId) {
        self.watches.retain(|&(other, _)| other != id);
    }

    pub(super) fn numbers(&self) -> Vec<Number> {
        self.watches.iter().map(|&(_, watcher)| watcher).collect()
    }

    /// A watcher is not behind any more, or not there.
    pub(super) fn leave_behind(&mut self, cursor: Revision, watcher: Number) {
        self.behind.remove(&(cursor, watcher));
        if self.behind.is_empty() {
            // An empty set keeps its memory.
            self.behind = BTreeSet::new();
        }
    }

    /// The lowest cursor of those who are behind, if somebody waits for what they have to say.
    pub(super) fn lowest(&self) -> Option<Revision> {
        if self.waiting { self.behind.first().map(|&(cursor, _)| cursor) } else { None }
    }
}
