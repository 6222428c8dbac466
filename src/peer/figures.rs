//! What is counted.

use std::{cell::Cell, time::Duration};

use crate::types::{Histogram, NodeId};

/// Of one peer, since it was added. Bytes are those of frames, before encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFigures {
    pub id: NodeId,
    /// There is an urgent connection.
    pub is_active: bool,
    /// For how long there has been one.
    pub active_for: Option<Duration>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub messages_sent: u64,
    pub messages_received: u64,
    /// Writes to the system, each of as many frames as were there.
    pub writes: u64,
    /// Messages that were lost on this side.
    pub dropped: u64,
    /// Urgent and bulk connections that came to be, from either side.
    pub connections: [u64; 2],
    /// Attempts to dial that failed.
    pub dials_failed: u64,
    /// Connections that were ended because what came could not be read.
    pub malformed: u64,
    /// Of the last ping on the urgent connection.
    pub round_trip: Option<Duration>,
    pub round_trips: RoundTrips,
}

/// Of pings on urgent connections. etcd's buckets: 0.1 ms to 3.2768 s.
pub type RoundTrips = Histogram<100, 16>;

/// Of connections that were no peer's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub accepted: u64,
    /// Did not greet: no TLS, no trusted certificate, no greeting, too late.
    pub strangers_failed: u64,
    /// Had to go for others while they had not greeted yet.
    pub strangers_pushed_out: u64,
    /// Greeted and were refused.
    pub refused: u64,
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Count(Cell<u64>);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.set(self.0.get() + more);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.get()
    }
}
