//! Waits that may be long.

use std::time::Duration;

/// Between the first two lines. From there on each pause is twice as long, up to the other.
const PAUSES: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// Says when what is waited for is to be named: after a while, then ever more seldom, for a wait may take weeks, and logs lie on
/// cards. What is new is named soon.
#[derive(Clone, Debug)]
pub struct Rarely<What> {
    first: Duration,
    told: Option<(What, Duration)>,
    pause: Duration,
}

impl<What: PartialEq> Rarely<What> {
    /// Nothing is named before so much time.
    pub fn after(first: Duration) -> Rarely<What> {
        Rarely { first, told: None, pause: PAUSES.0 }
    }

    /// Is it to be named now, so long after the wait began?
    pub fn is_due(&mut self, what: What, waited: Duration) -> bool {
        let is_due = match &self.told {
            None => waited >= self.first,
            Some((told, at)) if *told == what => waited >= *at + self.pause,
            Some((_, at)) => waited >= *at + PAUSES.0,
        };
        if is_due {
            let is_again = self.told.as_ref().is_some_and(|(told, _)| *told == what);
            self.pause = if is_again { (2 * self.pause).min(PAUSES.1) } else { PAUSES.0 };
            self.told = Some((what, waited));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ever_more_seldom() {
        let mut rarely = Rarely::after(Duration::from_secs(2));
        let told: Vec<u64> =
            (0..2500).filter(|seconds| rarely.is_due("a", Duration::from_secs(*seconds))).collect();
        assert_eq!(told, [2, 32, 92, 212, 452, 932, 1532, 2132]);
        let mut is_due = |what, seconds| rarely.is_due(what, Duration::from_secs(seconds));
        assert!(!is_due("b", 2133) && is_due("b", 2162) && !is_due("b", 2191) && is_due("b", 2192));
    }
}
