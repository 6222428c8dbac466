//! Elections: who stands, who votes (Raft thesis 3.4, 3.6.1, 9.6).
//!
//! ```text
//!              time-out            majority would          majority did, own vote durable
//!   Follower -----------> PreCandidate ---------> Candidate ---------> Leader
//!       '---------------- TimeoutNow ---------------^
//! ```
//!
//! - A pre-vote changes nobody's term or vote, so a node that cannot win does not disturb.
//! - Who hears from a leader, or is one, ignores who asks for votes, unless the leader itself arranged it. A leader that no
//!   majority answers steps down by itself (`leader`), so ignoring never outlives it.
//! - A node grants a vote only after the vote is durable; and a candidate ASKS for votes only after its own term and vote
//!   are durable. If it asked sooner, it could be elected, lose its memory in a crash, be elected again in the same term by
//!   the same votes, and put another entry where it had put one already.
//! - Every voter judges by its log alone, also when it believes itself a learner or removed (its membership may be older
//!   than the candidate's) and while it is catching up.

use std::collections::BTreeMap;

use crate::types::{Bug, EntryId, HardState, NodeId, Term};

use super::{Envelope, Message, Node, leader::Leader, node::State, quorum};

#[derive(Debug)]
pub(super) struct Candidacy {
    pub(super) pre: bool,
    /// What the voters said.
    votes: BTreeMap<NodeId, bool>,
}

impl Node {
    pub(super) fn tick_unled(&mut self) {
        let may_stand = self.may_stand();
        // Learners hear from a leader less often: of the time in which voters lose their patience one by one, the later half.
        let latest = self.options.election_ticks.saturating_mul(2);
        let later = self.patience_ticks.saturating_add(latest.saturating_sub(self.patience_ticks) / 2);
        if self.elapsed_ticks >= if may_stand { self.patience_ticks } else { later } {
            self.restart_clock();
            self.leader = None;
            if may_stand {
                self.stand(true, false);
            }
        }
    }

    /// This peer's process has ended, as its system says. Who was led by it need not wait until it has been silent for long:
    /// the others know it too, and a majority that does grants pre-votes at once. Where it is not so, the pre-vote comes to
    /// nothing, and the leader is heard again.
    pub fn peer_lost(&mut self, id: NodeId) {
        self.peer_unmet(id);
        if self.leader != Some(id) || id == self.options.id {
            return;
        }
        self.leader = None;
        self.stand_in_turn(Some(id));
    }

    /// Soon, and one after the other, in the order of their ids, far enough apart for an election between: if all stood at
    /// one time, they would all vote for themselves.
    pub(super) fn stand_in_turn(&mut self, gone: Option<NodeId>) {
        let before = |voter: &&NodeId| **voter < self.options.id && Some(**voter) != gone;
        let rank = self.members.latest().voters.iter().filter(before).count() as u32;
        let wait_ticks = (1 + rank.saturating_mul(2)).min(self.options.election_ticks);
        self.patience_ticks = self.patience_ticks.min(self.elapsed_ticks.saturating_add(wait_ticks));
    }

    /// Who is no voter has no business to stand, and who catches up could not lead. But one whose removal or demotion is not
    /// known to be committed must: nobody else may have a log long enough to be elected (thesis 4.2.2, figure 4.6). Its own vote
    /// does not count then.
    fn may_stand(&self) -> bool {
        !self.catching_up && self.members.may_be_voter(self.options.id)
    }

    pub(super) fn on_timeout_now(&mut self) {
        if matches!(self.state, State::Follower) && self.may_stand() {
            self.restart_clock();
            self.stand(false, true);
        }
    }

    fn stand(&mut self, pre: bool, transfer: bool) {
        let own = self.options.id;
        let term = self.hard_state.term.next();
        self.leader = None;
        // To itself a node says yes at once to the question whether it would; its vote is counted when it is durable.
        let votes = BTreeMap::from([(own, true)]);
        self.state = State::Candidate(Candidacy { pre, votes });
        if !pre {
            self.met = None;
            self.hard_state = HardState { term, vote: Some(own) };
        }
        let message = Message::VoteRequest { pre, last: self.log.last(), transfer };
        let others: Vec<NodeId> =
            self.members.latest().voters.iter().copied().filter(|id| *id != own).collect();
        for to in others {
            let envelope = Envelope { from: own, to, term, message: message.clone() };
            let queue = if pre { &mut self.out.send } else { &mut self.out.send_after_persist };
            queue.push(envelope);
        }
        self.count_votes();
    }

    pub(super) fn on_vote_request(
        &mut self,
        from: NodeId,
        term: Term,
        pre: bool,
        last: EntryId,
        transfer: bool,
    ) {
        if term > self.hard_state.term {
            if !transfer && self.hears_leader() {
                return;
            }
            if !pre {
                self.become_follower(term, None);
            }
        }
        let is_free = if pre {
            term > self.hard_state.term
        } else {
            let vote = self.hard_state.vote;
            term == self.hard_state.term && (vote == Some(from) || (vote.is_none() && self.leader.is_none()))
        };
        // Thesis 3.6.1: only whose log holds all that may be committed.
        if is_free && last >= self.log.last() {
            self.grant(from, term, pre);
        } else {
            // In our own term, so that a candidate that was left behind learns of it.
            self.say(from, Message::VoteResponse { pre, granted: false });
        }
    }

    fn hears_leader(&self) -> bool {
        let leads = matches!(self.state, State::Leader(_));
        leads || (self.leader.is_some() && self.elapsed_ticks < self.options.election_ticks)
    }

    fn grant(&mut self, to: NodeId, term: Term, pre: bool) {
        let message = Message::VoteResponse { pre, granted: true };
        let envelope = Envelope { from: self.options.id, to, term, message };
        if pre {
            // A promise of nothing.
            self.out.send.push(envelope);
            return;
        }
        self.hard_state.vote = Some(to);
        self.met = None;
        self.restart_clock();
        if self.options.bugs.has(Bug::VoteNotSynced) {
            self.out.send.push(envelope);
            return;
        }
        self.out.send_after_persist.push(envelope);
    }

    /// The answer bears the term that the election would be held in.
    pub(super) fn on_pre_vote_granted(&mut self, from: NodeId, term: Term) {
        if term == self.hard_state.term.next() {
            self.on_vote_response(from, true, true);
        }
    }

    pub(super) fn on_vote_response(&mut self, from: NodeId, pre: bool, granted: bool) {
        let is_voter = self.members.is_voter(from);
        if let State::Candidate(candidacy) = &mut self.state
            && candidacy.pre == pre
            && is_voter
        {
            candidacy.votes.entry(from).or_insert(granted);
            self.count_votes();
        }
    }

    pub(super) fn count_votes(&mut self) {
        let State::Candidate(candidacy) = &self.state else { return };
        let voters = &self.members.latest().voters;
        let said = |answer| quorum::holds(voters, |id| candidacy.votes.get(&id) == Some(&answer));
        match (said(true), said(false), candidacy.pre) {
            (true, _, true) => {
                self.restart_clock();
                self.stand(false, false);
            }
            (true, _, false) if self.writes.durable() == self.hard_state => self.become_leader(),
            (false, true, _) => self.become_follower(self.hard_state.term, None),
            _ => {}
        }
    }

    fn become_leader(&mut self) {
        assert_eq!(self.writes.durable(), self.hard_state, "elected by a vote that is not durable");
        self.leader = Some(self.options.id);
        self.elapsed_ticks = 0;
        let next = self.log.last().index.next();
        self.state = State::Leader(Box::new(Leader::new(next)));
        self.follow_membership();
        self.append_first();
    }

    /// Follows, in this or a later term, `leader` or whoever will turn out to be one.
    pub(super) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        if term > self.hard_state.term {
            self.hard_state = HardState { term, vote: None };
        }
        self.leader = leader;
        if leader.is_some() {
            self.met = None;
        }
        self.restart_clock();
        if let State::Leader(was) = std::mem::replace(&mut self.state, State::Follower) {
            self.abdicate(*was);
        }
    }
}
