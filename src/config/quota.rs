//! How large the database may become before writes are refused.

/// etcd's default.
pub(super) const QUOTA_DEFAULT_BYTES: u64 = 2 << 30;

/// A database smaller than this is of no use; where even that does not fit, the disk itself says so.
const QUOTA_BYTES_MIN: u64 = 16 << 20;

/// The most that a database's map can have. With 32-bit words the address space is 2 or 3 GiB, in pieces.
pub(super) fn map_bytes_max(word_bits: u32) -> u64 {
    if word_bits == 32 { 1 << 30 } else { 1 << 46 }
}

/// What there is where the data directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// To users who are not root.
    pub free_bytes: u64,
    /// What the database takes already.
    pub database_bytes: u64,
}

/// The quota of a member whose user has not named one: the least of
/// - what its profile says, or etcd's 2 GiB;
/// - half of the map: the other half is for what is pending, for tombstones, and for pages that a long read keeps;
/// - with a profile, half of the disk that is free or the database's already: defragmentation needs room for a second
///   copy. (Without one etcd's rule holds, which does not look at the disk.)
///
/// It never falls below 16 MiB for want of disk.
pub fn quota_bytes(profile_bytes: Option<u64>, map_bytes: u64, room: Option<Room>) -> u64 {
    let by_map = profile_bytes.unwrap_or(QUOTA_DEFAULT_BYTES).min(map_bytes / 2);
    match (profile_bytes, room) {
        (Some(_), Some(room)) => {
            let by_disk = room.free_bytes.saturating_add(room.database_bytes) / 2;
            // Whole MiB, so that the figure does not change with every restart.
            let by_disk = (by_disk >> 20 << 20).max(QUOTA_BYTES_MIN);
            by_map.min(by_disk)
        }
        _ => by_map,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_three() {
        let room = |free_bytes, database_bytes| Some(Room { free_bytes, database_bytes });
        const MIB: u64 = 1 << 20;
        for (profile, map, room, expected) in [
            (None, 16 << 30, None, 2048 * MIB),
            (None, 16 << 30, room(MIB, 0), 2048 * MIB),
            (None, 1 << 30, None, 512 * MIB),
            (Some(256 * MIB), 1 << 30, None, 256 * MIB),
            (Some(256 * MIB), 256 * MIB, None, 128 * MIB),
            (Some(256 * MIB), 1 << 30, room(300 * MIB + 7, 0), 150 * MIB),
            (Some(256 * MIB), 1 << 30, room(100 * MIB, 200 * MIB), 150 * MIB),
            (Some(256 * MIB), 1 << 30, room(0, 0), 16 * MIB),
            (Some(256 * MIB), 1 << 30, room(u64::MAX, 5), 256 * MIB),
        ] {
            assert_eq!(quota_bytes(profile, map, room), expected, "{profile:?} {map} {room:?}");
        }
    }
}
