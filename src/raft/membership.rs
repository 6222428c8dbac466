//! Who the members are, as the log says: a change counts from the moment it is appended, and no more once its entry is
//! replaced (Raft thesis 4.1).
//!
//! Safety rests on four rules, the last three checked by the leader before it appends:
//! - one member is added or removed at a time, so any majority before and any after share a member;
//! - the change before is committed;
//! - the leader has committed an entry of its own term (Ongaro's correction of 2015: without it two leaders can each
//!   commit with majorities that share nobody);
//! - an id that left never comes back, because that board may have voted.

use std::collections::VecDeque;

use crate::types::{Bytes, Entry, Index, Membership, MembershipChange, NodeId, Payload, ProposalId};

use super::{
    Message, Node, Refusal,
    leader::Leader,
    node::State,
    progress::{Progress, Stage},
    queue::{pop_back_if, pop_front_if},
};

/// The members as of every entry that may still be replaced.
#[derive(Debug)]
pub(super) struct Members {
    settled: Membership,
    /// Not committed, as far as is known here; ascending.
    changes: VecDeque<(Index, Membership)>,
}

impl Members {
    pub(super) fn new<'a>(settled: Membership, entries: impl IntoIterator<Item = &'a Entry>) -> Members {
        let mut members = Members { settled, changes: VecDeque::new() };
        entries.into_iter().for_each(|entry| members.appended(entry));
        members
    }

    /// The ones that count now.
    pub(super) fn latest(&self) -> &Membership {
        self.changes.back().map_or(&self.settled, |(_, membership)| membership)
    }

    pub(super) fn is_voter(&self, id: NodeId) -> bool {
        self.latest().voters.contains(&id)
    }

    /// It votes as of the last entry, or as of the last committed one.
    pub(super) fn may_be_voter(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.settled.voters.contains(&id)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn appended(&mut self, entry: &Entry) {
        if let Payload::Membership { change, .. } = entry.payload
            && let Some(next) = self.latest().with(change)
        {
            self.changes.push_back((entry.index(), next));
        }
    }

    pub(super) fn truncated_from(&mut self, from: Index) {
        while pop_back_if(&mut self.changes, |(index, _)| *index >= from).is_some() {}
    }

    pub(super) fn committed_to(&mut self, commit: Index) {
        while let Some((_, membership)) = pop_front_if(&mut self.changes, |(index, _)| *index <= commit) {
            self.settled = membership;
        }
    }
}

/// Why `change` does not fit `membership`, in words that help who asked.
fn misfit(membership: &Membership, change: MembershipChange) -> Option<Refusal> {
    let id = change.node();
    let refusal = match change {
        _ if membership.removed.contains(&id) => Refusal::MemberRemoved(id),
        MembershipChange::AddVoter(_) | MembershipChange::AddLearner(_) if membership.contains(id) => {
            Refusal::MemberExists
        }
        MembershipChange::Promote(_) if membership.voters.contains(&id) => Refusal::NotLearner,
        MembershipChange::Demote(_) if membership.learners.contains(&id) => Refusal::MemberNotFound,
        MembershipChange::Remove(_) | MembershipChange::Demote(_) if membership.contains(id) => {
            Refusal::LastVoter
        }
        _ => Refusal::MemberNotFound,
    };
    membership.with(change).is_none().then_some(refusal)
}

impl Node {
    /// Leader: appends the change, if the rules allow it.
    pub(super) fn append_change(
        &mut self,
        id: ProposalId,
        change: MembershipChange,
        info: Bytes,
    ) -> Result<(), Refusal> {
        let State::Leader(leader) = &self.state else { return Err(Refusal::NotLeader) };
        // The pending change and the term's first commit come first: which members there are is not certain before.
        if !self.members.is_settled() || self.log.commit() < leader.term_start {
            return Err(Refusal::MembershipBusy);
        }
        if let Some(refusal) = misfit(self.members.latest(), change) {
            return Err(refusal);
        }
        if matches!(change, MembershipChange::Promote(_)) && !self.keeps_up(leader, change.node()) {
            return Err(Refusal::LearnerNotReady);
        }
        self.append_proposal(Payload::Membership { id, change, info })?;
        self.follow_membership();
        Ok(())
    }

    /// Does what this peer has not acknowledged fit into one window, and flow?
    fn keeps_up(&self, leader: &Leader, id: NodeId) -> bool {
        leader.peers.get(&id).is_some_and(|peer| {
            peer.stage == Stage::Replicate
                && peer.matched >= self.log.before().index
                && self.log.bytes_between(peer.matched, self.log.last().index) <= self.options.window_bytes
        })
    }

    /// Leader: a place for each member, none for those who left.
    pub(super) fn follow_membership(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        let membership = self.members.latest();
        leader.peers.retain(|id, _| membership.contains(*id));
        for id in membership.members().filter(|id| *id != self.options.id) {
            leader.peers.entry(id).or_insert_with(|| Progress::new(self.log.last().index.next()));
        }
        if leader.transfer.as_ref().is_some_and(|transfer| !membership.voters.contains(&transfer.to)) {
            leader.transfer = None;
        }
    }

    /// Leader: once its own removal is committed it must go; until then it leads without counting itself (thesis 4.2.2).
    /// Its last words are the commit index, and to the best of the others that it may stand at once.
    pub(super) fn leave_if_removed(&mut self) {
        if !self.members.is_settled() || self.members.is_voter(self.options.id) {
            return;
        }
        self.replicate();
        if let Some(to) = self.best_successor() {
            self.say(to, Message::TimeoutNow);
        }
        self.become_follower(self.hard_state.term, None);
    }
}
