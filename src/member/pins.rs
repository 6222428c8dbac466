//! Pins of who reads for long: what compaction would take away stays as long as they get on.
//!
//! A pin ends with the `Pin` that stands for it, wherever that is dropped, or by time: who makes no progress must not keep the
//! card from being given back. Its next read is then refused, so that no answer is ever short.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    store::{PinId, Store},
    types::Revision,
};

use super::{mailbox::Mailbox, store_thread::StoreJob};

/// A reader that has not asked for more for so long is given up.
pub(super) const PIN_IDLE_MAX: Duration = Duration::from_secs(60);

/// A second more or less does not matter to removal.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The pins of this board's readers. Lives with the store.
#[derive(Default)]
pub(super) struct Pins {
    used_at: BTreeMap<PinId, Instant>,
}

impl Pins {
    pub(super) fn pin(
        &mut self,
        store: &mut Store,
        revision: Revision,
        mailbox: &Arc<Mailbox<StoreJob>>,
    ) -> Pin {
        let id = store.pin(revision);
        self.used_at.insert(id, Instant::now());
        Pin { id, mailbox: mailbox.clone() }
    }

    pub(super) fn unpin(&mut self, store: &mut Store, id: PinId) {
        self.used_at.remove(&id);
        store.unpin(id);
    }

    /// Somebody reads on. False: too late.
    pub(super) fn touch(&mut self, id: PinId, now: Instant) -> bool {
        match self.used_at.get_mut(&id) {
            Some(used_at) => {
                *used_at = now;
                true
            }
            None => false,
        }
    }

    /// Lets go what nobody has used for long; says when to look again: soon, because `Pin`s are given back silently.
    pub(super) fn expire(&mut self, store: &mut Store, now: Instant) -> Option<Instant> {
        let idle = |used_at: &Instant| now.saturating_duration_since(*used_at) >= PIN_IDLE_MAX;
        let stale: Vec<PinId> =
            self.used_at.iter().filter(|(_, used_at)| idle(used_at)).map(|(id, _)| *id).collect();
        stale.into_iter().for_each(|id| self.unpin(store, id));
        (!self.used_at.is_empty()).then_some(now + LOOK_AGAIN)
    }
}

/// As long as it lives (and is used), what was pinned stays.
pub(super) struct Pin {
    id: PinId,
    mailbox: Arc<Mailbox<StoreJob>>,
}

impl Pin {
    pub(super) fn id(&self) -> PinId {
        self.id
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.mailbox.leave(StoreJob::Unpin(self.id));
    }
}
