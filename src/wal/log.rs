//! The log that is being written.
//!
//! ```text
//!   write  -- packs records into batches, rolls over to the next segment where one does not fit
//!   sync   -- makes them durable; only then may anything be written again
//!   release, secure_room -- what the store has makes segments spare; one spare is always kept ready
//! ```
//!
//! Invariants:
//! - A batch is written only when the one before is durable; the header of a segment is durable before its first batch.
//! - After an error other than `Full` nothing works any more: what the disk holds is unknown.
//! - `Full` means that nothing was written.
//!
//! Here you will not find: reading (`recovery`), threads, decisions.

use crate::types::{Bug, Bugs, ClusterId, EntryId, HardState, Index, Membership, NodeId};

use super::{
    batch::{BATCH_HEADER_BYTES, BatchHeader},
    disk::Disk,
    error::WalError,
    format::{BATCHES_AT, BLOCK, SEGMENT_BLOCKS_MIN, round_up},
    header::Header,
    record::Record,
    recovery::{self, Known, Recovered},
    ring::{Live, Ring},
    scan::step,
    survey::read,
};

/// A group of records larger than this is written as several batches, each synced before the next is written, so that
/// what is held in memory twice is bounded. A single larger record is a batch by itself.
const BATCH_BYTES_MAX: u64 = 1 << 20;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of new segments: whole blocks. Below `SEGMENT_BYTES_MIN` not every entry fits, which is for tests.
    pub segment_bytes: u32,
    pub cluster: ClusterId,
    pub member: NodeId,
    pub bugs: Bugs,
}

impl Options {
    /// The default: large enough that a roll-over is rare, small enough for a small card.
    pub const SEGMENT_BYTES: u32 = 4 << 20;
    /// Holds any entry that a cluster accepts (`limits::COMMAND_BYTES_MAX`).
    pub const SEGMENT_BYTES_MIN: u32 = 2 << 20;
}

/// See the module.
pub struct Wal<D> {
    disk: D,
    options: Options,
    rng: fastrand::Rng,
    ring: Ring,
    /// Of the segment that is written now.
    header: Header,
    /// Where its next batch begins.
    end: u64,
    next_batch: u64,
    last: EntryId,
    hard_state: HardState,
    unsynced: bool,
    failed: Option<WalError>,
}

/// A batch that is ready to be written, and what the log is after it.
struct Packed {
    payload: Vec<u8>,
    records: u32,
    last: EntryId,
    hard_state: HardState,
}

/// Where a log stands, whether it was just made or just read.
pub(super) struct Position {
    pub header: Header,
    pub end: u64,
    pub next_batch: u64,
    pub last: EntryId,
    pub hard_state: HardState,
}

impl<D: Disk> Wal<D> {
    /// Opens the log that is on the disk, or makes one where there is none.
    ///
    /// What is returned is durable: what a process before this one wrote and did not sync is synced now, or gone. A last
    /// batch that is not whole is cut, with a warning. Any other damage is an error, and nothing was changed then.
    pub fn open(
        disk: D,
        options: Options,
        known: Known<'_>,
        rng: fastrand::Rng,
    ) -> Result<(Wal<D>, Recovered), WalError> {
        let bytes = u64::from(options.segment_bytes);
        assert!(
            bytes.is_multiple_of(BLOCK) && bytes >= SEGMENT_BLOCKS_MIN * BLOCK,
            "segments of {bytes} bytes are not whole blocks, or too small"
        );
        let applied = known.applied;
        let (mut wal, recovered) = recovery::recover(disk, options, known, rng)?;
        wal.release(applied);
        match wal.secure_room() {
            Ok(()) | Err(WalError::Full { .. }) => Ok((wal, recovered)),
            Err(error) => Err(error),
        }
    }

    pub(super) fn at(
        disk: D,
        options: Options,
        rng: fastrand::Rng,
        ring: Ring,
        position: Position,
    ) -> Wal<D> {
        let Position { header, end, next_batch, last, hard_state } = position;
        let (unsynced, failed) = (false, None);
        Wal { disk, options, rng, ring, header, end, next_batch, last, hard_state, unsynced, failed }
    }

    /// Makes the very first segment.
    pub(super) fn create(
        disk: D,
        options: Options,
        members: &Membership,
        rng: fastrand::Rng,
        ring: Ring,
    ) -> Result<Wal<D>, WalError> {
        let header = Header {
            sequence: 0,
            first_batch: 1,
            cluster: options.cluster,
            member: options.member,
            preceding: EntryId::default(),
            hard_state: HardState::default(),
            crc_seed: 0,
            segment_bytes: 0,
            members: Membership::default(),
        };
        let (last, hard_state) = (header.preceding, header.hard_state);
        let position = Position { header, end: 0, next_batch: 1, last, hard_state };
        let mut wal = Wal::at(disk, options, rng, ring, position);
        if wal.ring.ready(wal.options.segment_bytes) == 0 {
            wal.ring.allocate(&mut wal.disk, wal.options.segment_bytes)?;
        }
        wal.roll(members)?;
        Ok(wal)
    }

    /// Appends records, in order, as one batch (several if they are many); durable after the next `sync`. `members` are
    /// those of the cluster now: kept in the header of a segment that begins here.
    ///
    /// `Full`: nothing was written, and the same can be tried again later. Must not be called with a write not yet synced.
    pub fn write(&mut self, records: &[Record], members: &Membership) -> Result<(), WalError> {
        self.alive()?;
        assert!(!self.unsynced, "batch {} is written before the one before is durable", self.next_batch);
        let batches = self.pack(records);
        let secured = self.secure(&batches);
        self.keep(secured)?;
        for batch in batches {
            self.sync()?;
            let written = self.put(batch, members);
            self.keep(written)?;
        }
        Ok(())
    }

    /// Makes durable all that was written. Costs nothing if nothing was.
    pub fn sync(&mut self) -> Result<(), WalError> {
        self.alive()?;
        if self.unsynced {
            let synced = self.sync_segment();
            self.keep(synced)?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// All entries up to `applied` are durable in the store: segments that hold nothing beyond become spare.
    ///
    /// Who does not call it lets the log grow, up to `SLOTS_MAX` segments; the caller bounds what is not applied.
    pub fn release(&mut self, applied: Index) {
        self.ring.release(applied);
    }

    /// How many bytes can be written without a new segment. A batch takes its records and its header, in whole blocks.
    pub fn room(&self) -> u64 {
        let spare = u64::from(self.options.segment_bytes) - BATCHES_AT;
        self.left() + self.ring.ready(self.options.segment_bytes) as u64 * spare
    }

    /// Makes sure that there is a spare segment (`Full` if it cannot be had: try again later), and removes those that are
    /// too many. Costs nothing when all is as it should be; to be called after `sync`, when nobody waits.
    pub fn secure_room(&mut self) -> Result<(), WalError> {
        self.alive()?;
        let secured = self.ring.tend(&mut self.disk, self.options.segment_bytes);
        self.keep(secured)
    }

    /// The last entry written.
    pub fn last(&self) -> EntryId {
        self.last
    }

    /// Segments in use and spare ones.
    pub fn segments(&self) -> (usize, usize) {
        (self.ring.live(), self.ring.spare())
    }

    fn alive(&self) -> Result<(), WalError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Remembers an error that is final.
    fn keep<T>(&mut self, result: Result<T, WalError>) -> Result<T, WalError> {
        result.inspect_err(|error| {
            if !matches!(error, WalError::Full { .. }) {
                self.failed = Some(error.clone());
            }
        })
    }

    fn left(&self) -> u64 {
        u64::from(self.header.segment_bytes) - self.end
    }

    fn disk_bytes(&self, payload: &[u8]) -> u64 {
        round_up((BATCH_HEADER_BYTES + payload.len()) as u64, step(self.options.bugs))
    }

    fn pack(&self, records: &[Record]) -> Vec<Packed> {
        let capacity = u64::from(self.options.segment_bytes) - BATCHES_AT - BATCH_HEADER_BYTES as u64;
        let mut batches: Vec<Packed> = Vec::new();
        let (mut last, mut hard_state) = (self.last, self.hard_state);
        let mut bytes = Vec::new();
        for record in records {
            bytes.clear();
            record.encode(&mut bytes);
            assert!(bytes.len() as u64 <= capacity, "{} bytes of a record in {capacity}", bytes.len());
            match record {
                Record::HardState(state) => hard_state = *state,
                Record::LogStart(id) => last = *id,
                Record::Entry(entry) => {
                    let follows = entry.index() <= last.index.next() && entry.index() > Index(0);
                    assert!(follows, "entry {} follows {last}", entry.id);
                    last = entry.id;
                }
            }
            let bytes_max = BATCH_BYTES_MAX.min(capacity);
            match batches.last_mut().filter(|batch| (batch.payload.len() + bytes.len()) as u64 <= bytes_max) {
                Some(batch) => batch.add(&bytes, last, hard_state),
                None => batches.push(Packed { payload: bytes.clone(), records: 1, last, hard_state }),
            }
        }
        batches
    }

    /// Has the segments ready that these batches will take.
    fn secure(&mut self, batches: &[Packed]) -> Result<(), WalError> {
        let (mut left, mut segments) = (self.left(), 0);
        for batch in batches {
            let bytes = self.disk_bytes(&batch.payload);
            if bytes > left {
                segments += 1;
                left = u64::from(self.options.segment_bytes) - BATCHES_AT;
            }
            left -= bytes;
        }
        while self.ring.ready(self.options.segment_bytes) < segments {
            self.ring.allocate(&mut self.disk, self.options.segment_bytes)?;
        }
        Ok(())
    }

    fn put(&mut self, batch: Packed, members: &Membership) -> Result<(), WalError> {
        if self.disk_bytes(&batch.payload) > self.left() {
            self.roll(members)?;
        }
        let slot = self.ring.current();
        let start = self.end / BLOCK * BLOCK;
        let mut bytes = Vec::with_capacity(BATCH_HEADER_BYTES + batch.payload.len() + BLOCK as usize);
        if self.options.bugs.has(Bug::BatchesShareBlock) {
            bytes = read(&mut self.disk, slot, start, self.end - start)?;
        }
        let seed = self.header.crc_seed;
        BatchHeader::of(self.header.sequence, self.next_batch, batch.records, &batch.payload, seed)
            .encode(seed, &mut bytes);
        bytes.extend(&batch.payload);
        bytes.resize(round_up(bytes.len() as u64, BLOCK) as usize, 0);
        self.disk
            .write(slot, start, &bytes)
            .map_err(|error| WalError::io("writing", self.disk.file(slot), &error))?;
        self.end += self.disk_bytes(&batch.payload);
        self.next_batch += 1;
        (self.last, self.hard_state) = (batch.last, batch.hard_state);
        self.unsynced = true;
        Ok(())
    }

    /// Goes on in the next segment. All batches before are durable, and so is its header when this returns.
    fn roll(&mut self, members: &Membership) -> Result<(), WalError> {
        assert!(!self.unsynced, "segment {} ends before it is durable", self.header.sequence);
        let slot = self.ring.take_spare(&mut self.disk, self.options.segment_bytes)?;
        self.header = Header {
            sequence: self.header.sequence + 1,
            first_batch: self.next_batch,
            cluster: self.options.cluster,
            member: self.options.member,
            preceding: self.last,
            hard_state: self.hard_state,
            crc_seed: self.rng.u32(..),
            segment_bytes: self.options.segment_bytes,
            members: members.clone(),
        };
        let block = self.header.encode();
        self.disk
            .write(slot, 0, &[&block[..], &block[..]].concat())
            .map_err(|error| WalError::io("writing", self.disk.file(slot), &error))?;
        self.ring.begin(Live { slot, preceding: self.last.index, bytes: self.options.segment_bytes.into() });
        self.end = BATCHES_AT;
        self.sync_segment()
    }

    fn sync_segment(&mut self) -> Result<(), WalError> {
        let slot = self.ring.current();
        self.disk.sync(slot).map_err(|error| WalError::io("syncing", self.disk.file(slot), &error))
    }
}

impl Packed {
    fn add(&mut self, bytes: &[u8], last: EntryId, hard_state: HardState) {
        self.payload.extend(bytes);
        self.records += 1;
        (self.last, self.hard_state) = (last, hard_state);
    }
}

// An entry of the largest command, with ids and lengths around it, fits in the smallest segment that a board may have.
const _: () = assert!(
    crate::types::limits::COMMAND_BYTES_MAX + 4096
        < Options::SEGMENT_BYTES_MIN as usize - BATCHES_AT as usize
);
