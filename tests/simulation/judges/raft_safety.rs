//! Is what Raft promises true after every step? (Raft thesis figure 3.2)
//!
//! - election safety: at most one leader a term;
//! - state machine safety: what was committed at an index is the same on all members, for ever, over restarts;
//! - leader completeness: a new leader has every entry that was committed in an earlier term;
//! - equal states: members that applied the same index have the same state hash;
//! - order: applied <= commit <= the last entry, commit and applied never go back while a member lives, each committed
//!   entry is handed out once and in order;
//! - at the end, every live member has applied what clients were told is done.
//!
//! Memory is bounded: what was committed longer than `KEPT` entries ago is forgotten, and what a late member says of it
//! is only counted (`unchecked`).

use std::collections::{BTreeMap, VecDeque};

use solder::types::{Entry, EntryId, Index, NodeId, Term};

use super::Verdict;

/// Committed entries remembered. A simulated run commits fewer; 2 MiB.
const KEPT: usize = 65_536;

/// One member after one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub node: NodeId,
    pub term: Term,
    pub is_leader: bool,
    pub commit: Index,
    pub applied: Index,
    pub last: EntryId,
}

/// What is known of all members of a run together.
#[derive(Debug)]
pub struct Safety {
    kept: usize,
    leaders: BTreeMap<Term, NodeId>,
    /// Committed entries, contiguous; the first has index `forgotten + 1`.
    committed: VecDeque<Committed>,
    forgotten: Index,
    members: BTreeMap<NodeId, Member>,
    acknowledged: Index,
    unchecked: u64,
}

#[derive(Debug)]
struct Committed {
    term: Term,
    crc: u32,
    /// No later than in this term was it committed: the lowest term in which a member was seen to know.
    known_in: Term,
    state_hash: Option<u32>,
}

/// What one member said since it started.
#[derive(Debug, Default)]
struct Member {
    term: Term,
    commit: Index,
    applied: Index,
    /// The last committed entry that it was handed.
    handed_out: Index,
}

impl Default for Safety {
    fn default() -> Safety {
        Safety::keeping(KEPT)
    }
}

impl Safety {
    fn keeping(kept: usize) -> Safety {
        Safety {
            kept,
            leaders: BTreeMap::new(),
            committed: VecDeque::new(),
            forgotten: Index(0),
            members: BTreeMap::new(),
            acknowledged: Index(0),
            unchecked: 0,
        }
    }

    /// The member begins a life, or was placed by catching up: what it is handed next comes after `applied`.
    pub fn started(&mut self, node: NodeId, applied: Index) -> Verdict {
        if applied > self.end() {
            return Err(format!("{node} starts at {applied}, only {} is committed", self.end()));
        }
        self.members.insert(node, Member { handed_out: applied, commit: applied, applied, term: Term(0) });
        Ok(())
    }

    /// After every step of a member. `has_entry`: is this very entry in its log?
    pub fn stepped(&mut self, view: &View, has_entry: impl Fn(EntryId) -> bool) -> Verdict {
        self.check_order(view)?;
        if view.is_leader && self.leaders.get(&view.term) != Some(&view.node) {
            self.check_new_leader(view, has_entry)?;
        }
        Ok(())
    }

    /// A member in `term` was handed a committed entry, to apply it.
    pub fn committed(&mut self, node: NodeId, term: Term, entry: &Entry) -> Verdict {
        let member = self.members.entry(node).or_default();
        if entry.index() != member.handed_out.next() {
            return Err(format!("{node} was handed {} after {}", entry.id, member.handed_out));
        }
        member.handed_out = entry.index();
        if entry.term() > term {
            return Err(format!("{node} in term {term} was handed {}", entry.id));
        }
        let crc = crc_of(entry);
        if entry.index() == self.end().next() {
            return self.remember(node, term, entry.id, crc);
        }
        let Some(known) = self.find(entry.index()) else { return Ok(()) };
        if (known.term, known.crc) != (entry.term(), crc) {
            let committed = EntryId { term: known.term, index: entry.index() };
            return Err(format!(
                "{node} was handed {} (crc {crc:08x}), committed is {committed} (crc {:08x})",
                entry.id, known.crc
            ));
        }
        known.known_in = known.known_in.min(term);
        Ok(())
    }

    /// A member has applied `index`, or was placed there by catching up, and its state has this hash now.
    pub fn applied(&mut self, node: NodeId, index: Index, state_hash: u32) -> Verdict {
        if index > self.end() {
            return Err(format!("{node} has applied {index}, only {} is committed", self.end()));
        }
        let Some(known) = self.find(index) else { return Ok(()) };
        match known.state_hash {
            None => known.state_hash = Some(state_hash),
            Some(other) if other == state_hash => {}
            Some(other) => {
                return Err(format!("{node} has state {state_hash:08x} at {index}, another had {other:08x}"));
            }
        }
        Ok(())
    }

    /// A client was told that what entry `index` asked for is done.
    pub fn acknowledged(&mut self, index: Index) -> Verdict {
        if index > self.end() {
            return Err(format!("entry {index} was acknowledged, only {} is committed", self.end()));
        }
        self.acknowledged = self.acknowledged.max(index);
        Ok(())
    }

    /// The run is over; `live` has had all the time it needs.
    pub fn finish(&self, live: &[View]) -> Verdict {
        match live.iter().find(|view| view.applied < self.acknowledged) {
            Some(view) => Err(format!(
                "{} has applied {} only, entry {} was acknowledged",
                view.node, view.applied, self.acknowledged
            )),
            None => Ok(()),
        }
    }

    /// How often a member said something about an entry that is forgotten here.
    pub fn unchecked(&self) -> u64 {
        self.unchecked
    }

    fn check_order(&mut self, view: &View) -> Verdict {
        let View { node, term, commit, applied, last, .. } = *view;
        if applied > commit || commit > last.index {
            return Err(format!("{node} has applied {applied}, commit {commit}, last entry {last}"));
        }
        let member = self.members.entry(node).or_default();
        for (what, before, now) in [
            ("term", member.term.0, term.0),
            ("commit", member.commit.0, commit.0),
            ("applied", member.applied.0, applied.0),
        ] {
            if now < before {
                return Err(format!("{node} went back from {what} {before} to {now}"));
            }
        }
        (member.term, member.commit, member.applied) = (term, commit, applied);
        Ok(())
    }

    fn check_new_leader(&mut self, view: &View, has_entry: impl Fn(EntryId) -> bool) -> Verdict {
        let View { node, term, .. } = *view;
        if let Some(other) = self.leaders.insert(term, node) {
            return Err(format!("{other} and {node} both lead in term {term}"));
        }
        // What it has applied was compared when it was handed out, and its log may not reach that far back.
        let first = view.applied.max(self.forgotten);
        for (index, committed) in (first.0 + 1..).zip(self.committed.range(self.place(first.next())..)) {
            let id = EntryId { term: committed.term, index: Index(index) };
            // A leader of an old term may be elected late: what later terms committed it need not have.
            if committed.known_in < term && !has_entry(id) {
                return Err(format!("{node} leads in term {term} without {id}, which is committed"));
            }
        }
        Ok(())
    }

    fn remember(&mut self, node: NodeId, term: Term, id: EntryId, crc: u32) -> Verdict {
        if let Some(before) = self.committed.back().filter(|before| before.term > id.term) {
            return Err(format!("{node} was handed {id} behind an entry of term {}", before.term));
        }
        self.committed.push_back(Committed { term: id.term, crc, known_in: term, state_hash: None });
        if self.committed.len() > self.kept {
            self.committed.pop_front();
            self.forgotten = self.forgotten.next();
        }
        Ok(())
    }

    /// The last index that is known to be committed.
    fn end(&self) -> Index {
        Index(self.forgotten.0 + self.committed.len() as u64)
    }

    /// What is known of an index up to `end`; `None`, and counted, if that is forgotten.
    fn find(&mut self, index: Index) -> Option<&mut Committed> {
        assert!(index <= self.end(), "{index} is beyond {}", self.end());
        if index <= self.forgotten {
            self.unchecked += u64::from(index > Index(0));
            return None;
        }
        let place = self.place(index);
        self.committed.get_mut(place)
    }

    /// Where in `committed` an index that is not forgotten stands.
    fn place(&self, index: Index) -> usize {
        usize::try_from(index.0 - self.forgotten.0 - 1)
            .expect("bounded by what is kept")
            .min(self.committed.len())
    }
}

fn crc_of(entry: &Entry) -> u32 {
    crc32fast::hash(&postcard::to_stdvec(&entry.payload).expect("a vector takes what memory takes"))
}
