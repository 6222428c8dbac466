//! All that a member can ask for.

use crate::{
    raft::Ticket,
    store::TransferBase,
    types::{Entry, EntryId, Error, HardState, Index, KeyRev, NodeId, Outcome},
};

use super::{PeerMessage, Piece, RequestId, Session};

#[derive(Clone, Debug)]
pub enum Effect {
    /// To a peer; may be lost.
    Send(PeerMessage),
    /// To the log, in order. All that waits may go into one batch; after its sync: `Event::Persisted`.
    Append(Append),
    /// To the store, in order; then `Event::Applied`.
    Apply(Vec<Entry>),
    /// To the store, in order with the entries; then `Event::Transfer`.
    Transfer(TransferJob),
    /// To a client, once for each request.
    Answer { request: RequestId, answer: Answer },
}

/// What must become durable together with all that was asked for before it.
#[derive(Clone, Debug)]
pub struct Append {
    pub ticket: Ticket,
    pub hard_state: Option<HardState>,
    pub log_start: Option<EntryId>,
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The command is committed and applied; this came of it.
    Applied(Outcome),
    /// The store may be read now: it holds at least what was committed when the read arrived.
    ReadAt(Index),
    /// Leadership is being handed over.
    Accepted,
    /// It did not happen and will not.
    Refused(Error),
    /// It may have happened, or may still.
    Unknown(Error),
}

/// What the owner of the store does for a transfer. See `jobs`.
#[derive(Clone, Debug)]
pub enum TransferJob {
    /// Sender: keep what is not compacted yet for this peer, and say what there is.
    Open { peer: NodeId, session: Session },
    /// Sender: read what comes after the cursor, and keep only what comes after it from now on.
    Read { peer: NodeId, session: Session, after: KeyRev },
    /// Sender: the transfer is over, keep nothing for it any more.
    Close { peer: NodeId },
    /// Receiver: mark the store as catching up, durably; wipe it if `base` makes what it holds useless.
    Begin { session: Session, base: TransferBase },
    /// Receiver: keep a piece, durably; with a tail, become what it says.
    Store { session: Session, piece: Box<Piece> },
}
