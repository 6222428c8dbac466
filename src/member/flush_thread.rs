//! Flushing: when, by the store's thread; and the work itself, by a thread of its own, as slow as the card likes.
//!
//! Defragmenting is this thread's too: while it lasts there is no flush.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    store::{
        Backend, DefragmentJob, DefragmentReport, Defragmented, FlushJob, FlushReport, Store, StoreError,
    },
    types::Index,
};

use super::{mailbox::Mailbox, store_thread::StoreJob};

/// After "no room" the next try comes so late, and twice as late each time up to the most.
const BACK_OFF_MIN: Duration = Duration::from_millis(250);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);

/// What is pending cannot be flushed yet: this board's own log does not have it. Look again.
const NOT_YET: Duration = Duration::from_millis(50);

/// While little is pending and nothing waits for it, a flush is followed by a pause as long as it took, so that the card is
/// free half of the time; no longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Work for the flush thread.
pub(super) enum Flush {
    Pending(Box<FlushJob>),
    Defragment(DefragmentJob),
}

/// The thread. Ends when its mailbox is closed.
pub(super) fn run(backend: &dyn Backend, mailbox: &Mailbox<Flush>, store: &Mailbox<StoreJob>) {
    lower_priority();
    let mut jobs = Vec::new();
    while mailbox.take(&mut jobs, None) {
        for job in jobs.drain(..) {
            let started = Instant::now();
            let done = match job {
                Flush::Pending(job) => {
                    let result = job.run(backend);
                    // The layer is shared with the store, which is to be the last to let it go.
                    drop(job);
                    StoreJob::FlushDone { result, took: started.elapsed() }
                }
                Flush::Defragment(job) => StoreJob::DefragmentDone(job.run(backend)),
            };
            store.send(done);
        }
    }
}

/// Linux derives the priority of a thread's I/O from its nice value where the scheduler knows priorities (`ioprio_set(2)`);
/// 0 is the calling thread. If it cannot be had, all works as well, less gently.
fn lower_priority() {
    const NICE: i32 = 5;
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        log::debug!("the flush thread keeps its priority: {error}");
    }
}

/// When to flush.
pub(super) struct FlushPlan {
    mailbox: Arc<Mailbox<Flush>>,
    interval: Duration,
    pending_bytes_max: u64,
    is_out: bool,
    /// Something has been pending since then.
    pending_since: Option<Instant>,
    not_before: Option<Instant>,
    back_off: Duration,
    hurry: bool,
}

impl FlushPlan {
    pub(super) fn new(mailbox: Arc<Mailbox<Flush>>, interval: Duration, pending_bytes_max: u64) -> FlushPlan {
        FlushPlan {
            mailbox,
            interval,
            pending_bytes_max,
            is_out: false,
            pending_since: None,
            not_before: None,
            back_off: BACK_OFF_MIN,
            hurry: false,
        }
    }

    pub(super) fn is_out(&self) -> bool {
        self.is_out
    }

    /// From now on whatever is pending is due.
    pub(super) fn hurry(&mut self) {
        self.hurry = true;
        self.not_before = None;
    }

    pub(super) fn close(&self) {
        self.mailbox.close();
    }

    /// Is it time, and can it be done? Then it begins.
    pub(super) fn start(&mut self, store: &mut Store, durable: Index, now: Instant) {
        self.note_pending(store, now);
        if self.is_out || self.not_before.is_some_and(|at| now < at) || !self.is_due(store, now) {
            return;
        }
        self.not_before = None;
        match store.start_flush(durable) {
            Some(job) => {
                self.is_out = true;
                self.mailbox.send(Flush::Pending(Box::new(job)));
            }
            None => self.not_before = Some(now + NOT_YET),
        }
    }

    /// False: something else is out, or the store is catching up.
    pub(super) fn start_defragment(&mut self, store: &mut Store) -> bool {
        if self.is_out {
            return false;
        }
        let job = store.start_defragment();
        self.is_out = job.is_some();
        job.into_iter().for_each(|job| self.mailbox.send(Flush::Defragment(job)));
        self.is_out
    }

    pub(super) fn defragment_done(
        &mut self,
        store: &mut Store,
        result: Result<DefragmentReport, StoreError>,
    ) -> Result<Defragmented, StoreError> {
        self.is_out = false;
        store.finish_defragment(result)
    }

    fn note_pending(&mut self, store: &Store, now: Instant) {
        if !has_pending(store) {
            self.pending_since = None;
        } else if self.pending_since.is_none() {
            self.pending_since = Some(now);
        }
    }

    fn is_due(&self, store: &Store, now: Instant) -> bool {
        let waited = self.pending_since.is_some_and(|since| now >= since + self.interval);
        store.flush_due() || waited || (self.hurry && has_pending(store))
    }

    /// When to look whether a flush is due, if nothing else happens until then.
    pub(super) fn look_again_at(&self, store: &Store, now: Instant) -> Option<Instant> {
        if self.is_out {
            return None;
        }
        let by_time = self.pending_since.map(|since| since + self.interval);
        let at = if self.is_due(store, now) { Some(now) } else { by_time };
        at.map(|at| self.not_before.map_or(at, |not_before| at.max(not_before)))
    }

    /// True: it is done. False: no room, it will be tried again.
    pub(super) fn done(
        &mut self,
        store: &mut Store,
        result: Result<FlushReport, StoreError>,
        took: Duration,
        now: Instant,
    ) -> Result<bool, StoreError> {
        self.is_out = false;
        match store.finish_flush(result) {
            Ok(()) => {
                self.back_off = BACK_OFF_MIN;
                self.hurry &= has_pending(store);
                self.pending_since = has_pending(store).then_some(now);
                let is_waited_for = store.unfinished().is_some();
                let urgent =
                    self.hurry || is_waited_for || store.pending_bytes() >= self.pending_bytes_max / 4;
                self.not_before = (!urgent).then(|| now + took.min(PAUSE_MAX));
                Ok(true)
            }
            Err(StoreError::Full { what }) => {
                if self.back_off == BACK_OFF_MIN {
                    log::warn!("{what}: reads go on, writes as long as memory takes them");
                }
                self.not_before = Some(now + self.back_off);
                self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

fn has_pending(store: &Store) -> bool {
    store.receive_mark().is_none() && store.has_pending()
}
