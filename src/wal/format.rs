//! Sizes and names that every piece of the format uses.

/// What is written at once and never in parts: a flash card reads the rest of a block before it can write a part of it,
/// and may lose the whole when power goes.
pub const BLOCK: u64 = 4096;

/// The format of segments that this build writes, and the only one that it reads.
pub const VERSION: u32 = 1;

/// Both copies of the header stand before the first batch.
pub const BATCHES_AT: u64 = 2 * BLOCK;

/// A segment with room for less than one batch would be none.
pub(super) const SEGMENT_BLOCKS_MIN: u64 = 3;

/// `value` rounded up to a multiple of `step`.
pub(super) fn round_up(value: u64, step: u64) -> u64 {
    value.div_ceil(step) * step
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// CRC-32 of `parts`, one after the other, begun with `seed`.
pub(super) fn crc(seed: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}
