//! The node: what it holds, what comes in, and the views on it. What it does as candidate, leader and follower is told
//! in the files of those names.

use std::collections::BTreeSet;

use crate::types::{
    Bytes, EntryId, HardState, Index, Membership, MembershipChange, NodeId, Payload, ProposalId, Term, limits,
};

use super::{
    Envelope, Message, Options, Refusal, Refused, Restored, Stage, Ticket, election::Candidacy,
    leader::Leader, log::Log, meeting::Met, membership::Members, outbox::Outbox, writes::Writes,
};

/// No election of any cluster ever gets here: at one a microsecond it takes 146 000 years. A message with a later term is
/// noise, and believing it would end the terms.
const TERM_MAX: Term = Term(1 << 62);
/// Likewise for indexes.
pub(super) const INDEX_MAX: Index = Index(1 << 62);

/// One member of a cluster. It decides; it never does anything but fill a `Ready`.
#[derive(Debug)]
pub struct Node {
    pub(super) options: Options,
    pub(super) rng: fastrand::Rng,
    pub(super) hard_state: HardState,
    pub(super) leader: Option<NodeId>,
    pub(super) state: State,
    pub(super) log: Log,
    pub(super) members: Members,
    /// Ticks since the leader was heard from, or since this node last stood for election; at a leader, since it last
    /// counted who is there.
    pub(super) elapsed_ticks: u32,
    /// When `elapsed_ticks` gets here, it is time for an election.
    pub(super) patience_ticks: u32,
    pub(super) met: Met,
    /// The store is being filled by a transfer: see `catch_up`.
    pub(super) catching_up: bool,
    /// Why this board takes no proposals at the moment, should it lead.
    pub(super) closed: Option<Refusal>,
    pub(super) writes: Writes,
    pub(super) out: Outbox,
}

#[derive(Debug)]
pub(super) enum State {
    Follower,
    Candidate(Candidacy),
    Leader(Box<Leader>),
}

/// What a node is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

/// All that is worth showing of a node, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub id: NodeId,
    pub term: Term,
    pub vote: Option<NodeId>,
    pub role: Role,
    pub leader: Option<NodeId>,
    pub commit: Index,
    pub applied: Index,
    /// The entry before the first one in memory.
    pub before: EntryId,
    pub last: EntryId,
    pub durable: Index,
    pub membership: Membership,
    pub catching_up: bool,
    /// At a leader.
    pub peers: Vec<PeerStatus>,
}

/// How far a peer is, as its leader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    pub id: NodeId,
    pub stage: Stage,
    pub matched: Index,
    pub next: Index,
}

impl Node {
    /// Starts as a follower that knows of no leader, with everything up to `restored.applied` committed: nothing more is
    /// certain.
    pub fn new(options: Options, restored: Restored, rng: fastrand::Rng) -> Node {
        let Restored { mut hard_state, applied, membership, entries, catching_up } = restored;
        assert!(
            options.election_ticks > 0 && options.heartbeat_ticks > 0,
            "time-outs of no ticks: {options:?}"
        );
        assert!(
            options.append_bytes_max / limits::ENTRY_OVERHEAD_BYTES < limits::APPEND_ENTRIES_MAX as u64,
            "Appends with more entries than are read: {options:?}"
        );
        let is_blank = membership.is_blank();
        let members = Members::new(membership, &entries);
        let log = Log::new(applied, entries);
        let written = hard_state;
        // A store that was filled by a transfer may be ahead of the term on disk.
        if log.last().term > hard_state.term {
            hard_state = HardState { term: log.last().term, vote: None };
        }
        let mut node = Node {
            out: Outbox::default(),
            writes: Writes::new(written),
            catching_up: catching_up || is_blank,
            closed: None,
            patience_ticks: 0,
            elapsed_ticks: 0,
            met: Some(BTreeSet::new()),
            leader: None,
            state: State::Follower,
            hard_state,
            members,
            log,
            options,
            rng,
        };
        node.restart_clock();
        node
    }

    /// The election time-out is this from now on, counted anew: ticks may be of another length.
    pub fn set_election_ticks(&mut self, ticks: u32) {
        assert!(ticks > 0, "a time-out of no ticks");
        self.options.election_ticks = ticks;
        self.restart_clock();
    }

    /// Time passes.
    pub fn tick(&mut self) {
        self.elapsed_ticks = self.elapsed_ticks.saturating_add(1);
        match self.state {
            State::Leader(_) => self.tick_leader(),
            State::Follower | State::Candidate(_) => self.tick_unled(),
        }
    }

    /// Takes a message. Whatever it says, it does no worse than another member could do; nonsense is ignored.
    pub fn step(&mut self, envelope: Envelope) {
        let Envelope { from, to, term, message } = envelope;
        let is_nobody = from == NodeId(0) || from == self.options.id;
        if to != self.options.id || is_nobody || term > TERM_MAX {
            return;
        }
        match message {
            Message::VoteRequest { pre, last, transfer } => {
                self.on_vote_request(from, term, pre, last, transfer)
            }
            Message::VoteResponse { pre: true, granted: true } => self.on_pre_vote_granted(from, term),
            message => {
                if term > self.hard_state.term {
                    self.become_follower(term, None);
                }
                if term == self.hard_state.term || holds_in_any_term(&message) {
                    self.dispatch(from, term, message);
                } else {
                    self.correct(from, &message);
                }
            }
        }
    }

    fn dispatch(&mut self, from: NodeId, term: Term, message: Message) {
        match message {
            Message::VoteRequest { .. } => {}
            Message::VoteResponse { pre, granted } => self.on_vote_response(from, pre, granted),
            Message::Append { prev, entries, commit } => self.on_append(from, prev, entries, commit),
            Message::AppendAccepted { matched } => self.on_append_accepted(from, matched),
            Message::AppendRejected { prev, hint, catching_up } => {
                self.on_append_rejected(from, prev, hint, catching_up);
            }
            Message::Heartbeat { commit, round } => self.on_heartbeat(from, commit, round),
            Message::HeartbeatAck { round, has_room } => self.on_heartbeat_ack(from, round, has_room),
            Message::Propose { id, data } => self.on_request(from, term, id, Request::Command(data)),
            Message::ChangeMembers { id, change, info } => {
                self.on_request(from, term, id, Request::Change(change, info))
            }
            Message::ReadIndex { id } => self.on_request(from, term, id, Request::Read),
            Message::ReadIndexAt { id, index } => self.on_read_index_at(id, index),
            Message::Refuse { id, reason, is_certain } => self.on_refuse(id, reason, is_certain),
            Message::TimeoutNow => self.on_timeout_now(),
        }
    }

    /// A leader of an earlier term must hear of the later one, or a node with a later term, whose own requests for votes
    /// are ignored while that leader lives, would be stuck for good. (As etcd's raft.go does, where both pre-vote and
    /// quorum checks are on.)
    fn correct(&mut self, from: NodeId, message: &Message) {
        if matches!(message, Message::Append { .. } | Message::Heartbeat { .. }) {
            self.say_heard(from, 0);
        }
    }

    /// Asks for a command to become an entry. Whether it did shows in `Ready::apply` of who asked; that it did not, in
    /// `Ready::refused`; and if messages are lost or leaders change, nothing may show at all.
    pub fn propose(&mut self, id: ProposalId, data: Bytes) {
        self.request(self.options.id, id, Request::Command(data));
    }

    /// Asks for one change of the members; otherwise as `propose`.
    pub fn change_members(&mut self, id: ProposalId, change: MembershipChange, info: Bytes) {
        self.request(self.options.id, id, Request::Change(change, info));
    }

    /// Asks for the index at which a read is linearizable. It comes in `Ready::reads`, or a refusal, or nothing if
    /// messages are lost.
    pub fn read_index(&mut self, id: ProposalId) {
        self.request(self.options.id, id, Request::Read);
    }

    /// Is there anybody to take a proposal, as far as is known here?
    pub fn takes_proposals(&self) -> bool {
        match &self.state {
            State::Leader(leader) => leader.transfer.is_none(),
            State::Follower | State::Candidate(_) => self.leader.is_some() && !self.catching_up,
        }
    }

    fn request(&mut self, own: NodeId, id: ProposalId, request: Request) {
        let result = match self.state {
            State::Leader(_) => self.take_request(own, id, request),
            State::Follower | State::Candidate(_) => self.hand_on(id, request),
        };
        if let Err(reason) = result {
            self.refuse(own, id, reason, true);
        }
    }

    /// A request that a follower handed on. It is never handed on again: that could go in circles, and would be two
    /// chances to be proposed twice.
    ///
    /// Messages may come twice, and what is proposed twice takes effect twice. So a proposal is taken only in the term in
    /// which it was sent, and only once in it; and only there can a refusal be certain, for elsewhere an earlier copy may
    /// have been taken. (A read may be answered, and refused, as often as it likes.)
    fn on_request(&mut self, from: NodeId, term: Term, id: ProposalId, request: Request) {
        let is_read = matches!(request, Request::Read);
        let own_term = self.hard_state.term;
        let result = match &mut self.state {
            State::Leader(_) if is_read => self.take_request(from, id, request),
            State::Leader(leader) if term == own_term => {
                let members = &self.members;
                match leader.proposals.note(id, |origin| members.latest().contains(origin)) {
                    true => self.take_request(from, id, request),
                    false => return,
                }
            }
            _ => return self.refuse(from, id, Refusal::NotLeader, is_read),
        };
        if let Err(reason) = result {
            self.refuse(from, id, reason, true);
        }
    }

    fn take_request(&mut self, from: NodeId, id: ProposalId, request: Request) -> Result<(), Refusal> {
        match request {
            Request::Command(data) => self.append_proposal(Payload::Command { id, data }),
            Request::Change(change, info) => self.append_change(id, change, info),
            Request::Read => self.take_read(from, id),
        }
    }

    /// What becomes of it is known only when it is applied, or refused by the leader: if the leader goes meanwhile, it is
    /// not known at all, and nothing is said.
    fn hand_on(&mut self, id: ProposalId, request: Request) -> Result<(), Refusal> {
        // While catching up nothing is applied, so nobody here would ever see what became of it.
        let leader = self.leader.filter(|_| !self.catching_up).ok_or(Refusal::NoLeader)?;
        let message = match request {
            Request::Command(data) => Message::Propose { id, data },
            Request::Change(change, info) => Message::ChangeMembers { id, change, info },
            Request::Read => Message::ReadIndex { id },
        };
        self.say(leader, message);
        Ok(())
    }

    pub(super) fn refuse(&mut self, from: NodeId, id: ProposalId, reason: Refusal, is_certain: bool) {
        if from == self.options.id {
            self.out.refused.push(Refused { id, error: reason.into(), is_certain });
        } else {
            self.say(from, Message::Refuse { id, reason, is_certain });
        }
    }

    fn on_refuse(&mut self, id: ProposalId, reason: Refusal, is_certain: bool) {
        if id.origin == self.options.id {
            self.out.refused.push(Refused { id, error: reason.into(), is_certain });
        }
    }

    /// While there is a reason, a leader refuses proposals with it: its own disk or store has no room. What is in the log
    /// goes on. If it lasts, somebody else is to lead (`transfer`).
    pub fn close(&mut self, reason: Option<Refusal>) {
        self.closed = reason;
    }

    /// All that was handed out to be made durable is, up to this ticket.
    pub fn persisted(&mut self, ticket: Ticket) {
        let named = self.writes.persisted(ticket);
        self.log.persisted(ticket, named, self.options.bugs);
        match self.state {
            State::Leader(_) => self.advance_commit(),
            State::Candidate(_) => self.count_votes(),
            State::Follower => {}
        }
        self.trim_log();
    }

    /// The store has applied all up to here.
    pub fn applied(&mut self, index: Index) {
        self.log.applied_to(index);
        self.trim_log();
    }

    pub(super) fn trim_log(&mut self) {
        let pinned = match &self.state {
            State::Leader(leader) => leader.peers.values().filter_map(|peer| peer.pinned).min(),
            State::Follower | State::Candidate(_) => None,
        };
        self.log.trim(self.options.tail_bytes_max, pinned);
    }

    pub(super) fn commit_to(&mut self, index: Index) {
        self.log.commit_to(index);
        self.members.committed_to(self.log.commit());
    }

    /// How many bytes not yet applied and durable a node takes, so that a slow store or disk does not fill its memory.
    pub(super) fn held_bytes_max(&self) -> u64 {
        self.options.uncommitted_bytes_max.saturating_add(self.options.apply_bytes_max)
    }

    pub(super) fn say(&mut self, to: NodeId, message: Message) {
        let envelope = self.envelope(to, message);
        self.out.send.push(envelope);
    }

    pub(super) fn say_after_persist(&mut self, to: NodeId, message: Message) {
        let envelope = self.envelope(to, message);
        self.out.send_after_persist.push(envelope);
    }

    pub(super) fn say_heard(&mut self, to: NodeId, round: u64) {
        let has_room = self.closed.is_none();
        self.say(to, Message::HeartbeatAck { round, has_room });
    }

    fn envelope(&self, to: NodeId, message: Message) -> Envelope {
        Envelope { from: self.options.id, to, term: self.hard_state.term, message }
    }

    pub(super) fn restart_clock(&mut self) {
        let least = self.options.election_ticks;
        self.elapsed_ticks = 0;
        self.patience_ticks = self.rng.u32(least..least.saturating_mul(2));
    }
}

/// What is asked of a leader.
enum Request {
    Command(Bytes),
    Change(MembershipChange, Bytes),
    Read,
}

/// Requests are somebody's from outside, and the answers to them are facts, whoever leads when they arrive.
fn holds_in_any_term(message: &Message) -> bool {
    matches!(
        message,
        Message::Propose { .. }
            | Message::ChangeMembers { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexAt { .. }
            | Message::Refuse { .. }
    )
}

/// Views.
impl Node {
    pub fn id(&self) -> NodeId {
        self.options.id
    }

    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    pub fn role(&self) -> Role {
        match &self.state {
            State::Follower => Role::Follower,
            State::Candidate(candidacy) if candidacy.pre => Role::PreCandidate,
            State::Candidate(_) => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    pub fn commit(&self) -> Index {
        self.log.commit()
    }

    pub fn applied_index(&self) -> Index {
        self.log.applied()
    }

    pub fn last(&self) -> EntryId {
        self.log.last()
    }

    /// This board's own disk holds the log up to here.
    pub fn durable(&self) -> Index {
        self.log.durable()
    }

    /// The latest one in the log, committed or not: the one that counts.
    pub fn membership(&self) -> &Membership {
        self.members.latest()
    }

    pub fn is_catching_up(&self) -> bool {
        self.catching_up
    }

    /// `None` if the index is older than what is in memory, or not in the log.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term_at(index)
    }

    pub fn progress_of(&self, peer: NodeId) -> Option<PeerStatus> {
        let State::Leader(leader) = &self.state else { return None };
        leader.peers.get(&peer).map(|progress| progress.status(peer))
    }

    /// Leader: has this peer answered within two election time-outs? A connection may be there for longer than who is behind it.
    pub fn hears(&self, peer: NodeId) -> bool {
        let State::Leader(leader) = &self.state else { return false };
        let silent_ticks = leader.peers.get(&peer).and_then(|progress| progress.silent_ticks);
        silent_ticks.is_some_and(|ticks| ticks <= self.options.election_ticks.saturating_mul(2))
    }

    pub fn status(&self) -> Status {
        let peers = match &self.state {
            State::Leader(leader) => leader.peers.iter().map(|(id, peer)| peer.status(*id)).collect(),
            State::Follower | State::Candidate(_) => Vec::new(),
        };
        Status {
            id: self.id(),
            term: self.term(),
            vote: self.hard_state.vote,
            role: self.role(),
            leader: self.leader,
            commit: self.commit(),
            applied: self.applied_index(),
            before: self.log.before(),
            last: self.last(),
            durable: self.durable(),
            membership: self.membership().clone(),
            catching_up: self.catching_up,
            peers,
        }
    }
}
