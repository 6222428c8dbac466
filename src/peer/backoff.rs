//! How long to wait before a peer is dialled again: twice as long after each failure, up to a bound, and never as long as
//! the others that lost it at the same moment. Pure; chance is passed in.

use std::time::Duration;

/// A process that is started anew is there again before long, and nobody should have noticed.
const FIRST: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(super) fn new(longest: Duration) -> Backoff {
        Backoff { next: FIRST.min(longest), longest }
    }

    pub(super) fn reset(&mut self) {
        self.next = FIRST.min(self.longest);
    }

    /// Trying soon is of no use: somebody has to do something first.
    pub(super) fn hopeless(&mut self) {
        self.next = self.longest;
    }

    /// Between half of the time and all of it.
    pub(super) fn pause(&mut self, rng: &mut fastrand::Rng) -> Duration {
        let all = self.next;
        self.next = (all * 2).min(self.longest);
        all.mul_f64(0.5 + rng.f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let mut backoff = Backoff::new(Duration::from_secs(2));
        let mut rng = fastrand::Rng::with_seed(1);
        let mut full = FIRST;
        for _ in 0..20 {
            let pause = backoff.pause(&mut rng);
            assert!(pause >= full / 2 && pause <= full, "{pause:?} of {full:?}");
            full = (full * 2).min(Duration::from_secs(2));
        }
        assert_ne!(backoff.pause(&mut rng), backoff.pause(&mut rng));
        backoff.reset();
        assert!(backoff.pause(&mut rng) <= FIRST);
        backoff.hopeless();
        assert!(backoff.pause(&mut rng) >= Duration::from_secs(1));
    }
}
