//! What waits to be sent to one peer for one purpose, and what is dropped when it is too much. Pure.
//!
//! ```text
//!   push --> control  heartbeats, votes, answers: small, first out   -- pop -->
//!        \-> data     entries, proposals, pieces of a transfer
//! ```
//!
//! Raft may lose any message; the art is to lose those that cost least.
//! - A message that makes one useless that still waits takes its place (`replaces`): a peer that was away for a while gets
//!   the newest heartbeat, not two hundred.
//! - Control goes before data. It never rests on the data before it: a heartbeat names only what was acknowledged, and Raft
//!   bears any order.
//! - Too many control messages: the oldest goes. Who asked has long asked again.
//! - Too many bytes of data: the newest goes. What waits is a run of entries without a gap; without its beginning the rest
//!   would be rejected. The bound is above Raft's window, so that a leader does not reach it but by repeating itself.
//! - A lost connection takes the data with it: Raft probes anew, from where the peer says.
//! - While a peer cannot be reached, no data is kept, and of control the newest of each kind.
//!
//! Raft's flow control needs no word of the room here: its window counts what is not acknowledged, and so what waits.

use std::collections::VecDeque;

use crate::{
    raft::{Envelope, Message},
    replica::{PeerMessage, TransferMessage},
};

use super::frame::wire_bytes;

/// Messages of a few bytes each: about 32 KB.
const CONTROL_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Connected, or about to be.
    Up,
    /// The last attempt failed.
    Down,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    control: VecDeque<PeerMessage>,
    data: VecDeque<(PeerMessage, u64)>,
    data_bytes: u64,
    data_bytes_max: u64,
    reach: Reach,
    dropped: u64,
}

impl Queue {
    pub(super) fn new(data_bytes_max: u64) -> Queue {
        Queue {
            control: VecDeque::new(),
            data: VecDeque::new(),
            data_bytes: 0,
            data_bytes_max,
            reach: Reach::Up,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, message: PeerMessage) {
        if is_control(&message) { self.push_control(message) } else { self.push_data(message) }
    }

    fn push_control(&mut self, message: PeerMessage) {
        let is_down = self.reach == Reach::Down;
        let useless = |old: &PeerMessage| replaces(&message, old) || (is_down && same_kind(&message, old));
        if let Some(old) = self.control.iter_mut().rev().find(|old| useless(old)) {
            *old = message;
            return;
        }
        if self.control.len() >= CONTROL_MAX {
            self.control.pop_front();
            self.dropped += 1;
        }
        self.control.push_back(message);
    }

    fn push_data(&mut self, message: PeerMessage) {
        if self.reach == Reach::Down {
            self.dropped += 1;
            return;
        }
        let bytes = wire_bytes(&message);
        if let Some(place) = self.data.iter().rposition(|(old, _)| replaces(&message, old)) {
            let old = std::mem::replace(&mut self.data[place], (message, bytes));
            self.data_bytes = self.data_bytes - old.1 + bytes;
            return;
        }
        // One alone is taken, however large it is.
        if self.data_bytes > 0 && self.data_bytes + bytes > self.data_bytes_max {
            self.dropped += 1;
            return;
        }
        self.data_bytes += bytes;
        self.data.push_back((message, bytes));
    }

    pub(super) fn pop(&mut self) -> Option<PeerMessage> {
        if let Some(message) = self.control.pop_front() {
            return Some(message);
        }
        let (message, bytes) = self.data.pop_front()?;
        self.data_bytes -= bytes;
        Some(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.data.is_empty()
    }

    /// There is a connection, or one is tried again because there was one.
    pub(super) fn up(&mut self) {
        self.reach = Reach::Up;
    }

    /// The connection is lost: whatever data follows, something before it did not arrive.
    pub(super) fn lost(&mut self) {
        self.dropped += self.data.len() as u64;
        self.data.clear();
        self.data_bytes = 0;
    }

    /// An attempt to connect failed.
    pub(super) fn down(&mut self) {
        self.lost();
        self.reach = Reach::Down;
        for message in std::mem::take(&mut self.control) {
            self.push_control(message);
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.reach == Reach::Down
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    #[cfg(test)]
    fn waiting(&self) -> (usize, usize, u64) {
        (self.control.len(), self.data.len(), self.data_bytes)
    }
}

/// Of a few bytes, whatever happens.
fn is_control(message: &PeerMessage) -> bool {
    match message {
        PeerMessage::Raft(envelope) => match &envelope.message {
            Message::Append { entries, .. } => entries.is_empty(),
            Message::Propose { .. } | Message::ChangeMembers { .. } => false,
            _ => true,
        },
        _ => false,
    }
}

fn same_kind(new: &PeerMessage, old: &PeerMessage) -> bool {
    match (new, old) {
        (PeerMessage::Raft(new), PeerMessage::Raft(old)) => {
            std::mem::discriminant(&new.message) == std::mem::discriminant(&old.message)
        }
        _ => false,
    }
}

/// Does whoever gets `new` need `old` no more? Both go to the same peer.
fn replaces(new: &PeerMessage, old: &PeerMessage) -> bool {
    match (new, old) {
        (PeerMessage::Raft(new), PeerMessage::Raft(old)) => replaces_raft(new, old),
        (
            PeerMessage::Transfer { session: new_session, message: new, .. },
            PeerMessage::Transfer { session: old_session, message: old, .. },
        ) => new_session == old_session && replaces_transfer(new, old),
        _ => false,
    }
}

fn replaces_raft(new: &Envelope, old: &Envelope) -> bool {
    if new.term < old.term {
        return false;
    }
    let is_later = new.term > old.term;
    match (&new.message, &old.message) {
        // Round 0 asks for nothing, and must not take the place of one that does.
        (Message::Heartbeat { round: new, .. }, Message::Heartbeat { round: old, .. })
        | (Message::HeartbeatAck { round: new, .. }, Message::HeartbeatAck { round: old, .. }) => {
            is_later || (*new == 0) == (*old == 0) && new >= old
        }
        (Message::AppendAccepted { matched: new }, Message::AppendAccepted { matched: old }) => {
            is_later || new >= old
        }
        // The same once more, or with what came since.
        (
            Message::Append { prev: new_prev, entries: new, .. },
            Message::Append { prev: old_prev, entries: old, .. },
        ) => new_prev == old_prev && new.is_empty() == old.is_empty() && new.len() >= old.len(),
        _ => false,
    }
}

/// In one transfer one piece is under way at a time: what is said again is said of the same or a later one.
fn replaces_transfer(new: &TransferMessage, old: &TransferMessage) -> bool {
    std::mem::discriminant(new) == std::mem::discriminant(old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        replica::Session,
        types::{Bytes, Entry, EntryId, Index, KeyRev, NodeId, Payload, ProposalId, Term},
    };

    fn raft(term: u64, message: Message) -> PeerMessage {
        PeerMessage::Raft(Envelope { from: NodeId(1), to: NodeId(2), term: Term(term), message })
    }

    fn heartbeat(term: u64, round: u64) -> PeerMessage {
        raft(term, Message::Heartbeat { commit: Index(round), round })
    }

    fn append(prev: u64, entries: u64, bytes: usize) -> PeerMessage {
        let entry = |index| Entry {
            id: EntryId::new(1, index),
            payload: Payload::Command { id: ProposalId::default(), data: Bytes::from(vec![7; bytes]) },
        };
        let entries = (prev + 1..=prev + entries).map(entry).collect();
        raft(1, Message::Append { prev: EntryId::new(1, prev), entries, commit: Index(0) })
    }

    fn want(session: u64, revision: i64) -> PeerMessage {
        let message =
            TransferMessage::Want { after: KeyRev::new(revision, 0), committed: EntryId::default() };
        PeerMessage::Transfer { from: NodeId(1), to: NodeId(2), session: Session(session), message }
    }

    fn all(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|message| describe(&message)).collect()
    }

    fn describe(message: &PeerMessage) -> String {
        match message {
            PeerMessage::Raft(envelope) => match &envelope.message {
                Message::Heartbeat { round, .. } => format!("heartbeat {round}@{}", envelope.term),
                Message::Append { prev, entries, .. } => format!("append {}+{}", prev.index, entries.len()),
                Message::AppendAccepted { matched } => format!("accepted {matched}"),
                Message::VoteRequest { last, .. } => format!("vote {last}"),
                other => format!("{other:?}"),
            },
            PeerMessage::Transfer { session, .. } => format!("transfer {}", session.0),
            other => format!("{other:?}"),
        }
    }

    fn filled(messages: impl IntoIterator<Item = PeerMessage>) -> Queue {
        let mut queue = Queue::new(1 << 20);
        messages.into_iter().for_each(|message| queue.push(message));
        queue
    }

    #[test]
    fn newer_news_take_the_place_of_older() {
        let mut queue =
            filled([heartbeat(1, 1), heartbeat(1, 2), heartbeat(1, 0), heartbeat(2, 3), heartbeat(2, 0)]);
        assert_eq!(all(&mut queue), ["heartbeat 0@2", "heartbeat 3@2"]);
        let mut queue = filled([heartbeat(2, 9), heartbeat(1, 10)]);
        assert_eq!(all(&mut queue), ["heartbeat 9@2", "heartbeat 10@1"], "nothing older wins");
        let mut queue = filled([heartbeat(2, 9), heartbeat(2, 8)]);
        assert_eq!(all(&mut queue), ["heartbeat 9@2", "heartbeat 8@2"], "nor anything smaller");
        let accepted = |matched| raft(1, Message::AppendAccepted { matched: Index(matched) });
        let mut queue = filled([accepted(4), accepted(7), accepted(5)]);
        assert_eq!(all(&mut queue), ["accepted 7", "accepted 5"]);
        let mut queue = filled([want(1, 1), want(1, 2), want(2, 1)]);
        assert_eq!(all(&mut queue), ["transfer 1", "transfer 2"]);
        assert_eq!(queue.dropped(), 0, "nothing of use was lost");
    }

    #[test]
    fn what_must_not_wait_goes_first() {
        let mut queue = filled([append(0, 2, 10), append(2, 1, 10), heartbeat(1, 1)]);
        assert_eq!(all(&mut queue), ["heartbeat 1@1", "append 0+2", "append 2+1"]);
        assert_eq!(queue.waiting(), (0, 0, 0));
    }

    #[test]
    fn what_is_said_again_waits_once() {
        let mut queue = filled([append(0, 2, 10), append(0, 3, 10), append(0, 1, 10), append(0, 0, 0)]);
        assert_eq!(all(&mut queue), ["append 0+0", "append 0+3", "append 0+1"]);
        assert_eq!(queue.waiting().2, 0);
    }

    #[test]
    fn a_full_queue_keeps_the_beginning_of_the_run() {
        let mut queue = Queue::new(1000);
        for prev in 0..10 {
            queue.push(append(prev, 1, 300));
        }
        assert_eq!(queue.dropped(), 7);
        queue.push(heartbeat(1, 1));
        assert_eq!(all(&mut queue), ["heartbeat 1@1", "append 0+1", "append 1+1", "append 2+1"]);
        queue.push(append(0, 1, 5000));
        queue.push(append(1, 1, 1));
        assert_eq!(all(&mut queue), ["append 0+1"], "one that is larger than the bound goes alone");
    }

    #[test]
    fn too_many_questions_lose_the_oldest() {
        let vote = |number| {
            let last = EntryId::new(1, number);
            raft(1, Message::VoteRequest { pre: false, last, transfer: false })
        };
        let mut queue = filled((0..CONTROL_MAX as u64 + 3).map(vote));
        assert_eq!((queue.dropped(), queue.waiting().0), (3, CONTROL_MAX));
        assert_eq!(describe(&queue.pop().expect("full")), "vote 3@1");
    }

    #[test]
    fn a_peer_that_is_away_gets_the_newest_of_each_kind() {
        let vote =
            |term| raft(term, Message::VoteRequest { pre: true, last: EntryId::default(), transfer: false });
        let mut queue = filled([append(0, 1, 10), vote(1), vote(2), heartbeat(2, 1)]);
        queue.down();
        assert_eq!(queue.waiting(), (2, 0, 0));
        for round in 2..500 {
            queue.push(heartbeat(2, round));
            queue.push(append(round, 1, 10));
            queue.push(vote(round));
        }
        assert_eq!(queue.waiting(), (2, 0, 0));
        queue.up();
        queue.push(append(0, 1, 10));
        assert_eq!(all(&mut queue), ["vote 0@0", "heartbeat 499@2", "append 0+1"]);
    }

    #[test]
    fn a_lost_connection_takes_the_data_with_it() {
        let mut queue = filled([append(0, 1, 10), heartbeat(1, 1)]);
        queue.lost();
        assert_eq!((queue.waiting(), queue.dropped()), ((1, 0, 0), 1));
    }
}
