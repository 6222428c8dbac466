//! What log and store say after a restart, brought together.

use std::fmt;

use crate::{
    raft::Restored,
    store::Store,
    types::{Entry, EntryId, HardState},
};

use super::jobs;

/// What the log still holds.
#[derive(Clone, Debug)]
pub struct Log {
    pub hard_state: HardState,
    /// The entry before the first.
    pub start: EntryId,
    /// In order, without gaps, from `start` on or from somewhere behind it.
    pub entries: Vec<Entry>,
}

/// Where to go on from.
#[derive(Debug)]
pub struct Boot {
    pub restored: Restored,
    /// The log does not know the entry that the store ends with: write this start and sync it before anything else.
    pub log_start: Option<EntryId>,
    /// The furthest entry that is known to be committed, here or at those who sent what is here.
    pub committed: EntryId,
}

/// The log begins behind the end of the store: entries between them are in neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub applied: EntryId,
    pub log_start: EntryId,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gap { applied, log_start } = self;
        write!(
            f,
            "the store ends at entry {applied} but the log begins after {log_start}: what lies between is in neither. \
             Was one of the two directories restored from a copy? Restore both from one snapshot, or rejoin from the \
             cluster's other members"
        )
    }
}

impl std::error::Error for Gap {}

/// At every boot: if the log's entry where the store ends has the term that the store says, what follows it is kept;
/// else the log is from before the store caught up, and starts anew there.
pub fn reconcile(store: &Store, log: Log) -> Result<Boot, Gap> {
    let applied = store.applied();
    let catching_up = store.receive_mark().is_some();
    if log.start.index > applied.index {
        return Err(Gap { applied, log_start: log.start });
    }
    let keep = term_known(&log, applied);
    let entries = match keep {
        true => log.entries.into_iter().filter(|entry| entry.index() > applied.index).collect(),
        false => Vec::new(),
    };
    let restored = Restored {
        hard_state: log.hard_state,
        applied,
        membership: store.membership().clone(),
        entries,
        catching_up,
    };
    let committed = jobs::known_committed(store);
    Ok(Boot { restored, log_start: (!keep).then_some(applied), committed })
}

/// Does the log hold the entry `id`, or begin right after it?
fn term_known(log: &Log, id: EntryId) -> bool {
    if log.start == id {
        return true;
    }
    let place = log.entries.binary_search_by_key(&id.index, Entry::index);
    place.is_ok_and(|place| log.entries[place].id == id)
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        store::{Options, Twin},
        types::{Bugs, ClusterId, Membership, NodeId, Payload, Term},
    };

    fn entry(term: u64, index: u64) -> Entry {
        Entry { id: EntryId::new(term, index), payload: Payload::Empty }
    }

    /// A store that has applied 1@1, 2@1, 3@2.
    fn store() -> Store {
        let options = Options { pending_bytes_max: 1 << 20, flush_pages_max: 64, bugs: Bugs::default() };
        let mut store = Store::open(Arc::new(Twin::new()), options).unwrap();
        store.init(ClusterId(1), Membership::of_voters([NodeId(1)])).unwrap();
        for entry in [entry(1, 1), entry(1, 2), entry(2, 3)] {
            store.apply_whole(&entry).unwrap();
        }
        store
    }

    fn log(start: EntryId, entries: &[Entry]) -> Log {
        Log { hard_state: HardState { term: Term(1), vote: None }, start, entries: entries.to_vec() }
    }

    #[test]
    fn what_follows_the_store_is_kept() {
        let log = log(EntryId::new(1, 1), &[entry(1, 2), entry(2, 3), entry(2, 4)]);
        let boot = reconcile(&store(), log).unwrap();
        assert_eq!((boot.log_start, boot.restored.applied), (None, EntryId::new(2, 3)));
        assert_eq!(boot.restored.entries, [entry(2, 4)]);
        assert_eq!(boot.restored.hard_state.term, Term(1), "Raft raises it, and has it written");
    }

    #[test]
    fn a_log_from_before_the_store_caught_up_starts_anew() {
        for entries in [&[entry(1, 1), entry(1, 2), entry(1, 3), entry(1, 4)][..], &[entry(1, 1)], &[]] {
            let boot = reconcile(&store(), log(EntryId::default(), entries)).unwrap();
            assert_eq!(boot.log_start, Some(EntryId::new(2, 3)));
            assert_eq!(boot.restored.entries, []);
        }
    }

    #[test]
    fn a_gap_is_not_passed_over() {
        let gap = reconcile(&store(), log(EntryId::new(2, 4), &[entry(2, 5)])).unwrap_err();
        assert_eq!((gap.applied, gap.log_start), (EntryId::new(2, 3), EntryId::new(2, 4)));
    }
}
