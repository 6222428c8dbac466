//! Signs of life, for a watchdog: did each thread get round lately?

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// One thread's signs.
#[derive(Clone)]
pub(super) struct Beat(Arc<Inner>);

struct Inner {
    since: Instant,
    moved_at_ms: AtomicU64,
}

impl Beat {
    pub(super) fn new() -> Beat {
        Beat(Arc::new(Inner { since: Instant::now(), moved_at_ms: AtomicU64::new(0) }))
    }

    pub(super) fn moved(&self) {
        self.0.moved_at_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    fn age(&self) -> Duration {
        Duration::from_millis(self.now_ms().saturating_sub(self.0.moved_at_ms.load(Ordering::Relaxed)))
    }

    fn now_ms(&self) -> u64 {
        self.0.since.elapsed().as_millis() as u64
    }
}

/// How long ago each part got round. Idle ones are asked every few seconds, so that a large age means: it hangs.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    pub engine: Duration,
    pub log: Duration,
    pub store: Duration,
}

pub(super) struct Beats {
    pub(super) engine: Beat,
    pub(super) log: Beat,
    pub(super) store: Beat,
}

impl Beats {
    pub(super) fn new() -> Beats {
        Beats { engine: Beat::new(), log: Beat::new(), store: Beat::new() }
    }

    pub(super) fn pulse(&self) -> Pulse {
        Pulse { engine: self.engine.age(), log: self.log.age(), store: self.store.age() }
    }
}
