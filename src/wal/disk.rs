//! The few file-system verbs that the log needs.
//!
//! A disk holds segments in numbered slots. All are blocking, each is complete when it returns, and none is retried.
//! `Directory` is the real one, `Twin` (feature `testing`) the one that forgets, tears and fails on demand.
//!
//! Here you will not find: what the bytes mean.

use std::{fmt, io};

/// A place for one segment: `00.seg`, `01.seg`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// Where segments are kept.
pub trait Disk {
    /// The slots that exist and their sizes in bytes, in order of their numbers.
    fn list(&mut self) -> io::Result<Vec<(Slot, u64)>>;

    /// Makes the slot: `bytes` zeros, written block by block (not reserved: a later overwrite must need no new extents),
    /// synced with its directory entry. All or nothing: whatever happens, the slot then exists with its full size or not
    /// at all, so that a short one is known to be damage. No space: `StorageFull` (or `QuotaExceeded`), nothing left behind.
    fn allocate(&mut self, slot: Slot, bytes: u64) -> io::Result<()>;

    /// Fills `buffer` from `offset`. Past the end: `UnexpectedEof`.
    fn read(&mut self, slot: Slot, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Overwrites whole blocks that exist. Durable only after `sync`; until then any part of it may be.
    fn write(&mut self, slot: Slot, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was written to the slot durable. After an error nobody knows what is: never call it again then.
    fn sync(&mut self, slot: Slot) -> io::Result<()>;

    /// Makes `read` tell what is on the medium, rather than what a process before this one wrote and never synced (or
    /// failed to sync: after a failed write-back Linux keeps showing the page as if it were on the disk).
    fn settle(&mut self, slot: Slot) -> io::Result<()>;

    /// Removes the slot, durably.
    fn remove(&mut self, slot: Slot) -> io::Result<()>;

    /// The file of a slot, for messages.
    fn file(&self, slot: Slot) -> String;

    /// The directory of all slots, for messages.
    fn directory(&self) -> String;
}
