//! The leader: appends, sends, counts (Raft thesis 3.5, 3.6.2, 6.2).
//!
//! Its own disk is one vote among the voters' and no condition: Appends leave before the own sync, and a majority of
//! others commits without it. A single voter goes the same way, and so commits when its disk has the entry and not before.

use std::collections::BTreeMap;

use crate::types::{Bug, Entry, EntryId, Index, NodeId, Payload};

use super::{
    Message, Node, Refusal, node::State, progress::Progress, proposals::Proposals, quorum, reads::Reads,
    transfer::Transfer,
};

#[derive(Debug)]
pub(super) struct Leader {
    /// All members but this one.
    pub(super) peers: BTreeMap<NodeId, Progress>,
    pub(super) reads: Reads,
    pub(super) proposals: Proposals,
    /// The first entry of its term. When it is committed, so is all that its predecessors committed.
    pub(super) term_start: Index,
    pub(super) transfer: Option<Transfer>,
    /// For how long this board has had no room for proposals, or since it last tried to let another one lead for that.
    pub(super) closed_ticks: u32,
    heartbeat_elapsed_ticks: u32,
}

impl Leader {
    pub(super) fn new(term_start: Index) -> Leader {
        Leader {
            peers: BTreeMap::new(),
            reads: Reads::default(),
            proposals: Proposals::default(),
            term_start,
            transfer: None,
            closed_ticks: 0,
            heartbeat_elapsed_ticks: 0,
        }
    }
}

impl Node {
    /// Thesis 6.4: what commits the entries of earlier terms.
    pub(super) fn append_first(&mut self) {
        self.append(Payload::Empty);
    }

    /// Appends what somebody proposed, if there is room.
    pub(super) fn append_proposal(&mut self, payload: Payload) -> Result<(), Refusal> {
        let State::Leader(leader) = &self.state else { return Err(Refusal::NotLeader) };
        if leader.transfer.is_some() {
            // Nothing was appended, and soon there is another leader to ask.
            return Err(Refusal::LeaderChanged);
        }
        if let Some(reason) = self.closed {
            return Err(reason);
        }
        let id = EntryId { term: self.hard_state.term, index: self.log.last().index.next() };
        let entry = Entry { id, payload };
        if !self.has_room_for(entry.weight_bytes()) {
            return Err(Refusal::TooManyRequests);
        }
        self.append(entry.payload);
        Ok(())
    }

    /// Both bounds take one entry of any size when there is nothing else.
    fn has_room_for(&self, bytes: u64) -> bool {
        let fits = |taken: u64, max| taken == 0 || taken.saturating_add(bytes) <= max;
        fits(self.log.uncommitted_bytes(), self.options.uncommitted_bytes_max)
            && fits(self.log.held_bytes(), self.held_bytes_max())
    }

    fn append(&mut self, payload: Payload) {
        let id = EntryId { term: self.hard_state.term, index: self.log.last().index.next() };
        let entry = Entry { id, payload };
        self.members.appended(&entry);
        self.log.append(entry);
    }

    pub(super) fn tick_leader(&mut self) {
        if self.elapsed_ticks >= self.options.election_ticks {
            self.elapsed_ticks = 0;
            if !self.is_heard() {
                self.become_follower(self.hard_state.term, None);
                return;
            }
        }
        self.tick_transfer();
        self.tick_relief();
        let State::Leader(leader) = &mut self.state else { return };
        for ticks in leader.peers.values_mut().filter_map(|peer| peer.silent_ticks.as_mut()) {
            *ticks = ticks.saturating_add(1);
        }
        leader.heartbeat_elapsed_ticks += 1;
        if leader.heartbeat_elapsed_ticks >= self.options.heartbeat_ticks {
            self.start_round();
        }
        self.tick_learners();
    }

    /// Thesis 6.2: did a majority of the voters answer in the last election time-out? Asking starts the next one.
    ///
    /// That a peer's process has ended (`peer_lost`) does not count: its link may have been cut and be there again in a
    /// moment, so counting it would end reigns for nothing; and a leader that nobody hears does no harm for one time-out.
    /// Nothing that it appends is committed, and no read is confirmed.
    fn is_heard(&mut self) -> bool {
        let own = self.options.id;
        let State::Leader(leader) = &mut self.state else { return false };
        let is_active = |id| id == own || leader.peers.get(&id).is_some_and(|peer| peer.is_active);
        let is_heard = quorum::holds(&self.members.latest().voters, is_active);
        for peer in leader.peers.values_mut() {
            peer.has_room &= peer.is_active;
            peer.is_active = false;
        }
        is_heard
    }

    pub(super) fn start_round_if_wanted(&mut self) {
        if matches!(&self.state, State::Leader(leader) if leader.reads.want_round()) {
            self.start_round();
        }
    }

    /// Among the voters: nobody else's answer counts.
    fn start_round(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        leader.heartbeat_elapsed_ticks = 0;
        let round = leader.reads.start_round();
        let voters = &self.members.latest().voters;
        let others = leader.peers.iter_mut().filter(|(id, _)| voters.contains(id));
        let heartbeats: Vec<(NodeId, Message)> =
            others.map(|(id, peer)| (*id, peer.heartbeat(&self.log, round))).collect();
        heartbeats.into_iter().for_each(|(to, message)| self.say(to, message));
    }

    /// Who does not vote, and has all, is only to know that somebody leads, and who: there may be a hundred, and a heartbeat
    /// each, with its answer, is most of what an idle cluster costs. What was started last is the round that they answer.
    fn tick_learners(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        let often = self.options.heartbeat_ticks;
        let seldom = often.max(self.options.election_ticks / 2);
        let round = leader.reads.round();
        let voters = &self.members.latest().voters;
        let mut heartbeats = Vec::new();
        for (id, peer) in leader.peers.iter_mut().filter(|(id, _)| !voters.contains(id)) {
            peer.unasked_ticks = peer.unasked_ticks.saturating_add(1);
            if peer.unasked_ticks >= if peer.is_up_to_date(&self.log) { seldom } else { often } {
                peer.unasked_ticks = 0;
                heartbeats.push((*id, peer.heartbeat(&self.log, round)));
            }
        }
        heartbeats.into_iter().for_each(|(to, message)| self.say(to, message));
    }

    /// Leader: a learner that has just come is told at the next tick who leads, and not only when it is its turn.
    pub(super) fn ask_soon(&mut self, id: NodeId) {
        if let State::Leader(leader) = &mut self.state
            && let Some(peer) = leader.peers.get_mut(&id)
        {
            peer.unasked_ticks = u32::MAX;
        }
    }

    /// Sends each peer what it may get, tells it what was committed if that did not travel along, and reports those whom
    /// the log cannot help.
    pub(super) fn replicate(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        let mut messages = Vec::new();
        for (id, peer) in &mut leader.peers {
            if peer.is_too_old(&self.log) {
                peer.enter_catch_up();
                self.out.catch_up.push(*id);
            }
            while let Some(append) = peer.take_append(&self.log, &self.options) {
                messages.push((*id, append));
            }
            if peer.wants_news(&self.log) {
                messages.push((*id, peer.heartbeat(&self.log, 0)));
            }
        }
        messages.into_iter().for_each(|(to, message)| self.say(to, message));
    }

    fn peer(&mut self, id: NodeId) -> Option<&mut Progress> {
        let State::Leader(leader) = &mut self.state else { return None };
        let peer = leader.peers.get_mut(&id)?;
        peer.heard();
        Some(peer)
    }

    pub(super) fn on_append_accepted(&mut self, from: NodeId, matched: Index) {
        let last = self.log.last().index;
        if let Some(peer) = self.peer(from)
            && matched <= last
        {
            peer.accepted(matched);
            self.advance_commit();
            self.hand_over_if_ready();
            self.trim_log();
        }
    }

    pub(super) fn on_append_rejected(&mut self, from: NodeId, prev: Index, hint: EntryId, catching_up: bool) {
        let State::Leader(leader) = &mut self.state else { return };
        let Some(peer) = leader.peers.get_mut(&from) else { return };
        peer.heard();
        if !catching_up {
            peer.rejected(prev, hint, &self.log);
        } else if peer.is_lost(prev) {
            peer.enter_catch_up();
            self.out.catch_up.push(from);
        }
    }

    pub(super) fn on_heartbeat_ack(&mut self, from: NodeId, round: u64, has_room: bool) {
        let State::Leader(leader) = &self.state else { return };
        let started = leader.reads.round();
        if let Some(peer) = self.peer(from)
            && (1..=started).contains(&round)
        {
            peer.has_room = has_room;
            peer.round = peer.round.max(round);
            peer.heartbeat_answered();
            self.serve_reads();
        }
    }

    /// Commits what a majority of the voters has durably, this board's own disk included.
    pub(super) fn advance_commit(&mut self) {
        let own = self.options.id;
        let State::Leader(leader) = &self.state else { return };
        let durable = self.log.durable();
        let matched =
            |id| if id == own { durable } else { leader.peers.get(&id).map_or(Index(0), |p| p.matched) };
        let reached = quorum::reached(&self.members.latest().voters, matched).unwrap_or_default();
        // Thesis 3.6.2: copies commit only entries of the leader's own term, and with them all before.
        let is_own = reached >= leader.term_start || self.options.bugs.has(Bug::CommitOlderTerm);
        if reached > self.log.commit() && is_own {
            self.commit_to(reached);
            self.serve_reads();
            self.leave_if_no_voter();
        }
    }

    /// What waits for this leader's word will not get it. Proposals in the log may still be committed by others: of them
    /// nothing is known, so nothing is said.
    pub(super) fn abdicate(&mut self, was: Leader) {
        for (from, id) in was.reads.into_waiting() {
            self.refuse(from, id, Refusal::LeaderChanged, true);
        }
        self.trim_log();
    }
}
