//! The store: what is kept. etcd's MVCC over pending layers in memory and a database.
//!
//! ```text
//!   entry -> apply -> active layer -> sealed layers -> flush job -> database, one synced transaction:
//!                          \______________/                          rows, applied (index, term), a slice of removal
//!   range, history, hash <- view: newest layer first, then the database
//! ```
//!
//! Every write makes a revision; a change of a key is a record at (revision, place in it) and stays readable there until
//! it is compacted. `revs` holds the records in the order in which they happened, `keys` finds them by key.
//!
//! - Applying waits for no sync: the log has what is pending, and keeps it until the database has it.
//! - What is in the database is as of one applied entry, exactly.
//! - The same entries lead to the same state on every board, whenever it flushes, removes, pauses or restarts.
//! - What is pending is bounded, however much one entry changes: it is applied in parts, which nobody sees before the
//!   last one is (`unfinished`).
//! - No answer is built whole: what can be large is read in slices, at one place in history.
//!
//! A board that is too far behind for the log gets the store's content from another one: `transfer` is the sender's
//! side, `receive` the receiver's.
//!
//! Here you will not find: threads, clocks, chance, the log, who may read what.

mod apply;
mod applying;
mod backend;
mod check;
mod defragment;
mod delete;
mod error;
mod export;
mod flush;
mod format;
mod hash;
mod history;
mod hot;
mod layer;
mod learned;
mod lmdb;
mod lock;
mod members;
mod range;
mod receive;
mod record;
mod refound;
mod removal;
mod sorted;
mod state;
mod tally;
mod transfer;
#[cfg(feature = "testing")]
mod twin;
mod txn;
mod unfinished;
mod view;
mod walk;

use std::{cell::RefCell, sync::Arc};

pub use applying::Applying;
pub use backend::{Backend, Inspect, Row, Rows, Snapshot, Table, Transaction, Usage, Work};
pub use check::{check, check_compare, check_op, check_range, check_txn};
pub use defragment::{DefragmentJob, DefragmentReport, Defragmented};
pub use error::{ReadError, StoreError};
pub use export::{ExportCursor, ExportSlice};
pub use flush::{FlushJob, FlushReport};
pub use hash::{HashAt, HashCursor};
pub use history::HistorySlice;
pub use lmdb::{Lmdb, LmdbOptions};
pub use lock::FileLock;
pub use range::{RangeCursor, RangeDone, RangeSlice, SliceLimits};
pub use receive::{ReceiveEnd, ReceiveMark};
pub use record::{Lease, Record, Records, RevRecord};
pub use removal::{PinId, TransferId};
pub use transfer::{TransferBase, TransferSlice, TransferTail};
#[cfg(feature = "testing")]
pub use twin::{Fault, Twin};

use self::{
    layer::Pending,
    learned::Learned,
    removal::{Pins, Progress},
    state::{AsOf, Meta, State},
    unfinished::Unfinished,
    view::View,
};
use crate::types::{
    AlarmKind, Bugs, Bytes, ClusterId, EntryId, Error, LeaseId, Membership, NodeId, Revision,
};

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What may be pending. Beyond it `pending_full` pushes back, and an entry that changes many keys pauses. One put larger
    /// than all of it is taken when nothing else is pending.
    pub pending_bytes_max: u64,
    /// The pages that one flush may make dirty, unless one entry alone needs more. LMDB keeps the memory of its largest
    /// transaction for ever, and a sync of the log waits behind what a flush has queued.
    pub flush_pages_max: u32,
    pub bugs: Bugs,
}

impl Default for Options {
    fn default() -> Options {
        Options { pending_bytes_max: 4 << 20, flush_pages_max: 640, bugs: Bugs::default() }
    }
}

/// What another thread does to the database. There is one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Flush { removes: bool },
    Defragment,
}

pub struct Store {
    backend: Arc<dyn Backend>,
    options: Options,
    /// Those of `keys` as of the last flush: how many pages the next one makes dirty depends on them.
    branch_pages: u64,
    /// What is pending is on top of this.
    pending: Pending,
    /// As of the last applied entry. `None`: never initialised.
    state: Option<State>,
    /// How far the next entry has come, on top of the state above.
    unfinished: Option<Unfinished>,
    /// Of the newest rows: of the state above, if nothing is unfinished.
    learned: RefCell<Learned>,
    /// As of the last flush.
    flushed: Option<AsOf>,
    progress: Progress,
    /// Reads at revisions below may miss what removal has taken or is taking away.
    removed: Revision,
    pins: Pins,
    /// A job is out that works on the database.
    job: Option<Job>,
    /// The room of the database, as of the last job.
    usage: Usage,
    mark: Option<ReceiveMark>,
    /// An entry could not be applied: what is pending is half of it.
    broken: bool,
}

impl Store {
    /// Errors: a database of another format, page size or word size; a damaged one; I/O.
    pub fn open(backend: Arc<dyn Backend>, options: Options) -> Result<Store, StoreError> {
        let usage = backend.usage()?;
        let mut store = Store {
            backend,
            options,
            branch_pages: 0,
            pending: Pending::default(),
            state: None,
            unfinished: None,
            learned: RefCell::default(),
            flushed: None,
            progress: Progress::default(),
            removed: Revision(-1),
            pins: Pins::default(),
            job: None,
            usage,
            mark: None,
            broken: false,
        };
        store.load()?;
        Ok(store)
    }

    /// Takes up what the database holds and forgets what was pending.
    fn load(&mut self) -> Result<(), StoreError> {
        let Meta { as_of, progress, mark } = Meta::load(&*self.backend)?;
        self.flushed.clone_from(&as_of);
        let (state, unfinished) = as_of.map_or((None, None), |as_of| (Some(as_of.state), as_of.unfinished));
        self.pending = Pending::default();
        self.learned = RefCell::default();
        self.removed = state.as_ref().map_or(Revision(-1), |state| state.compacted);
        self.state = state;
        self.unfinished = unfinished;
        self.progress = progress;
        self.mark = mark;
        self.measure()
    }

    fn measure(&mut self) -> Result<(), StoreError> {
        self.branch_pages = self.backend.read()?.branch_pages(Table::Keys)?;
        self.usage = self.backend.usage()?;
        Ok(())
    }

    /// Has `init` been called on this database, ever?
    pub fn is_initialised(&self) -> bool {
        self.state.is_some()
    }

    /// Makes a fresh database the store of a cluster. A board that joins starts with a blank membership.
    pub fn init(&mut self, cluster: ClusterId, membership: Membership) -> Result<(), StoreError> {
        self.init_with(cluster, membership, &[])
    }

    /// As `init`, with what is known of the members: the same on all that a cluster begins with.
    pub fn init_with(
        &mut self,
        cluster: ClusterId,
        membership: Membership,
        members: &[(NodeId, Bytes)],
    ) -> Result<(), StoreError> {
        assert!(self.state.is_none(), "the store of {cluster} exists already: {:?}", self.state);
        let as_of = AsOf { state: State::new(cluster, membership), unfinished: None };
        let usage = self.backend.usage()?;
        self.backend.write(&mut |txn| {
            state::put_layout(txn, &usage)?;
            for (id, row) in members {
                txn.put(Table::Members, &format::member_key(*id), row)?;
            }
            state::put_as_of(txn, &as_of)
        })?;
        self.load()
    }

    fn state(&self) -> &State {
        self.state.as_ref().expect("the store has been initialised")
    }

    fn flushed_as_of(&self) -> &AsOf {
        self.flushed.as_ref().expect("the store has been initialised")
    }

    fn view<'a>(&'a self, base: &'a dyn Snapshot) -> View<'a> {
        View { pending: &self.pending, base }
    }

    /// The last entry that was applied.
    pub fn applied(&self) -> EntryId {
        self.state().applied
    }

    /// The last entry that is in the database: what a restart begins behind. The log may forget it and all before.
    pub fn flushed(&self) -> EntryId {
        self.flushed_as_of().state.applied
    }

    pub fn revision(&self) -> Revision {
        self.state().revision
    }

    /// -1: never compacted.
    pub fn compacted(&self) -> Revision {
        self.state().compacted
    }

    pub fn membership(&self) -> &Membership {
        &self.state().membership
    }

    pub fn cluster(&self) -> ClusterId {
        self.state().cluster
    }

    /// A checksum of all that was ever applied: equal on all members at one applied index.
    pub fn state_hash(&self) -> u32 {
        self.state().hash
    }

    pub fn alarms(&self) -> impl Iterator<Item = (NodeId, AlarmKind)> + '_ {
        self.state().alarms.iter().copied()
    }

    /// Is there anything that is not in the database?
    pub fn has_pending(&self) -> bool {
        self.applied() != self.flushed() || self.pending.bytes() > 0
    }

    /// Is as much pending as may be? Then apply nothing more until a flush is through.
    pub fn pending_full(&self) -> bool {
        self.pending.bytes() >= self.options.pending_bytes_max
    }

    pub fn pending_bytes(&self) -> u64 {
        self.pending.bytes()
    }

    /// Is there room for what may be pending? `Full`: propose the alarm before anything else is acknowledged.
    pub fn secure_room(&self) -> Result<(), StoreError> {
        self.backend.secure()
    }

    /// The same for a transaction of about so many bytes: pages that hold nothing any more will do.
    pub fn secure_room_for(&self, bytes: u64) -> Result<(), StoreError> {
        match self.backend.secure() {
            Err(full @ StoreError::Full { .. }) => {
                let Usage { file_bytes, used_bytes, .. } = self.backend.usage()?;
                if file_bytes.saturating_sub(used_bytes) >= bytes { Ok(()) } else { Err(full) }
            }
            done => done,
        }
    }

    /// How much room the database takes and has, as of the last flush. What is pending comes on top.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// What a quota is held against: the pages in use, and what is pending, which takes about as much of them when it gets
    /// there as it takes of memory now.
    pub fn in_use_bytes(&self) -> u64 {
        self.usage.used_bytes + self.pending.bytes()
    }

    /// What was compacted since stays readable at `revision`, until `unpin`.
    pub fn pin(&mut self, revision: Revision) -> PinId {
        self.pins.pin(revision)
    }

    pub fn unpin(&mut self, id: PinId) {
        self.pins.unpin(id);
    }

    /// Who catches up serves nothing.
    fn check_ready(&self) -> Result<(), Error> {
        if self.mark.is_some() { Err(Error::NotReady) } else { Ok(()) }
    }

    /// Is all there that was readable at `revision`?
    fn check_removed(&self, revision: Revision) -> Result<(), Error> {
        self.check_ready()?;
        if revision < self.removed { Err(Error::Compacted(self.compacted())) } else { Ok(()) }
    }

    pub fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        self.view(&*self.backend.read()?).lease(id)
    }

    /// All leases, in order of their ids. There are at most `limits::LEASES_MAX`.
    pub fn leases(&self) -> Result<Vec<(LeaseId, Lease)>, StoreError> {
        let snapshot = self.backend.read()?;
        let mut rows = self.view(&*snapshot).scan(Table::Leases, &[])?;
        let mut leases = Vec::with_capacity(self.state().leases as usize);
        while let Some((id, lease)) = rows.next()? {
            leases.push((format::decode_lease_key(id)?, format::decode_plain("a lease", lease)?));
        }
        Ok(leases)
    }

    /// Some of the keys that a lease holds, in order: at most `rows` of those behind `after`.
    pub fn lease_keys(
        &self,
        id: LeaseId,
        after: Option<&[u8]>,
        rows: usize,
    ) -> Result<Vec<Bytes>, StoreError> {
        let snapshot = self.backend.read()?;
        let keys = self.view(&*snapshot).lease_keys(id, after, rows)?;
        Ok(keys.into_iter().map(Bytes::from).collect())
    }
}
