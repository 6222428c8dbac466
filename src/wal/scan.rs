//! Reads the batches of the chain, in order, each checked, and judges where the log ends.
//!
//! ```text
//!   | batch 17 | batch 18 | what is not batch 19 | ...
//!                          ^
//!        nothing of a later batch behind it: never synced, or not at all written: the log ends here
//!        a later batch, or a later segment:  batch 19 had been synced: damage
//! ```
//!
//! A later batch is written only after the sync of the one before, so even its bare header proves that one was durable.
//!
//! Here you will not find: anything that writes, or what records mean.

use crate::types::{Bug, Bugs};

use super::{
    batch::{BATCH_HEADER_BYTES, BatchHeader, is_remnant},
    disk::Disk,
    error::WalError,
    format::{BATCHES_AT, BLOCK},
    survey::{READ_BYTES, Segment, read},
};

/// Where a segment is read.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    pub segment: &'a Segment,
    /// Where the next batch begins.
    pub offset: u64,
    /// Its number.
    pub number: u64,
    bugs: Bugs,
}

/// A batch that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub offset: u64,
    pub header: BatchHeader,
    pub payload: Vec<u8>,
}

/// What stands where the next batch would begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Batch(Batch),
    /// The beginning of that batch, but not all of it.
    Torn(Torn),
    /// Nothing of it.
    Nothing,
}

/// A batch that is not whole; `None` where its header is gone, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Torn {
    pub payload_bytes: Option<u32>,
    pub records: Option<u32>,
}

impl Batch {
    /// The checksum is good, the content cannot be: whoever wrote it was wrong, or newer.
    pub(super) fn damage<D: Disk>(&self, disk: &D, cursor: &Cursor<'_>, what: &str) -> WalError {
        let (file, offset) = (disk.file(cursor.segment.slot), self.offset);
        WalError::Damaged { file, offset, what: format!("batch {} is whole, but {what}", self.header.number) }
    }

    pub(super) fn no_record<D: Disk>(&self, disk: &D, cursor: &Cursor<'_>, at: usize) -> WalError {
        self.damage(disk, cursor, &format!("what stands at byte {at} of its payload is no record"))
    }
}

/// The distance at which batches can begin.
pub(super) fn step(bugs: Bugs) -> u64 {
    if bugs.has(Bug::BatchesShareBlock) { 64 } else { BLOCK }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(segment: &'a Segment, bugs: Bugs) -> Cursor<'a> {
        Cursor { segment, offset: BATCHES_AT, number: segment.header.first_batch, bugs }
    }

    /// Goes to where the batch with this number begins, or to search from there on (number 0).
    pub(super) fn seek(&mut self, offset: u64, number: u64) {
        (self.offset, self.number) = (offset, number);
    }

    /// The next batch; the cursor moves on if it is whole.
    pub(super) fn next<D: Disk>(&mut self, disk: &mut D) -> Result<Next, WalError> {
        let (seed, size) = (self.segment.header.crc_seed, u64::from(self.segment.header.segment_bytes));
        let room = size - self.offset;
        if room < BATCH_HEADER_BYTES as u64 {
            return Ok(Next::Nothing);
        }
        let begin = read(disk, self.segment.slot, self.offset, BATCH_HEADER_BYTES as u64)?;
        let Some(header) = BatchHeader::decode(&begin, seed).filter(|header| self.expects(header)) else {
            let remnant = is_remnant(&begin, self.segment.header.sequence, self.number);
            let torn = Torn { payload_bytes: None, records: None };
            return Ok(if remnant { Next::Torn(torn) } else { Next::Nothing });
        };
        let torn = Torn { payload_bytes: Some(header.payload_bytes), records: Some(header.records) };
        let bytes = BATCH_HEADER_BYTES as u64 + u64::from(header.payload_bytes);
        if bytes > room {
            return Ok(Next::Torn(torn));
        }
        let payload = read(
            disk,
            self.segment.slot,
            self.offset + BATCH_HEADER_BYTES as u64,
            header.payload_bytes.into(),
        )?;
        if !header.covers(&payload, seed) && !self.bugs.has(Bug::TornBatchAccepted) {
            return Ok(Next::Torn(torn));
        }
        let batch = Batch { offset: self.offset, header, payload };
        self.offset = super::format::round_up(self.offset + bytes, step(self.bugs));
        self.number += 1;
        Ok(Next::Batch(batch))
    }

    fn expects(&self, header: &BatchHeader) -> bool {
        (header.sequence, header.number) == (self.segment.header.sequence, self.number)
    }

    /// The first batch behind the one expected here, by its header alone: `(offset, number)`.
    pub(super) fn later_batch<D: Disk>(&self, disk: &mut D) -> Result<Option<(u64, u64)>, WalError> {
        let (size, step) = (u64::from(self.segment.header.segment_bytes), step(self.bugs));
        let mut offset = self.offset;
        while offset < size {
            let chunk = read(disk, self.segment.slot, offset, READ_BYTES.min(size - offset))?;
            for (at, bytes) in (offset..).step_by(step as usize).zip(chunk.chunks(step as usize)) {
                let header = BatchHeader::decode(bytes, self.segment.header.crc_seed);
                if let Some(header) = header.filter(|header| self.is_behind(header)) {
                    return Ok(Some((at, header.number)));
                }
            }
            offset += chunk.len() as u64;
        }
        Ok(None)
    }

    fn is_behind(&self, header: &BatchHeader) -> bool {
        header.sequence == self.segment.header.sequence && header.number > self.number
    }

    /// Judges the end of a segment that is followed by `next`, or is the last. `Ok` where the log may end here.
    pub(super) fn judge_end<D: Disk>(&self, disk: &mut D, next: Option<&Segment>) -> Result<(), WalError> {
        let later = match next {
            Some(next) if next.header.first_batch == self.number => return Ok(()),
            Some(next) => Some((disk.file(next.slot), BATCHES_AT, next.header.first_batch)),
            None => self.later_batch(disk)?.map(|(at, number)| (disk.file(self.segment.slot), at, number)),
        };
        let Some((file, at, number)) = later else { return Ok(()) };
        let what = format!(
            "batch {} is unreadable, but had been synced: batch {number} follows in {file} at offset {at}",
            self.number
        );
        Err(self.damage(disk, what))
    }

    /// An error about the place where the cursor stands.
    pub(super) fn damage<D: Disk>(&self, disk: &D, what: String) -> WalError {
        WalError::Damaged { file: disk.file(self.segment.slot), offset: self.offset, what }
    }
}
