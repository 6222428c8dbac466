//! What the store tells watchers: with what it applies, what somebody is interested in; when asked, a slice of history.
//!
//! With what it applies it tells whole revisions, and of one that is too large nothing: that is read slice by slice, as all that
//! watchers are late with.
//!
//! Here you will not find: who watches.

use std::mem;

use crate::{
    store::{ReadError, RevRecord, SliceLimits, Store, StoreError},
    types::{Error, KeyRev, Revision},
    watch::{Interest, Scan},
};

use super::{
    inbox::Report,
    owed::Kept,
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
    pub(super) kept: Option<Kept>,
}

impl Teller {
    pub(super) fn new(store: &Store) -> Teller {
        let told = store.revision();
        Teller { interest: Interest::default(), told, events: Vec::new(), bytes: 0, cut: None, kept: None }
    }

    /// Looks at what has been applied; called before a compaction takes it away, too.
    pub(super) fn look(&mut self, store: &Store) -> Result<(), StoreError> {
        let told = mem::replace(&mut self.told, store.revision());
        // After a cut nothing more is told until that has been: history has the rest.
        if told == self.told || self.cut.is_some() {
            return Ok(());
        }
        let limits = SliceLimits { bytes: NEWS_LIMITS.bytes.saturating_sub(self.bytes), ..NEWS_LIMITS };
        let reading = Reading { store, interest: &self.interest, kept: false };
        let from = KeyRev { main: told.next(), sub: 0 };
        let (mut events, next) = match reading.read(from, limits) {
            Ok(read) => read,
            // A store that has been brought up to date is ahead of what was told.
            Err(ReadError::Refused(_)) => (Vec::new(), from),
            Err(ReadError::Store(error)) => return Err(error),
        };
        let upto = Revision(next.main.0 - 1);
        events.truncate(events.partition_point(|event| event.record.rev.main <= upto));
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

/// Reads history as somebody is interested in it.
struct Reading<'a> {
    store: &'a Store,
    interest: &'a Interest,
    /// What is compacted is read too, if it is still there.
    kept: bool,
}

impl Reading<'_> {
    /// What is of interest from a place on, about as much as the limits say, the values before included; and where that ends.
    fn read(&self, from: KeyRev, limits: SliceLimits) -> Result<(Vec<Found>, KeyRev), ReadError> {
        let end = KeyRev { main: self.store.revision().next(), sub: 0 };
        let Some(range) = &self.interest.events else { return Ok((Vec::new(), end)) };
        let slice = match self.kept {
            true => self.store.history_kept(from, range, limits)?,
            false => self.store.history(from, range, limits)?,
        };
        let (mut events, mut bytes) = (Vec::with_capacity(slice.events.len()), 0);
        for record in slice.events {
            if bytes > 0 && bytes >= limits.bytes {
                return Ok((events, record.rev));
            }
            let prev = self.prev(&record)?;
            let found = Found { record, prev };
            bytes += found.weight_bytes();
            events.push(found);
        }
        // Who begins in the future is told of nothing from there.
        Ok((events, slice.next.min(end)))
    }

    /// As etcd: the value at the revision before, unless that is compacted.
    fn prev(&self, record: &RevRecord) -> Result<Option<RevRecord>, StoreError> {
        let is_new = !record.tombstone && record.version == 1;
        if is_new || !self.interest.wants_prev(&record.key) {
            return Ok(None);
        }
        let before = KeyRev::end_of(Revision(record.rev.main.0 - 1));
        let prev = match self.kept {
            true => self.store.get_kept(&record.key, before),
            false => self.store.get(&record.key, before),
        };
        match prev {
            Ok(prev) => Ok(prev),
            Err(ReadError::Refused(Error::Compacted(_))) => Ok(None),
            Err(ReadError::Refused(error)) => {
                unreachable!("a look-up of {:?} was refused: {error}", record.key)
            }
            Err(ReadError::Store(error)) => Err(error),
        }
    }
}

/// The hub's wish, as work for the store. The answer goes straight into the inbox, in order with what is applied.
pub(super) struct ScanQuery(pub(super) Scan);

/// What came of it.
pub(super) type Scanned = Result<(Vec<Found>, KeyRev), Revision>;

impl Query for ScanQuery {
    fn run(self: Box<Self>, keeper: &mut Keeper) -> Option<std::sync::Arc<dyn Answered>> {
        if keeper.store().receive_mark().is_some() {
            // Between two states, nothing can be read.
            keeper.put_off(self);
            return None;
        }
        let kept = self.0.is_kept();
        let Scan { from, read, interest, heard, owed } = self.0;
        keeper.teller_mut().interest = interest;
        keeper.keep_owed(heard, owed, from.main);
        let reading = Reading { store: keeper.store(), interest: &read, kept };
        match reading.read(from, SLICE) {
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
