//! A running member: `replica` with its log, its store, its clock and those who watch it.
//!
//! ```text
//!    main thread                                      wal thread      append, sync
//!   +------------------------------------------+ ---> store thread    apply, read
//!   | doors --> Member --> engine --> Replica  |      flush thread    LMDB
//!   |             ^          |  lessor, hub    | <--- all that they report, in one inbox
//!   +-------------|----------+-----------------+
//!                 answers
//! ```

use std::{rc::Rc, time::Duration};

use crate::{
    store::{HashAt, RangeSlice, RevRecord},
    types::{
        AlarmKind, AlarmRequest, Bytes, ClusterId, Command, Error, KeyRange, KeyRev, LeaseId, NodeId,
        Outcome, RangeAt, RangeRequest, Revision, Term,
    },
};

/// What doors see of the running member. A handle, cheap to clone, that stays on the main thread.
#[derive(Clone)]
pub struct Member {}

/// What stands in every answer.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub cluster: ClusterId,
    pub member: NodeId,
    /// The newest that is applied here.
    pub revision: Revision,
    pub term: Term,
}

/// What came of a command. As long as it lives, the places in history that `outcome` names stay readable.
pub struct Applied {
    pub outcome: Outcome,
}

pub struct TimeToLive {
    /// Whole seconds left.
    pub ttl_s: i64,
    pub granted_ttl_s: i64,
    /// In order, if they were asked for.
    pub keys: Vec<Bytes>,
}

/// What an operator told of a member.
#[derive(Clone, Debug, Default)]
pub struct MemberInfo {
    pub id: NodeId,
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    pub is_learner: bool,
}

pub struct Status {
    pub db_size_bytes: u64,
    pub db_in_use_bytes: u64,
    pub quota_bytes: u64,
    pub leader: Option<NodeId>,
    pub raft_index: u64,
    pub applied_index: u64,
    pub term: Term,
    pub is_learner: bool,
    pub alarms: Vec<(NodeId, AlarmKind)>,
}

impl Member {
    pub fn header(&self) -> Header {
        unimplemented!()
    }

    /// Proposes; answers once it is durable and applied. `outcome` is never `Refused`: that is the error.
    /// `Error::Timeout`: nobody knows whether it takes effect.
    pub async fn propose(&self, _command: Command) -> Result<Applied, Error> {
        unimplemented!()
    }

    /// Waits until what was acknowledged before this call can be read here.
    pub async fn read_barrier(&self) -> Result<(), Error> {
        unimplemented!()
    }

    /// A range, linearizable or of what is here. Pinned until the reader is dropped.
    pub async fn range(&self, _request: RangeRequest, _serializable: bool) -> Result<RangeReader, Error> {
        unimplemented!()
    }

    /// A range that an outcome names; call it while the `Applied` lives.
    pub async fn range_at(&self, _at: RangeAt) -> Result<RangeReader, Error> {
        unimplemented!()
    }

    /// A record that an outcome names; call it while the `Applied` lives.
    pub async fn record(&self, _at: KeyRev) -> Result<RevRecord, Error> {
        unimplemented!()
    }

    /// The watches of one connection.
    pub fn watch_stream(&self) -> WatchStream {
        unimplemented!()
    }

    /// id 0: one is chosen. Answers the id and the TTL granted.
    pub async fn lease_grant(&self, _id: LeaseId, _ttl_s: i64) -> Result<(LeaseId, i64), Error> {
        unimplemented!()
    }

    pub async fn lease_revoke(&self, _id: LeaseId) -> Result<(), Error> {
        unimplemented!()
    }

    /// The TTL granted; `None`: there is no such lease (any more).
    pub async fn lease_keep_alive(&self, _id: LeaseId) -> Result<Option<i64>, Error> {
        unimplemented!()
    }

    pub async fn lease_time_to_live(&self, _id: LeaseId, _keys: bool) -> Result<Option<TimeToLive>, Error> {
        unimplemented!()
    }

    /// In order of expiry.
    pub async fn leases(&self) -> Result<Vec<LeaseId>, Error> {
        unimplemented!()
    }

    /// `physical`: answers only once what was compacted is gone from the database.
    pub async fn compact(&self, _revision: Revision, _physical: bool) -> Result<(), Error> {
        unimplemented!()
    }

    /// The alarm touched, if any.
    pub async fn change_alarm(&self, _request: AlarmRequest) -> Result<Option<AlarmRequest>, Error> {
        unimplemented!()
    }

    pub async fn alarms(&self) -> Result<Vec<(NodeId, AlarmKind)>, Error> {
        unimplemented!()
    }

    /// revision 0: the newest. The hash of all keys at it, pinned and read in slices.
    pub async fn hash_kv(&self, _revision: Revision) -> Result<HashAt, Error> {
        unimplemented!()
    }

    /// Gives disk back. Answers when it is done; puts go on meanwhile. The error is a sentence for the operator.
    pub async fn defragment(&self) -> Result<(), String> {
        unimplemented!()
    }

    /// The whole store in pieces, as of now.
    pub async fn snapshot(&self) -> Result<SnapshotReader, Error> {
        unimplemented!()
    }

    pub async fn members(&self, _linearizable: bool) -> Result<Vec<MemberInfo>, Error> {
        unimplemented!()
    }

    pub async fn transfer_leadership(&self, _to: NodeId) -> Result<(), Error> {
        unimplemented!()
    }

    pub async fn status(&self) -> Result<Status, Error> {
        unimplemented!()
    }
}

/// A range being read. Slices are small (64 KiB); the first one comes with the range itself.
pub struct RangeReader {}

impl RangeReader {
    /// The store's newest revision when the range was begun: what its header says.
    pub fn revision(&self) -> Revision {
        unimplemented!()
    }

    /// The next slice, until one has an `end`.
    pub async fn next(&mut self) -> Result<RangeSlice, Error> {
        unimplemented!()
    }
}

/// A snapshot being read.
pub struct SnapshotReader {}

impl SnapshotReader {
    /// An estimate of what is still to come, in bytes; 0 only at the end.
    pub fn remaining_bytes(&self) -> u64 {
        unimplemented!()
    }

    /// The next piece of at most 32 KiB; `None`: that was all.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        unimplemented!()
    }
}

/// Names a watch on its stream; chosen by the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub i64);

#[derive(Clone, Debug)]
pub struct WatchRequest {
    pub range: KeyRange,
    /// 0: from now on.
    pub start: Revision,
    pub prev_kv: bool,
    pub no_put: bool,
    pub no_delete: bool,
    /// Say where we are when nothing came for so long.
    pub progress_notify: Option<Duration>,
}

/// One change, shared by all who are told of it.
pub struct WatchEvent {
    pub record: RevRecord,
    /// The value before, if some watcher of this event asked for it and there was one.
    pub prev: Option<RevRecord>,
    /// Free for the door: an event is given its outer form once. [without prev_kv, with prev_kv]
    pub encoded: [std::cell::OnceCell<Box<[u8]>>; 2],
}

/// What a stream of watches has to say next.
pub struct WatchMessage {
    pub watch: WatchId,
    /// All changes up to and including it that the watch is to see have been told, with this message.
    pub revision: Revision,
    pub what: WatchNews,
}

pub enum WatchNews {
    /// Whole revisions, in order, already filtered.
    Events(Vec<Rc<WatchEvent>>),
    Progress,
    /// The next revision it wanted is compacted; the watch is gone. The compacted revision.
    Compacted(Revision),
}

/// Dropping it ends its watches.
pub struct WatchStream {}

impl WatchStream {
    /// The id must be free on this stream. From the next revision on if `start` is 0.
    pub fn create(&mut self, _id: WatchId, _request: WatchRequest) {
        unimplemented!()
    }

    /// Was there such a watch?
    pub fn cancel(&mut self, _id: WatchId) -> bool {
        unimplemented!()
    }

    /// Have all watches seen everything up to the newest revision (which is answered)?
    pub fn synced(&self) -> Option<Revision> {
        unimplemented!()
    }

    /// What comes next. Cancel-safe: nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> WatchMessage {
        unimplemented!()
    }
}
