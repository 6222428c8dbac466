//! One peer: what is known of it, and which lane a message takes.
//!
//! ```text
//!   small  ----------------------------------------> urgent
//!   Append, small  --- unless Appends are by bulk -> urgent
//!   Append, large  -- Appends are by bulk now -----> bulk, behind it a ping with its number
//!                       ^--- until the pong with the number of the last of them
//!   Transfer  -------------------------------------> bulk
//! ```
//!
//! Appends that overtake each other are rejected, and Raft begins to probe; so they change lanes only when the lane that
//! they leave is empty at the other end.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use smol::Task;

use crate::{
    raft::Message,
    replica::PeerMessage,
    types::{Bytes, NodeId},
};

use super::{
    PeerFigures, PeerUrl, Purpose,
    connection::Connection,
    figures::{Count, RoundTrips},
    frame::{Bye, wire_bytes},
    identity::Shown,
    lane::Lane,
    limits::URGENT_BYTES_MAX,
};

/// See the module.
pub(super) struct Peer {
    pub(super) id: NodeId,
    pub(super) urls: RefCell<Vec<PeerUrl>>,
    pub(super) is_kept: Cell<bool>,
    /// Of its data directory, once it is known; 0 before. It never changes: a board whose disk was wiped gets another id.
    pub(super) incarnation: Cell<u64>,
    /// SHA-256 of its public key, by the list of members; empty: files or nothing say who it is.
    key: RefCell<Bytes>,
    /// By the list of members.
    pub(super) votes: Cell<bool>,
    /// Its other connection is kept, too.
    pub(super) fills: Cell<bool>,
    /// In no list of members that this board has seen.
    pub(super) is_guest: Cell<bool>,
    lanes: [Lane; 2],
    /// Those that dial; they end with it.
    pub(super) dialling: RefCell<Vec<Task<()>>>,
    /// The number of the last Append that went by bulk, while Appends do.
    by_bulk: Cell<Option<u64>>,
    next_by_bulk: Cell<u64>,
    /// That it ended was told, and no connection came since.
    pub(super) is_lost: Cell<bool>,
    /// Since when there is an urgent connection.
    pub(super) active_since: Cell<Option<Instant>>,
    pub(super) counts: Counts,
    round_trip: Cell<Option<Duration>>,
    round_trips: RefCell<RoundTrips>,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) bytes_sent: Count,
    pub(super) bytes_received: Count,
    pub(super) messages_sent: Count,
    pub(super) messages_received: Count,
    pub(super) writes: Count,
    pub(super) too_large: Count,
    pub(super) dials_failed: Count,
    pub(super) malformed: Count,
    pub(super) connections: [Count; 2],
}

impl Peer {
    pub(super) fn new(id: NodeId, me: NodeId, queue_bytes_max: u64) -> Peer {
        Peer {
            id,
            urls: RefCell::default(),
            is_kept: Cell::new(false),
            incarnation: Cell::new(0),
            key: RefCell::default(),
            votes: Cell::new(false),
            fills: Cell::new(false),
            is_guest: Cell::new(false),
            lanes: Purpose::LANES.map(|purpose| Lane::new(purpose, me < id, queue_bytes_max)),
            dialling: RefCell::default(),
            by_bulk: Cell::new(None),
            next_by_bulk: Cell::new(0),
            is_lost: Cell::new(false),
            active_since: Cell::new(None),
            counts: Counts::default(),
            round_trip: Cell::new(None),
            round_trips: RefCell::default(),
        }
    }

    /// Is there to be a connection whether there is something to send or not?
    pub(super) fn keeps(&self, purpose: Purpose) -> bool {
        self.is_kept.get() && (purpose == Purpose::Urgent || self.fills.get())
    }

    /// By the list of members, which is right whoever greeted first; 0: it does not know.
    pub(super) fn set_incarnation(&self, listed: u64) {
        if listed == 0 || listed == self.incarnation.get() {
            return;
        }
        if self.incarnation.replace(listed) != 0 {
            self.end(Bye::NotMember);
        }
    }

    /// By its greeting. False: that is somebody else.
    pub(super) fn is_incarnation(&self, greeted: u64) -> bool {
        if self.incarnation.get() == 0 {
            self.incarnation.set(greeted);
        }
        self.incarnation.get() == greeted
    }

    /// By the list of members. What was made with another ends.
    pub(super) fn set_key(&self, listed: Bytes) {
        if *self.key.borrow() == listed {
            return;
        }
        *self.key.borrow_mut() = listed;
        for connection in self.connections() {
            if !self.is_key(connection.shown.as_ref()) {
                connection.end(Bye::WrongKey);
            }
        }
    }

    /// Does who has shown this pass for it? Where the list has no key, all do.
    pub(super) fn is_key(&self, shown: Option<&Shown>) -> bool {
        let key = self.key.borrow();
        key.is_empty() || shown.is_some_and(|shown| shown.is(&key))
    }

    pub(super) fn has_key(&self) -> bool {
        !self.key.borrow().is_empty()
    }

    pub(super) fn lane(&self, purpose: Purpose) -> &Lane {
        &self.lanes[purpose as usize]
    }

    pub(super) fn ping_answered(&self, took: Duration) {
        self.round_trip.set(Some(took));
        self.round_trips.borrow_mut().add(took);
    }

    pub(super) fn count_connection(&self, purpose: Purpose) {
        self.counts.connections[purpose as usize].add(1);
    }

    pub(super) fn send(&self, message: PeerMessage) {
        let purpose = self.purpose_of(&message);
        self.lane(purpose).push(message);
    }

    fn purpose_of(&self, message: &PeerMessage) -> Purpose {
        let envelope = match message {
            PeerMessage::Raft(envelope) => envelope,
            PeerMessage::Transfer { .. } => return Purpose::Bulk,
            _ if wire_bytes(message) > URGENT_BYTES_MAX => return Purpose::Bulk,
            _ => return Purpose::Urgent,
        };
        let is_append = match &envelope.message {
            Message::Append { .. } => true,
            Message::Propose { .. } | Message::ChangeMembers { .. } => false,
            _ => return Purpose::Urgent,
        };
        let is_large = wire_bytes(message) > URGENT_BYTES_MAX;
        if !is_append || !(is_large || self.by_bulk.get().is_some()) {
            return if is_large { Purpose::Bulk } else { Purpose::Urgent };
        }
        // What is dropped binds nobody.
        if !self.lane(Purpose::Bulk).queue.borrow().is_down() {
            let number = self.next_by_bulk.get();
            self.next_by_bulk.set(number + 1);
            self.by_bulk.set(Some(number));
        }
        Purpose::Bulk
    }

    /// All that waited in bulk was written: asks the peer to say when it is there.
    pub(super) fn bulk_written(&self, connection: &Connection) {
        if let Some(number) = self.by_bulk.get() {
            connection.ask(number);
        }
    }

    /// The peer has got all up to this Append by bulk.
    pub(super) fn bulk_arrived(&self, number: u64) {
        if self.by_bulk.get() == Some(number) {
            self.by_bulk.set(None);
        }
    }

    /// What was under way is lost anyhow, and will be probed.
    pub(super) fn bulk_lost(&self) {
        self.by_bulk.set(None);
    }

    pub(super) fn connections(&self) -> Vec<Rc<Connection>> {
        self.lanes.iter().flat_map(Lane::connections).collect()
    }

    /// All connections, and dialling.
    pub(super) fn end(&self, why: Bye) {
        self.dialling.borrow_mut().clear();
        self.connections().iter().for_each(|connection| connection.end(why));
    }

    pub(super) fn figures(&self) -> PeerFigures {
        let counts = &self.counts;
        let dropped: u64 = self.lanes.iter().map(|lane| lane.queue.borrow().dropped()).sum();
        PeerFigures {
            id: self.id,
            is_active: self.lane(Purpose::Urgent).is_connected(),
            active_for: self.active_since.get().map(|since| since.elapsed()),
            bytes_sent: counts.bytes_sent.get(),
            bytes_received: counts.bytes_received.get(),
            messages_sent: counts.messages_sent.get(),
            messages_received: counts.messages_received.get(),
            writes: counts.writes.get(),
            dropped: dropped + counts.too_large.get(),
            connections: [counts.connections[0].get(), counts.connections[1].get()],
            dials_failed: counts.dials_failed.get(),
            malformed: counts.malformed.get(),
            round_trip: self.round_trip.get(),
            round_trips: self.round_trips.borrow().clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        raft::Envelope,
        types::{Bytes, Entry, EntryId, Index, Payload, ProposalId, Term},
    };

    fn raft(message: Message) -> PeerMessage {
        PeerMessage::Raft(Envelope { from: NodeId(1), to: NodeId(2), term: Term(1), message })
    }

    fn append(bytes: usize) -> PeerMessage {
        let payload = Payload::Command { id: ProposalId::default(), data: Bytes::from(vec![0; bytes]) };
        let entries = vec![Entry { id: EntryId::new(1, 1), payload }];
        raft(Message::Append { prev: EntryId::default(), entries, commit: Index(0) })
    }

    #[test]
    fn appends_change_lanes_only_when_the_one_that_they_leave_is_empty() {
        let peer = Peer::new(NodeId(2), NodeId(1), 1 << 20);
        let large = URGENT_BYTES_MAX as usize;
        assert_eq!(peer.purpose_of(&append(10)), Purpose::Urgent);
        assert_eq!(peer.purpose_of(&append(large)), Purpose::Bulk, "number 0");
        assert_eq!(peer.purpose_of(&append(10)), Purpose::Bulk, "number 1");
        let heartbeat = raft(Message::Heartbeat { commit: Index(0), round: 1 });
        assert_eq!(peer.purpose_of(&heartbeat), Purpose::Urgent);
        peer.bulk_arrived(0);
        assert_eq!(peer.purpose_of(&append(10)), Purpose::Bulk, "number 2: 1 may be under way");
        peer.bulk_arrived(2);
        assert_eq!(peer.purpose_of(&append(10)), Purpose::Urgent);
        let propose = raft(Message::Propose { id: ProposalId::default(), data: vec![0; large].into() });
        assert_eq!(peer.purpose_of(&propose), Purpose::Bulk);
        assert_eq!(peer.purpose_of(&append(10)), Purpose::Urgent, "proposals bind nobody");
        peer.lane(Purpose::Bulk).queue.borrow_mut().down();
        assert_eq!(peer.purpose_of(&append(large)), Purpose::Bulk, "to be dropped");
        assert_eq!(peer.purpose_of(&append(10)), Purpose::Urgent, "nothing is before it");
    }
}
