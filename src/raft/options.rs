//! What a node is told when it is made: its bounds, and what its disk remembers.

use crate::types::{Bugs, Entry, EntryId, HardState, Membership, NodeId};

/// How a node behaves for its whole life. Ticks are of whatever length the caller ticks at.
#[derive(Clone, Debug)]
pub struct Options {
    pub id: NodeId,
    /// A follower that heard nothing for this long, or up to twice as long (drawn anew each time, so that two seldom
    /// stand at once), asks for votes. A leader that heard from no majority for this long steps down.
    pub election_ticks: u32,
    pub heartbeat_ticks: u32,
    /// Entries in one Append, by `Entry::weight_bytes`; a single larger entry travels alone.
    pub append_bytes_max: u64,
    /// Sent to one peer and not acknowledged; one Append larger than it may be under way alone.
    pub window_bytes: u64,
    /// Proposed and not committed. Beyond it proposals are refused with `TooManyRequests`.
    pub uncommitted_bytes_max: u64,
    /// Entries that nothing here needs any more, kept for peers that are a little behind. Who is older than that is
    /// caught up from the store.
    pub tail_bytes_max: u64,
    /// Handed out in `Ready::apply` and not reported applied; a single larger entry is handed out alone.
    pub apply_bytes_max: u64,
    /// Reads that wait for a round of heartbeats. Beyond it they are refused with `TooManyRequests`.
    pub reads_max: usize,
    pub bugs: Bugs,
}

/// What a board finds when it comes up.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    pub hard_state: HardState,
    /// The last entry that the store holds durably; `0@0` for a fresh one. While catching up it is the entry that the log
    /// begins after, whatever the store holds: votes rest on the log.
    pub applied: EntryId,
    /// As of `applied`; blank if this board has not been told of its cluster, and must be caught up by a member.
    pub membership: Membership,
    /// The log behind `applied`, without a gap: the first has index `applied.index + 1`.
    pub entries: Vec<Entry>,
    /// It went down while catching up.
    pub catching_up: bool,
}
