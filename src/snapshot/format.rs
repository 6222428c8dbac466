//! The bytes of a snapshot, as `mod.rs` draws them.

use crc32fast::Hasher;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    store::{Lease, TransferTail},
    types::{AlarmKind, Bytes, ClusterId, EntryId, LeaseId, Membership, NodeId, Revision, limits},
};

pub(super) const MAGIC: &[u8; 8] = b"SolderSn";

/// The format that is written. Raised when its bytes change.
pub const VERSION: u32 = 1;

/// A block is closed with the item that brings it here.
const BLOCK_BYTES: usize = 32 << 10;

/// No block has more than this: one beyond is refused unread.
pub(super) const BLOCK_BYTES_MAX: u32 = 4 << 20;

// A block that is about to be closed, and one item more, a record of the longest value that a command can bring.
const _: () = assert!(BLOCK_BYTES + limits::COMMAND_BYTES_MAX + 4096 < BLOCK_BYTES_MAX as usize);

/// What comes before a block's items.
pub(super) const BLOCK_HEADER_BYTES: usize = 9;

pub(super) const SHA_BYTES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Head = 1,
    Members = 2,
    Leases = 3,
    Records = 4,
    End = 5,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        [Kind::Head, Kind::Members, Kind::Leases, Kind::Records, Kind::End]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// What is true of the store as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub cluster: ClusterId,
    /// The last entry that is in it.
    pub applied: EntryId,
    pub revision: Revision,
    /// -1: never compacted.
    pub compacted: Revision,
    /// Equal on all members at this entry.
    pub state_hash: u32,
    pub membership: Membership,
    pub alarms: Vec<(NodeId, AlarmKind)>,
}

pub(super) type Member = (NodeId, Bytes);
pub(super) type LeaseRow = (LeaseId, Lease);

/// How many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) members: u64,
    pub(super) leases: u64,
    pub(super) records: u64,
}

impl From<&TransferTail> for Head {
    fn from(tail: &TransferTail) -> Head {
        Head {
            cluster: tail.cluster,
            applied: tail.at,
            revision: tail.revision,
            compacted: tail.compacted,
            state_hash: tail.state_hash,
            membership: tail.membership.clone(),
            alarms: tail.alarms.clone(),
        }
    }
}

/// Makes blocks of items.
#[derive(Debug)]
pub(super) struct Encoder {
    /// What is ready.
    pub(super) out: Vec<u8>,
    /// The block that is being filled, its header still blank.
    block: Vec<u8>,
    kind: Kind,
    crc: u32,
}

impl Encoder {
    pub(super) fn new() -> Encoder {
        let out = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
        let crc = crc(0, &[&out]);
        Encoder { out, block: Vec::new(), kind: Kind::Head, crc }
    }

    pub(super) fn push<T: Serialize>(&mut self, kind: Kind, item: &T) {
        if kind != self.kind {
            self.close();
        }
        if self.block.is_empty() {
            self.kind = kind;
            self.block.resize(BLOCK_HEADER_BYTES, 0);
        }
        let block = std::mem::take(&mut self.block);
        self.block = postcard::to_extend(item, block).expect("a vector takes what memory takes");
        if self.block.len() >= BLOCK_HEADER_BYTES + BLOCK_BYTES {
            self.close();
        }
    }

    /// Ends the block that is being filled.
    pub(super) fn close(&mut self) {
        let items = self.block.len().saturating_sub(BLOCK_HEADER_BYTES);
        if items == 0 {
            return;
        }
        let len = u32::try_from(items).ok().filter(|len| *len <= BLOCK_BYTES_MAX);
        let len = len.unwrap_or_else(|| panic!("a block of {items} bytes of {:?}", self.kind));
        self.block[0] = self.kind as u8;
        self.block[1..5].copy_from_slice(&len.to_le_bytes());
        self.crc = crc(self.crc, &[&self.block[..5], &self.block[BLOCK_HEADER_BYTES..]]);
        self.block[5..BLOCK_HEADER_BYTES].copy_from_slice(&self.crc.to_le_bytes());
        self.out.append(&mut self.block);
    }
}

/// What stands before a block's items.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockHeader {
    pub(super) kind: Kind,
    pub(super) len: u32,
    crc: u32,
}

impl BlockHeader {
    /// `None`: no block begins so.
    pub(super) fn decode(bytes: &[u8; BLOCK_HEADER_BYTES]) -> Option<BlockHeader> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let header = BlockHeader { kind: Kind::of(bytes[0])?, len: number(1), crc: number(5) };
        (1..=BLOCK_BYTES_MAX).contains(&header.len).then_some(header)
    }

    /// The crc to go on from, if it is the block that was written behind `before`.
    pub(super) fn check(&self, before: u32, items: &[u8]) -> Option<u32> {
        let crc = crc(before, &[&[self.kind as u8], &self.len.to_le_bytes(), items]);
        (crc == self.crc).then_some(crc)
    }
}

/// All items of a block. `None`: they are something else, or more than a block takes.
pub(super) fn decode_items<T: DeserializeOwned>(bytes: &[u8]) -> Option<Vec<T>> {
    let mut items = Vec::new();
    let mut left = bytes;
    while !left.is_empty() {
        if bytes.len() - left.len() >= BLOCK_BYTES {
            return None;
        }
        let (item, rest) = postcard::take_from_bytes(left).ok()?;
        items.push(item);
        left = rest;
    }
    Some(items)
}

/// Goes on from the crc of what came before.
pub(super) fn crc(before: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new_with_initial(before);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}
