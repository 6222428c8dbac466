//! Raft's node, told whatever a peer could say.
//!
//! ```text
//! | 0     | 1 ..                                     |
//! | state | steps                                    |     state: what the node is before the first step
//!
//! step:  00..0f  time passes         10..1f  log and store are done with what they were told
//!        20..3f  something is asked of the node
//!        40..ff  a message: | length | postcard(Envelope) |; bits of the step say which fields are made plausible
//! ```

use solder::{
    raft::{Envelope, Message, Node, Options, Refusal, Restored, Ticket},
    types::{
        Bugs, Bytes, Entry, EntryId, HardState, Index, Membership, MembershipChange, NodeId, Payload,
        ProposalId, Term,
    },
};

const ME: NodeId = NodeId(1);

/// A message made plausible: to this node and from a member.
const ADDRESSED: u8 = 0x80;
/// Likewise: of the node's term, or near it.
const IN_TERM: u8 = 0x40;
/// Likewise: an Append that follows the log.
const FOLLOWING: u8 = 0x20;

struct Board {
    node: Node,
    ticket: Option<Ticket>,
    applied: Option<Index>,
    /// Entries that it may hold: those that it had, was told, or could make of what it was asked.
    entries_max: u64,
}

/// No step makes a node panic, talk without end, or hold more than it was told.
pub fn raft_step(data: &[u8]) {
    let Some((state, mut rest)) = data.split_first() else { return };
    let mut board = Board::new(*state);
    while let Some((step, behind)) = rest.split_first() {
        rest = board.step(*step, behind);
        board.check();
    }
    board.settle();
    board.check();
}

impl Board {
    /// A board with a log of a few terms: one of three voters, one of two, alone, a learner, or one that knows nothing;
    /// then perhaps a candidate or leader, or catching up.
    fn new(state: u8) -> Board {
        let mut membership = match state % 5 {
            0 => Membership::of_voters([1, 2, 3].map(NodeId)),
            1 => Membership::of_voters([1, 2].map(NodeId)),
            2 => Membership::of_voters([ME]),
            3 => Membership::of_voters([2, 3].map(NodeId)),
            _ => Membership::default(),
        };
        if state % 5 == 3 {
            membership.learners.insert(ME);
        }
        let entries: Vec<Entry> = (1..=u64::from(state >> 6))
            .map(|index| Entry { id: EntryId::new(index.div_ceil(2), index), payload: Payload::Empty })
            .collect();
        let hard_state = HardState { term: Term(2), vote: None };
        let restored = Restored { hard_state, membership, entries, ..Restored::default() };
        let node = Node::new(options(), restored, fastrand::Rng::with_seed(u64::from(state)));
        let mut board = Board { node, ticket: None, applied: None, entries_max: 8 };
        if state & 0x08 != 0 {
            board.hear(NodeId(2), Term(2), Message::TimeoutNow);
        }
        if state & 0x18 == 0x18 {
            let term = board.node.term();
            board.hear(NodeId(2), term, Message::VoteResponse { pre: false, granted: true });
        }
        if state & 0x20 != 0 && state & 0x08 == 0 {
            board.node.begin_catch_up();
        }
        board
    }

    fn hear(&mut self, from: NodeId, term: Term, message: Message) {
        self.node.step(Envelope { from, to: ME, term, message });
        self.settle();
    }

    /// Takes one step; returns what follows it.
    fn step<'a>(&mut self, step: u8, rest: &'a [u8]) -> &'a [u8] {
        match step {
            0x00..=0x0f => (0..=step).for_each(|_| self.tick()),
            0x10..=0x1f => self.settle(),
            0x20..=0x3f => self.ask(step),
            _ => return self.message(step, rest),
        }
        rest
    }

    fn tick(&mut self) {
        self.node.tick();
        // It may have been elected.
        self.entries_max += 1;
    }

    fn ask(&mut self, step: u8) {
        let id = ProposalId { origin: ME, number: self.entries_max };
        let peer = NodeId(u64::from(step & 3));
        self.entries_max += 1;
        match step >> 2 & 7 {
            0 => self.node.propose(id, Bytes::from(vec![0; 100])),
            1 => self.node.read_index(id),
            2 => self.node.change_members(id, MembershipChange::AddLearner(NodeId(4)), Bytes::new()),
            3 => self.node.change_members(id, MembershipChange::Remove(peer), Bytes::new()),
            4 => drop(self.node.transfer_leader(Some(peer))),
            5 => {
                self.node.peer_lost(peer);
                self.node.peer_met(peer);
            }
            6 => self.node.close((step & 1 == 0).then_some(Refusal::NoSpace)),
            _ => self.node.set_election_ticks(u32::from(step & 3) + 1),
        }
    }

    fn message<'a>(&mut self, step: u8, rest: &'a [u8]) -> &'a [u8] {
        let Some((&length, rest)) = rest.split_first() else { return rest };
        let (bytes, rest) = rest.split_at(usize::from(length).min(rest.len()));
        if let Ok(mut envelope) = postcard::from_bytes::<Envelope>(bytes) {
            self.make_plausible(step, &mut envelope);
            let told =
                if let Message::Append { entries, .. } = &envelope.message { entries.len() } else { 1 };
            self.entries_max += told as u64 + 1;
            self.node.step(envelope);
        }
        rest
    }

    fn make_plausible(&self, step: u8, envelope: &mut Envelope) {
        if step & ADDRESSED != 0 {
            (envelope.from, envelope.to) = (NodeId(2 + u64::from(step & 1)), ME);
        }
        if step & IN_TERM != 0 {
            envelope.term = Term(self.node.term().0 + u64::from(step >> 1 & 1));
        }
        if let (true, Message::Append { prev, entries, .. }) = (step & FOLLOWING != 0, &mut envelope.message)
        {
            let last = self.node.last();
            *prev = EntryId { index: Index(last.index.0.saturating_sub(u64::from(step >> 2 & 3))), ..last };
            prev.term = self.node.term_at(prev.index).unwrap_or(last.term);
            for (entry, index) in entries.iter_mut().zip(prev.index.0 + 1..) {
                entry.id = EntryId { term: envelope.term, index: Index(index) };
            }
        }
    }

    /// Log and store do all that they are told, until there is nothing more.
    fn settle(&mut self) {
        for _ in 0..100 {
            while self.node.has_ready() {
                let ready = self.node.ready();
                self.ticket = ready.persist.map(|persist| persist.ticket).or(self.ticket);
                self.applied = ready.apply.last().map(Entry::index).or(self.applied);
            }
            if let Some(ticket) = self.ticket.take() {
                self.node.persisted(ticket);
            }
            if let Some(index) = self.applied.take() {
                self.node.applied(index);
            }
            if !self.node.has_ready() {
                return;
            }
        }
        panic!("never done: {:?}", self.node.status());
    }

    fn check(&self) {
        let status = self.node.status();
        let held = status.last.index.0 - status.before.index.0;
        assert!(held <= self.entries_max, "{held} entries held, {} told: {status:?}", self.entries_max);
        assert!(status.durable <= status.last.index && status.commit <= status.last.index, "{status:?}");
        assert!(status.before.index <= status.applied && status.applied <= status.commit, "{status:?}");
    }
}

fn options() -> Options {
    Options {
        id: ME,
        election_ticks: 4,
        heartbeat_ticks: 1,
        append_bytes_max: 400,
        window_bytes: 800,
        uncommitted_bytes_max: 2_000,
        tail_bytes_max: 1_000,
        apply_bytes_max: 2_000,
        reads_max: 4,
        bugs: Bugs::default(),
    }
}
