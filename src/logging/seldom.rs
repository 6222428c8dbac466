//! Lines of one kind that could come by the thousand.

use std::time::{Duration, Instant};

/// A minute of them is less than a block of a card.
const EVERY: Duration = Duration::from_secs(10);

/// Lets one line through in ten seconds, with how many were left out before it. Logs lie on the card that the store is on:
/// when that is slow, every request is, and a line for each of them would make it slower still.
#[derive(Debug, Default)]
pub struct Seldom {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Is a line to be written now? Then so many were left out since the last one.
    pub fn may(&mut self, now: Instant) -> Option<LeftOut> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(LeftOut(std::mem::take(&mut self.left_out)))
    }
}

/// The end of a line that speaks for others: nothing, or ` (and 7 more)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut(pub u64);

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, " (and {more} more since the last such line)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_ten_seconds_and_what_was_left_out() {
        let mut seldom = Seldom::default();
        let start = Instant::now();
        let told: Vec<(u64, LeftOut)> =
            (0..31_000).filter_map(|ms| Some((ms, seldom.may(start + Duration::from_millis(ms))?))).collect();
        let more = LeftOut(9_999);
        assert_eq!(told, [(0, LeftOut(0)), (10_000, more), (20_000, more), (30_000, more)]);
        assert_eq!(format!("slow{}", LeftOut(0)), "slow");
        assert_eq!(format!("slow{}", LeftOut(3)), "slow (and 3 more since the last such line)");
        let later = start + Duration::from_secs(100);
        assert_eq!((seldom.may(later), seldom.may(start)), (Some(LeftOut(999)), None));
    }
}
