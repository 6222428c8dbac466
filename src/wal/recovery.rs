//! Opening a log: settle what is on the disk, read it, cut a torn end, go on behind it.
//!
//! Here you will not find: damage repaired by guessing. One bad copy of a header is written again from the other; a last
//! batch that is not whole is cut; all else is an error.

use std::fmt;

use crate::types::{Bug, Bugs, Entry, EntryId, HardState, Index, Membership};

use super::{
    disk::{Disk, Slot},
    error::WalError,
    format::BLOCK,
    header::Header,
    log::{Options, Position, Wal},
    record::Records,
    replay::Replay,
    ring::{Live, Ring},
    scan::{Batch, Cursor, Next, Torn},
    survey::{Segment, Survey, read},
};

/// What the store knows when the log is opened.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The last entry that is durable in the store: what comes before it is not needed.
    pub applied: Index,
    /// The store is being filled from a peer, and may have less than the log began with.
    pub catching_up: bool,
    /// The members as of `applied`, for the header of a first segment.
    pub members: &'a Membership,
}

/// What the log held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    pub hard_state: HardState,
    /// The entry before `entries`. If the log reaches so far, it is the entry at `Known::applied` with the term that it
    /// has in this log; lower if the log ends before; higher only while catching up.
    pub start: EntryId,
    /// Those that the store does not have, without gaps.
    pub entries: Vec<Entry>,
    pub warning: Option<TornTail>,
    /// Headers of which one copy was bad and has been written again.
    pub repaired: Vec<RepairedHeader>,
}

impl Recovered {
    /// The last entry of the log.
    pub fn last(&self) -> EntryId {
        self.entries.last().map_or(self.start, |entry| entry.id)
    }
}

/// The last batch was not whole and has been cut. Unless the card lost what it had synced, nothing acknowledged was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub file: String,
    pub offset: u64,
    pub batch: u64,
    /// As far as its header could be read.
    pub payload_bytes: Option<u32>,
    pub records: Option<u32>,
}

/// One of the two copies of a header was not what it should be: a card that ages, or power that went while it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairedHeader {
    pub file: String,
    pub offset: u64,
}

impl TornTail {
    pub(super) fn new<D: Disk>(disk: &D, cursor: &Cursor<'_>, torn: &Torn) -> TornTail {
        let Torn { payload_bytes, records } = *torn;
        let (file, offset, batch) = (disk.file(cursor.segment.slot), cursor.offset, cursor.number);
        TornTail { file, offset, batch, payload_bytes, records }
    }
}

impl fmt::Display for TornTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the last batch ({}) is not whole: {} at offset {}: ", self.batch, self.file, self.offset)?;
        match (self.payload_bytes, self.records) {
            (Some(bytes), Some(records)) => write!(f, "{records} records, {bytes} bytes"),
            _ => f.write_str("its length is not known"),
        }
    }
}

impl fmt::Display for RepairedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one copy of a segment's header is not whole: {} at offset {}", self.file, self.offset)
    }
}

pub(super) fn recover<D: Disk>(
    mut disk: D,
    options: Options,
    known: Known<'_>,
    rng: fastrand::Rng,
) -> Result<(Wal<D>, Recovered), WalError> {
    settle(&mut disk)?;
    let survey = Survey::take(&mut disk)?;
    check_owner(&disk, &options, &survey)?;
    let spares = survey.spares.iter().map(|spare| (spare.slot, spare.bytes)).collect();
    if survey.chain.is_empty() {
        return create(disk, options, known, rng, Ring::new(Vec::new(), spares));
    }
    check_begin(&disk, &known, &survey)?;
    let (replay, position, warning) = read_chain(&mut disk, &options, known.applied, &survey.chain)?;
    let repaired = repair(&mut disk, &survey.chain, &position, warning.is_some())?;
    let live = survey.chain.iter().map(Live::from).collect();
    let wal = Wal::at(disk, options, rng, Ring::new(live, spares), position);
    let Replay { hard_state, start, entries, .. } = replay;
    Ok((wal, Recovered { hard_state, start, entries, warning, repaired }))
}

/// Reads a log that nobody has open and changes nothing. What it gives is what opening would, and the newest header; a torn
/// end is passed over and stays. `None`: there is no log.
pub fn peek<D: Disk>(disk: &mut D, known: Known<'_>) -> Result<Option<(Header, Recovered)>, WalError> {
    let survey = Survey::take(disk)?;
    let Some(newest) = survey.chain.last() else { return Ok(None) };
    let Header { segment_bytes, cluster, member, .. } = newest.header;
    check_begin(disk, &known, &survey)?;
    let options = Options { segment_bytes, cluster, member, bugs: Bugs::default() };
    let (replay, position, warning) = read_chain(disk, &options, known.applied, &survey.chain)?;
    let Replay { hard_state, start, entries, .. } = replay;
    let recovered = Recovered { hard_state, start, entries, warning, repaired: Vec::new() };
    Ok(Some((position.header, recovered)))
}

/// What a process before this one left in the kernel's hands must be on the medium before it is believed.
fn settle<D: Disk>(disk: &mut D) -> Result<(), WalError> {
    let slots = disk.list().map_err(|error| WalError::io("listing", disk.directory(), &error))?;
    for (slot, _) in slots {
        disk.settle(slot).map_err(|error| WalError::io("syncing", disk.file(slot), &error))?;
    }
    Ok(())
}

fn check_owner<D: Disk>(disk: &D, options: &Options, survey: &Survey) -> Result<(), WalError> {
    match survey.owner() {
        Some((cluster, member)) if (cluster, member) != (options.cluster, options.member) => {
            Err(WalError::Foreign { file: disk.directory(), cluster, member })
        }
        _ => Ok(()),
    }
}

/// Some segment must begin at or before what the store has. (Not always the oldest: one that was released and is not yet
/// reused may begin later than the next, if entries were replaced in between.)
fn check_begin<D: Disk>(disk: &D, known: &Known<'_>, survey: &Survey) -> Result<(), WalError> {
    let begins = survey.chain.iter().map(|segment| segment.header.preceding.index);
    match begins.min() {
        Some(begins_after) if begins_after > known.applied && !known.catching_up => {
            Err(WalError::Gap { directory: disk.directory(), begins_after, applied: known.applied })
        }
        _ => Ok(()),
    }
}

fn create<D: Disk>(
    disk: D,
    options: Options,
    known: Known<'_>,
    rng: fastrand::Rng,
    ring: Ring,
) -> Result<(Wal<D>, Recovered), WalError> {
    if known.applied > Index(0) {
        return Err(WalError::Missing { directory: disk.directory(), applied: known.applied });
    }
    let wal = Wal::create(disk, options, known.members, rng, ring)?;
    let (hard_state, start, entries) = (HardState::default(), EntryId::default(), Vec::new());
    Ok((wal, Recovered { hard_state, start, entries, warning: None, repaired: Vec::new() }))
}

type Read = (Replay, Position, Option<TornTail>);

fn read_chain<D: Disk>(
    disk: &mut D,
    options: &Options,
    applied: Index,
    chain: &[Segment],
) -> Result<Read, WalError> {
    let first = &chain.first().expect("a log has a segment").header;
    let mut replay = Replay::new(first.preceding, first.hard_state, applied, options.bugs);
    let mut nexts = chain.iter().skip(1);
    for segment in chain {
        let next = nexts.next();
        let mut cursor = Cursor::new(segment, options.bugs);
        check_header(disk, &cursor, &replay)?;
        if segment.header.preceding.index <= applied {
            replay.forget();
        }
        let warning = read_segment(disk, &mut cursor, &mut replay, next, options)?;
        if next.is_none() {
            let (last, hard_state) = (replay.last, replay.hard_state);
            let (header, end, next_batch) = (segment.header.clone(), cursor.offset, cursor.number);
            return Ok((replay, Position { header, end, next_batch, last, hard_state }, warning));
        }
    }
    unreachable!("the last segment has no next")
}

/// What a header says of all before it must be what has been read.
pub(super) fn check_header<D: Disk>(disk: &D, cursor: &Cursor<'_>, replay: &Replay) -> Result<(), WalError> {
    let header = &cursor.segment.header;
    if (header.preceding, header.hard_state) == (replay.last, replay.hard_state) {
        return Ok(());
    }
    let what = format!(
        "segment {} follows entry {} and {:?}, but the segments before it end with entry {} and {:?}",
        header.sequence, header.preceding, header.hard_state, replay.last, replay.hard_state
    );
    Err(cursor.damage(disk, what))
}

fn read_segment<D: Disk>(
    disk: &mut D,
    cursor: &mut Cursor<'_>,
    replay: &mut Replay,
    next: Option<&Segment>,
    options: &Options,
) -> Result<Option<TornTail>, WalError> {
    loop {
        let torn = match cursor.next(disk)? {
            Next::Batch(batch) => {
                read_batch(disk, cursor, &batch, replay, options)?;
                continue;
            }
            Next::Torn(torn) => Some(torn),
            Next::Nothing => None,
        };
        cursor.judge_end(disk, next)?;
        // Behind a segment that is complete may stand what an older life left.
        return Ok(torn.filter(|_| next.is_none()).map(|torn| TornTail::new(disk, cursor, &torn)));
    }
}

fn read_batch<D: Disk>(
    disk: &D,
    cursor: &Cursor<'_>,
    batch: &Batch,
    replay: &mut Replay,
    options: &Options,
) -> Result<(), WalError> {
    for record in Records::new(&batch.payload) {
        let pushed = match record {
            Ok(record) => replay.push(record).map_err(|what| batch.damage(disk, cursor, &what)),
            Err(at) => Err(batch.no_record(disk, cursor, at)),
        };
        match pushed {
            Err(_) if options.bugs.has(Bug::TornBatchAccepted) => break,
            pushed => pushed?,
        }
    }
    Ok(())
}

/// Writes again the copies of headers that are bad, and takes a torn end away, so that no crash to come can join what is
/// left of it with what will be written there.
fn repair<D: Disk>(
    disk: &mut D,
    chain: &[Segment],
    position: &Position,
    torn: bool,
) -> Result<Vec<RepairedHeader>, WalError> {
    let mut repaired = Vec::new();
    for segment in chain {
        if let Some(copy) = segment.stale_copy {
            let offset = copy * BLOCK;
            overwrite(disk, segment.slot, offset, &segment.header.encode())?;
            repaired.push(RepairedHeader { file: disk.file(segment.slot), offset });
        }
    }
    if let Some(last) = chain.last().filter(|_| torn) {
        let start = position.end / BLOCK * BLOCK;
        let mut block = read(disk, last.slot, start, BLOCK)?;
        block[(position.end - start) as usize..].fill(0);
        overwrite(disk, last.slot, start, &block)?;
    }
    Ok(repaired)
}

fn overwrite<D: Disk>(disk: &mut D, slot: Slot, offset: u64, bytes: &[u8]) -> Result<(), WalError> {
    disk.write(slot, offset, bytes).map_err(|error| WalError::io("writing", disk.file(slot), &error))?;
    disk.sync(slot).map_err(|error| WalError::io("syncing", disk.file(slot), &error))
}

impl From<&Segment> for Live {
    fn from(segment: &Segment) -> Live {
        let Segment { slot, header, .. } = segment;
        Live { slot: *slot, preceding: header.preceding.index, bytes: header.segment_bytes.into() }
    }
}
