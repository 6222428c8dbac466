//! Proposals that nobody takes at the moment: there is no leader, or it is handing over. They wait for the next one, as
//! etcd's do, so that clients see a pause where there was no harm.
//!
//! What was handed on to a leader is held again only if it says that it took nothing, for certain: then nobody has it, and
//! nobody will. What is uncertain is never proposed again.

use std::collections::{BTreeMap, VecDeque};

use crate::types::{Bytes, MembershipChange, ProposalId};

#[derive(Clone, Debug)]
pub(super) enum Proposal {
    Command(Bytes),
    Change(MembershipChange, Bytes),
}

impl Proposal {
    /// Is somebody to be a member?
    pub(super) fn adds(&self) -> bool {
        use MembershipChange::{AddLearner, AddVoter};
        matches!(self, Proposal::Change(AddVoter(_) | AddLearner(_), _))
    }

    fn bytes(&self) -> u64 {
        let (Proposal::Command(data) | Proposal::Change(_, data)) = self;
        data.len() as u64
    }
}

/// What waits here and what was handed on, together bounded in bytes; in number it is bounded as requests are.
#[derive(Debug)]
pub(super) struct Unplaced {
    waiting: VecDeque<(ProposalId, Proposal)>,
    handed_on: BTreeMap<ProposalId, Proposal>,
    bytes: u64,
    bytes_max: u64,
}

impl Unplaced {
    pub(super) fn new(bytes_max: u64) -> Unplaced {
        Unplaced { waiting: VecDeque::new(), handed_on: BTreeMap::new(), bytes: 0, bytes_max }
    }

    /// False: there is no room.
    pub(super) fn hold(&mut self, id: ProposalId, proposal: Proposal) -> bool {
        let fits = self.take_room(&proposal);
        if fits {
            self.waiting.push_back((id, proposal));
        }
        fits
    }

    /// Kept should the leader not take it, if there is room.
    pub(super) fn handed_on(&mut self, id: ProposalId, proposal: &Proposal) {
        if self.take_room(proposal) {
            self.handed_on.insert(id, proposal.clone());
        }
    }

    fn take_room(&mut self, proposal: &Proposal) -> bool {
        let bytes = proposal.bytes();
        let fits = self.bytes == 0 || self.bytes + bytes <= self.bytes_max;
        self.bytes += if fits { bytes } else { 0 };
        fits
    }

    /// The leader did not take it. False: it is not here any more.
    pub(super) fn hold_again(&mut self, id: ProposalId) -> bool {
        let Some(proposal) = self.handed_on.remove(&id) else { return false };
        self.waiting.push_back((id, proposal));
        true
    }

    /// It was answered, one way or another.
    pub(super) fn forget(&mut self, id: ProposalId) {
        if let Some(proposal) = self.handed_on.remove(&id) {
            self.bytes -= proposal.bytes();
        }
    }

    /// Of those that were answered without anybody telling: they ran out.
    pub(super) fn retain(&mut self, is_awaited: impl Fn(ProposalId) -> bool) {
        self.handed_on.retain(|id, _| is_awaited(*id));
        self.waiting.retain(|(id, _)| is_awaited(*id));
        let waiting = self.waiting.iter().map(|(_, proposal)| proposal);
        self.bytes = waiting.chain(self.handed_on.values()).map(Proposal::bytes).sum();
    }

    pub(super) fn release(&mut self) -> Vec<(ProposalId, Proposal)> {
        let released: Vec<_> = self.waiting.drain(..).collect();
        self.bytes -= released.iter().map(|(_, proposal)| proposal.bytes()).sum::<u64>();
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn id(number: u64) -> ProposalId {
        ProposalId { origin: NodeId(1), number }
    }

    fn command(bytes: usize) -> Proposal {
        Proposal::Command(vec![0; bytes].into())
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut unplaced = Unplaced::new(10);
        assert!(unplaced.hold(id(1), command(20)), "one alone, however large");
        assert!(!unplaced.hold(id(2), command(1)));
        assert_eq!(unplaced.release().len(), 1);
        assert!(unplaced.hold(id(3), command(6)));
        unplaced.handed_on(id(4), &command(4));
        unplaced.handed_on(id(5), &command(1));
        assert!(unplaced.hold_again(id(4)) && !unplaced.hold_again(id(5)), "there was no room for the last");
        unplaced.retain(|awaited| awaited == id(4));
        assert_eq!(unplaced.release().iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id(4)]);
        assert_eq!(unplaced.bytes, 0);
    }

    #[test]
    fn what_was_answered_takes_no_room() {
        let mut unplaced = Unplaced::new(10);
        unplaced.handed_on(id(1), &command(10));
        unplaced.forget(id(1));
        unplaced.forget(id(1));
        assert_eq!(unplaced.bytes, 0);
        assert!(!unplaced.hold_again(id(1)));
    }
}
