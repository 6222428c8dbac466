//! How often something took how long.

use std::time::Duration;

/// Buckets as etcd has them, each twice as wide as the one before: the first takes all that took no longer than `FIRST_US`
/// microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<const FIRST_US: u64, const BUCKETS: usize> {
    /// Not cumulative.
    counts: [u64; BUCKETS],
    /// What took longer than all of them hold.
    longer: u64,
    sum: Duration,
}

impl<const FIRST_US: u64, const BUCKETS: usize> Default for Histogram<FIRST_US, BUCKETS> {
    fn default() -> Self {
        Histogram { counts: [0; BUCKETS], longer: 0, sum: Duration::ZERO }
    }
}

impl<const FIRST_US: u64, const BUCKETS: usize> Histogram<FIRST_US, BUCKETS> {
    pub fn add(&mut self, took: Duration) {
        let place = (0..BUCKETS).find(|&place| took <= Self::bound(place));
        *place.map_or(&mut self.longer, |place| &mut self.counts[place]) += 1;
        self.sum += took;
    }

    fn bound(place: usize) -> Duration {
        Duration::from_micros(FIRST_US << place)
    }

    /// Upper bounds and how many took no longer: cumulative, as Prometheus wants them, without the infinite one.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let mut below = 0;
        self.counts.iter().enumerate().map(move |(place, count)| {
            below += count;
            (Self::bound(place), below)
        })
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.longer
    }

    pub fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_hold_their_bounds() {
        let mut histogram = Histogram::<100, 16>::default();
        let us = Duration::from_micros;
        [0, 100, 101, 3_276_800, 3_276_801].iter().for_each(|took| histogram.add(us(*took)));
        let buckets: Vec<(Duration, u64)> = histogram.buckets().collect();
        assert_eq!(buckets[..3], [(us(100), 2), (us(200), 3), (us(400), 3)]);
        assert_eq!(
            (buckets.len(), buckets[15]),
            (16, (us(3_276_800), 4)),
            "the infinite one is not among them"
        );
        assert_eq!((histogram.count(), histogram.sum()), (5, us(6_553_802)));
    }
}
