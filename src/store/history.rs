//! History: all changes from a revision on, in the order in which they happened. What watches read.

use super::{ReadError, RevRecord, SliceLimits, Store, Table, format};
use crate::types::{Error, KeyRange, KeyRev};

pub struct HistorySlice {
    pub events: Vec<RevRecord>,
    /// Where the next slice begins.
    pub next: KeyRev,
    /// All there is by now has been seen.
    pub done: bool,
}

impl Store {
    /// The changes of the keys of a range, from a place in history on. A revision's changes may be split over two slices;
    /// `next` then lies within it.
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
        let snapshot = self.backend.read()?;
        let mut rows = self.view(&*snapshot).scan(Table::Revs, &format::rev_key(from))?;
        let mut slice = HistorySlice { events: Vec::new(), next: from, done: false };
        let mut bytes = 0;
        for _ in 0..limits.rows.max(1) {
            let row = rows.next()?.map(|(row, record)| format::decode_rev(row).map(|rev| (rev, record)));
            // Beyond the newest revision lies what is unfinished.
            let Some((rev, record)) = row.transpose()?.filter(|(rev, _)| rev.main <= self.revision()) else {
                slice.done = true;
                slice.next = slice.next.max(KeyRev { main: self.revision().next(), sub: 0 });
                break;
            };
            slice.next = rev.next();
            let event = format::decode_record(rev, record)?;
            if range.contains(event.key) {
                bytes += event.weight_bytes();
                slice.events.push(event.into());
            }
            if bytes >= limits.bytes {
                break;
            }
        }
        Ok(slice)
    }
}
