//! What the threads report to the main thread: one list, one waker.
//!
//! The main thread is woken only when the list was empty, so that a burst costs one wake.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::{Duration, Instant},
};

use crate::{
    lease::Change,
    raft::Ticket,
    replica::TransferDone,
    store::{Lease, Usage},
    types::{AlarmKind, Bytes, EntryId, Index, LeaseId, NodeId, Outcome, ProposalId, Revision},
};

use super::{
    news::{News, Scanned},
    pins::Pin,
    reply::Answered,
};

pub(super) enum Report {
    /// The log has synced all up to here; so long it took.
    Persisted {
        ticket: Ticket,
        took: Duration,
    },
    LogRoom(bool),
    StoreRoom(bool),
    /// The database has, or no longer has, room for what may be pending.
    DatabaseRoom(bool),
    Applied(Box<AppliedReport>),
    Transfer(TransferDone),
    /// This member is being filled, and there is no room for what comes: why. It is tried again.
    NoRoomForTransfer(String),
    /// A slice of history, for those who watch and are behind.
    Scanned(Scanned),
    /// These who asked the store can look at their answers.
    Answered(Vec<Arc<dyn Answered>>),
    /// The database has all up to here, and is so large now; so long its transaction took, if there was one.
    Flushed {
        index: Index,
        usage: Usage,
        took: Option<Duration>,
    },
    /// This board cannot go on; why, and what to do.
    Failed(String),
}

pub(super) struct AppliedReport {
    pub(super) index: Index,
    pub(super) outcomes: Vec<(ProposalId, Outcome)>,
    /// Keeps readable what the outcomes name, if they name anything.
    pub(super) pin: Option<Pin>,
    pub(super) state: StoreState,
    /// When the first of these entries was handed to the store.
    pub(super) handed_at: Instant,
    /// How long applying took, and for how many entries.
    pub(super) took: Duration,
    pub(super) entries: u64,
    /// What became of the leases that these entries were about.
    pub(super) leases: Vec<Change>,
    /// All leases there are: the store is another one.
    pub(super) leases_anew: Option<Vec<(LeaseId, Lease)>>,
    /// Of each compaction: its entry, the checksum of all that was applied up to it, and the revision.
    pub(super) compactions: Vec<(EntryId, u32, Revision)>,
    /// What changed, as far as somebody watches.
    pub(super) news: News,
    /// All alarms, if they may have changed.
    pub(super) alarms: Option<Vec<(NodeId, AlarmKind)>>,
    /// All rows of members, if they may have changed.
    pub(super) members: Option<Vec<(NodeId, Bytes)>>,
}

/// Where the store stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreState {
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
    pub(super) pending_bytes: u64,
}

#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    reports: Vec<Report>,
    waker: Option<Waker>,
}

impl Inbox {
    pub(super) fn send(&self, report: Report) {
        let mut state = self.lock();
        state.reports.push(report);
        if state.reports.len() == 1
            && let Some(waker) = state.waker.clone()
        {
            drop(state);
            waker.wake();
        }
    }

    /// All there is, in the order in which each thread sent it. `waker` is woken when there is more.
    pub(super) fn take(&self, into: &mut Vec<Report>, waker: &Waker) {
        debug_assert!(into.is_empty(), "reports that nobody has handled");
        let mut state = self.lock();
        mem::swap(&mut state.reports, into);
        match &state.waker {
            Some(known) if known.will_wake(waker) => {}
            _ => state.waker = Some(waker.clone()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
