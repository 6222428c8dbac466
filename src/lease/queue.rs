//! Leases in order of a moment.

use std::{collections::BTreeSet, time::Duration};

use crate::types::LeaseId;

#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: BTreeSet<(Duration, LeaseId)>,
}

impl Queue {
    /// A lease that is at `from` (or nowhere) is now at `to` (or nowhere).
    pub(super) fn shift(&mut self, id: LeaseId, from: Option<Duration>, to: Option<Duration>) {
        if let Some(from) = from {
            assert!(self.entries.remove(&(from, id)), "lease {id} is not queued at {from:?}");
        }
        self.entries.extend(to.map(|to| (to, id)));
    }

    pub(super) fn first(&self) -> Option<(Duration, LeaseId)> {
        self.entries.first().copied()
    }

    pub(super) fn until(&self, moment: Duration) -> impl Iterator<Item = LeaseId> + '_ {
        self.entries.iter().take_while(move |&&(at, _)| at <= moment).map(|&(_, id)| id)
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}
