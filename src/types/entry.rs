//! What the Raft log is made of.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Bytes, Index, MembershipChange, NodeId, ProposalId, Term, limits};

/// Names one log entry: two entries with the same id are the same entry, and so is all before them
/// (Raft thesis 3.5: log matching).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId {
    // The order of the fields is the order of "more up to date" (Raft thesis 3.6.1): last term first, then length.
    pub term: Term,
    pub index: Index,
}

impl EntryId {
    pub const fn new(term: u64, index: u64) -> EntryId {
        EntryId { term: Term(term), index: Index(index) }
    }
}

/// `index@term`, as in `17@3`.
impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: EntryId,
    pub payload: Payload,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// What a new leader appends to commit what came before it (Raft thesis 6.4 step 1).
    Empty,
    /// A command of the store, encoded by `Command::encode`. Raft does not look inside.
    Command { id: ProposalId, data: Bytes },
    /// One change of the members. `info` is what the store keeps of the member (name, URLs); Raft does not look inside.
    Membership { id: ProposalId, change: MembershipChange, info: Bytes },
}

impl Entry {
    pub fn index(&self) -> Index {
        self.id.index
    }

    pub fn term(&self) -> Term {
        self.id.term
    }

    /// What this entry counts against bounds in bytes: what it carries and what holding it costs.
    pub fn weight_bytes(&self) -> u64 {
        let carried = match &self.payload {
            Payload::Empty => 0,
            Payload::Command { data, .. } => data.len(),
            Payload::Membership { info, .. } => info.len(),
        };
        carried as u64 + limits::ENTRY_OVERHEAD_BYTES
    }
}

/// What a member must not forget between two messages of an election (Raft thesis figure 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    pub term: Term,
    pub vote: Option<NodeId>,
}
