//! A batch: what one sync makes durable, and its bytes.
//!
//! ```text
//! all numbers little-endian; begins at a block, ends with zeros up to the next
//!
//!   0  8  magic "SolderBt"            \
//!   8  8  sequence of its segment     |  in plain: tells a batch of this life from one of a life before,
//!  16  8  number: 1, 2, 3, ...        /  and a damaged one from nothing, even when the seed is lost
//!  24  4  bytes of the payload
//!  28  4  records in the payload
//!  32  4  crc of the payload          \  both begun with the segment's seed
//!  36  4  crc of bytes 0..36          /
//!  40  .. payload: records
//!     ..  zeros, covered by no crc
//! ```
//!
//! The header has a crc of its own so that a batch whose payload is gone still proves that the one before it was synced.

use super::format::{crc, u32_at, u64_at};

const MAGIC: &[u8; 8] = b"SolderBt";
pub(super) const BATCH_HEADER_BYTES: usize = 40;

/// The first bytes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub sequence: u64,
    pub number: u64,
    pub payload_bytes: u32,
    pub records: u32,
    pub(super) payload_crc: u32,
}

impl BatchHeader {
    pub(super) fn of(sequence: u64, number: u64, records: u32, payload: &[u8], seed: u32) -> BatchHeader {
        let payload_bytes = u32::try_from(payload.len()).expect("a batch fits in a segment");
        BatchHeader { sequence, number, payload_bytes, records, payload_crc: crc(seed, &[payload]) }
    }

    pub(super) fn encode(&self, seed: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(MAGIC);
        out.extend(self.sequence.to_le_bytes());
        out.extend(self.number.to_le_bytes());
        for number in [self.payload_bytes, self.records, self.payload_crc] {
            out.extend(number.to_le_bytes());
        }
        let sum = crc(seed, &[&out[start..]]);
        out.extend(sum.to_le_bytes());
    }

    /// `None` if it is not whole, or was written with another seed.
    pub(super) fn decode(bytes: &[u8], seed: u32) -> Option<BatchHeader> {
        let bytes = bytes.get(..BATCH_HEADER_BYTES)?;
        let good = &bytes[..8] == MAGIC && crc(seed, &[&bytes[..36]]) == u32_at(bytes, 36);
        good.then(|| BatchHeader {
            sequence: u64_at(bytes, 8),
            number: u64_at(bytes, 16),
            payload_bytes: u32_at(bytes, 24),
            records: u32_at(bytes, 28),
            payload_crc: u32_at(bytes, 32),
        })
    }

    pub(super) fn covers(&self, payload: &[u8], seed: u32) -> bool {
        crc(seed, &[payload]) == self.payload_crc
    }
}

/// Is this block what is left of the beginning of that batch? Two of the three plain fields are enough: the third may be
/// what was damaged. What a life before left has neither this sequence nor this number.
pub(super) fn is_remnant(block: &[u8], sequence: u64, number: u64) -> bool {
    let fields = [&block[..8] == MAGIC, u64_at(block, 8) == sequence, u64_at(block, 16) == number];
    fields.into_iter().filter(|&same| same).count() >= 2
}

/// The sequence that a block claims to belong to, if a batch seems to begin in it. Nothing is checked: for segments whose
/// seed is lost.
pub(super) fn claimed_sequence(block: &[u8]) -> Option<u64> {
    (&block[..8] == MAGIC).then(|| u64_at(block, 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_the_header_counts() {
        let header = BatchHeader::of(3, 17, 1, b"payload", 0xfeed);
        let mut good = Vec::new();
        header.encode(0xfeed, &mut good);
        assert_eq!(good.len(), BATCH_HEADER_BYTES);
        assert_eq!(BatchHeader::decode(&good, 0xfeed), Some(header));
        assert_eq!(BatchHeader::decode(&good, 0xbeef), None, "another life");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BatchHeader::decode(&bad, 0xfeed), None, "bit {bit}");
            assert!(is_remnant(&bad, 3, 17), "bit {bit}");
        }
    }
}
