//! What is counted.

use std::{cell::Cell, time::Duration};

use crate::types::NodeId;

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

/// How many pings on urgent connections took how long: etcd's buckets, 0.1 ms to 3.2768 s, each twice the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// Not cumulative; the last is all that took longer.
    counts: [u64; RoundTrips::BUCKETS + 1],
    sum: Duration,
    last: Option<Duration>,
}

impl RoundTrips {
    const BUCKETS: usize = 16;

    pub(super) fn add(&mut self, took: Duration) {
        let place = (0..Self::BUCKETS).find(|&place| took <= Self::bound(place));
        self.counts[place.unwrap_or(Self::BUCKETS)] += 1;
        self.sum += took;
        self.last = Some(took);
    }

    fn bound(place: usize) -> Duration {
        Duration::from_micros(100 << place)
    }

    /// Upper bounds and how many took no longer: cumulative, as Prometheus wants them, without the infinite one.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let mut below = 0;
        (0..Self::BUCKETS).map(move |place| {
            below += self.counts[place];
            (Self::bound(place), below)
        })
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn sum(&self) -> Duration {
        self.sum
    }

    pub(super) fn last(&self) -> Option<Duration> {
        self.last
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_etcds() {
        let mut trips = RoundTrips::default();
        [0, 100, 101, 3_276_800, 3_276_801].iter().for_each(|us| trips.add(Duration::from_micros(*us)));
        let buckets: Vec<(Duration, u64)> = trips.buckets().collect();
        assert_eq!(buckets[..2], [(Duration::from_micros(100), 2), (Duration::from_micros(200), 3)]);
        assert_eq!(buckets.last(), Some(&(Duration::from_micros(3_276_800), 4)));
        assert_eq!((trips.count(), trips.sum()), (5, Duration::from_micros(6_553_802)));
        assert_eq!(trips.last(), Some(Duration::from_micros(3_276_801)));
    }
}
