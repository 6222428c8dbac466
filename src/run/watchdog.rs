//! Tells systemd's watchdog that all is well, as long as engine, log and store get round.

use std::time::Duration;

use async_io::Timer;

use crate::member::{self, Member};

use super::notify;

/// Without a watchdog it ends at once.
pub(super) async fn watch(member: Member) {
    let Some(interval) = notify::watchdog_interval() else { return };
    loop {
        Timer::after(interval).await;
        let pulse = member.pulse();
        match pulse.engine.max(pulse.log).max(pulse.store) {
            age if age <= patience(interval) => notify::alive(),
            age => log::warn!("a thread has not moved for {} s: {pulse:?}", age.as_secs()),
        }
    }
}

/// A card may stand still for seconds when it is worn: two thirds of what the manager waits, from when an idle thread was
/// last asked for a sign.
fn patience(interval: Duration) -> Duration {
    interval * 4 / 3 + member::BEAT_EVERY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_threads_are_well_however_short_the_watchdog() {
        for seconds in [1, 30] {
            let interval = Duration::from_secs(seconds) / 2;
            assert!(patience(interval) > member::BEAT_EVERY);
        }
        let (watchdog, interval) = (Duration::from_secs(30), Duration::from_secs(15));
        assert!(patience(interval) < watchdog, "the unit's");
    }
}
