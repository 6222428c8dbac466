//! Who votes, who only listens, who left for good.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::NodeId;

/// The members of a cluster as of one log entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub voters: BTreeSet<NodeId>,
    /// Receive the log but do not count in any quorum.
    pub learners: BTreeSet<NodeId>,
    /// Ids that were members once: never given again, because such a board may have voted.
    pub removed: BTreeSet<NodeId>,
}

/// One change at a time (Raft thesis 4.1): any majority before and any majority after it share a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembershipChange {
    AddVoter(NodeId),
    AddLearner(NodeId),
    /// A learner becomes a voter.
    Promote(NodeId),
    Remove(NodeId),
    /// A voter becomes a learner. Of level 2.
    Demote(NodeId),
}

impl Membership {
    pub fn of_voters(ids: impl IntoIterator<Item = NodeId>) -> Membership {
        Membership { voters: ids.into_iter().collect(), ..Membership::default() }
    }

    /// Knows no member at all: a board that has not been told of its cluster yet.
    pub fn is_blank(&self) -> bool {
        self.voters.is_empty()
    }

    pub fn contains(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.learners.contains(&id)
    }

    /// All members, voters and learners, in order of their ids.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.voters.union(&self.learners).copied()
    }

    /// How many voters are a majority.
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// The membership after `change`, or `None` where the change does not fit: the member is there already, is not
    /// there, was removed once, is no learner or no voter, or is the last voter.
    pub fn with(&self, change: MembershipChange) -> Option<Membership> {
        let mut next = self.clone();
        let fits = match change {
            MembershipChange::AddVoter(id) => self.is_new(id) && next.voters.insert(id),
            MembershipChange::AddLearner(id) => self.is_new(id) && next.learners.insert(id),
            MembershipChange::Promote(id) => next.learners.remove(&id) && next.voters.insert(id),
            MembershipChange::Remove(id) => {
                (next.learners.remove(&id) || next.voters.remove(&id)) && next.removed.insert(id)
            }
            MembershipChange::Demote(id) => next.voters.remove(&id) && next.learners.insert(id),
        };
        (fits && !next.voters.is_empty()).then_some(next)
    }

    fn is_new(&self, id: NodeId) -> bool {
        id != NodeId(0) && !self.contains(id) && !self.removed.contains(&id)
    }
}

impl MembershipChange {
    /// The member that the change is about.
    pub fn node(self) -> NodeId {
        match self {
            Self::AddVoter(id)
            | Self::AddLearner(id)
            | Self::Promote(id)
            | Self::Remove(id)
            | Self::Demote(id) => id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_used_once() {
        let one = Membership::of_voters([NodeId(1)]);
        let two = one.with(MembershipChange::AddLearner(NodeId(2))).expect("a new id");
        let without = two.with(MembershipChange::Remove(NodeId(2))).expect("a member");
        assert_eq!(without.with(MembershipChange::AddLearner(NodeId(2))), None);
        assert_eq!(without.with(MembershipChange::AddVoter(NodeId(2))), None);
    }

    #[test]
    fn the_last_voter_stays() {
        let one = Membership::of_voters([NodeId(1)]);
        assert_eq!(one.with(MembershipChange::Remove(NodeId(1))), None);
    }

    #[test]
    fn who_is_demoted_listens_on() {
        let two = Membership::of_voters([1, 2].map(NodeId));
        let one = two.with(MembershipChange::Demote(NodeId(2))).expect("a voter");
        assert_eq!(one.learners, [NodeId(2)].into());
        assert_eq!(one.with(MembershipChange::Demote(NodeId(2))), None, "a learner");
        assert_eq!(one.with(MembershipChange::Demote(NodeId(1))), None, "the last voter");
        assert_eq!(one.with(MembershipChange::Promote(NodeId(2))), Some(two));
    }

    #[test]
    fn only_a_learner_is_promoted() {
        let one = Membership::of_voters([NodeId(1)]);
        assert_eq!(one.with(MembershipChange::Promote(NodeId(1))), None);
        assert_eq!(one.with(MembershipChange::Promote(NodeId(2))), None);
    }
}
