//! What a node wants done: a to-do list whose field comments are the ordering contract.

use crate::types::{Entry, EntryId, Error, HardState, Index, NodeId, ProposalId};

use super::Envelope;

/// What is to be done since the last `Ready`. Nothing in it waits for an earlier `Ready` to be finished, but for what the
/// fields say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// May leave at once, also before anything of this `Ready` is durable.
    pub send: Vec<Envelope>,
    /// Make this durable, in the order of the tickets; then call `Node::persisted` with its ticket. Reporting a ticket
    /// reports all earlier ones.
    pub persist: Option<Persist>,
    /// May leave only once `persist` of this `Ready`, and so all earlier ones, is durable: votes and requests for them,
    /// acknowledged appends. Empty if `persist` is `None`.
    pub send_after_persist: Vec<Envelope>,
    /// Committed, in order, each entry once. Apply, then call `Node::applied` with the last index. A majority has them
    /// durably; this board's own log may not yet.
    pub apply: Vec<Entry>,
    /// Answer each once the store has applied `index`.
    pub reads: Vec<ReadReady>,
    /// Requests that were refused, and reads that will not be answered.
    pub refused: Vec<Refused>,
    /// Peers that the log in memory cannot help: start a transfer from the store. Each once, until
    /// `Node::catch_up_ended`.
    pub catch_up: Vec<NodeId>,
}

/// What the log on disk is to hold, written in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    pub ticket: Ticket,
    /// Term or vote changed.
    pub hard_state: Option<HardState>,
    /// The log was dropped: it is empty and begins after this entry.
    pub log_start: Option<EntryId>,
    /// To append. One whose index is not beyond the end of the log replaces the entry there and all behind it.
    ///
    /// Without any of the three this is a barrier: nothing to write, but to be reported when all before it is durable.
    pub entries: Vec<Entry>,
}

/// Names one `Persist`. Later ones are greater. No more than some hundred are ever under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A read that is linearizable once `index` is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    pub id: ProposalId,
    pub index: Index,
}

/// A request that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub id: ProposalId,
    pub error: Error,
    /// It did not and will not take effect. Otherwise nobody knows, and nothing more will be said unless it is applied.
    pub is_certain: bool,
}
