//! All that can happen to a member.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Question, Reply};
use crate::{
    raft::{self, Ticket},
    store::{TransferBase, TransferSlice, TransferTail},
    types::{
        Bytes, EntryId, Index, KeyRev, Membership, MembershipChange, NodeId, Outcome, ProposalId, Revision,
    },
};

/// Names a client's request between its arrival and `Effect::Answer`. Chosen by who feeds the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names one attempt to bring one member up to date. Drawn at random by the sender, so that no two are mixed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Session(pub u64);

#[derive(Clone, Debug)]
pub enum Event {
    /// One tick of this board's monotonic clock has passed.
    Tick,
    /// A peer's message has arrived, checked by whoever read the frame.
    Received(PeerMessage),
    /// There is a connection with this peer that was not there.
    PeerMet(NodeId),
    /// A peer's process has ended. (Of silence nothing is told: that is Raft's to find out.)
    PeerLost(NodeId),
    /// A client wants an encoded command in the log.
    Propose {
        request: RequestId,
        data: Bytes,
    },
    ChangeMembers {
        request: RequestId,
        change: MembershipChange,
        info: Bytes,
    },
    /// A client wants to read what is newest now.
    Read {
        request: RequestId,
    },
    /// Hand leadership over: to this member, or to the best one.
    TransferLeader {
        request: RequestId,
        to: Option<NodeId>,
    },
    /// The log has synced everything up to this ticket.
    Persisted(Ticket),
    /// The log has, or no longer has, room for what comes. Without it a leader takes no proposals.
    LogRoom(bool),
    /// The store has, or no longer has, room in its pending layer. Without it a leader takes no proposals.
    StoreRoom(bool),
    /// The store has applied everything up to `index`; what came of the commands proposed here.
    Applied {
        index: Index,
        outcomes: Vec<(ProposalId, Outcome)>,
    },
    /// A `TransferJob` is done.
    Transfer(TransferDone),
}

/// What travels between members.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PeerMessage {
    Raft(raft::Envelope),
    Transfer {
        from: NodeId,
        to: NodeId,
        session: Session,
        message: TransferMessage,
    },
    /// For who runs the replica, as are the next two. `number` is the asker's.
    Question {
        from: NodeId,
        to: NodeId,
        number: u64,
        question: Question,
    },
    Reply {
        from: NodeId,
        to: NodeId,
        number: u64,
        reply: Reply,
    },
    /// A checksum of what a member holds, to be compared.
    Digest {
        from: NodeId,
        to: NodeId,
        of: DigestOf,
        hash: u32,
    },
}

/// What a checksum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DigestOf {
    /// All that was ever applied, up to this entry.
    Applied(EntryId),
    /// All keys that can be read at `revision`.
    Keys { revision: Revision, compacted: Revision },
}

impl fmt::Display for DigestOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DigestOf::Applied(entry) => write!(f, "what was applied up to entry {entry}"),
            DigestOf::Keys { revision, .. } => write!(f, "the keys at revision {revision}"),
        }
    }
}

impl PeerMessage {
    /// Who says it, and to whom.
    pub fn ends(&self) -> (NodeId, NodeId) {
        match self {
            PeerMessage::Raft(envelope) => (envelope.from, envelope.to),
            PeerMessage::Transfer { from, to, .. }
            | PeerMessage::Question { from, to, .. }
            | PeerMessage::Reply { from, to, .. }
            | PeerMessage::Digest { from, to, .. } => (*from, *to),
        }
    }
}

/// The conversation of catching up: `Offer`, then `Want` and `Slice` in turn, then `Done`. The sender repeats itself
/// when nothing comes back; a receiver that gets the same twice does nothing twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum TransferMessage {
    /// Sender: this is how far I have applied, and removed what is compacted; I can bring you there or beyond.
    Offer { base: TransferBase },
    /// Receiver: what I have is durable up to `after`; send what comes next. I know that `committed` is.
    Want { after: KeyRev, committed: EntryId },
    /// Sender: what comes after the cursor that the slice starts from; the last one brings the tail.
    Slice(Box<Piece>),
    /// Receiver: all is in place.
    Done,
    /// Receiver: not wanted, I am further than what you offer; I know that `committed` is.
    Decline { committed: EntryId },
}

/// One step of a transfer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Piece {
    pub slice: TransferSlice,
    /// Present in the last piece: the small tables, read in the same instant as the slice.
    pub tail: Option<TransferTail>,
}

/// What came of a `TransferJob`.
#[derive(Clone, Debug)]
pub enum TransferDone {
    Opened {
        peer: NodeId,
        session: Session,
        base: TransferBase,
    },
    /// `None`: this store has not applied as far as the receiver has received yet; ask again later.
    Read {
        peer: NodeId,
        session: Session,
        piece: Option<Box<Piece>>,
    },
    Begun {
        session: Session,
        after: KeyRev,
        committed: EntryId,
    },
    Stored {
        session: Session,
        after: KeyRev,
        committed: EntryId,
    },
    Finished {
        session: Session,
        at: EntryId,
        membership: Membership,
    },
}
