//! Which slot is what: the segments of the log, oldest first, and the spare ones.
//!
//! ```text
//!   spares: [ 03 ]      live: [ 00, 01, 02 ]
//!             ^ next to be written      ^ written now
//!   release moves the oldest live ones to the back of the spares
//! ```
//!
//! Spares still hold the life that they had. They are reused and removed from the oldest life on, so that what a crash
//! leaves is always a chain without gaps.

use std::{
    collections::VecDeque,
    io::{Error, ErrorKind},
};

use crate::types::Index;

use super::{
    disk::{Disk, Slot},
    error::WalError,
};

/// Spare segments that are kept: one that the next roll-over takes, one so that not every second roll-over has to
/// allocate when the store lags a little. What is beyond is given back to the file system.
pub const SPARES_MAX: usize = 2;

/// Segments at one time, spare ones included. Of the default size this is 1 GiB of log that the store has not taken,
/// which the caller's bounds on what is not applied forbid long before. Beyond it the log is `Full`.
pub const SLOTS_MAX: u16 = 256;

/// A segment of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub slot: Slot,
    /// The last entry before this segment.
    pub preceding: Index,
    pub bytes: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ring {
    live: VecDeque<Live>,
    /// With their sizes, which differ from those of new segments after a change of settings.
    spares: VecDeque<(Slot, u64)>,
}

impl Ring {
    pub(super) fn new(live: Vec<Live>, spares: Vec<(Slot, u64)>) -> Ring {
        Ring { live: live.into(), spares: spares.into() }
    }

    /// The slot that is written now.
    pub(super) fn current(&self) -> Slot {
        self.live.back().expect("a log has a segment").slot
    }

    pub(super) fn live(&self) -> usize {
        self.live.len()
    }

    pub(super) fn spare(&self) -> usize {
        self.spares.len()
    }

    /// Spares that can be used as they are.
    pub(super) fn ready(&self, segment_bytes: u32) -> usize {
        self.spares.iter().filter(|(_, bytes)| *bytes == u64::from(segment_bytes)).count()
    }

    pub(super) fn begin(&mut self, live: Live) {
        self.live.push_back(live);
    }

    /// What was written before a segment that begins after an applied entry is not needed: every entry beyond it that is
    /// still in the log was written later.
    pub(super) fn release(&mut self, applied: Index) {
        let keep = self.live.iter().rposition(|live| live.preceding <= applied).unwrap_or(0);
        self.spares.extend(self.live.drain(..keep).map(|live| (live.slot, live.bytes)));
    }

    /// The next segment to write to. There must be one that is ready.
    pub(super) fn take_spare<D: Disk>(&mut self, disk: &mut D, segment_bytes: u32) -> Result<Slot, WalError> {
        loop {
            let &(slot, bytes) = self.spares.front().expect("a spare segment was secured");
            if bytes == u64::from(segment_bytes) {
                self.spares.pop_front();
                return Ok(slot);
            }
            self.remove_oldest(disk)?;
        }
    }

    /// One spare at least, `SPARES_MAX` at most, all of the right size.
    pub(super) fn tend<D: Disk>(&mut self, disk: &mut D, segment_bytes: u32) -> Result<(), WalError> {
        let odd = |&(_, bytes): &(Slot, u64)| bytes != u64::from(segment_bytes);
        while self.spares.len() > SPARES_MAX || self.spares.front().is_some_and(odd) {
            self.remove_oldest(disk)?;
        }
        if self.ready(segment_bytes) == 0 {
            self.allocate(disk, segment_bytes)?;
        }
        Ok(())
    }

    /// Makes one more spare, from nothing.
    pub(super) fn allocate<D: Disk>(&mut self, disk: &mut D, segment_bytes: u32) -> Result<(), WalError> {
        let bytes = u64::from(segment_bytes);
        let free = (0..SLOTS_MAX).map(Slot).find(|&slot| !self.holds(slot));
        let allocated = match free {
            Some(slot) => disk.allocate(slot, bytes).map(|()| slot),
            None => Err(Error::new(ErrorKind::StorageFull, format!("{SLOTS_MAX} segments are in use"))),
        };
        match allocated {
            // It holds no life at all, so it is the first to be used.
            Ok(slot) => self.spares.push_front((slot, bytes)),
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                let (directory, reason) = (disk.directory(), error.to_string());
                return Err(WalError::Full { directory, needed_bytes: bytes, reason });
            }
            Err(error) => return Err(WalError::io("allocating a segment in", disk.directory(), &error)),
        }
        Ok(())
    }

    fn holds(&self, slot: Slot) -> bool {
        self.live.iter().any(|live| live.slot == slot) || self.spares.iter().any(|spare| spare.0 == slot)
    }

    fn remove_oldest<D: Disk>(&mut self, disk: &mut D) -> Result<(), WalError> {
        if let Some((slot, _)) = self.spares.pop_front() {
            disk.remove(slot).map_err(|error| WalError::io("removing", disk.file(slot), &error))?;
        }
        Ok(())
    }
}
