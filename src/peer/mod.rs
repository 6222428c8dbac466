//! Peers: messages between members, over sockets.
//!
//! ```text
//!   Peers::send --> Peer --+--> Lane urgent: Queue --> session ==> TCP or TLS ==> its board
//!                          +--> Lane bulk:   Queue --> session ==> TCP or TLS ==>
//!   Peers::take <-- Inbox <----------------------------- session <== both ways
//!
//!   dial    makes a connection when there is something to send      handshake  TLS, on a thread of its own
//!   ask     one question, of a board that is nobody yet      join       such a board is let in
//!   identity  a board's own key, and the cluster's authority     authority  its key goes from voter to voter
//!   certifying  a member's new key is certified     voters  who is asked both
//!   accept  takes connections: strangers first, then peers          credentials, trust, clock: whom to believe
//! ```
//!
//! - Sending never waits. What does not fit is dropped, and counted (`queue` says what and why); one peer's queue is no
//!   other's.
//! - Two lanes to a peer, so that a heartbeat never waits behind a gigabyte. An Append that is too large for the urgent lane
//!   goes by bulk, and with it all that follow, until the peer has said that bulk is empty (`peer`).
//! - A connection carries messages both ways, whoever dialled it. If both dialled at one time there are two, and both send
//!   on the one that the smaller id dialled; the other runs idle and is closed by its dialler. So there are no duels, and a
//!   board that nobody can reach, because its address is new, is heard and answered on what it dialled itself.
//! - Voters keep an urgent connection to each other (`MemberAddress::is_kept`). All else is dialled when there is something
//!   to send, and closed when idle: a hundred learners make no mesh.
//! - Nobody is listened to before he has greeted, in bounded time and bytes, as a member of this cluster (`greeting`).
//! - A member whose key is in the list is nobody without it: it is looked at on each connection, whoever dialled, and before
//!   anything that the other side says counts. A key that follows it by its own word passes for it (`identity::handover`).
//! - Links that died without a word are noticed by TCP itself: what is not acknowledged in `Limits::silence_timeout` ends the
//!   connection, and each side sends a ping every `Limits::beat` at least. A peer that lives and hangs is Raft's business.
//! - Who is connected is told at once: `PeerEvent::Met`. So is a process that died, for it closed its connections:
//!   `PeerEvent::Lost`.
//!
//! Memory, of one connection that waits, with its share of its peer and of dialling: about 15 KB, and with TLS at most 28 KB
//! more, beside the system's own for a socket. In use: up to 32 KB that wait to be written, a frame that is read or written,
//! and the lane's queue, which shares its entries with the log.
//!
//! Here you will not find: what messages mean, whom a cluster lets in, threads but one for handshakes, disks but for keys and
//! certificates.

mod accept;
mod ask;
mod authority;
mod backoff;
mod certifying;
mod clock;
mod connection;
mod credentials;
mod dial;
mod figures;
mod frame;
mod greeting;
mod handshake;
mod identity;
mod inbox;
mod join;
mod judge;
mod lane;
mod limits;
mod listener;
#[expect(clippy::module_inception, reason = "one peer is what the floor is about")]
mod peer;
mod peers;
mod queue;
mod session;
mod shared;
mod signal;
mod strangers;
mod stream;
mod trust;
mod url;
mod validity;
mod voters;

use std::collections::BTreeSet;

use crate::{
    replica::PeerMessage,
    types::{Bytes, NodeId},
};

pub use self::{
    ask::{Asker, RollCall, RollEntry},
    credentials::{Tls, TlsFiles},
    figures::{PeerFigures, RoundTrips, Totals},
    frame::{AuthorityKey, BadFrame, Bye, FRAME_HEADER_BYTES, Frame},
    greeting::{
        BadGreeting, GREETING_BYTES, GREETING_BYTES_MAX, GREETING_HEAD_BYTES, Greeting, Purpose, Refusal,
        VERSIONS,
    },
    identity::{AuthorityCopy, BoardTls, NextKey},
    join::{
        JoinAnswer, JoinError, JoinFrame, JoinRequest, Joiner, LocalBoxFuture, NoProof, Pass, Reached,
        Reception,
    },
    limits::{Limits, Options},
    listener::PeerListener,
    peers::Peers,
    url::PeerUrl,
    validity::Validity,
};

/// What peers have said and done.
#[derive(Debug)]
pub enum PeerEvent {
    Received(PeerMessage),
    /// It has greeted, and there was no urgent connection before.
    Met(NodeId),
    /// Its process has ended, or is about to: its side closed the last urgent connection. Not a silence, which may be the
    /// link's.
    Lost(NodeId),
    /// A member refuses this board, or ends its connections, for a reason that does not go away by itself. Told once for
    /// each reason.
    Refused {
        by: NodeId,
        reason: Refusal,
    },
    /// Who called, as a board of this cluster, knows this board's id with other data than is here. It need be no member.
    Disowned {
        by: NodeId,
        /// It knows a leader: a majority of those whom it knows is at work.
        is_led: bool,
    },
}

/// Who belongs to the cluster, as far as this board knows.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// All members but this one; this one is skipped.
    pub members: Vec<MemberAddress>,
    /// Never again.
    pub removed: BTreeSet<NodeId>,
    /// All members, this one too: told to who asks.
    pub roll: Vec<RollEntry>,
    /// Take who is of this cluster, is not in the list, and was not removed. A board that does not lead must: its list may
    /// be older than a leader that it has to hear of the newer one. A leader's list is the newest there is.
    pub takes_guests: bool,
    /// This board knows a leader.
    pub is_led: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberAddress {
    pub id: NodeId,
    pub urls: Vec<PeerUrl>,
    /// Keep an urgent connection to it, whether there is something to send or not: both vote.
    pub is_kept: bool,
    /// Of its data, as it has published it; 0: it has not yet. Who greets with another is refused.
    pub incarnation: u64,
    /// SHA-256 of its public key. Who has not shown that very key is not this member, on whatever connection. Empty: files
    /// or nothing say who it is.
    pub key: Bytes,
    /// It may have the authority's key.
    pub votes: bool,
    /// It is to fill this board, and perhaps cannot call it: the connection for that is kept, too.
    pub fills: bool,
}
