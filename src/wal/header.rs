//! The header of a segment, and its bytes. It is written twice, in block 0 and in block 1.
//!
//! ```text
//! all numbers little-endian
//!
//!   0  8  magic "SolderWl"
//!   8  4  format version
//!  12  4  crc of this block without this field            --- up to here the same in every version
//!  16  8  sequence number: 1, 2, 3, ...: the life of a segment, not the file
//!  24  8  number of its first batch
//!  32  8  cluster
//!  40  8  member
//!  48  8  preceding entry: index                          \
//!  56  8  preceding entry: term                           |  what a reader must know when all
//!  64  8  hard state: term                                |  segments before this one are gone
//!  72  8  hard state: vote, 0 is none                     /
//!  80  4  seed of the crc of all its batches, random
//!  84  4  size of the segment
//!  88  2  voters                                          \  the members when it was begun; ids beyond
//!  90  2  learners                                        /  the 400th are not written
//!  92  4  0
//!  96  8n ids, voters first
//!     ..  zeros
//! ```
//!
//! The seed makes what another life of the file left behind, and what a client puts into a value, fail every check.

use crate::types::{ClusterId, EntryId, HardState, Membership, NodeId, Term};

use super::format::{BLOCK, VERSION, crc, u16_at, u32_at, u64_at};

const MAGIC: &[u8; 8] = b"SolderWl";
const IDS_AT: usize = 96;
/// Far beyond any cluster that agrees on anything; what counts, whether there is more than one, is in the counts.
const IDS_MAX: usize = 400;

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub sequence: u64,
    pub first_batch: u64,
    pub cluster: ClusterId,
    pub member: NodeId,
    /// The last entry before this segment.
    pub preceding: EntryId,
    pub hard_state: HardState,
    pub crc_seed: u32,
    pub segment_bytes: u32,
    /// Voters and learners when the segment was begun.
    pub members: Membership,
}

/// One of the two blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeaderCopy {
    Good(Header),
    /// Whole, but of another format.
    Version(u32),
    /// Zeros, torn, damaged, or cut off.
    Bad,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let vote = self.hard_state.vote.unwrap_or_default();
        let mut out = Vec::with_capacity(BLOCK as usize);
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend([0; 4]);
        for number in [self.sequence, self.first_batch, self.cluster.0, self.member.0] {
            out.extend(number.to_le_bytes());
        }
        for number in [self.preceding.index.0, self.preceding.term.0, self.hard_state.term.0, vote.0] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.crc_seed.to_le_bytes());
        out.extend(self.segment_bytes.to_le_bytes());
        for members in [&self.members.voters, &self.members.learners] {
            out.extend(u16::try_from(members.len()).unwrap_or(u16::MAX).to_le_bytes());
        }
        out.extend([0; 4]);
        assert_eq!(out.len(), IDS_AT, "the drawing and the bytes differ");
        let ids = self.members.voters.iter().chain(&self.members.learners).take(IDS_MAX);
        ids.for_each(|id| out.extend(id.0.to_le_bytes()));
        out.resize(BLOCK as usize, 0);
        let sum = crc(0, &[&out[..12], &out[16..]]);
        out[12..16].copy_from_slice(&sum.to_le_bytes());
        out
    }

    pub(super) fn decode(block: &[u8]) -> HeaderCopy {
        if block.len() != BLOCK as usize || &block[..8] != MAGIC {
            return HeaderCopy::Bad;
        }
        if crc(0, &[&block[..12], &block[16..]]) != u32_at(block, 12) {
            return HeaderCopy::Bad;
        }
        match u32_at(block, 8) {
            VERSION => HeaderCopy::Good(Header::fields(block)),
            version => HeaderCopy::Version(version),
        }
    }

    fn fields(block: &[u8]) -> Header {
        let vote = NodeId(u64_at(block, 72));
        let (voters, learners) = (u16_at(block, 88).into(), u16_at(block, 90).into());
        let mut ids = block[IDS_AT..].chunks_exact(8).take(IDS_MAX).map(|id| NodeId(u64_at(id, 0)));
        let voters = ids.by_ref().take(voters).collect();
        let learners = ids.take(learners).collect();
        Header {
            sequence: u64_at(block, 16),
            first_batch: u64_at(block, 24),
            cluster: ClusterId(u64_at(block, 32)),
            member: NodeId(u64_at(block, 40)),
            preceding: EntryId::new(u64_at(block, 56), u64_at(block, 48)),
            hard_state: HardState {
                term: Term(u64_at(block, 64)),
                vote: (vote != NodeId::default()).then_some(vote),
            },
            crc_seed: u32_at(block, 80),
            segment_bytes: u32_at(block, 84),
            members: Membership { voters, learners, ..Membership::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            sequence: 3,
            first_batch: 17,
            cluster: ClusterId(0xc1),
            member: NodeId(0xa),
            preceding: EntryId::new(4, 99),
            hard_state: HardState { term: Term(5), vote: Some(NodeId(0xb)) },
            crc_seed: 0x1234_5678,
            segment_bytes: 4 << 20,
            members: Membership {
                voters: [NodeId(0xa), NodeId(0xb)].into(),
                learners: [NodeId(0xc)].into(),
                ..Membership::default()
            },
        }
    }

    #[test]
    fn there_and_back() {
        assert_eq!(Header::decode(&header().encode()), HeaderCopy::Good(header()));
    }

    #[test]
    fn every_bit_counts() {
        let good = header().encode();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&bad), HeaderCopy::Bad, "bit {bit}");
        }
    }

    #[test]
    fn another_format_is_known_as_such() {
        let mut block = header().encode();
        block[8] = 2;
        let sum = crc(0, &[&block[..12], &block[16..]]);
        block[12..16].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(Header::decode(&block), HeaderCopy::Version(2));
    }

    #[test]
    fn more_members_than_fit() {
        let crowd = Membership::of_voters((1..=1000).map(NodeId));
        let HeaderCopy::Good(read) = Header::decode(&Header { members: crowd, ..header() }.encode()) else {
            panic!("a good header");
        };
        assert_eq!(read.members.voters.len(), IDS_MAX);
    }
}
