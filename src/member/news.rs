//! What the store tells watchers: with what it applies, what somebody is interested in; when asked, a slice of history.
//!
//! Whole revisions, always. Here you will not find: who watches.

use std::mem;

use crate::{
    store::{ReadError, RevRecord, SliceLimits, Store, StoreError},
    types::{Error, KeyRev, Revision},
    watch::{Interest, Scan},
};

use super::{
    inbox::Report,
    reply::{Answered, Query},
    store_thread::Keeper,
};

/// What is told along with "applied" up to this size; beyond it watchers read history. As much as the hub's window holds.
const NEWS_LIMITS: SliceLimits = SliceLimits { rows: 4096, bytes: 1 << 20 };

/// A slice of history: as those of ranges, so that applying never waits long for it.
const SLICE: SliceLimits = SliceLimits { rows: 1000, bytes: 64 << 10 };

/// One change, and the value before if somebody is interested in it and there was one.
pub(super) struct Found {
    pub(super) record: RevRecord,
    pub(super) prev: Option<RevRecord>,
}

/// What has changed since the news before.
pub(super) struct News {
    pub(super) events: Vec<Found>,
    /// All up to here that is of interest is in `events`; if there was too much, history has the rest.
    pub(super) told: Revision,
}

/// Keeps what watchers are interested in, and how much of it they have been told.
pub(super) struct Teller {
    interest: Interest,
    told: Revision,
    events: Vec<Found>,
    bytes: u64,
    cut: Option<Revision>,
}

impl Teller {
    pub(super) fn new(store: &Store) -> Teller {
        let told = store.revision();
        Teller { interest: Interest::default(), told, events: Vec::new(), bytes: 0, cut: None }
    }

    /// Looks at what has been applied; called before a compaction takes it away, too.
    pub(super) fn look(&mut self, store: &Store) -> Result<(), StoreError> {
        let told = mem::replace(&mut self.told, store.revision());
        // After a cut nothing more is told until that has been: history has the rest.
        if told == self.told || self.cut.is_some() {
            return Ok(());
        }
        let limits = SliceLimits { bytes: NEWS_LIMITS.bytes.saturating_sub(self.bytes), ..NEWS_LIMITS };
        let (events, upto) = match read(store, told.next(), &self.interest, limits) {
            Ok(read) => read,
            // A store that has been brought up to date is ahead of what was told.
            Err(ReadError::Refused(_)) => (Vec::new(), told),
            Err(ReadError::Store(error)) => return Err(error),
        };
        self.bytes += events.iter().map(Found::weight_bytes).sum::<u64>();
        self.events.extend(events);
        self.cut = Some(upto).filter(|upto| *upto < self.told);
        Ok(())
    }

    /// What there is to tell since the last time.
    pub(super) fn take(&mut self) -> News {
        self.bytes = 0;
        let told = self.cut.take().unwrap_or(self.told);
        News { events: mem::take(&mut self.events), told }
    }
}

impl Found {
    pub(super) fn weight_bytes(&self) -> u64 {
        self.record.weight_bytes() + self.prev.as_ref().map_or(0, RevRecord::weight_bytes)
    }
}

/// What is of interest from a revision on, about as much as the limits say; and the revision up to which that is all.
fn read(
    store: &Store,
    from: Revision,
    interest: &Interest,
    limits: SliceLimits,
) -> Result<(Vec<Found>, Revision), ReadError> {
    let Some(range) = &interest.events else { return Ok((Vec::new(), store.revision())) };
    let (mut records, mut next) = (Vec::new(), KeyRev { main: from, sub: 0 });
    let upto = loop {
        let slice = store.history(next, range, limits)?;
        records.extend(slice.events);
        if slice.done {
            break store.revision();
        }
        if slice.next.main > from {
            // Of the revision that it stopped in there may be more.
            break Revision(slice.next.main.0 - 1);
        }
        next = slice.next;
    };
    records.truncate(records.partition_point(|record| record.rev.main <= upto));
    let mut events = Vec::with_capacity(records.len());
    for record in records {
        let prev = prev(store, &record, interest)?;
        events.push(Found { record, prev });
    }
    Ok((events, upto))
}

/// As etcd: the value at the revision before, unless that is compacted.
fn prev(store: &Store, record: &RevRecord, interest: &Interest) -> Result<Option<RevRecord>, StoreError> {
    let is_new = !record.tombstone && record.version == 1;
    if is_new || !interest.wants_prev(&record.key) {
        return Ok(None);
    }
    let before = KeyRev::end_of(Revision(record.rev.main.0 - 1));
    match store.get(&record.key, before) {
        Ok(prev) => Ok(prev),
        Err(ReadError::Refused(Error::Compacted(_))) => Ok(None),
        Err(ReadError::Refused(error)) => unreachable!("a look-up of {:?} was refused: {error}", record.key),
        Err(ReadError::Store(error)) => Err(error),
    }
}

/// The hub's wish, as work for the store. The answer goes straight into the inbox, in order with what is applied.
pub(super) struct ScanQuery(pub(super) Scan);

/// What came of it.
pub(super) type Scanned = Result<(Vec<Found>, Revision), Revision>;

impl Query for ScanQuery {
    fn run(self: Box<Self>, keeper: &mut Keeper) -> Option<std::sync::Arc<dyn Answered>> {
        if keeper.store().receive_mark().is_some() {
            // Between two states, nothing can be read.
            keeper.put_off(self);
            return None;
        }
        let Scan { from, read: wanted, interest } = self.0;
        keeper.teller_mut().interest = interest;
        match read(keeper.store(), from, &wanted, SLICE) {
            Ok(slice) => keeper.report(Report::Scanned(Ok(slice))),
            Err(ReadError::Refused(Error::Compacted(at))) => keeper.report(Report::Scanned(Err(at))),
            Err(ReadError::Refused(error)) => unreachable!("history from {from} was refused: {error}"),
            Err(ReadError::Store(error)) => keeper.fail(&error),
        }
        None
    }

    fn refuse(self: Box<Self>, error: Error) {
        unreachable!("a scan does not ask Raft, which refused: {error}")
    }
}
