//! What a member counts, for who wants to see how it does. Plain numbers; the doors give them names.

use std::time::Duration;

use crate::types::Revision;

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
    pub log_syncs: Histogram,
    /// Bringing pending changes into the database, each transaction.
    pub flushes: Histogram,
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

/// How often something took how long: etcd's buckets, 1 ms to 8.192 s, each twice the one before.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Not cumulative; the last is all that took longer.
    counts: [u64; Histogram::BUCKETS + 1],
    sum: Duration,
}

impl Histogram {
    pub const BUCKETS: usize = 14;

    pub(super) fn add(&mut self, took: Duration) {
        let place = (0..Self::BUCKETS).find(|&place| took <= Self::bound(place));
        self.counts[place.unwrap_or(Self::BUCKETS)] += 1;
        self.sum += took;
    }

    fn bound(place: usize) -> Duration {
        Duration::from_millis(1 << place)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let mut histogram = Histogram::default();
        for ms in [1, 2, 3, 9000] {
            histogram.add(Duration::from_millis(ms));
        }
        let buckets: Vec<u64> = histogram.buckets().map(|(_, count)| count).collect();
        assert_eq!(buckets, [1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(histogram.count(), 4);
        assert_eq!(histogram.sum(), Duration::from_millis(9006));
    }
}
