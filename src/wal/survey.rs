//! What is on the disk, by the headers alone: which slots hold the log, in which order, and which are spare.
//!
//! ```text
//!   slot 02      slot 00      slot 03      slot 01
//!   seq 7   ->   seq 8   ->   seq 9        (spare)      a chain without gaps; the last may still grow
//! ```
//!
//! Slots are reused from the oldest, so what is left is always the end of the chain. A slot without a readable header is
//! spare only if no batch in it can belong to the chain or follow it: headers are synced before the first batch of their
//! segment, so a torn header has nothing behind it but zeros and an older life.
//!
//! Here you will not find: anything that writes.

use crate::types::{ClusterId, NodeId};

use super::{
    batch::claimed_sequence,
    disk::{Disk, Slot},
    error::WalError,
    format::{BATCHES_AT, BLOCK, SEGMENT_BLOCKS_MIN, round_up},
    header::{Header, HeaderCopy},
};

/// How much is read at once where nothing is kept.
pub(super) const READ_BYTES: u64 = 16 * BLOCK;

/// One segment of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub slot: Slot,
    pub header: Header,
    /// The copy of the header (0 or 1) that is not what it should be.
    pub stale_copy: Option<u64>,
}

/// A slot that holds nothing of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spare {
    pub slot: Slot,
    pub bytes: u64,
    /// The newest life that its blocks claim to come from.
    claims: Option<u64>,
}

/// All slots, sorted out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Oldest first.
    pub chain: Vec<Segment>,
    pub spares: Vec<Spare>,
}

impl Survey {
    pub(super) fn take<D: Disk>(disk: &mut D) -> Result<Survey, WalError> {
        let slots = disk.list().map_err(|error| WalError::io("listing", disk.directory(), &error))?;
        let mut survey = Survey::default();
        for (slot, bytes) in slots {
            match look(disk, slot, bytes)? {
                Found::Segment(segment) => survey.chain.push(segment),
                Found::Spare(spare) => survey.spares.push(spare),
            }
        }
        survey.chain.sort_by_key(|segment| segment.header.sequence);
        survey.check_chain(disk)?;
        survey.check_spares(disk)?;
        Ok(survey)
    }

    /// Of whom is this log? None if there is none.
    pub(super) fn owner(&self) -> Option<(ClusterId, NodeId)> {
        self.chain.last().map(|segment| (segment.header.cluster, segment.header.member))
    }

    fn check_chain<D: Disk>(&self, disk: &D) -> Result<(), WalError> {
        for pair in self.chain.windows(2) {
            let (one, next) = (&pair[0], &pair[1]);
            let (file, owner) = (disk.file(next.slot), (next.header.cluster, next.header.member));
            if owner != (one.header.cluster, one.header.member) {
                return Err(WalError::Foreign { file, cluster: owner.0, member: owner.1 });
            }
            let expected = one.header.sequence + 1;
            if next.header.sequence != expected {
                let found = next.header.sequence;
                let what = format!("is segment {found} where segment {expected} must be, which is missing");
                return Err(WalError::Damaged { file, offset: 0, what });
            }
        }
        Ok(())
    }

    fn check_spares<D: Disk>(&self, disk: &D) -> Result<(), WalError> {
        match self.claimants().next() {
            None => Ok(()),
            Some(Spare { slot, claims, .. }) => {
                let claimed = claims.unwrap_or_default();
                let what = format!("both copies of the header of segment {claimed} are unreadable");
                Err(WalError::Damaged { file: disk.file(*slot), offset: 0, what })
            }
        }
    }

    /// Slots without a header that hold what may belong to the chain.
    fn claimants(&self) -> impl Iterator<Item = &Spare> {
        let oldest = self.chain.first().map_or(0, |segment| segment.header.sequence);
        self.spares.iter().filter(move |spare| spare.claims.is_some_and(|claimed| claimed >= oldest))
    }
}

/// What of a damaged log can still be read, for `salvage`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Readable {
    /// From the oldest on, up to where one is missing.
    pub(super) chain: Vec<Segment>,
    /// Those behind.
    pub(super) rest: Vec<Segment>,
    /// Slots that hold a segment of which not even the header can be read.
    pub(super) headless: Vec<Slot>,
    /// The first thing that is wrong.
    pub(super) damage: Option<WalError>,
}

impl Readable {
    pub(super) fn take<D: Disk>(disk: &mut D) -> Result<Readable, WalError> {
        let slots = disk.list().map_err(|error| WalError::io("listing", disk.directory(), &error))?;
        let (mut survey, mut headless, mut damage) = (Survey::default(), Vec::new(), None);
        for (slot, bytes) in slots {
            match look(disk, slot, bytes) {
                Ok(Found::Segment(segment)) => survey.chain.push(segment),
                Ok(Found::Spare(spare)) => survey.spares.push(spare),
                Err(error @ WalError::Damaged { .. }) => {
                    damage.get_or_insert(error);
                    headless.push(slot);
                }
                Err(error) => return Err(error),
            }
        }
        survey.chain.sort_by_key(|segment| segment.header.sequence);
        for check in [survey.check_spares(disk), survey.check_chain(disk)] {
            match check {
                Ok(()) => {}
                Err(error @ WalError::Damaged { .. }) => drop(damage.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        headless.extend(survey.claimants().map(|spare| spare.slot));
        let mut chain = survey.chain;
        let follows = |pair: &[Segment]| pair[1].header.sequence == pair[0].header.sequence + 1;
        let whole = chain.windows(2).take_while(|pair| follows(pair)).count() + 1;
        let rest = chain.split_off(whole.min(chain.len()));
        Ok(Readable { chain, rest, headless, damage })
    }
}

enum Found {
    Segment(Segment),
    Spare(Spare),
}

fn look<D: Disk>(disk: &mut D, slot: Slot, bytes: u64) -> Result<Found, WalError> {
    let copies = [header_copy(disk, slot, bytes, 0)?, header_copy(disk, slot, bytes, 1)?];
    if let Some(&HeaderCopy::Version(version)) =
        copies.iter().find(|copy| matches!(copy, HeaderCopy::Version(_)))
    {
        return Err(WalError::Version { file: disk.file(slot), version });
    }
    let Some(segment) = segment(slot, copies) else {
        return blank(disk, slot, bytes).map(Found::Spare);
    };
    if u64::from(segment.header.segment_bytes) != bytes {
        return Err(wrong_size(disk, slot, bytes, segment.header.segment_bytes.into()));
    }
    Ok(Found::Segment(segment))
}

/// The newer of the two copies is the header: the other is bad, or of the life before if power went between them.
fn segment(slot: Slot, copies: [HeaderCopy; 2]) -> Option<Segment> {
    let [one, two] = copies;
    let (header, stale_copy) = match (one, two) {
        (HeaderCopy::Good(one), HeaderCopy::Good(two)) if one == two => (one, None),
        (HeaderCopy::Good(one), HeaderCopy::Good(two)) if one.sequence < two.sequence => (two, Some(0)),
        (HeaderCopy::Good(one), _) => (one, Some(1)),
        (_, HeaderCopy::Good(two)) => (two, Some(0)),
        _ => return None,
    };
    Some(Segment { slot, header, stale_copy })
}

fn header_copy<D: Disk>(disk: &mut D, slot: Slot, bytes: u64, copy: u64) -> Result<HeaderCopy, WalError> {
    if (copy + 1) * BLOCK > bytes {
        return Ok(HeaderCopy::Bad);
    }
    Ok(Header::decode(&read(disk, slot, copy * BLOCK, BLOCK)?))
}

fn blank<D: Disk>(disk: &mut D, slot: Slot, bytes: u64) -> Result<Spare, WalError> {
    if !bytes.is_multiple_of(BLOCK) || bytes < SEGMENT_BLOCKS_MIN * BLOCK {
        return Err(wrong_size(disk, slot, bytes, round_up(bytes + 1, BLOCK)));
    }
    let mut claims = None;
    let mut offset = BATCHES_AT;
    while offset < bytes {
        let chunk = read(disk, slot, offset, READ_BYTES.min(bytes - offset))?;
        claims = claims.max(chunk.chunks_exact(BLOCK as usize).filter_map(claimed_sequence).max());
        offset += chunk.len() as u64;
    }
    Ok(Spare { slot, bytes, claims })
}

pub(super) fn wrong_size<D: Disk>(disk: &D, slot: Slot, bytes: u64, written: u64) -> WalError {
    let what = format!(
        "the file is {bytes} bytes long, at least {written} were written; a power cut does not change that"
    );
    WalError::Damaged { file: disk.file(slot), offset: bytes, what }
}

pub(super) fn read<D: Disk>(disk: &mut D, slot: Slot, offset: u64, bytes: u64) -> Result<Vec<u8>, WalError> {
    let mut buffer = vec![0; usize::try_from(bytes).expect("what is read at once fits in memory")];
    match disk.read(slot, offset, &mut buffer) {
        Ok(()) => Ok(buffer),
        Err(error) => Err(WalError::io("reading", disk.file(slot), &error)),
    }
}
