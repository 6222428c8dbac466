//! Linearizable reads without writing to the log (Raft thesis 6.4).
//!
//! A read is answered at an index that is at least the commit index at its arrival, once a round of heartbeats that
//! STARTED after its arrival has come back from a majority of the voters: then nobody else can have led, and committed
//! more, before it arrived. Rounds are numbered. While one is under way, reads gather for the next; each heartbeat tick
//! starts a new one, which also serves all who wait for a lost one.
//!
//! A new leader may not know all that its predecessors committed before its own first entry is: such reads wait for it.

use std::collections::VecDeque;

use crate::types::{Bug, Bugs, Index, NodeId, ProposalId};

use super::{Message, Node, ReadReady, Refusal, node::State, queue::pop_front_if, quorum};

#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Ascending in `round`.
    waiting: VecDeque<Read>,
    /// The last round that was started.
    round: u64,
}

#[derive(Debug)]
pub(super) struct Read {
    from: NodeId,
    pub(super) id: ProposalId,
    index: Index,
    /// The first round that may serve it.
    round: u64,
}

impl Reads {
    fn push(&mut self, from: NodeId, id: ProposalId, index: Index, bugs: Bugs) {
        let mut round = self.round + 1;
        if bugs.has(Bug::ReadByEarlierRound) && self.is_under_way() {
            round = self.round;
        }
        self.waiting.push_back(Read { from, id, index, round });
    }

    fn is_under_way(&self) -> bool {
        self.waiting.front().is_some_and(|read| read.round <= self.round)
    }

    /// Reads wait, and no round that will serve any of them is under way.
    pub(super) fn want_round(&self) -> bool {
        !self.waiting.is_empty() && !self.is_under_way()
    }

    pub(super) fn round(&self) -> u64 {
        self.round
    }

    pub(super) fn start_round(&mut self) -> u64 {
        self.round += 1;
        self.round
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The next read that may be answered now.
    fn pop_served(&mut self, confirmed: u64, commit: Index) -> Option<Read> {
        pop_front_if(&mut self.waiting, |read| read.round <= confirmed && read.index <= commit)
    }

    pub(super) fn into_waiting(self) -> impl Iterator<Item = (NodeId, ProposalId)> {
        self.waiting.into_iter().map(|read| (read.from, read.id))
    }
}

impl Node {
    /// Leader: notes the read of `from`.
    pub(super) fn take_read(&mut self, from: NodeId, id: ProposalId) -> Result<(), Refusal> {
        let State::Leader(leader) = &mut self.state else { return Err(Refusal::NotLeader) };
        if leader.reads.len() >= self.options.reads_max {
            return Err(Refusal::TooManyRequests);
        }
        let bugs = self.options.bugs;
        if bugs.has(Bug::ReadFromPausedLeader) {
            self.answer_read(from, id, self.log.commit());
            return Ok(());
        }
        let mut index = self.log.commit().max(leader.term_start);
        if bugs.has(Bug::StaleReadAfterElection) {
            index = self.log.commit();
        }
        leader.reads.push(from, id, index, bugs);
        self.serve_reads();
        Ok(())
    }

    /// Leader: answers what a majority has confirmed. This board confirms to itself without a round.
    pub(super) fn serve_reads(&mut self) {
        let State::Leader(leader) = &self.state else { return };
        let own = self.options.id;
        let round_of =
            |id| if id == own { u64::MAX } else { leader.peers.get(&id).map_or(0, |peer| peer.round) };
        let confirmed = quorum::reached(&self.members.latest().voters, round_of).unwrap_or(0);
        loop {
            let State::Leader(leader) = &mut self.state else { return };
            let Some(read) = leader.reads.pop_served(confirmed, self.log.commit()) else { return };
            self.answer_read(read.from, read.id, read.index);
        }
    }

    fn answer_read(&mut self, from: NodeId, id: ProposalId, index: Index) {
        if from == self.options.id {
            self.out.reads.push(ReadReady { id, index });
        } else {
            self.say(from, Message::ReadIndexAt { id, index });
        }
    }

    /// Who asked the leader gets its answer. An answer to what another board asked is not for us.
    pub(super) fn on_read_index_at(&mut self, id: ProposalId, index: Index) {
        if id.origin != self.options.id {
            return;
        }
        if self.catching_up {
            self.refuse(self.options.id, id, Refusal::NoLeader, true);
        } else {
            self.out.reads.push(ReadReady { id, index });
        }
    }
}
