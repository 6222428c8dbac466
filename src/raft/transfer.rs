//! Handing leadership over (Raft thesis 3.10): the target is brought up to date, then told to stand at once. Meanwhile
//! nothing new is appended, or it would never be up to date; after one election time-out all goes on as before.
//!
//! By itself a leader hands over when its board has had no room for proposals for an election time-out (`Node::close`), so
//! that one full disk does not stop all writes. Only to who has said for as long that it has room, so that two that are
//! short of it now and then do not pass it to and fro; and only while there would be a majority without this board, whose
//! disk may be unable to keep as much as a vote.

use crate::types::{Error, Index, NodeId};

use super::{
    Message, Node,
    node::State,
    progress::{Progress, Stage},
    quorum,
};

#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) to: NodeId,
    elapsed_ticks: u32,
    /// Told to stand already.
    is_told: bool,
}

impl Node {
    /// Leader: lets `to`, or the voter that is furthest, take over. Another transfer under way is given up for it.
    ///
    /// Errors: `NotLeader`; `BadLeaderTransferee` if `to` is no other voter, or is being caught up.
    pub fn transfer_leader(&mut self, to: Option<NodeId>) -> Result<(), Error> {
        if !matches!(self.state, State::Leader(_)) {
            return Err(Error::NotLeader);
        }
        if to == Some(self.options.id) {
            return Ok(());
        }
        let to = to.or_else(|| self.best_successor()).ok_or(Error::BadLeaderTransferee)?;
        let is_voter = self.members.is_voter(to);
        let State::Leader(leader) = &mut self.state else { return Err(Error::NotLeader) };
        match leader.peers.get(&to) {
            Some(peer) if is_voter && peer.stage != Stage::CatchUp => {}
            _ => return Err(Error::BadLeaderTransferee),
        }
        if leader.transfer.as_ref().is_none_or(|transfer| transfer.to != to) {
            leader.transfer = Some(Transfer { to, elapsed_ticks: 0, is_told: false });
        }
        self.hand_over_if_ready();
        Ok(())
    }

    /// The voter that has most; of equals, the one with the smallest id.
    pub(super) fn best_successor(&self) -> Option<NodeId> {
        let State::Leader(leader) = &self.state else { return None };
        let rank = |peer: &Progress| (peer.stage != Stage::CatchUp, peer.matched);
        let others = leader.peers.iter().filter(|(id, _)| self.members.is_voter(**id));
        others.rev().max_by_key(|(_, peer)| rank(peer)).map(|(id, _)| *id)
    }

    pub(super) fn hand_over_if_ready(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        let Some(transfer) = &mut leader.transfer else { return };
        let matched = leader.peers.get(&transfer.to).map_or(Index(0), |peer| peer.matched);
        if !transfer.is_told && matched == self.log.last().index {
            transfer.is_told = true;
            let to = transfer.to;
            self.say(to, Message::TimeoutNow);
        }
    }

    pub(super) fn tick_relief(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        for peer in leader.peers.values_mut() {
            peer.room_ticks = if peer.has_room { peer.room_ticks.saturating_add(1) } else { 0 };
        }
        leader.closed_ticks = if self.closed.is_some() { leader.closed_ticks.saturating_add(1) } else { 0 };
        if leader.closed_ticks >= self.options.election_ticks && leader.transfer.is_none() {
            leader.closed_ticks = 0;
            if let Some(to) = self.relief() {
                // It is a voter, and not being caught up: a transfer begins.
                let begun = self.transfer_leader(Some(to));
                assert_eq!(begun, Ok(()), "{to} was chosen to lead");
            }
        }
    }

    /// Of the voters that have had room for an election time-out, the one that has most; `None` if they are too few.
    fn relief(&self) -> Option<NodeId> {
        let State::Leader(leader) = &self.state else { return None };
        let has_room = |peer: &Progress| {
            peer.stage == Stage::Replicate && peer.room_ticks >= self.options.election_ticks
        };
        let voters = &self.members.latest().voters;
        if !quorum::holds(voters, |id| leader.peers.get(&id).is_some_and(has_room)) {
            return None;
        }
        let roomy = leader.peers.iter().filter(|(id, peer)| voters.contains(id) && has_room(peer));
        roomy.rev().max_by_key(|(_, peer)| peer.matched).map(|(id, _)| *id)
    }

    pub(super) fn tick_transfer(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        if let Some(transfer) = &mut leader.transfer {
            transfer.elapsed_ticks += 1;
            if transfer.elapsed_ticks >= self.options.election_ticks {
                leader.transfer = None;
            }
        }
    }
}
