//! Ranges: etcd's, in slices.
//!
//! A range is read at one place in history, so it does not matter what is written or compacted while it is read (who reads
//! for long pins its revision, or hears `Compacted` once removal gets there). A cursor holds where it stands; no more
//! rows are in memory than one slice has.
//!
//! One key is one look-up. In the order of keys, up or down, a range is one walk: rows until the limit is reached, after
//! that only counting. Any other order is in `sorted`.

use std::cell::RefMut;

use super::{
    ReadError, Record, Records, RevRecord, Store, StoreError, check_range, format,
    hot::{Block, Filling},
    learned::Learned,
    sorted::Sorted,
    tally::Tally,
    view::{Found, View},
    walk::{self, Bounds, Walk},
};
use crate::types::{Error, KeyRev, RangeAt, RangeEnd, RangeRequest, SortOrder, SortTarget};

/// How much one slice may do. One row is always done, however large.
#[derive(Clone, Copy, Debug)]
pub struct SliceLimits {
    /// Keys, or records, to be looked at.
    pub rows: u32,
    /// What is answered, or held to be answered later.
    pub bytes: u64,
}

/// Where a range has come to.
pub struct RangeCursor {
    range: RangeAt,
    totals: RangeDone,
    order: Order,
}

enum Order {
    /// One key: no walk is needed.
    Single,
    Count(Bounds),
    Ascending(Bounds, u64),
    Descending(Bounds, u64),
    Sorted(Box<Sorted>),
}

pub struct RangeSlice {
    pub rows: Records,
    /// Given with the last slice.
    pub end: Option<RangeDone>,
}

/// What is known of a range once all of it has been looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeDone {
    /// Keys in the range, whatever limit and filters say.
    pub count: u64,
    /// There were more rows than the limit.
    pub more: bool,
}

impl RangeCursor {
    pub fn new(range: RangeAt) -> RangeCursor {
        let request = &range.request;
        let bounds = || Bounds::of(&request.range);
        let order = match (request.sort_order, request.sort_target) {
            _ if request.count_only => Order::Count(bounds()),
            (_, SortTarget::Key) if request.range.end() == RangeEnd::Single => Order::Single,
            (SortOrder::None | SortOrder::Ascend, SortTarget::Key) => Order::Ascending(bounds(), 0),
            (SortOrder::Descend, SortTarget::Key) => Order::Descending(bounds(), 0),
            _ => Order::Sorted(Box::new(Sorted::new(request))),
        };
        RangeCursor { range, totals: RangeDone::default(), order }
    }

    /// The place in history that is read: its revision is the one to pin.
    pub fn at(&self) -> KeyRev {
        self.range.at
    }
}

impl RangeRequest {
    /// A limit in rows, if there is one.
    pub(super) fn rows_max(&self) -> Option<u64> {
        u64::try_from(self.limit).ok().filter(|&limit| limit > 0)
    }

    pub(super) fn has_filters(&self) -> bool {
        let bounds = [
            self.min_mod_revision,
            self.max_mod_revision,
            self.min_create_revision,
            self.max_create_revision,
        ];
        bounds.iter().any(|bound| bound.0 != 0)
    }

    pub(super) fn lets_through(&self, found: &Found) -> bool {
        let (create, modified) = (found.version.create, found.rev.main);
        (self.min_mod_revision.0 == 0 || modified >= self.min_mod_revision)
            && (self.max_mod_revision.0 == 0 || modified <= self.max_mod_revision)
            && (self.min_create_revision.0 == 0 || create >= self.min_create_revision)
            && (self.max_create_revision.0 == 0 || create <= self.max_create_revision)
    }
}

impl Store {
    /// Settles at which place in history a request is read: for a revision of 0 or less, now.
    pub fn range_at(&self, request: &RangeRequest) -> Result<RangeAt, Error> {
        self.check_ready()?;
        check_range(request)?;
        let revision = if request.revision.0 > 0 { request.revision } else { self.revision() };
        if revision > self.revision() {
            return Err(Error::FutureRevision);
        }
        if revision < self.compacted() {
            return Err(Error::Compacted(self.compacted()));
        }
        Ok(RangeAt { request: request.clone(), at: KeyRev::end_of(revision) })
    }

    /// The next slice of a range.
    ///
    /// Errors: `Compacted` if what it reads was not pinned, and has been removed since it began; `NotReady` as everywhere.
    pub fn range(&self, cursor: &mut RangeCursor, limits: SliceLimits) -> Result<RangeSlice, ReadError> {
        self.check_removed(cursor.range.at.main)?;
        let snapshot = self.backend.read()?;
        let view = self.view(&*snapshot);
        let RangeCursor { range: RangeAt { request, at }, totals, order } = cursor;
        let is_newest = at.main >= self.revision() && at.sub == u32::MAX && self.unfinished.is_none();
        let learned = is_newest.then(|| self.learned.borrow_mut());
        let (rows, bytes, looked) = (Records::default(), 0, 0);
        let mut slice = Slice { view, request, at: *at, limits, totals, learned, rows, bytes, looked };
        let ended = match order {
            Order::Single => slice.single()?,
            Order::Count(bounds) => slice.count(bounds)?,
            Order::Ascending(bounds, given) => slice.ascending(bounds, given)?,
            Order::Descending(bounds, given) => slice.descending(bounds, given)?,
            Order::Sorted(sorted) => slice.sorted(sorted)?,
        };
        let end = ended.then_some(*slice.totals);
        Ok(RangeSlice { rows: slice.rows, end })
    }

    /// The version of a key at a place in history, unless it is deleted there.
    pub fn get(&self, key: &[u8], at: KeyRev) -> Result<Option<RevRecord>, ReadError> {
        if at.main < self.compacted() {
            return Err(Error::Compacted(self.compacted()).into());
        }
        self.get_kept(key, at)
    }

    /// As `get`, for who reads what was pinned: it may be compacted since.
    ///
    /// Errors: `Compacted` if it was not pinned, and has been removed.
    pub fn get_kept(&self, key: &[u8], at: KeyRev) -> Result<Option<RevRecord>, ReadError> {
        self.check_removed(at.main)?;
        let snapshot = self.backend.read()?;
        let view = self.view(&*snapshot);
        let found = view.live_at(key, at)?;
        Ok(found.map(|found| view.record_of(&found)).transpose()?.map(RevRecord::from))
    }

    /// The record at exactly this place in history, be it a tombstone. Compaction may have taken it.
    pub fn record(&self, rev: KeyRev) -> Result<Option<RevRecord>, ReadError> {
        self.check_ready()?;
        Ok(self.view(&*self.backend.read()?).record(rev)?.map(RevRecord::from))
    }
}

/// What a walk that counts can learn: it goes from `from` to the next boundary, or sets one.
struct Stretch {
    from: Vec<u8>,
    /// Where the next boundary is.
    end: Vec<u8>,
    /// `from` is a boundary, so that what is counted up to the next one is to be kept.
    is_whole: bool,
    /// A boundary is set after so many keys.
    keys_max: u32,
}

impl Stretch {
    fn at(tally: &Tally, bounds: &Bounds) -> Stretch {
        let from = bounds.from().to_vec();
        let end = tally.boundary_after(&from).to_vec();
        let keys_max = if tally.is_known_around(&from) { u32::MAX } else { tally.stride() };
        Stretch { is_whole: tally.is_boundary(&from), from, end, keys_max }
    }

    /// Does the stretch end before this key?
    fn stop(&self, prefix: &[u8], count: u32) -> Option<Vec<u8>> {
        match prefix {
            _ if prefix >= &self.end[..] => Some(self.end.clone()),
            _ if count >= self.keys_max => Some(prefix.to_vec()),
            _ => None,
        }
    }

    fn learn(&self, tally: &mut Tally, stop: &[u8], count: u32) {
        let is_split = count >= self.keys_max && stop < &self.end[..];
        if is_split {
            tally.split(stop);
        }
        // Splitting may have made room by forgetting everything.
        if self.is_whole && (is_split || stop == &self.end[..]) && tally.is_boundary(&self.from) {
            tally.learn(&self.from, count);
        }
    }
}

/// One slice being made.
pub(super) struct Slice<'a> {
    pub(super) view: View<'a>,
    pub(super) request: &'a RangeRequest,
    pub(super) at: KeyRev,
    pub(super) limits: SliceLimits,
    pub(super) totals: &'a mut RangeDone,
    /// Of the newest state, if that is what is read.
    learned: Option<RefMut<'a, Learned>>,
    pub(super) rows: Records,
    pub(super) bytes: u64,
    /// Keys.
    looked: u32,
}

/// Room is made for so many rows of a range without a limit.
const EXPECTED_ROWS: u64 = 16;

impl Slice<'_> {
    /// True: the range has ended. So it is with all these.
    fn single(&mut self) -> Result<bool, StoreError> {
        let prefix = format::key_prefix(&self.request.range.key);
        let prefix_len = prefix.len();
        let from = format::with_rev(prefix, self.at);
        let found = self.view.newest_from(&from, prefix_len)?;
        if let Some(found) = found.filter(|found| !found.version.tombstone) {
            self.take(&from[..prefix_len], &found, &mut 0)?;
        }
        Ok(true)
    }

    fn ascending(&mut self, bounds: &mut Bounds, given: &mut u64) -> Result<bool, StoreError> {
        // Only the beginning of a range is worth keeping: who reads on reads everything, and once.
        let keeps = *given == 0 && !self.request.keys_only && !self.request.has_filters();
        while !self.totals.more {
            if bounds.from() >= bounds.until() {
                return Ok(true);
            }
            if !self.has_room() {
                return Ok(false);
            }
            match self.learned.as_ref().and_then(|learned| learned.hot.at(bounds.from())) {
                Some(block) => self.take_block(&block, bounds, given),
                None => self.take_stretch(bounds, given, keeps)?,
            }
        }
        self.count(bounds)
    }

    /// Up to the end of a block, or to where the limit or the room ends.
    fn take_block(&mut self, block: &Block, bounds: &mut Bounds, given: &mut u64) {
        let mut end = block.end().min(bounds.until()).to_vec();
        for row in block.between(bounds.from(), bounds.until()) {
            self.looked += 1;
            let found = Found::of(&row);
            if self.admits(&found, given) {
                let answered = if self.request.keys_only { found.without_value(row.key) } else { row };
                self.push(&answered);
            }
            if self.totals.more || !self.has_room() {
                end = format::behind(&format::key_prefix(row.key));
                break;
            }
        }
        bounds.at_boundary(&end);
    }

    /// Up to the next block, or to where the limit or the room ends.
    fn take_stretch(&mut self, bounds: &mut Bounds, given: &mut u64, keeps: bool) -> Result<(), StoreError> {
        let start = bounds.from().to_vec();
        let block = self.learned.as_ref().and_then(|learned| learned.hot.next_start(&start));
        let until = block.map_or(bounds.until(), |start| start.min(bounds.until())).to_vec();
        let mut filling = (keeps && self.learned.is_some()).then(|| Filling::from(&start));
        let mut walk = Walk::new(self.view, &bounds.up_to(&until), self.at)?;
        let mut end = start;
        while !self.totals.more && self.has_room() {
            let Some(found) = walk.next()? else {
                bounds.at_boundary(&until);
                end = until;
                break;
            };
            self.looked += 1;
            bounds.after(walk.prefix());
            if self.admits(&found, given) {
                match (&mut filling, &mut self.learned) {
                    (Some(filling), Some(learned)) => {
                        let row = self.view.record_of(&found)?;
                        filling.row(&mut learned.hot, walk.prefix(), &row);
                        self.push(&row);
                    }
                    _ => self.answer(walk.prefix(), &found)?,
                }
                end.clear();
                end.extend_from_slice(bounds.from());
            }
        }
        if let (Some(filling), Some(learned)) = (&mut filling, &mut self.learned) {
            filling.end(&mut learned.hot, &end);
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.looked < self.limits.rows.max(1) && self.bytes < self.limits.bytes.max(1)
    }

    /// From here on the keys are counted and nothing else.
    fn count(&mut self, bounds: &mut Bounds) -> Result<bool, StoreError> {
        while bounds.from() < bounds.until() {
            if let Some((end, count)) = self.counted(bounds) {
                self.totals.count += count;
                bounds.at_boundary(&end);
            } else if !self.walk_a_stretch(bounds)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is known of the keys from here on: up to where, and how many. Whole stretches, or a part of one that rows are
    /// kept of.
    fn counted(&self, bounds: &Bounds) -> Option<(Vec<u8>, u64)> {
        let Learned { tally, hot } = self.learned.as_deref()?;
        let (from, until) = (bounds.from(), bounds.until());
        if let Some((end, count)) = tally.known(from, until) {
            return Some((end.to_vec(), count));
        }
        if !tally.is_known_around(from) {
            return None;
        }
        let block = hot.at(from)?;
        let end = block.end().min(until).min(tally.boundary_after(from));
        Some((end.to_vec(), block.between(from, end).count() as u64))
    }

    /// To the next boundary, or to where one is set. False: there is no more room in this slice.
    fn walk_a_stretch(&mut self, bounds: &mut Bounds) -> Result<bool, StoreError> {
        let stretch = self.learned.as_deref().map(|learned| Stretch::at(&learned.tally, bounds));
        let mut walk = Walk::new(self.view, bounds, self.at)?;
        let mut count = 0;
        while self.has_room() {
            let stop = match walk.next()? {
                None => Some(bounds.until().to_vec()),
                Some(_) => stretch.as_ref().and_then(|stretch| stretch.stop(walk.prefix(), count)),
            };
            if let Some(stop) = stop {
                if let (Some(stretch), Some(learned)) = (&stretch, &mut self.learned) {
                    stretch.learn(&mut learned.tally, &stop, count);
                }
                bounds.at_boundary(&stop);
                return Ok(true);
            }
            bounds.after(walk.prefix());
            count += 1;
            self.totals.count += 1;
            self.looked += 1;
        }
        Ok(false)
    }

    fn descending(&mut self, bounds: &mut Bounds, given: &mut u64) -> Result<bool, StoreError> {
        while self.has_room() {
            if self.totals.more {
                return self.count(bounds);
            }
            let Some(found) = walk::last(&self.view, bounds, self.at)? else { return Ok(true) };
            self.looked += 1;
            self.take(bounds.until(), &found, given)?;
        }
        Ok(false)
    }

    fn take(&mut self, prefix: &[u8], found: &Found, given: &mut u64) -> Result<(), StoreError> {
        if self.admits(found, given) { self.answer(prefix, found) } else { Ok(()) }
    }

    /// One more key: is it to be answered?
    fn admits(&mut self, found: &Found, given: &mut u64) -> bool {
        self.totals.count += 1;
        if self.totals.more || !self.request.lets_through(found) {
            return false;
        }
        self.totals.more = self.request.rows_max().is_some_and(|max| *given == max);
        *given += u64::from(!self.totals.more);
        !self.totals.more
    }

    pub(super) fn answer(&mut self, prefix: &[u8], found: &Found) -> Result<(), StoreError> {
        if self.request.keys_only {
            self.push(&found.without_value(&format::decode_prefix(prefix)?));
        } else {
            self.push(&self.view.record_of(found)?);
        }
        Ok(())
    }

    fn push(&mut self, row: &Record<'_>) {
        let weight_bytes = row.weight_bytes();
        self.bytes += weight_bytes;
        // Those of a range tend to be alike.
        let expected = match self.request.range.end() {
            RangeEnd::Single => 0,
            _ => self.request.rows_max().unwrap_or(EXPECTED_ROWS).saturating_sub(self.rows.len() as u64 + 1),
        };
        let room = self.limits.bytes.saturating_sub(self.bytes) / weight_bytes;
        self.rows.push(row, expected.min(room) as usize);
    }
}
