//! What the service manager is told. Without one (`NOTIFY_SOCKET` is not set) nothing is said.
//!
//! A manager that cannot be told is no reason to stop: it is a warning, and the manager's own time-outs decide.

use std::time::Duration;

use sd_notify::NotifyState;

/// Clients are served from now on.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// No new requests; what is under way is answered.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// Starting takes longer: a long log is read, a database is brought up to date. Counted from now.
pub fn starting(within: Duration) {
    let micros = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
}

/// The same while something is waited for that may take long: to be said again within that time.
pub fn waiting(status: &str, within: Duration) {
    let micros = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(micros), NotifyState::Status(status)]);
}

/// How often to call `alive`: half of what the manager waits, as `sd_watchdog_enabled(3)` advises. `None`: it does not wait.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|timeout| timeout / 2).filter(|interval| !interval.is_zero())
}

/// Everything moves. To be said only by who has seen it move.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("cannot tell the service manager: {error}");
    }
}
