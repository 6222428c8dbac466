//! Who is added, judged by the leader just before the change is appended: what who asked for it has looked at before may have
//! changed meanwhile, and others let boards in at the same time.
//!
//! Changes of the members come one at a time, and a row counts from the moment its entry is appended (`Roll::newest`), so
//! nothing comes between this and the log. What Raft itself refuses is for Raft to say.

use crate::{
    raft::{Envelope, Message, Refusal},
    replica::PeerMessage,
    types::{MemberRow, MembershipChange, NodeId},
};

use super::{Core, autopilot};

impl Core {
    /// A change that another member has handed on, and that does not fit: what that one is told.
    pub(super) fn turned_away(&self, message: &PeerMessage) -> Option<PeerMessage> {
        let PeerMessage::Raft(envelope) = message else { return None };
        let Message::ChangeMembers { id, change, info } = &envelope.message else { return None };
        let node = self.replica.node();
        if envelope.to != node.id() || envelope.term != node.term() {
            return None;
        }
        let reason = self.misfit(*change, info)?;
        // Certain: had an earlier copy been taken, whom it adds would be there, and fit.
        let refuse = Message::Refuse { id: *id, reason, is_certain: true };
        let answer = Envelope { from: node.id(), to: envelope.from, term: node.term(), message: refuse };
        Some(PeerMessage::Raft(answer))
    }

    /// `None`: it fits, or it is not for this member to say.
    pub(super) fn misfit(&self, change: MembershipChange, info: &[u8]) -> Option<Refusal> {
        let (MembershipChange::AddVoter(id) | MembershipChange::AddLearner(id)) = change else { return None };
        let membership = self.replica.node().membership();
        // Members of the first level do not know these refusals.
        let is_known = self.roll.cluster.level >= autopilot::LEVEL;
        if !is_known || !self.is_leader() || membership.contains(id) || membership.removed.contains(&id) {
            return None;
        }
        let row = MemberRow::decode(info).unwrap_or_default();
        let most = self.roll.cluster.learners_max as usize;
        let is_learner = matches!(change, MembershipChange::AddLearner(_));
        if is_learner && most > 0 && membership.learners.len() >= most {
            return Some(Refusal::TooManyLearners);
        }
        let others = || membership.members().filter_map(|id| Some((id, self.roll.newest(id)?)));
        if !row.key.is_empty() && others().any(|(_, other)| other.key == row.key) {
            return Some(Refusal::MemberExists);
        }
        // Who brings a key and a name may be where another was.
        if row.name.is_empty() {
            let is_there = |url| row.peer_urls.contains(url);
            return others()
                .any(|(_, other)| other.peer_urls.iter().any(is_there))
                .then_some(Refusal::PeerUrlExists);
        }
        others()
            .any(|(id, other)| other.name == row.name && !self.gives_way(id, other, &row))
            .then_some(Refusal::NameTaken)
    }

    /// A board that comes back without its data has its own name again. Who has only just come in is not it, and not heard yet.
    fn gives_way(&self, id: NodeId, old: &MemberRow, new: &MemberRow) -> bool {
        let node = self.replica.node();
        let is_same = !old.board.is_empty() && old.board == new.board;
        is_same && old.has_served() && id != node.id() && (!node.hears(id) || self.gone.contains(&id))
    }
}
