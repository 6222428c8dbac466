//! History: all changes from a revision on, in the order in which they happened. What watches read.

use super::{ReadError, RevRecord, SliceLimits, Store, StoreError, Table, format};
use crate::types::{Error, KeyRange, KeyRev};

pub struct HistorySlice {
    pub events: Vec<RevRecord>,
    /// Where the next slice begins: at a change, or with the revision that is to come.
    pub next: KeyRev,
    /// All there is by now has been seen.
    pub done: bool,
}

impl Store {
    /// The changes of the keys of a range, from a place in history on. A revision's changes may be split over two slices;
    /// `next` then lies within it, and never at the end of one.
    ///
    /// Errors: `Compacted` if `from` lies before the compacted revision. At it, or behind it, nothing is missing.
    pub fn history(
        &self,
        from: KeyRev,
        range: &KeyRange,
        limits: SliceLimits,
    ) -> Result<HistorySlice, ReadError> {
        self.check_ready()?;
        if from.main < self.compacted() {
            return Err(Error::Compacted(self.compacted()).into());
        }
        Ok(self.slice_of_history(from, range, limits)?)
    }

    /// As `history`, for who reads what was pinned at the revision before `from`: it may be compacted since.
    ///
    /// Errors: `Compacted` if it was not pinned, and has been removed.
    pub fn history_kept(
        &self,
        from: KeyRev,
        range: &KeyRange,
        limits: SliceLimits,
    ) -> Result<HistorySlice, ReadError> {
        self.check_removed(from.main)?;
        Ok(self.slice_of_history(from, range, limits)?)
    }

    fn slice_of_history(
        &self,
        from: KeyRev,
        range: &KeyRange,
        limits: SliceLimits,
    ) -> Result<HistorySlice, StoreError> {
        let snapshot = self.backend.read()?;
        let mut rows = self.view(&*snapshot).scan(Table::Revs, &format::rev_key(from))?;
        let mut slice = HistorySlice { events: Vec::new(), next: from, done: false };
        let (mut seen, mut bytes) = (0, 0);
        loop {
            let row = rows.next()?.map(|(row, record)| format::decode_rev(row).map(|rev| (rev, record)));
            // Beyond the newest revision lies what is unfinished.
            let Some((rev, record)) = row.transpose()?.filter(|(rev, _)| rev.main <= self.revision()) else {
                slice.done = true;
                slice.next = slice.next.max(KeyRev { main: self.revision().next(), sub: 0 });
                break;
            };
            slice.next = rev;
            if seen >= limits.rows.max(1) || (bytes > 0 && bytes >= limits.bytes) {
                break;
            }
            seen += 1;
            let event = format::decode_record(rev, record)?;
            if range.contains(event.key) {
                bytes += event.weight_bytes();
                slice.events.push(event.into());
            }
        }
        Ok(slice)
    }
}
