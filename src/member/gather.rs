//! Group commit: for whom the log's thread waits before it writes.
//!
//! Who has just been answered is likely to come again at once, and a sync costs a card the same wear and about the same
//! time for one entry as for twenty. So a batch waits for as many entries as there were clients a moment ago, but never
//! for longer than a small part of what a sync takes: on a fast disk that is nothing, and one client alone never waits.

use std::time::Duration;

/// The part of a sync's time that waiting may take.
const SHARE: u32 = 4;

/// However slow the disk is.
const PATIENCE_MAX: Duration = Duration::from_millis(2);

/// Of the average of sync times, what the last one counts.
const WEIGHT: u32 = 8;

#[derive(Debug, Default)]
pub(super) struct Gather {
    /// Entries that are likely to come before long.
    expected: usize,
    /// A moving average.
    sync: Duration,
}

impl Gather {
    /// A batch has been synced, and others have come meanwhile.
    pub(super) fn synced(&mut self, entries: usize, waiting: usize, took: Duration) {
        self.expected = entries + waiting;
        self.sync = self.sync - self.sync / WEIGHT + took / WEIGHT;
    }

    /// Are more entries likely to come than are waiting?
    pub(super) fn expects_more(&self, waiting: usize) -> bool {
        waiting < self.expected
    }

    /// So long it is worth waiting for them.
    pub(super) fn patience(&self) -> Duration {
        (self.sync / SHARE).min(PATIENCE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_never_waits() {
        let mut gather = Gather::default();
        assert!(!gather.expects_more(1));
        for _ in 0..10 {
            gather.synced(1, 0, Duration::from_millis(10));
            assert!(!gather.expects_more(1));
        }
    }

    #[test]
    fn those_who_were_answered_are_waited_for_once() {
        let mut gather = Gather::default();
        gather.synced(3, 5, Duration::from_millis(4));
        assert!(gather.expects_more(7) && !gather.expects_more(8));
        // They did not come.
        gather.synced(5, 0, Duration::from_millis(4));
        assert!(!gather.expects_more(5));
    }

    #[test]
    fn patience_follows_the_disk_and_has_an_end() {
        let mut gather = Gather::default();
        assert_eq!(gather.patience(), Duration::ZERO);
        for _ in 0..100 {
            gather.synced(1, 1, Duration::from_micros(400));
        }
        assert!((90..=100).contains(&gather.patience().as_micros()), "{gather:?}");
        for _ in 0..100 {
            gather.synced(1, 1, Duration::from_secs(1));
        }
        assert_eq!(gather.patience(), PATIENCE_MAX);
    }
}
