//! What the log is made of, and its bytes.
//!
//! ```text
//! | 0             | 4 ..             |
//! | u32 LE, bytes | postcard(Record) |     one after the other, no gaps
//!
//! entry 7@2, empty:   04 00 00 00  02  02  07  00
//!                     |            |   |   |   payload: Empty
//!                     |            |   |   index
//!                     |            |   term
//!                     |            variant 2: Entry
//!                     length
//! ```

use serde::{Deserialize, Serialize};

use crate::types::{Entry, EntryId, HardState};

/// One thing that the log remembers. The order of the variants is a format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Replaces the hard state before.
    HardState(HardState),
    /// All entries so far are void; the log begins after this one, which the store holds.
    LogStart(EntryId),
    /// Follows the entry before, or replaces the one with its index and drops what was behind that.
    Entry(Entry),
}

/// Bytes in front of each record.
const PREFIX_BYTES: usize = 4;

impl Record {
    /// Appends the record with its length.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; PREFIX_BYTES]);
        *out = postcard::to_extend(self, std::mem::take(out)).expect("a vector takes what memory takes");
        let bytes = u32::try_from(out.len() - start - PREFIX_BYTES).expect("a record is far below 4 GiB");
        out[start..start + PREFIX_BYTES].copy_from_slice(&bytes.to_le_bytes());
    }
}

/// The records in a payload, in order; an error is the offset of what is none.
pub(super) struct Records<'a> {
    payload: &'a [u8],
    offset: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Records<'a> {
        Records { payload, offset: 0 }
    }

    fn decode(&self) -> Option<(Record, usize)> {
        let rest = &self.payload[self.offset..];
        let (prefix, rest) = rest.split_first_chunk::<PREFIX_BYTES>()?;
        let bytes = usize::try_from(u32::from_le_bytes(*prefix)).ok()?;
        let (record, unread) = postcard::take_from_bytes(rest.get(..bytes)?).ok()?;
        unread.is_empty().then_some((record, PREFIX_BYTES + bytes))
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, usize>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset == self.payload.len() {
            return None;
        }
        match self.decode() {
            Some((record, bytes)) => {
                self.offset += bytes;
                Some(Ok(record))
            }
            None => {
                let offset = std::mem::replace(&mut self.offset, self.payload.len());
                Some(Err(offset))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Payload;

    #[test]
    fn the_bytes_of_an_entry() {
        let record = Record::Entry(Entry { id: EntryId::new(2, 7), payload: Payload::Empty });
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(bytes, [4, 0, 0, 0, 2, 2, 7, 0]);
        assert_eq!(Records::new(&bytes).collect::<Vec<_>>(), [Ok(record)]);
    }

    #[test]
    fn what_is_no_record_ends_the_payload() {
        let mut bytes = Vec::new();
        Record::LogStart(EntryId::new(1, 1)).encode(&mut bytes);
        let whole = bytes.len();
        for bad in [&[1, 0, 0][..], &[9, 0, 0, 0, 2], &[1, 0, 0, 0, 9], &[5, 0, 0, 0, 2, 2, 7, 0, 0]] {
            bytes.truncate(whole);
            bytes.extend(bad);
            let records: Vec<_> = Records::new(&bytes).collect();
            assert_eq!(records, [Ok(Record::LogStart(EntryId::new(1, 1))), Err(whole)], "{bad:?}");
        }
    }
}
