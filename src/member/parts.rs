//! What people are told of a command that is applied in parts, while it goes on for long.

use std::time::{Duration, Instant};

use crate::store::Store;

/// A line so often.
const TELL_EVERY: Duration = Duration::from_secs(3);

/// The one that is under way, if there is one.
#[derive(Default)]
pub(super) struct Parts(Option<UnderWay>);

struct UnderWay {
    since: Instant,
    told_at: Instant,
}

impl Parts {
    /// When the one that is under way began.
    pub(super) fn since(&self) -> Option<Instant> {
        self.0.as_ref().map(|under_way| under_way.since)
    }

    pub(super) fn paused(&mut self, store: &Store, now: Instant) {
        let under_way = self.0.get_or_insert(UnderWay { since: now, told_at: now });
        if now.saturating_duration_since(under_way.told_at) < TELL_EVERY {
            return;
        }
        under_way.told_at = now;
        if let Some((entry, changes)) = store.unfinished() {
            log::info!(
                "entry {entry} changes many keys: {changes} are done, it has taken {} s; until the last one is, nothing of \
                 it can be read, and what is written waits",
                now.saturating_duration_since(under_way.since).as_secs()
            );
        }
    }

    pub(super) fn done(&mut self, store: &Store, now: Instant) {
        if let Some(UnderWay { since, told_at }) = self.0.take()
            && told_at > since
        {
            let took = now.saturating_duration_since(since);
            log::info!("entry {} is done, after {} s", store.applied(), took.as_secs());
        }
    }
}
