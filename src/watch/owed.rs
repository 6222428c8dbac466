//! What is owed: to who was live and fell behind, and to whose message has begun. A compaction does not take it from them.
//!
//! ```text
//!   store:  compacts, keeps all --applied--> hub --scan: heard of it, owed from 7 on--> keeps 6 and later
//!                                             |
//!                                             +--- later scans: owed from 9 on, .., nothing owed --> keeps nothing
//! ```
//!
//! The store gives up what is owed to somebody who does not come for it; who comes then hears of the compaction.

use crate::types::Revision;

use super::{Event, Hub, index::Number};

impl<E: Event> Hub<E> {
    pub(super) fn owe(&mut self, number: Number) {
        let owed = &mut self.watchers[number].owed;
        self.creditors += usize::from(!std::mem::replace(owed, true));
    }

    /// It has got all, or is given up.
    pub(super) fn forgive(&mut self, number: Number) {
        if std::mem::take(&mut self.watchers[number].owed) {
            self.creditors -= 1;
            self.owed_changed |= self.creditors == 0 && self.store_keeps;
        }
    }

    /// From where on the store is to keep something, though it is compacted (or the value before is): what is owed to those
    /// who are behind, or may fall behind.
    pub(super) fn owed_from(&self) -> Option<Revision> {
        let in_window = self.in_window.first().map(|&(cursor, _)| cursor);
        let first = if self.creditors == 0 {
            in_window
        } else {
            let creditors = self.watchers.iter().filter(|(_, watcher)| watcher.owed);
            creditors.map(|(_, watcher)| watcher.cursor.main).chain(in_window).min()
        };
        first.filter(|owed| *owed <= self.compacted)
    }

    /// The store has what is before `compacted` no longer.
    pub(super) fn lose(&mut self, compacted: Revision) {
        let lost =
            self.watchers.iter().filter(|(_, watcher)| watcher.owed && watcher.cursor.main < compacted);
        for number in lost.map(|(number, _)| number).collect::<Vec<_>>() {
            self.forgive(number);
        }
        self.compact(compacted);
    }
}
