//! Does a board promise only what its disk holds?
//!
//! It is told what each sync made durable, and what the board says to its peers. An acknowledged entry must be on the disk,
//! and so must a granted vote: whoever hears of them builds on their surviving a power cut.

use std::collections::BTreeMap;

use solder::types::{EntryId, HardState, Index, Term};

use super::Verdict;

/// What one board's disk holds in one life.
#[derive(Debug, Default)]
pub struct Promises {
    /// What is at or before this is in the store, durably.
    start: Index,
    entries: BTreeMap<Index, Term>,
    hard_state: HardState,
}

impl Promises {
    /// The board has started with this on its disk.
    pub fn new(start: Index, entries: impl IntoIterator<Item = EntryId>, hard_state: HardState) -> Promises {
        let entries = entries.into_iter().map(|id| (id.index, id.term)).collect();
        Promises { start, entries, hard_state }
    }

    pub fn hard_state_synced(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
    }

    pub fn log_start_synced(&mut self, start: EntryId) {
        // The store may be further by now.
        self.start = self.start.max(start.index);
        self.entries.clear();
    }

    /// It replaces what is at its place and all behind.
    pub fn entry_synced(&mut self, id: EntryId) {
        self.entries.split_off(&id.index);
        self.entries.insert(id.index, id.term);
    }

    /// The store was filled by a transfer, durably.
    pub fn filled(&mut self, at: EntryId) {
        self.start = self.start.max(at.index);
    }

    /// The board, in `term`, acknowledges the log up to an entry.
    pub fn acknowledges(&self, matched: EntryId, term: Term) -> Verdict {
        let held = matched.index <= self.start || self.entries.get(&matched.index) == Some(&matched.term);
        if !held {
            let there = self.entries.get(&matched.index);
            return Err(format!("acknowledges {matched}, on its disk stands {there:?}"));
        }
        if self.hard_state.term < term {
            return Err(format!(
                "acknowledges {matched} in term {term}, on its disk stands {:?}",
                self.hard_state
            ));
        }
        Ok(())
    }

    /// The board grants its vote of `term`.
    pub fn votes(&self, vote: HardState) -> Verdict {
        if self.hard_state == vote || self.hard_state.term > vote.term {
            return Ok(());
        }
        Err(format!("grants {vote:?}, on its disk stands {:?}", self.hard_state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(term: u64, node: u64) -> HardState {
        HardState { term: Term(term), vote: Some(solder::types::NodeId(node)) }
    }

    #[test]
    fn what_is_synced_may_be_promised() {
        let mut promises = Promises::new(Index(3), [EntryId::new(1, 4)], vote(2, 1));
        promises.entry_synced(EntryId::new(2, 5));
        for id in [EntryId::new(1, 2), EntryId::new(1, 4), EntryId::new(2, 5)] {
            promises.acknowledges(id, Term(2)).unwrap();
        }
        promises.votes(vote(2, 1)).unwrap();
        promises.votes(vote(1, 7)).unwrap();
    }

    #[test]
    fn what_is_not_synced_may_not() {
        let mut promises = Promises::new(Index(3), [EntryId::new(1, 4), EntryId::new(1, 5)], vote(2, 1));
        assert!(promises.acknowledges(EntryId::new(1, 6), Term(2)).is_err(), "never written");
        assert!(promises.acknowledges(EntryId::new(1, 5), Term(3)).is_err(), "in a term it may forget");
        promises.entry_synced(EntryId::new(2, 4));
        assert!(promises.acknowledges(EntryId::new(1, 4), Term(2)).is_err(), "replaced");
        assert!(promises.acknowledges(EntryId::new(1, 5), Term(2)).is_err(), "cut off");
        assert!(promises.votes(vote(2, 2)).is_err(), "another vote in that term");
        assert!(promises.votes(vote(3, 1)).is_err(), "a later term");
        promises.log_start_synced(EntryId::new(2, 9));
        promises.acknowledges(EntryId::new(2, 9), Term(2)).unwrap();
        assert!(promises.acknowledges(EntryId::new(2, 10), Term(2)).is_err());
    }
}
