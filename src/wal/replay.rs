//! What the records of a log amount to: the hard state, and the entries that the store does not have yet.
//!
//! Entries that the store holds are not kept, so that memory is bounded by what is not applied yet, not by the log.
//!
//! Here you will not find: files.

use crate::types::{Bug, Bugs, Entry, EntryId, HardState, Index};

use super::record::Record;

/// The log so far.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    pub hard_state: HardState,
    /// The entry before the first of `entries`.
    pub start: EntryId,
    pub entries: Vec<Entry>,
    /// The last entry as the records have it.
    pub last: EntryId,
    applied: Index,
    bugs: Bugs,
}

impl Replay {
    /// Begins after `preceding`. Entries up to `applied` are read, but not kept.
    pub(super) fn new(preceding: EntryId, hard_state: HardState, applied: Index, bugs: Bugs) -> Replay {
        Replay { hard_state, start: preceding, entries: Vec::new(), last: preceding, applied, bugs }
    }

    /// Takes the next record. An error says why it cannot follow what came before.
    pub(super) fn push(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::HardState(state) => self.hard_state = state,
            Record::LogStart(id) => self.restart(id),
            Record::Entry(entry) => self.entry(entry)?,
        }
        Ok(())
    }

    /// The log ends where the store does, or before: nothing of it is needed.
    pub(super) fn forget(&mut self) {
        self.restart(self.last);
    }

    fn restart(&mut self, id: EntryId) {
        self.entries.clear();
        self.start = id;
        self.last = id;
    }

    fn entry(&mut self, entry: Entry) -> Result<(), String> {
        let id = entry.id;
        if id.index > self.last.index.next() || id.index == Index(0) {
            return Err(format!("entry {id} follows entry {}", self.last));
        }
        if id.index <= self.start.index || id.index <= self.applied {
            // The store has it, and all before it. (Or, while the store is being filled from a peer, the log goes on
            // below where its oldest segment begins; then what is kept begins after this entry.)
            self.restart(id);
            return Ok(());
        }
        let kept = usize::try_from(id.index.0 - self.start.index.0 - 1).expect("entries in memory");
        if self.bugs.has(Bug::TruncatedSuffixKept) && kept < self.entries.len() {
            self.entries[kept] = entry;
        } else {
            // Raft thesis 3.5: an entry that replaces another takes all that follow that one with it.
            self.entries.truncate(kept);
            self.entries.push(entry);
        }
        self.last = self.entries.last().map_or(id, |last| last.id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Payload, Term};

    fn entry(term: u64, index: u64) -> Record {
        Record::Entry(Entry { id: EntryId::new(term, index), payload: Payload::Empty })
    }

    fn ids(replay: &Replay) -> Vec<String> {
        replay.entries.iter().map(|entry| entry.id.to_string()).collect()
    }

    fn replay(applied: u64, records: Vec<Record>) -> Replay {
        let (start, applied) = (EntryId::default(), Index(applied));
        let mut replay = Replay::new(start, HardState::default(), applied, Bugs::default());
        records.into_iter().for_each(|record| replay.push(record).expect("follows"));
        replay
    }

    #[test]
    fn a_rewritten_entry_drops_the_suffix() {
        let replay = replay(0, vec![entry(1, 1), entry(1, 2), entry(1, 3), entry(2, 2)]);
        assert_eq!(ids(&replay), ["1@1", "2@2"]);
        assert_eq!(replay.last, EntryId::new(2, 2));
    }

    #[test]
    fn what_is_applied_is_not_kept() {
        let replay = replay(2, vec![entry(1, 1), entry(1, 2), entry(1, 3), entry(1, 4)]);
        assert_eq!((replay.start, ids(&replay)), (EntryId::new(1, 2), vec!["3@1".into(), "4@1".into()]));
    }

    #[test]
    fn a_log_that_starts_anew_has_nothing_of_before() {
        let state = Record::HardState(HardState { term: Term(3), vote: None });
        let at = EntryId::new(3, 50);
        let replay = replay(0, vec![entry(1, 1), entry(1, 2), state, Record::LogStart(at), entry(3, 51)]);
        assert_eq!((replay.start, ids(&replay)), (at, vec!["51@3".into()]));
        assert_eq!(replay.hard_state.term, Term(3));
    }

    #[test]
    fn a_gap_is_an_error() {
        let mut replay = replay(0, vec![entry(1, 1)]);
        assert_eq!(replay.push(entry(1, 3)), Err("entry 3@1 follows entry 1@1".into()));
        assert!(replay.push(entry(1, 0)).is_err());
    }
}
