//! Tells systemd's watchdog that all is well, as long as engine, log and store get round.

use std::time::Duration;

use async_io::Timer;

use crate::member::Member;

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

/// A card may stand still for seconds when it is worn: two thirds of what the manager waits.
fn patience(interval: Duration) -> Duration {
    interval * 4 / 3
}
