//! What time it is, as far as certificates ask: on a board that may not know.
//!
//! Boards have no clock battery. After a power cut theirs says 1970, or what it said when it was last switched off, until
//! a time server answers; and that may need the very store that waits for its peers. So, for certificates that an
//! authority signed:
//!
//! ```text
//! now = the latest of   the wall clock
//!                       this release                          (it cannot be earlier)
//!                       the beginnings of the certificates shown (whoever signed them says that it is not earlier)
//! ```
//!
//! Why that is safe enough: the signature, the name and the key are checked as ever; only "not yet valid" is never a
//! reason. A beginning keeps nobody out who holds the key: the authority gave it to him. "No longer valid" is checked by
//! the best that the board knows: with a clock that is behind, a certificate that has run out is taken until the clock is
//! right, as it would be on any machine with such a clock. Whoever must be kept out for good is removed from the cluster,
//! and that asks no clock.
//!
//! A clock that is ahead makes good certificates look run out. Nothing can be told from that, so nothing is guessed:
//! connections that stand go on, new ones are refused with both times in the message.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{pki_types::UnixTime, time_provider::TimeProvider};

/// 2026-11-01: before this release was built. Raised with each release; written here and not taken from the compiler, so
/// that the same source makes the same binary.
const RELEASED: Duration = Duration::from_secs(1_793_491_200);

/// Asks the system, or a test. See the module.
#[derive(Clone, Copy)]
pub(super) struct Clock(pub(super) fn() -> SystemTime);

impl Clock {
    fn wall(self) -> Duration {
        (self.0)().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// What the wall clock says, if it can be right.
    pub(super) fn plausible(self) -> Option<Duration> {
        Some(self.wall()).filter(|now| *now >= RELEASED)
    }

    pub(super) fn now(self) -> UnixTime {
        UnixTime::since_unix_epoch(self.wall().max(RELEASED))
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.wall())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_1970_is_no_time_at_all() {
        for clock in [Clock(|| UNIX_EPOCH), Clock(|| UNIX_EPOCH - Duration::from_secs(1))] {
            assert_eq!((clock.now().as_secs(), clock.plausible()), (RELEASED.as_secs(), None));
        }
        let later = Clock(|| UNIX_EPOCH + RELEASED + Duration::from_secs(5));
        assert_eq!(later.now().as_secs(), RELEASED.as_secs() + 5);
        assert_eq!(later.plausible(), Some(RELEASED + Duration::from_secs(5)));
    }
}
