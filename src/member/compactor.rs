//! Automatic compaction: which revision may go, and when. etcd's rules (server/etcdserver/api/v3compactor).
//!
//! Periodic, with a period of an hour or more: the revision is noted every tenth of an hour (6 minutes); once the notes reach
//! back a whole period, what was newest then is compacted, at once and then every hour. With a shorter period: noted every
//! tenth of it, compacted every period. Revisions: every five minutes all but the newest so many.
//!
//! Here you will not find: clocks. Time is told.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::types::Revision;

use super::AutoCompaction;

const HOUR: Duration = Duration::from_secs(3600);
/// How often the mode "revision" looks.
const REVISIONS_EVERY: Duration = Duration::from_secs(300);
/// A failed compaction is proposed again at the next sample.
const SAMPLES_PER_INTERVAL: u32 = 10;

pub(super) struct Compactor {
    policy: Policy,
    next_at: Option<Instant>,
}

enum Policy {
    Periodic {
        sample_every: Duration,
        /// So many samples are one period.
        samples_in_period: usize,
        compact_every: Duration,
        /// What was newest at each of the last samples, oldest first.
        samples: VecDeque<Revision>,
        compacted_at: Option<Instant>,
    },
    Revisions {
        keep: i64,
        last: Revision,
    },
}

impl Compactor {
    /// `None`: nothing is to be kept, which means that nothing is compacted.
    pub(super) fn new(mode: AutoCompaction) -> Option<Compactor> {
        let policy = match mode {
            AutoCompaction::Periodic(Duration::ZERO) => return None,
            AutoCompaction::Periodic(period) => {
                let compact_every = period.min(HOUR);
                let sample_every = (compact_every / SAMPLES_PER_INTERVAL).max(Duration::from_millis(1));
                let samples_in_period = period.as_nanos().div_ceil(sample_every.as_nanos());
                Policy::Periodic {
                    sample_every,
                    samples_in_period: usize::try_from(samples_in_period).unwrap_or(usize::MAX),
                    compact_every,
                    samples: VecDeque::new(),
                    compacted_at: None,
                }
            }
            AutoCompaction::Revisions(keep) if keep <= 0 => return None,
            AutoCompaction::Revisions(keep) => Policy::Revisions { keep, last: Revision(0) },
        };
        Some(Compactor { policy, next_at: None })
    }

    /// The revision at which the store is to be compacted now. Only a leader's counts, but every member takes notes, so that
    /// a new leader need not begin anew.
    pub(super) fn tick(&mut self, now: Instant, newest: Revision, is_leader: bool) -> Option<Revision> {
        if self.next_at.is_some_and(|at| now < at) {
            return None;
        }
        match &mut self.policy {
            Policy::Revisions { keep, last } => {
                let is_first = self.next_at.replace(now + REVISIONS_EVERY).is_none();
                let revision = Revision(newest.0 - *keep);
                let is_due = !is_first && is_leader && revision.0 > 0 && revision > *last;
                is_due.then(|| {
                    *last = revision;
                    revision
                })
            }
            Policy::Periodic { sample_every, samples_in_period, compact_every, samples, compacted_at } => {
                self.next_at = Some(now + *sample_every);
                samples.push_back(newest);
                if samples.len() <= *samples_in_period {
                    return None;
                }
                // As of one period ago.
                let revision = samples.pop_front().expect("one was pushed");
                let is_time = compacted_at.is_none_or(|at| now >= at + *compact_every);
                (is_leader && is_time).then(|| {
                    *compacted_at = Some(now);
                    revision
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// One revision a minute, told every 10 seconds: at which minutes is what compacted?
    fn run(mode: AutoCompaction, minutes: u64) -> Vec<(u64, i64)> {
        let mut compactor = Compactor::new(mode).expect("a mode that does something");
        let start = Instant::now();
        let mut done = Vec::new();
        for step in 0..minutes * 6 {
            let now = start + step as u32 * Duration::from_secs(10);
            let newest = Revision(step as i64 / 6);
            done.extend(compactor.tick(now, newest, true).map(|at| (step / 6, at.0)));
        }
        done
    }

    #[test]
    fn an_hour_is_kept_and_compacted_every_hour() {
        let mode = AutoCompaction::Periodic(HOUR);
        assert_eq!(run(mode, 200), [(60, 0), (120, 60), (180, 120)]);
    }

    #[test]
    fn a_longer_period_is_compacted_every_hour_too() {
        let mode = AutoCompaction::Periodic(3 * HOUR);
        assert_eq!(run(mode, 320), [(180, 0), (240, 60), (300, 120)]);
    }

    #[test]
    fn a_shorter_period_is_its_own_interval() {
        let mode = AutoCompaction::Periodic(10 * MINUTE);
        assert_eq!(run(mode, 35), [(10, 0), (20, 10), (30, 20)]);
    }

    #[test]
    fn so_many_revisions_are_kept() {
        let mode = AutoCompaction::Revisions(8);
        assert_eq!(run(mode, 21), [(10, 2), (15, 7), (20, 12)]);
    }

    #[test]
    fn only_a_leader_compacts_but_all_take_notes() {
        let mut compactor = Compactor::new(AutoCompaction::Periodic(10 * MINUTE)).expect("a period");
        let start = Instant::now();
        for minute in 0..15u32 {
            assert_eq!(compactor.tick(start + minute * MINUTE, Revision(minute.into()), false), None);
        }
        assert_eq!(compactor.tick(start + 15 * MINUTE, Revision(15), true), Some(Revision(5)));
    }

    #[test]
    fn keeping_nothing_is_doing_nothing() {
        assert!(Compactor::new(AutoCompaction::Periodic(Duration::ZERO)).is_none());
        assert!(Compactor::new(AutoCompaction::Revisions(0)).is_none());
    }
}
