//! What applying a command did. The same on every member.
//!
//! Old values and ranges inside a transaction are not copied into an outcome: they are named by the place in history
//! where they can be read (`RangeAt`, `KeyRev`), because a range can be as large as the store.

use super::{AlarmRequest, Error, KeyRev, LeaseId, RangeRequest, Revision};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An entry without a command.
    None,
    Put(PutOutcome),
    Delete(DeleteOutcome),
    Txn(TxnOutcome),
    Compacted {
        revision: Revision,
    },
    LeaseGranted {
        revision: Revision,
        id: LeaseId,
        ttl_s: i64,
    },
    LeaseRevoked {
        revision: Revision,
    },
    LeasesCheckpointed {
        revision: Revision,
    },
    /// The alarm touched: as in etcd, one that was active already is, one that was not active is not.
    Alarm {
        revision: Revision,
        touched: Option<AlarmRequest>,
    },
    /// What is known of a member, or what holds for all.
    ClusterChanged {
        revision: Revision,
    },
    /// Nothing was changed.
    Refused(Error),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOutcome {
    pub revision: Revision,
    /// Where the value before stands, if it was asked for and there was one.
    pub prev: Option<KeyRev>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOutcome {
    /// The store's revision after it: the delete's own, if anything was deleted.
    pub revision: Revision,
    pub deleted: u64,
    /// Where the values before can be read, if they were asked for.
    pub prev: Option<RangeAt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOutcome {
    pub revision: Revision,
    pub succeeded: bool,
    pub parts: Vec<TxnPart>,
}

/// The outcome of one operation of a transaction. The revisions are those of etcd's inner headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnPart {
    Range { revision: Revision, range: RangeAt },
    Put(PutOutcome),
    Delete(DeleteOutcome),
    Txn { succeeded: bool, parts: Vec<TxnPart> },
}

/// A range to be read at one place in history: all changes up to and including `at` count, none after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeAt {
    pub request: RangeRequest,
    pub at: KeyRev,
}
