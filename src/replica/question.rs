//! What members ask of the leader beside Raft: what it alone knows and keeps in no log; and what it asks of them. Asked and
//! answered by who runs the replica, which only carries it.

use serde::{Deserialize, Serialize};

use crate::types::{LeaseId, NodeId};

/// Each may be asked as often as one likes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Let this lease live for its full time again.
    KeepAlive(LeaseId),
    TimeLeft(LeaseId),
    Leases,
    /// Why each member is what it is. Of level 2.
    Roles,
    /// Of the leader to a learner: fetch the authority's key from here, for you are about to vote. Of level 2.
    Authority,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Who was asked does not lead, or could not make sure of it.
    NotLeading,
    /// The TTL granted, in seconds; `None`: there is no such lease.
    KeptAlive(Option<i64>),
    /// Whole seconds left, and granted.
    TimeLeft(Option<(i64, i64)>),
    /// In order of expiry.
    Leases(Vec<LeaseId>),
    /// In order of the ids, a sentence for people about each.
    Roles(Vec<(NodeId, String)>),
    /// Does who was asked have it now?
    Authority(bool),
}
