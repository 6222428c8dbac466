//! What a member counts, for who wants to see how it does. Plain numbers; the doors give them names.

use crate::types::{Histogram, Revision};

#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub has_leader: bool,
    pub is_leader: bool,
    pub leader_changes: u64,
    /// Raft's commit index.
    pub proposals_committed: u64,
    /// Entries applied since the start.
    pub proposals_applied: u64,
    /// Requests under way.
    pub proposals_pending: u64,
    pub proposals_failed: u64,
    pub slow_applies: u64,
    pub slow_requests: u64,
    /// Writing and syncing the log, each batch.
    pub log_syncs: DiskTimes,
    /// Bringing pending changes into the database, each transaction.
    pub flushes: DiskTimes,
    pub watchers: u64,
    /// Those that have yet to be told something that has happened.
    pub slow_watchers: u64,
    pub watch_streams: u64,
    /// Changes that are held for watchers who have yet to take them.
    pub pending_events: u64,
    pub revision: Revision,
    pub compacted: Revision,
    /// The file.
    pub db_file_bytes: u64,
    /// Those of its pages that hold something, as of the last flush.
    pub db_used_bytes: u64,
    pub pending_bytes: u64,
    pub quota_bytes: u64,
}

/// etcd's buckets: 1 ms to 8.192 s.
pub type DiskTimes = Histogram<1000, 14>;
