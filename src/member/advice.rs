//! Which time-outs would suit: what a leader sees of links and disks, and what follows from it.
//!
//! - A heartbeat should not be shorter than a round trip (etcd's tuning guide): else answers always come late.
//! - An election must be over, asked and answered and synced at both ends, well before somebody else loses patience.
//!
//! What counts is the worst of the last minutes but one: a single hiccup is no reason.

use std::time::{Duration, Instant};

/// Measured for two of these at most, for one at least.
const WINDOW: Duration = Duration::from_secs(150);

/// Nothing is said after less than this.
const SAMPLES_MIN: u32 = 5;

/// Suggested are multiples of this.
const STEP_MS: u128 = 50;

/// The two longest of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Longest {
    samples: u32,
    longest: [Duration; 2],
}

impl Longest {
    fn add(&mut self, took: Duration) {
        self.samples = self.samples.saturating_add(1);
        let [first, second] = self.longest;
        self.longest = [first.max(took), second.max(first.min(took))];
    }

    /// The second longest of both.
    fn with(self, other: Longest) -> Option<Duration> {
        if self.samples + other.samples < SAMPLES_MIN {
            return None;
        }
        let mut all = [self.longest, other.longest].concat();
        all.sort_unstable();
        Some(all[2])
    }
}

/// What was measured in this window and the one before.
#[derive(Debug)]
pub(super) struct Advice {
    begun: Instant,
    links: [Longest; 2],
    syncs: [Longest; 2],
}

impl Advice {
    pub(super) fn new(now: Instant) -> Advice {
        Advice { begun: now, links: Default::default(), syncs: Default::default() }
    }

    pub(super) fn round_trip(&mut self, took: Duration) {
        self.links[0].add(took);
    }

    pub(super) fn sync(&mut self, took: Duration) {
        self.syncs[0].add(took);
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if now.saturating_duration_since(self.begun) >= WINDOW {
            self.begun = now;
            self.links = [Longest::default(), self.links[0]];
            self.syncs = [Longest::default(), self.syncs[0]];
        }
    }

    /// Heartbeat and election that would suit, if those in use are too short.
    pub(super) fn suggest(&self, heartbeat: Duration, election: Duration) -> Option<Suggestion> {
        let round_trip = self.links[0].with(self.links[1])?;
        let sync = self.syncs[0].with(self.syncs[1]).unwrap_or_default();
        let needed_heartbeat = round_up(round_trip);
        let needed_election = round_up((10 * round_trip).max(3 * (round_trip + 2 * sync)));
        if needed_heartbeat <= heartbeat && needed_election <= election {
            return None;
        }
        let heartbeat = needed_heartbeat.max(heartbeat);
        Some(Suggestion {
            round_trip,
            sync,
            heartbeat,
            election: needed_election.max(election).max(10 * heartbeat),
        })
    }
}

fn round_up(time: Duration) -> Duration {
    let steps = time.as_millis().div_ceil(STEP_MS);
    Duration::from_millis(u64::try_from(steps * STEP_MS).unwrap_or(u64::MAX))
}

/// What was seen, and what would suit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suggestion {
    round_trip: Duration,
    sync: Duration,
    pub(super) heartbeat: Duration,
    pub(super) election: Duration,
}

impl std::fmt::Display for Suggestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_millis();
        write!(
            f,
            "round trips of {} ms and syncs of {} ms: --heartbeat-interval {} and --election-timeout {} would suit (solder \
             cluster set)",
            ms(self.round_trip),
            ms(self.sync),
            ms(self.heartbeat),
            ms(self.election)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn suggest(round_trips: &[u32], syncs: &[u32]) -> Option<(u128, u128)> {
        let mut advice = Advice::new(Instant::now());
        round_trips.iter().for_each(|ms| advice.round_trip(*ms * MS));
        syncs.iter().for_each(|ms| advice.sync(*ms * MS));
        let suggestion = advice.suggest(100 * MS, 1000 * MS);
        suggestion.map(|found| (found.heartbeat.as_millis(), found.election.as_millis()))
    }

    #[test]
    fn what_is_fast_enough_is_left_alone() {
        assert_eq!(suggest(&[1; 9], &[5; 9]), None);
        assert_eq!(suggest(&[1, 1, 900, 1, 1], &[5; 9]), None, "one hiccup");
        assert_eq!(suggest(&[900; 4], &[]), None, "too little was seen");
    }

    #[test]
    fn links_and_disks_ask_for_more() {
        assert_eq!(suggest(&[240; 5], &[5; 9]), Some((250, 2500)));
        assert_eq!(suggest(&[2, 2, 2, 240, 240], &[]), Some((250, 2500)), "now and then is too often");
        assert_eq!(suggest(&[10; 5], &[400; 5]), Some((100, 2450)));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let begun = Instant::now();
        let mut advice = Advice::new(begun);
        (0..9).for_each(|_| advice.round_trip(500 * MS));
        advice.tick(begun + WINDOW);
        assert!(advice.suggest(100 * MS, 1000 * MS).is_some());
        advice.tick(begun + 2 * WINDOW);
        (0..9).for_each(|_| advice.round_trip(MS));
        assert_eq!(advice.suggest(100 * MS, 1000 * MS), None);
    }
}
