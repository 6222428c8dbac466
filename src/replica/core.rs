//! Passes events to Raft and its `Ready` on as effects.
//!
//! Must hold: what `Ready` says to send after a ticket leaves only when the log has reported that ticket; every request
//! is answered once, and as soon as it is certain what came of it (`waiting`).

use std::collections::VecDeque;

use crate::{
    raft::{Envelope, Node, Ready, Refusal, Role, Ticket},
    types::{Bytes, Error, Index, MembershipChange, NodeId, Outcome, ProposalId, Term},
};

use super::{
    Answer, Append, Effect, Event, PeerMessage, RequestId, TransferDone,
    boot::Boot,
    catch_up::{Receiver, Sender},
    reads::Reads,
    unplaced::{Proposal, Unplaced},
    waiting::{Kind, Waiting},
};

#[derive(Clone, Debug)]
pub struct Options {
    pub raft: crate::raft::Options,
    /// How long a client waits for an answer.
    pub request_timeout_ticks: u64,
    /// Requests under way from this board's clients. Each costs about 150 bytes; one more is answered "too many
    /// requests".
    pub requests_max: usize,
    /// Members brought up to date at one time: each has a piece of the store in memory on its way out.
    pub transfers_max: usize,
    /// Bytes of one piece of a transfer, on both sides in memory once.
    pub transfer_piece_bytes: u64,
    /// A sender that has heard nothing for so long says it again.
    pub transfer_resend_ticks: u64,
    /// A sender that has seen no progress for so long gives up, so that compaction can go on.
    pub transfer_give_up_ticks: u64,
}

/// Proposals that wait for a leader, and those that one may yet refuse. One more of the former is answered "too many
/// requests".
const UNPLACED_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug)]
pub struct Replica {
    node: Node,
    waiting: Waiting,
    unplaced: Unplaced,
    /// Who led when what is held was last proposed.
    led_by: Option<NodeId>,
    reads: Reads,
    /// A read that nobody has answered is asked for again after this time.
    reads_again_ticks: u64,
    sender: Sender,
    receiver: Receiver,
    /// What may leave only once the log has synced its ticket, in order of the tickets.
    held: VecDeque<(Ticket, Vec<Envelope>)>,
    requests_max: usize,
    now_tick: u64,
    /// Of the last entry that was applied since this boot.
    term_applied: Term,
    log_room: bool,
    store_room: bool,
}

impl Replica {
    /// `boot.log_start`, if there is one, must be durable by now.
    pub fn new(options: Options, boot: Boot, mut rng: fastrand::Rng) -> Replica {
        let id = options.raft.id;
        let waiting = Waiting::new(id, rng.u32(..), options.request_timeout_ticks);
        let reads_again_ticks = options.raft.election_ticks.into();
        let sender = Sender::new(id, &options, rng.fork());
        let receiver = Receiver::new(id, boot.committed);
        let node = Node::new(options.raft, boot.restored, rng);
        Replica {
            waiting,
            unplaced: Unplaced::new(UNPLACED_BYTES_MAX),
            led_by: None,
            reads: Reads::default(),
            reads_again_ticks,
            sender,
            receiver,
            held: VecDeque::new(),
            requests_max: options.requests_max,
            now_tick: 0,
            term_applied: Term(0),
            log_room: true,
            store_room: true,
            node,
        }
    }

    /// The time-outs are these from now on, and ticks may be of another length.
    pub fn retime(&mut self, options: &Options) {
        self.node.set_election_ticks(options.raft.election_ticks);
        self.waiting.set_timeout(options.request_timeout_ticks, self.now_tick);
        self.sender.retime(options);
        self.reads_again_ticks = options.raft.election_ticks.into();
    }

    /// Tells what has happened; answers with all that is to be done now.
    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.dispatch(event, &mut effects);
        if self.node.leader() != self.led_by {
            self.led_by = self.node.leader();
            self.place(&mut effects);
            self.ask_again();
        }
        loop {
            if let Some(id) = self.reads.ask(self.node.leader()) {
                self.node.read_index(id);
            }
            if !self.node.has_ready() {
                break;
            }
            let ready = self.node.ready();
            self.carry_out(ready, &mut effects);
        }
        // A store that catches up is behind what was applied to it before, until it is ahead.
        if !self.node.is_catching_up() {
            self.waiting.release_reads(self.node.applied_index(), &mut effects);
        }
        if self.node.role() != Role::Leader {
            self.sender.stop(&mut effects);
        }
        effects
    }

    fn dispatch(&mut self, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Tick => self.tick(effects),
            Event::Received(message) => self.received(message, effects),
            Event::PeerMet(id) => self.node.peer_met(id),
            Event::PeerLost(id) => self.node.peer_lost(id),
            Event::Propose { request, data } => self.propose(request, data, effects),
            Event::ChangeMembers { request, change, info } => {
                self.change_members(request, change, info, effects);
            }
            Event::Read { request } => self.read(request, effects),
            Event::TransferLeader { request, to } => self.transfer_leader(request, to, effects),
            Event::Persisted(ticket) => self.persisted(ticket, effects),
            Event::LogRoom(room) => self.set_room(room, self.store_room),
            Event::StoreRoom(room) => self.set_room(self.log_room, room),
            Event::Applied { index, outcomes } => self.applied(index, outcomes, effects),
            Event::Transfer(done) => self.transferred(done, effects),
        }
    }

    fn applied(&mut self, index: Index, outcomes: Vec<(ProposalId, Outcome)>, effects: &mut Vec<Effect>) {
        // Before Raft lets go of the entry.
        let term = self.node.term_at(index);
        self.node.applied(index);
        outcomes.iter().for_each(|(id, _)| self.unplaced.forget(*id));
        self.waiting.applied(outcomes, effects);
        if let Some(term) = term.filter(|term| *term > self.term_applied) {
            self.term_applied = term;
            self.waiting.term_applied(term, effects);
        }
    }

    fn transferred(&mut self, done: TransferDone, effects: &mut Vec<Effect>) {
        let was_catching_up = self.node.is_catching_up();
        self.sender.done(&done, &mut self.node, effects);
        self.receiver.done(done, &mut self.node, effects);
        if was_catching_up && !self.node.is_catching_up() {
            self.waiting.caught_up(effects);
        }
    }

    fn tick(&mut self, effects: &mut Vec<Effect>) {
        self.now_tick += 1;
        self.node.tick();
        self.waiting.expire(self.now_tick, effects);
        self.place(effects);
        self.reads.retain(|id| self.waiting.has(id));
        self.reads.tick();
        self.ask_again();
        self.sender.tick(&mut self.node, effects);
    }

    fn received(&mut self, message: PeerMessage, effects: &mut Vec<Effect>) {
        match message {
            PeerMessage::Raft(envelope) => self.node.step(envelope),
            PeerMessage::Transfer { from, to, session, message } if to == self.node.id() && from != to => {
                self.sender.received(from, session, &message, &mut self.node, effects);
                self.receiver.received(from, session, message, &mut self.node, effects);
            }
            _ => {}
        }
    }

    fn propose(&mut self, request: RequestId, data: Bytes, effects: &mut Vec<Effect>) {
        if data.len() > crate::types::limits::COMMAND_BYTES_MAX {
            let answer = Answer::Refused(Error::RequestTooLarge);
            return effects.push(Effect::Answer { request, answer });
        }
        if self.admit(request, effects) {
            self.take(request, Proposal::Command(data), effects);
        }
    }

    fn take(&mut self, request: RequestId, proposal: Proposal, effects: &mut Vec<Effect>) {
        let id = self.wait(request, Kind::Proposal);
        if self.node.takes_proposals() {
            self.put_forward(id, proposal);
        } else if !self.unplaced.hold(id, proposal) {
            self.waiting.answer(id, Answer::Refused(Error::TooManyRequests), effects);
        }
    }

    fn put_forward(&mut self, id: ProposalId, proposal: Proposal) {
        if self.node.role() != Role::Leader {
            self.unplaced.handed_on(id, &proposal);
        }
        match proposal {
            Proposal::Command(data) => self.node.propose(id, data),
            Proposal::Change(change, info) => self.node.change_members(id, change, info),
        }
    }

    /// Somebody leads who did not, or it is time to try again.
    fn place(&mut self, effects: &mut Vec<Effect>) {
        self.unplaced.retain(|id| self.waiting.has(id));
        if self.node.takes_proposals() {
            let term = self.node.term();
            for (id, proposal) in self.unplaced.release() {
                // Whom a leader adds, who runs this judges when it is asked: it is to ask again.
                if self.node.role() == Role::Leader && proposal.adds() {
                    self.waiting.answer(id, Answer::Refused(Error::MembershipBusy), effects);
                    continue;
                }
                // Under another name: a leader takes none twice.
                if let Some(id) = self.waiting.rename(id, term) {
                    self.put_forward(id, proposal);
                }
            }
        }
    }

    fn change_members(
        &mut self,
        request: RequestId,
        change: MembershipChange,
        info: Bytes,
        effects: &mut Vec<Effect>,
    ) {
        if self.admit(request, effects) {
            self.take(request, Proposal::Change(change, info), effects);
        }
    }

    fn read(&mut self, request: RequestId, effects: &mut Vec<Effect>) {
        if self.admit(request, effects) {
            let id = self.wait(request, Kind::Read);
            // Who leads asks itself, and gathers by rounds.
            match self.node.role() {
                Role::Leader => self.node.read_index(id),
                _ => self.reads.push(id),
            }
        }
    }

    fn wait(&mut self, request: RequestId, kind: Kind) -> ProposalId {
        self.waiting.add(request, kind, self.node.term(), self.now_tick)
    }

    fn ask_again(&mut self) {
        if let Some(id) = self.reads.again(self.node.leader(), self.reads_again_ticks) {
            self.node.read_index(id);
        }
    }

    /// For certain. Nobody to lead, and a leader without room, are no reason to give up before the time is over: clients of the
    /// leader itself wait for that, too.
    fn refused(&mut self, id: ProposalId, error: Error, effects: &mut Vec<Effect>) {
        let is_leaderless = matches!(error, Error::NoLeader | Error::NotLeader | Error::LeaderChanged);
        if is_leaderless && (self.reads.is_out(id) || self.waiting.is_read(id)) {
            self.reads.refused(id);
            return;
        }
        if (is_leaderless || error == Error::TooManyRequests) && self.unplaced.hold_again(id) {
            return;
        }
        self.unplaced.forget(id);
        let answer = Answer::Refused(error);
        for read in self.reads.answered(id) {
            self.waiting.answer(read, answer.clone(), effects);
        }
        self.waiting.answer(id, answer, effects);
    }

    fn transfer_leader(&mut self, request: RequestId, to: Option<NodeId>, effects: &mut Vec<Effect>) {
        let answer = match self.node.transfer_leader(to) {
            Ok(()) => Answer::Accepted,
            Err(error) => Answer::Refused(error),
        };
        effects.push(Effect::Answer { request, answer });
    }

    fn admit(&mut self, request: RequestId, effects: &mut Vec<Effect>) -> bool {
        let room = self.waiting.len() < self.requests_max;
        if !room {
            let answer = Answer::Refused(Error::TooManyRequests);
            effects.push(Effect::Answer { request, answer });
        }
        room
    }

    fn persisted(&mut self, ticket: Ticket, effects: &mut Vec<Effect>) {
        self.node.persisted(ticket);
        while let Some((first, _)) = self.held.front()
            && *first <= ticket
        {
            let (_, envelopes) = self.held.pop_front().expect("there is a front");
            effects.extend(envelopes.into_iter().map(send));
        }
    }

    fn set_room(&mut self, log: bool, store: bool) {
        (self.log_room, self.store_room) = (log, store);
        let reason = match (log, store) {
            (true, true) => None,
            (false, _) => Some(Refusal::NoSpace),
            (true, false) => Some(Refusal::TooManyRequests),
        };
        self.node.close(reason);
    }

    fn carry_out(&mut self, ready: Ready, effects: &mut Vec<Effect>) {
        effects.extend(ready.send.into_iter().map(send));
        match ready.persist {
            Some(persist) => {
                self.held.push_back((persist.ticket, ready.send_after_persist));
                effects.push(Effect::Append(Append {
                    ticket: persist.ticket,
                    hard_state: persist.hard_state,
                    log_start: persist.log_start,
                    entries: persist.entries,
                }));
            }
            None => assert!(ready.send_after_persist.is_empty(), "nothing to wait for"),
        }
        if !ready.apply.is_empty() {
            effects.push(Effect::Apply(ready.apply));
        }
        for read in ready.reads {
            self.waiting.confirmed(read.id, read.index);
            for id in self.reads.answered(read.id) {
                self.waiting.confirmed(id, read.index);
            }
        }
        // Of a refusal that is not certain the next leader's first entry tells more, and soon.
        for refused in ready.refused.into_iter().filter(|refused| refused.is_certain) {
            self.refused(refused.id, refused.error, effects);
        }
        for peer in ready.catch_up {
            self.sender.start(peer, effects);
        }
    }

    /// What Raft knows, for status, for the owner of the log and for tests.
    pub fn node(&self) -> &Node {
        &self.node
    }
}

fn send(envelope: Envelope) -> Effect {
    Effect::Send(PeerMessage::Raft(envelope))
}
