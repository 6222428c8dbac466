//! The watches of one connection.

use std::collections::{BTreeSet, VecDeque};

use crate::types::KeyRev;

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
    pub(super) behind: BTreeSet<(KeyRev, Number)>,
    /// Whose message has begun, and goes on: nobody else has the word.
    pub(super) speaker: Option<Number>,
    /// It is to say, under this name, when all has been told.
    pub(super) progress: Option<WatchId>,
    /// Somebody waits for its next message.
    pub(super) waiting: bool,
    /// What it is registered with among those who ask for a slice.
    pub(super) asks: Option<KeyRev>,
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
    pub(super) fn leave_behind(&mut self, cursor: KeyRev, watcher: Number) {
        self.behind.remove(&(cursor, watcher));
        if self.behind.is_empty() {
            // An empty set keeps its memory.
            self.behind = BTreeSet::new();
        }
    }

    /// Those who are behind and may speak, by their cursors; if somebody waits for what they have to say.
    pub(super) fn askers(&self) -> impl Iterator<Item = (KeyRev, Number)> + '_ {
        let may_speak = |number| self.speaker.is_none_or(|speaker| speaker == number);
        let behind = self.behind.iter().copied().filter(|_| self.waiting);
        behind.filter(move |&(_, number)| may_speak(number))
    }
}
