//! Who makes tokens: few at one time, and each stranger few in a day, so that nobody fills a service that is there for all.
//!
//! ```text
//!   a stranger is an IPv4 address, or the 64 bits of an IPv6 address that a network has to itself
//!   made  |--> 20 at once, and then one each two hours: in the 7 days that they live, a tenth of all there can be
//! ```
//!
//! What is known of strangers is bounded, and forgotten with the process. This board itself is none.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use smol::lock::{Semaphore, SemaphoreGuard};

use crate::types::limits;

/// Tokens that are being made at one time. They are counted before, so that the bound can be passed by as many.
const AT_ONCE: usize = 16;

/// A token of each may be there at one time, so more strangers than tokens are no use.
const STRANGERS_MAX: usize = limits::DISCOVERY_TOKENS_MAX as usize;

const AGAIN_AFTER: Duration = Duration::from_secs(limits::DISCOVERY_STRANGER_EVERY_S);

/// Made at once: until all of them may be made again.
const ALL_AFTER: Duration = AGAIN_AFTER.saturating_mul(limits::DISCOVERY_STRANGER_TOKENS_MAX);

/// Room for those who make tokens.
pub(in crate::api) struct Makers {
    places: Semaphore,
    strangers: RefCell<Strangers>,
}

impl Default for Makers {
    fn default() -> Makers {
        Makers { places: Semaphore::new(AT_ONCE), strangers: RefCell::default() }
    }
}

impl Makers {
    /// `None`: too many are at it.
    pub(super) fn place(&self) -> Option<SemaphoreGuard<'_>> {
        self.places.try_acquire()
    }

    /// Errors: after this time the stranger may make one again.
    pub(super) fn may(&self, stranger: IpAddr) -> Result<(), Duration> {
        self.strangers.borrow_mut().may(network(stranger), Instant::now())
    }
}

/// When each has made so few again that it may make as many at once as anybody. Who is not in it may.
#[derive(Default)]
struct Strangers(BTreeMap<u128, Instant>);

impl Strangers {
    fn may(&mut self, who: u128, now: Instant) -> Result<(), Duration> {
        let settled = self.0.get(&who).map_or(now, |settled| (*settled).max(now));
        let owed = settled.duration_since(now) + AGAIN_AFTER;
        if owed > ALL_AFTER {
            return Err(owed - ALL_AFTER);
        }
        self.0.insert(who, now + owed);
        if self.0.len() > STRANGERS_MAX {
            self.forget(now);
        }
        Ok(())
    }

    /// Those of whom nothing need be known; else who has made least.
    fn forget(&mut self, now: Instant) {
        self.0.retain(|_, settled| *settled > now);
        if self.0.len() > STRANGERS_MAX
            && let Some(least) = self.0.iter().min_by_key(|(_, settled)| **settled).map(|(who, _)| *who)
        {
            self.0.remove(&least);
        }
    }
}

/// Whoever has an IPv6 network has more addresses in it than could be counted.
fn network(stranger: IpAddr) -> u128 {
    match stranger.to_canonical() {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_makes_few() {
        let (mut strangers, now) = (Strangers::default(), Instant::now());
        let most = limits::DISCOVERY_STRANGER_TOKENS_MAX;
        assert!((0..most).all(|_| strangers.may(1, now).is_ok()));
        assert_eq!(strangers.may(1, now), Err(AGAIN_AFTER));
        assert_eq!(strangers.may(2, now), Ok(()), "that is another");
        let later = now + AGAIN_AFTER;
        assert_eq!(strangers.may(1, later), Ok(()));
        assert_eq!(strangers.may(1, later), Err(AGAIN_AFTER), "one, and not one more");
        let long_after = later + 2 * ALL_AFTER;
        assert!((0..most).all(|_| strangers.may(1, long_after).is_ok()));
        assert!(strangers.may(1, long_after).is_err(), "no more at once for having waited");
    }

    #[test]
    fn many_strangers_cost_little() {
        let (mut strangers, now) = (Strangers::default(), Instant::now());
        while strangers.may(0, now).is_ok() {}
        for who in 1..5000 {
            assert_eq!(strangers.may(who, now), Ok(()));
        }
        assert_eq!(strangers.0.len(), STRANGERS_MAX);
        assert!(strangers.may(0, now).is_err(), "others do not help who has made many");
        assert_eq!(strangers.may(9999, now + ALL_AFTER + AGAIN_AFTER), Ok(()));
        assert_eq!(strangers.0.len(), 1);
    }

    #[test]
    fn networks() {
        let of = |address: &str| network(address.parse().expect("an address"));
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
