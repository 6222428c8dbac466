//! Ranges and hashes, slice by slice.
//!
//! The first slice comes with the range itself: one trip to the store's thread. Only where more follow is the revision
//! pinned; the pin goes with the reader.

use std::{rc::Rc, time::Instant};

use crate::{
    store::{HashAt, RangeCursor, RangeSlice, ReadError, RevRecord, SliceLimits},
    types::{Error, KeyRange, KeyRev, RangeAt, RangeRequest, Revision},
};

use super::{engine::Engine, pins::Pin, store_thread::Keeper};

/// One slice: little enough that applying never waits long for it, and that a thousand of them are no burden.
const SLICE: SliceLimits = SliceLimits { rows: 1000, bytes: 64 << 10 };

/// Counting holds nothing, but takes the store's time.
const HASH_SLICE: SliceLimits = SliceLimits { rows: 1000, bytes: 64 << 10 };

/// A range being read. Slices are small (64 KiB); the first one comes with the range itself.
pub struct RangeReader {
    engine: Rc<Engine>,
    revision: Revision,
    first: Option<RangeSlice>,
    /// `None`: all is read, or an answer was not waited for, or there was an error.
    rest: Option<Rest>,
}

/// What is still to be read.
struct Rest {
    cursor: RangeCursor,
    pin: Pin,
}

/// The beginning of a range, as it comes from the store.
struct Begun {
    revision: Revision,
    slice: RangeSlice,
    rest: Option<Rest>,
}

impl RangeReader {
    pub(super) async fn begin(
        engine: &Rc<Engine>,
        request: RangeRequest,
        serializable: bool,
    ) -> Result<RangeReader, Error> {
        let asked_at = Instant::now();
        // Kept for the log only where it may be needed: a range is two counters.
        let range = request.range.clone();
        let begin = move |keeper: &mut Keeper| {
            let at = keeper.store().range_at(&request)?;
            begin_at(keeper, at)
        };
        let begun = if serializable { engine.query(begin).await } else { engine.query_newest(begin).await };
        name_if_slow(engine, asked_at, &range);
        Ok(RangeReader::new(engine, begun?))
    }

    pub(super) async fn begin_at(engine: &Rc<Engine>, at: RangeAt) -> Result<RangeReader, Error> {
        let begun = engine.query(move |keeper| begin_at(keeper, at)).await?;
        Ok(RangeReader::new(engine, begun))
    }

    fn new(engine: &Rc<Engine>, begun: Begun) -> RangeReader {
        let Begun { revision, slice, rest } = begun;
        RangeReader { engine: engine.clone(), revision, first: Some(slice), rest }
    }

    /// The store's newest revision when the range was begun: what its header says.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The next slice, until one has an `end`.
    ///
    /// Errors: `Timeout` if nothing was asked for so long that what was pinned has been let go. Not to be read on after one,
    /// nor after the end, nor after a slice that was not waited for.
    pub async fn next(&mut self) -> Result<RangeSlice, Error> {
        if let Some(slice) = self.first.take() {
            return Ok(slice);
        }
        // Never a short answer.
        let mut rest = self.rest.take().ok_or(Error::Timeout)?;
        let (slice, rest) = self
            .engine
            .query(move |keeper| {
                keeper.touch(&rest.pin)?;
                let slice = keeper.store().range(&mut rest.cursor, SLICE)?;
                let rest = slice.end.is_none().then_some(rest);
                Ok((slice, rest))
            })
            .await?;
        self.rest = rest;
        Ok(slice)
    }
}

fn begin_at(keeper: &mut Keeper, at: RangeAt) -> Result<Begun, ReadError> {
    let revision = keeper.store().revision();
    let mut cursor = RangeCursor::new(at);
    let slice = keeper.store().range(&mut cursor, SLICE)?;
    let rest = slice.end.is_none().then(|| {
        let pin = keeper.pin(pinned_for(cursor.at()));
        Rest { cursor, pin }
    });
    Ok(Begun { revision, slice, rest })
}

/// A place within a revision is read as of before some of its changes: what these replaced must stay.
fn pinned_for(at: KeyRev) -> Revision {
    if at == KeyRev::end_of(at.main) { at.main } else { Revision(at.main.0 - 1) }
}

fn name_if_slow(engine: &Engine, asked_at: Instant, range: &KeyRange) {
    let took = asked_at.elapsed();
    if let Some(left_out) = engine.look(|core| core.is_to_be_named(took)) {
        log::warn!(
            "slow request: range {:?} to {:?} took {} ms to its first slice{left_out}",
            range.key,
            range.range_end,
            took.as_millis()
        );
    }
}

/// The record at exactly this place, which an outcome named and its pin keeps.
pub(super) async fn record(engine: &Rc<Engine>, at: KeyRev) -> Result<RevRecord, Error> {
    let found = engine.query(move |keeper| keeper.store().record(at)).await?;
    // Whoever let its `Applied` go too early, or slept too long over it.
    found.ok_or(Error::Timeout)
}

pub(super) async fn hash_kv(engine: &Rc<Engine>, revision: Revision) -> Result<HashAt, Error> {
    let (mut cursor, pin) = engine
        .query_newest(move |keeper| {
            let cursor = keeper.store().hash_at(revision)?;
            let pin = keeper.pin(cursor.pinned());
            Ok((cursor, pin))
        })
        .await?;
    let mut pin = Some(pin);
    loop {
        let kept = pin.take().expect("it comes back with each slice");
        let (next, kept, hash) = engine
            .query(move |keeper| {
                keeper.touch(&kept)?;
                let hash = keeper.store().hash(&mut cursor, HASH_SLICE)?;
                Ok((cursor, kept, hash))
            })
            .await?;
        if let Some(hash) = hash {
            return Ok(hash);
        }
        (cursor, pin) = (next, Some(kept));
    }
}
