//! What a single board with a damaged log is offered: to give up all from the damage on.
//!
//! ```text
//!   | batch 17 | batch 18 | (damage) | batch 20 | batch 21 |     segment 4 ..
//!   kept                  ^ given up: cut here                    removed
//! ```
//!
//! What is behind the damage cannot be kept: entries would be missing before it. All of it that can still be read is told
//! first, and told again as it is done. It is done from the end of the log backwards, so that a crash in between leaves
//! a log that is refused as before, or is done.
//!
//! Here you will not find: the decision.

use std::io;

use crate::types::Bugs;

use super::{
    disk::{Disk, Slot},
    error::WalError,
    format::{BATCHES_AT, BLOCK},
    header::{Header, HeaderCopy},
    inspect::{Found, Inspector, Summary},
    record::{Record, Records},
    scan::{Cursor, Next},
    survey::{READ_BYTES, Readable, Segment, read, wrong_size},
};

/// What would be done to a damaged log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub damage: WalError,
    /// The log as it will be; the members are those of the whole log as far as it can be read.
    pub kept: Summary,
    /// What becomes zeros: the end of the last segment that is kept, and what is missing of files that were cut short.
    zeros: Vec<Zeros>,
    /// What is behind the damage: newest first.
    remove: Vec<Slot>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Zeros {
    slot: Slot,
    from: u64,
    to: u64,
}

impl Plan {
    /// Looks at the log; `None` if nothing is wrong. Tells what would be given up, as far as it can be read.
    pub fn make<D: Disk>(
        disk: &mut D,
        given_up: &mut dyn FnMut(Found<'_>),
    ) -> Result<Option<Plan>, WalError> {
        let mut disk = Padded(disk);
        let Readable { chain, rest, headless, damage } = Readable::take(&mut disk)?;
        let (mut zeros, short) = missing(&mut disk, &chain)?;
        let mut kept = Summary::default();
        let (end, found) = keep(&mut disk, &chain, &mut kept)?;
        let Some(damage) = found.or(damage).or(short) else { return Ok(None) };
        let Some(at) = chain.iter().position(|segment| disk.file(segment.slot) == end.0) else {
            return Err(damage);
        };
        let behind: Vec<&Segment> = chain[at + 1..].iter().chain(&rest).collect();
        tell(&mut disk, &chain[at], end.1, &mut kept, given_up)?;
        for segment in &behind {
            given_up(Found::Segment { file: disk.file(segment.slot), header: &segment.header });
            tell(&mut disk, segment, BATCHES_AT, &mut kept, given_up)?;
        }
        let remove: Vec<Slot> =
            headless.into_iter().chain(behind.iter().rev().map(|segment| segment.slot)).collect();
        zeros.retain(|zeros| !remove.contains(&zeros.slot));
        zeros.push(Zeros { slot: chain[at].slot, from: end.1, to: chain[at].header.segment_bytes.into() });
        Ok(Some(Plan { damage, kept, zeros, remove }))
    }

    /// The slots that will be changed or removed.
    pub fn slots(&self) -> Vec<Slot> {
        let changed = self.zeros.iter().map(|zeros| zeros.slot);
        let mut slots: Vec<Slot> = changed.chain(self.remove.iter().copied()).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Gives up what must be given up.
    pub fn carry_out<D: Disk>(&self, disk: &mut D) -> Result<(), WalError> {
        let mut disk = Padded(disk);
        for &slot in &self.remove {
            disk.remove(slot).map_err(|error| WalError::io("removing", disk.file(slot), &error))?;
        }
        for zeros in &self.zeros {
            zeros.write(&mut disk)?;
        }
        Ok(())
    }
}

impl Zeros {
    /// From the end backwards: the damage goes last.
    fn write<D: Disk>(&self, disk: &mut Padded<'_, D>) -> Result<(), WalError> {
        let failed = |verb, file, error| WalError::io(verb, file, &error);
        let mut end = self.to;
        while end > self.from {
            let start = (self.from / BLOCK * BLOCK).max(end.saturating_sub(READ_BYTES));
            let mut bytes = read(disk, self.slot, start, end - start)?;
            bytes[self.from.saturating_sub(start) as usize..].fill(0);
            disk.write(self.slot, start, &bytes)
                .map_err(|error| failed("writing", disk.file(self.slot), error))?;
            end = start;
        }
        disk.sync(self.slot).map_err(|error| failed("syncing", disk.file(self.slot), error))
    }
}

/// What files of the chain lack that were cut short, and the error about the first of them.
fn missing<D: Disk>(
    disk: &mut Padded<'_, D>,
    chain: &[Segment],
) -> Result<(Vec<Zeros>, Option<WalError>), WalError> {
    let (mut zeros, mut error) = (Vec::new(), None);
    for Segment { slot, header, .. } in chain {
        let to = u64::from(header.segment_bytes);
        let from =
            disk.real_size(*slot).map_err(|error| WalError::io("listing", disk.directory(), &error))?;
        if from < to {
            error.get_or_insert(wrong_size(disk, *slot, from, to));
            zeros.push(Zeros { slot: *slot, from, to });
        }
    }
    Ok((zeros, error))
}

/// Reads what can be kept: the file and offset where it ends, and the damage there, if there is any.
type End = ((String, u64), Option<WalError>);

fn keep<D: Disk>(disk: &mut D, chain: &[Segment], kept: &mut Summary) -> Result<End, WalError> {
    let mut end = (String::new(), BATCHES_AT);
    let mut find_end = |found: Found<'_>| match found {
        Found::End { file, offset } => end = (file, offset),
        Found::Torn(torn) => end = (torn.file, torn.offset),
        _ => {}
    };
    let mut inspector = Inspector { found: &mut find_end, pause: &mut || {} };
    match inspector.chain(disk, chain, kept) {
        Ok(()) => Ok((end, None)),
        Err(WalError::Damaged { file, offset, what }) => {
            Ok(((file.clone(), offset), Some(WalError::Damaged { file, offset, what })))
        }
        Err(error) => Err(error),
    }
}

/// Tells every batch from `offset` on that can be read.
fn tell<D: Disk>(
    disk: &mut D,
    segment: &Segment,
    offset: u64,
    summary: &mut Summary,
    given_up: &mut dyn FnMut(Found<'_>),
) -> Result<(), WalError> {
    let mut cursor = Cursor::new(segment, Bugs::default());
    cursor.seek(offset, 0);
    while let Some((offset, number)) = cursor.later_batch(disk)? {
        cursor.seek(offset, number);
        let Next::Batch(batch) = cursor.next(disk)? else {
            cursor.seek(offset + BLOCK, 0);
            continue;
        };
        given_up(Found::Batch { offset, header: &batch.header });
        for record in Records::new(&batch.payload).filter_map(Result::ok) {
            if let Record::Entry(entry) = &record {
                summary.members_after(&entry.payload);
            }
            given_up(Found::Record(&record));
        }
        cursor.seek(cursor.offset, 0);
    }
    Ok(())
}

/// A file that was cut short, seen with zeros where something is missing.
struct Padded<'a, D>(&'a mut D);

impl<D: Disk> Padded<'_, D> {
    /// The size that the segment says it has.
    fn size(&mut self, slot: Slot, bytes: u64) -> io::Result<u64> {
        for copy in 0..bytes.min(BATCHES_AT) / BLOCK {
            let mut block = [0; BLOCK as usize];
            self.0.read(slot, copy * BLOCK, &mut block)?;
            if let HeaderCopy::Good(header) = Header::decode(&block) {
                return Ok(bytes.max(header.segment_bytes.into()));
            }
        }
        Ok(bytes)
    }

    fn real_size(&mut self, slot: Slot) -> io::Result<u64> {
        let slots = self.0.list()?;
        slots.iter().find(|found| found.0 == slot).map(|found| found.1).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl<D: Disk> Disk for Padded<'_, D> {
    fn list(&mut self) -> io::Result<Vec<(Slot, u64)>> {
        let slots = self.0.list()?;
        slots.into_iter().map(|(slot, bytes)| Ok((slot, self.size(slot, bytes)?))).collect()
    }

    fn read(&mut self, slot: Slot, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let there = self.real_size(slot)?.saturating_sub(offset).min(buffer.len() as u64) as usize;
        buffer[there..].fill(0);
        match there {
            0 => Ok(()),
            there => self.0.read(slot, offset, &mut buffer[..there]),
        }
    }

    fn allocate(&mut self, slot: Slot, bytes: u64) -> io::Result<()> {
        self.0.allocate(slot, bytes)
    }

    fn write(&mut self, slot: Slot, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(slot, offset, bytes)
    }

    fn sync(&mut self, slot: Slot) -> io::Result<()> {
        self.0.sync(slot)
    }

    fn settle(&mut self, slot: Slot) -> io::Result<()> {
        self.0.settle(slot)
    }

    fn remove(&mut self, slot: Slot) -> io::Result<()> {
        self.0.remove(slot)
    }

    fn file(&self, slot: Slot) -> String {
        self.0.file(slot)
    }

    fn directory(&self) -> String {
        self.0.directory()
    }
}
