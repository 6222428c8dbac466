//! Cuts those who take too long. One for the whole server, because a timer for every request would cost more than most
//! requests do; it sleeps without a timer while nobody has to hurry.

use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future::or;

use super::shared::{Shared, sweep_step_ms};

pub(super) async fn sweep(shared: &Shared) {
    let start = Instant::now();
    loop {
        let now_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let step_ms = sweep_once(shared, now_ms);
        shared.sweep_after_ms.set(step_ms);
        match step_ms {
            u64::MAX => shared.sweep_now.raised().await,
            _ => or(pause(step_ms), shared.sweep_now.raised()).await,
        }
    }
}

async fn pause(step_ms: u64) {
    Timer::after(Duration::from_millis(step_ms)).await;
}

/// Returns after how long to look again.
fn sweep_once(shared: &Shared, now_ms: u64) -> u64 {
    let mut step_ms = u64::MAX;
    for link in shared.links.borrow().values() {
        let Some(timeout) = link.phase().timeout(&shared.limits) else { continue };
        if u128::from(link.waited_ms(now_ms)) >= timeout.as_millis() {
            link.cut();
        } else {
            step_ms = step_ms.min(sweep_step_ms(link.phase(), &shared.limits));
        }
    }
    step_ms
}
