//! Flush: brings the oldest sealed layer into the database, and lets removal do a slice of its work on the way.
//!
//! ```text
//!   start_flush --FlushJob--> run, on another thread --FlushReport or error--> finish_flush
//! ```
//!
//! - A layer leaves only when this board's own log has all of its entries: the database never runs ahead of the log.
//! - The layer stays readable until `finish_flush`: readers see its rows in it, in the database, or in both.
//! - A job that failed changed nothing. The next one does the same again.

use std::sync::Arc;

use super::{
    Backend, Job, Store, StoreError, Table, Transaction, Usage,
    layer::Layer,
    removal::{Plan, Progress},
    state::{self, AsOf},
};
use crate::types::{Bug, Index, KeyRev, Revision};

/// The part of a flush's pages that removal may have beside a layer: an eighth. Alone it has all.
const REMOVAL_SHARE: u32 = 8;

/// The work of one flush. Can be sent to the thread that is to wait for the disk.
pub struct FlushJob {
    layer: Option<Arc<Layer>>,
    /// As it is to stand in the database afterwards.
    as_of: Box<AsOf>,
    plan: Option<Plan>,
}

/// What a job did.
#[derive(Debug)]
pub struct FlushReport {
    layer_written: bool,
    progress: Option<Progress>,
    /// Of `keys`, as it is now.
    branch_pages: u64,
    usage: Usage,
}

impl FlushJob {
    /// One synced transaction. Errors: nothing was changed; `Full` can be tried again, anything else ends the process.
    pub fn run(&self, backend: &dyn Backend) -> Result<FlushReport, StoreError> {
        let layer_written = self.layer.is_some();
        let (mut progress, mut branch_pages) = (None, 0);
        backend.write(&mut |txn| {
            if let Some(layer) = &self.layer {
                write_layer(txn, layer)?;
                state::put_as_of(txn, &self.as_of)?;
            }
            branch_pages = txn.branch_pages(Table::Keys)?;
            progress = self.plan.map(|plan| plan.run(txn)).transpose()?;
            progress.map_or(Ok(()), |progress| state::put_progress(txn, &progress))
        })?;
        Ok(FlushReport { layer_written, progress, branch_pages, usage: backend.usage()? })
    }
}

fn write_layer(txn: &mut dyn Transaction, layer: &Layer) -> Result<(), StoreError> {
    for table in Table::ALL {
        for (key, value) in layer.rows(table) {
            match value {
                Some(value) => txn.put(table, key, value)?,
                None => txn.delete(table, key)?,
            }
        }
    }
    Ok(())
}

impl Store {
    /// Is there a layer's worth of changes to be flushed, or as much as may be pending, or something to be removed?
    pub fn flush_due(&self) -> bool {
        let idle = self.job.is_none() && self.mark.is_none();
        idle && (!self.pending.sealed.is_empty() || self.pending_full() || self.plan(1).is_some())
    }

    /// The next flush. `durable`: this board's log has synced all up to here. `None`: nothing to do, or nothing that may
    /// be done yet, or a job is out already.
    pub fn start_flush(&mut self, durable: Index) -> Option<FlushJob> {
        if !self.may_start_job() {
            return None;
        }
        if self.pending.sealed.is_empty() && self.has_pending() {
            self.seal();
        }
        let layer =
            self.pending.sealed.front().filter(|layer| layer.as_of().last().index <= durable).cloned();
        let plan = self.plan(if layer.is_some() { REMOVAL_SHARE } else { 1 });
        if layer.is_none() && plan.is_none() {
            return None;
        }
        if let Some(plan) = &plan {
            self.removed = self.removed.max(plan.target());
        }
        self.job = Some(Job::Flush { removes: plan.is_some() });
        let mut as_of = layer.as_ref().map_or(self.flushed_as_of(), |layer| layer.as_of()).clone();
        if self.options.bugs.has(Bug::AppliedTwice) {
            as_of.state.applied = self.flushed();
        }
        Some(FlushJob { layer, as_of: Box::new(as_of), plan })
    }

    /// Takes note of what the job did, and gives its error back: after `Full` the next job is the same again, anything
    /// else ends the process.
    pub fn finish_flush(&mut self, result: Result<FlushReport, StoreError>) -> Result<(), StoreError> {
        let job = self.job.take();
        assert!(matches!(job, Some(Job::Flush { .. })), "a flush ended during {job:?}: {result:?}");
        let FlushReport { layer_written, progress, branch_pages, usage } = result?;
        (self.branch_pages, self.usage) = (branch_pages, usage);
        if layer_written {
            self.flushed = Some(self.pending.drop_oldest().as_of().clone());
        }
        self.progress = progress.unwrap_or(self.progress);
        Ok(())
    }

    /// May a job that works on the database be given out?
    pub(super) fn may_start_job(&self) -> bool {
        self.job.is_none() && !self.broken && self.mark.is_none() && self.state.is_some()
    }

    /// Is all that a compaction at `revision` made unreachable gone from the database?
    pub fn is_removed(&self, revision: Revision) -> bool {
        self.progress.done >= KeyRev { main: revision, sub: 0 }
    }

    fn plan(&self, share: u32) -> Option<Plan> {
        let compacted = self.flushed.as_ref()?.state.compacted;
        Plan::make(
            &self.progress,
            compacted,
            &self.pins,
            self.options.flush_pages_max / share,
            self.options.bugs,
        )
    }
}
