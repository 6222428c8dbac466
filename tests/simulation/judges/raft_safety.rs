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

    /// The member begins a life: what it is handed next comes after `applied`.
    pub fn started(&mut self, node: NodeId, applied: Index) -> Verdict {
        self.check_start(node, applied)?;
        self.members.insert(node, Member { handed_out: applied, commit: applied, applied, term: Term(0) });
        Ok(())
    }

    /// The member was placed behind `applied` by catching up. What it knew before still counts.
    pub fn placed(&mut self, node: NodeId, applied: Index) -> Verdict {
        self.check_start(node, applied)?;
        let member = self.members.entry(node).or_default();
        if applied < member.applied || applied < member.handed_out {
            return Err(format!("{node} was placed at {applied}, handed out was {}", member.handed_out));
        }
        member.handed_out = applied;
        Ok(())
    }

    fn check_start(&self, node: NodeId, applied: Index) -> Verdict {
        match applied > self.end() {
            true => Err(format!("{node} starts at {applied}, only {} is committed", self.end())),
            false => Ok(()),
        }
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

#[cfg(test)]
mod tests {
    use solder::types::{Bytes, Payload, ProposalId};

    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    fn entry(term: u64, index: u64, data: &str) -> Entry {
        let payload = Payload::Command { id: ProposalId::default(), data: Bytes::from(data) };
        Entry { id: EntryId::new(term, index), payload }
    }

    fn view(node: NodeId, term: u64, commit: u64, applied: u64, last: u64) -> View {
        View {
            node,
            term: Term(term),
            is_leader: false,
            commit: Index(commit),
            applied: Index(applied),
            last: EntryId::new(term, last),
        }
    }

    fn leader(node: NodeId, term: u64) -> View {
        View { is_leader: true, ..view(node, term, 0, 0, 9) }
    }

    #[track_caller]
    fn refused(verdict: Verdict, why: &str) {
        let reason = verdict.unwrap_err();
        assert!(reason.contains(why), "{reason}");
    }

    /// A has been handed 1@1, 2@1, 3@2 in term 2.
    fn three_committed() -> Safety {
        let mut safety = Safety::default();
        for entry in [entry(1, 1, "a"), entry(1, 2, "b"), entry(2, 3, "c")] {
            safety.committed(A, Term(2), &entry).unwrap();
        }
        safety
    }

    #[test]
    fn one_leader_a_term() {
        let mut safety = Safety::default();
        safety.stepped(&leader(A, 1), |_| true).unwrap();
        safety.stepped(&leader(A, 1), |_| true).unwrap();
        safety.stepped(&leader(B, 2), |_| true).unwrap();
        refused(safety.stepped(&leader(B, 1), |_| true), "went back from term 2 to 1");
        safety.started(B, Index(0)).unwrap();
        refused(safety.stepped(&leader(B, 1), |_| true), "1 and 2 both lead in term 1");
    }

    #[test]
    fn what_is_committed_is_the_same_everywhere() {
        let mut safety = three_committed();
        safety.committed(B, Term(2), &entry(1, 1, "a")).unwrap();
        refused(safety.committed(B, Term(2), &entry(1, 2, "other")), "committed is 2@1");
        safety.started(B, Index(1)).unwrap();
        refused(safety.committed(B, Term(2), &entry(2, 2, "b")), "committed is 2@1");
    }

    #[test]
    fn what_is_committed_stays_over_restarts() {
        let mut safety = three_committed();
        safety.started(A, Index(2)).unwrap();
        refused(safety.committed(A, Term(3), &entry(3, 3, "c")), "committed is 3@2");
        safety.started(A, Index(2)).unwrap();
        safety.committed(A, Term(3), &entry(2, 3, "c")).unwrap();
        refused(safety.started(A, Index(4)), "only 3 is committed");
    }

    #[test]
    fn entries_are_handed_out_once_and_in_order() {
        let mut safety = three_committed();
        refused(safety.committed(A, Term(2), &entry(2, 3, "c")), "was handed 3@2 after 3");
        refused(safety.committed(A, Term(2), &entry(2, 5, "e")), "was handed 5@2 after 3");
        refused(safety.committed(A, Term(2), &entry(3, 4, "d")), "in term 2 was handed 4@3");
        let mut safety = three_committed();
        refused(safety.committed(A, Term(2), &entry(1, 4, "d")), "behind an entry of term 2");
        refused(safety.committed(B, Term(2), &entry(1, 2, "b")), "was handed 2@1 after 0");
    }

    #[test]
    fn a_new_leader_has_what_earlier_terms_committed() {
        let has = |index: u64| move |id: EntryId| id.index <= Index(index);
        three_committed().stepped(&leader(B, 3), has(3)).unwrap();
        refused(three_committed().stepped(&leader(B, 3), has(2)), "leads in term 3 without 3@2");
        refused(three_committed().stepped(&leader(B, 3), |id| id != EntryId::new(1, 1)), "without 1@1");
        // Its votes of term 2 came late: nothing that was committed in term 2 is asked of it.
        three_committed().stepped(&leader(B, 2), has(0)).unwrap();
        // What it has applied was compared before, its log begins later.
        let applied = View { commit: Index(2), applied: Index(2), ..leader(B, 3) };
        three_committed().stepped(&applied, |id| id.index == Index(3)).unwrap();
        refused(three_committed().stepped(&applied, |_| false), "without 3@2");
    }

    #[test]
    fn the_earliest_sight_of_a_commit_counts() {
        let mut safety = Safety::default();
        safety.committed(A, Term(5), &entry(1, 1, "a")).unwrap();
        safety.stepped(&leader(B, 4), |_| false).unwrap();
        safety.committed(B, Term(4), &entry(1, 1, "a")).unwrap();
        refused(safety.stepped(&leader(B, 5), |_| false), "leads in term 5 without 1@1");
    }

    #[test]
    fn catching_up_does_not_go_back() {
        let mut safety = three_committed();
        safety.started(B, Index(0)).unwrap();
        safety.committed(B, Term(2), &entry(1, 1, "a")).unwrap();
        refused(safety.placed(B, Index(0)), "placed at 0, handed out was 1");
        refused(safety.placed(B, Index(4)), "only 3 is committed");
        safety.stepped(&view(B, 2, 1, 1, 1), |_| true).unwrap();
        safety.placed(B, Index(2)).unwrap();
        refused(safety.stepped(&view(B, 1, 2, 2, 2), |_| true), "from term 2 to 1");
        safety.committed(B, Term(2), &entry(2, 3, "c")).unwrap();
    }

    #[test]
    fn order_of_applied_commit_and_last() {
        let mut safety = three_committed();
        safety.stepped(&view(A, 2, 3, 2, 4), |_| true).unwrap();
        refused(safety.stepped(&view(A, 2, 3, 4, 4), |_| true), "has applied 4, commit 3");
        refused(safety.stepped(&view(A, 2, 5, 3, 4), |_| true), "commit 5, last entry 4@2");
        refused(safety.stepped(&view(A, 2, 2, 2, 4), |_| true), "from commit 3 to 2");
        refused(safety.stepped(&view(A, 2, 3, 1, 4), |_| true), "from applied 2 to 1");
        refused(safety.stepped(&view(A, 1, 3, 2, 4), |_| true), "from term 2 to 1");
        safety.started(A, Index(1)).unwrap();
        safety.stepped(&view(A, 1, 1, 1, 1), |_| true).unwrap();
    }

    #[test]
    fn states_at_one_index_are_equal() {
        let mut safety = three_committed();
        safety.applied(A, Index(2), 7).unwrap();
        safety.applied(A, Index(3), 8).unwrap();
        safety.applied(B, Index(2), 7).unwrap();
        refused(safety.applied(B, Index(3), 9), "state 00000009 at 3, another had 00000008");
        refused(safety.applied(A, Index(4), 7), "only 3 is committed");
        assert_eq!(safety.unchecked(), 0);
    }

    #[test]
    fn what_was_acknowledged_is_there_at_the_end() {
        let mut safety = three_committed();
        refused(safety.acknowledged(Index(4)), "only 3 is committed");
        safety.acknowledged(Index(3)).unwrap();
        safety.acknowledged(Index(2)).unwrap();
        safety.finish(&[view(A, 2, 3, 3, 3), view(B, 2, 4, 4, 4)]).unwrap();
        refused(safety.finish(&[view(A, 2, 3, 3, 3), view(B, 2, 3, 2, 3)]), "2 has applied 2 only");
    }

    #[test]
    fn what_is_long_past_is_forgotten_and_counted() {
        let mut safety = Safety::keeping(2);
        for index in 1..=5 {
            safety.committed(A, Term(1), &entry(1, index, "a")).unwrap();
            safety.applied(A, Index(index), 7).unwrap();
        }
        assert_eq!(safety.unchecked(), 0);
        safety.committed(B, Term(1), &entry(1, 1, "other")).unwrap();
        safety.started(B, Index(2)).unwrap();
        safety.applied(B, Index(2), 9).unwrap();
        assert_eq!(safety.unchecked(), 2);
        safety.committed(B, Term(1), &entry(1, 3, "other")).unwrap();
        refused(safety.committed(B, Term(1), &entry(1, 4, "other")), "committed is 4@1");
        refused(safety.stepped(&leader(NodeId(3), 2), |id| id.index < Index(5)), "without 5@1");
    }
}
