//! The interface, while what is behind it is being written.
#![allow(unused_variables)]

use std::sync::Arc;

use super::{Backend, ReadError, StoreError};
use crate::types::*;

/// One version of a key: a value or a tombstone (then create, version, lease and value are empty).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RevRecord {
    pub rev: KeyRev,
    pub key: Bytes,
    pub value: Bytes,
    pub create: Revision,
    pub version: i64,
    pub lease: LeaseId,
    pub tombstone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lease {
    pub ttl_s: i64,
    pub remaining_s: Option<i64>,
}

pub struct Options {
    pub pending_bytes_max: u64,
    pub flush_pages_max: u32,
    pub bugs: Bugs,
}

/// How much one slice may do: rows looked at, bytes answered. At least one row is always done.
#[derive(Clone, Copy, Debug)]
pub struct SliceLimits {
    pub rows: u32,
    pub bytes: u64,
}

pub struct RangeCursor {}
impl RangeCursor {
    pub fn new(range: RangeAt) -> RangeCursor {
        todo!()
    }
}
pub struct RangeSlice {
    pub rows: Vec<RevRecord>,
    /// Given with the last slice.
    pub end: Option<RangeEnd>,
}
pub struct RangeEnd {
    pub count: u64,
    pub more: bool,
}
pub struct HistorySlice {
    pub events: Vec<RevRecord>,
    pub next: KeyRev,
    /// All there is at present has been seen.
    pub done: bool,
}
pub struct HashCursor {}
pub struct HashAt {
    pub hash: u32,
    pub revision: Revision,
    pub compact_revision: Revision,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinId(pub u64);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransferId(pub u64);

/// Send: `run` on the flush thread, hand what it gives to `Store::finish_flush`.
pub struct FlushJob {}
impl FlushJob {
    pub fn run(&self, backend: &dyn Backend) -> Result<FlushReport, StoreError> {
        todo!()
    }
}
pub struct FlushReport {}

/// Small enough for one message; `next` is the `after` of the next one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TransferSlice {
    pub records: Vec<RevRecord>,
    pub next: KeyRev,
    /// Nothing is left behind `next` at the moment: the tail may be read now.
    pub done: bool,
}
/// Everything but the history, at one applied entry. Serializable; fields to come.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TransferTail {
    pub at: EntryId,
    pub revision: Revision,
    pub compacted: Revision,
    pub state_hash: u32,
    pub membership: Membership,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveMark {
    pub cursor: KeyRev,
    pub base: KeyRev,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveEnd {
    Done,
    /// The sender has not applied as far as this board's content reaches: ask it for its tail again later.
    SenderBehind,
}

pub struct Store {}
impl Store {
    pub fn open(backend: Arc<dyn Backend>, options: Options) -> Result<Store, StoreError> {
        todo!()
    }
    pub fn is_initialised(&self) -> bool {
        todo!()
    }
    pub fn init(&mut self, cluster: ClusterId, membership: Membership) -> Result<(), StoreError> {
        todo!()
    }
    pub fn applied(&self) -> EntryId {
        todo!()
    }
    pub fn flushed(&self) -> EntryId {
        todo!()
    }
    pub fn revision(&self) -> Revision {
        todo!()
    }
    pub fn compacted(&self) -> Revision {
        todo!()
    }
    pub fn membership(&self) -> &Membership {
        todo!()
    }
    pub fn cluster(&self) -> ClusterId {
        todo!()
    }
    pub fn state_hash(&self) -> u32 {
        todo!()
    }
    pub fn apply(&mut self, entry: &Entry) -> Result<Outcome, StoreError> {
        todo!()
    }
    pub fn pending_full(&self) -> bool {
        todo!()
    }
    pub fn pending_bytes(&self) -> u64 {
        todo!()
    }
    /// Is a flush worth its sync by now: a full layer waits, or compaction has work to do?
    pub fn flush_due(&self) -> bool {
        todo!()
    }
    pub fn start_flush(&mut self, durable: Index) -> Option<FlushJob> {
        todo!()
    }
    pub fn finish_flush(&mut self, result: Result<FlushReport, StoreError>) -> Result<(), StoreError> {
        todo!()
    }
    /// Resolves revision 0 and checks compacted/future. Then read with a cursor, slice by slice.
    pub fn range_at(&self, request: &RangeRequest) -> Result<RangeAt, Error> {
        todo!()
    }
    pub fn range(&self, cursor: &mut RangeCursor, limits: SliceLimits) -> Result<RangeSlice, ReadError> {
        todo!()
    }
    /// The newest version at `at`, tombstones left out.
    pub fn get(&self, key: &[u8], at: KeyRev) -> Result<Option<RevRecord>, ReadError> {
        todo!()
    }
    /// The record at exactly this place (`PutOutcome::prev`).
    pub fn record(&self, rev: KeyRev) -> Result<Option<RevRecord>, ReadError> {
        todo!()
    }
    pub fn history(
        &self,
        from: KeyRev,
        range: &KeyRange,
        limits: SliceLimits,
    ) -> Result<HistorySlice, ReadError> {
        todo!()
    }
    pub fn hash_at(&self, revision: Revision) -> Result<HashCursor, Error> {
        todo!()
    }
    pub fn hash(&self, cursor: &mut HashCursor, limits: SliceLimits) -> Result<Option<HashAt>, ReadError> {
        todo!()
    }
    pub fn pin(&mut self, revision: Revision) -> PinId {
        todo!()
    }
    pub fn unpin(&mut self, id: PinId) {
        todo!()
    }
    pub fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        todo!()
    }
    pub fn leases(&self) -> Result<Vec<(LeaseId, Lease)>, StoreError> {
        todo!()
    }
    pub fn lease_keys(
        &self,
        id: LeaseId,
        after: Option<&[u8]>,
        rows: usize,
    ) -> Result<Vec<Bytes>, StoreError> {
        todo!()
    }
    pub fn alarms(&self) -> impl Iterator<Item = (NodeId, AlarmKind)> + '_ {
        std::iter::empty()
    }
    pub fn members(&self) -> Result<Vec<(NodeId, Bytes)>, StoreError> {
        todo!()
    }

    // Sender. Pins removal at its present progress (`cursor` = KeyRev::default() until the receiver told its cursor)
    // and returns the base to tell the receiver; None while a flush that removes is under way: ask again after it.
    pub fn pin_transfer(&mut self, id: TransferId) -> Option<KeyRev> {
        todo!()
    }
    pub fn move_transfer(&mut self, id: TransferId, cursor: KeyRev) {
        todo!()
    }
    pub fn unpin_transfer(&mut self, id: TransferId) {
        todo!()
    }
    pub fn transfer_slice(&self, after: KeyRev, bytes_max: u64) -> Result<TransferSlice, StoreError> {
        todo!()
    }
    pub fn transfer_tail(&self) -> Result<TransferTail, StoreError> {
        todo!()
    }
    // Receiver.
    pub fn receive_mark(&self) -> Option<ReceiveMark> {
        todo!()
    }
    pub fn receive_begin(&mut self, sender_base: KeyRev) -> Result<KeyRev, StoreError> {
        todo!()
    }
    pub fn receive_slice(&mut self, slice: &TransferSlice) -> Result<(), StoreError> {
        todo!()
    }
    pub fn receive_finish(&mut self, tail: &TransferTail) -> Result<ReceiveEnd, StoreError> {
        todo!()
    }
}
