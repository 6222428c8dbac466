//! Files that another board, a bad card or a person has written.
//!
//! Checksums would keep chance out of everything behind them. So the bytes are given right ones, but where the first byte
//! says that they are to be taken as they are.

use std::fs;

use sha2::{Digest, Sha256};
use solder::{
    snapshot::{self, RestoreOptions},
    store::LmdbOptions,
    types::{ClusterId, Index, Membership, NodeId},
    wal::{BLOCK, Directory, Inspector, Known, peek},
};
use tempfile::TempDir;

/// In memory, where there is such a place: nothing of it must last.
fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary directory")
}

/// A log of one segment, as it is or as the records of one batch: it is read or refused.
pub fn wal_records(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else { return };
    let segment = if how == 0 { bytes.to_vec() } else { segment_with(u32::from(how), bytes) };
    let scratch = scratch();
    fs::write(scratch.path().join("00.seg"), segment).expect("room in memory");
    let mut disk = Directory::open_read_only(scratch.path()).expect("a directory");
    let mut records = 0u64;
    let mut inspector = Inspector { found: &mut |_| records += 1, pause: &mut || () };
    let seen = inspector.inspect(&mut disk);
    let members = Membership::of_voters([NodeId(1)]);
    let known = Known { applied: Index(0), catching_up: false, members: &members };
    let Ok(Some((_, recovered))) = peek(&mut disk, known) else { return };
    let seen = seen.expect("what can be opened can be looked at");
    let last = recovered.entries.last().map_or(recovered.start, |entry| entry.id);
    assert_eq!((last, recovered.hard_state), (seen.last, seen.hard_state), "two readers of one log");
}

/// A segment whose only batch has these records, with good checksums. `src/wal/header.rs` and `src/wal/batch.rs` draw it.
fn segment_with(records: u32, payload: &[u8]) -> Vec<u8> {
    const SEED: u32 = 7;
    let block = BLOCK as usize;
    let batch_bytes = (40 + payload.len()).next_multiple_of(block);
    let segment_bytes = u32::try_from(2 * block + batch_bytes).expect("inputs are small");
    let mut header = b"SolderWl".to_vec();
    header.extend([1u32, 0].iter().flat_map(|number| number.to_le_bytes()));
    // Sequence, first batch, cluster, member, preceding entry, hard state.
    header.extend([1u64, 1, 2, 1, 0, 0, 1, 1].iter().flat_map(|number| number.to_le_bytes()));
    header.extend([SEED, segment_bytes, 1, 0].iter().flat_map(|number| number.to_le_bytes()));
    header.extend(1u64.to_le_bytes());
    header.resize(block, 0);
    let sum = crc(0, &[&header[..12], &header[16..]]);
    header[12..16].copy_from_slice(&sum.to_le_bytes());

    let mut segment = [header.clone(), header].concat();
    let mut batch = b"SolderBt".to_vec();
    batch.extend([1u64, 1].iter().flat_map(|number| number.to_le_bytes()));
    let length = u32::try_from(payload.len()).expect("inputs are small");
    batch.extend([length, records, crc(SEED, &[payload])].iter().flat_map(|number| number.to_le_bytes()));
    let sum = crc(SEED, &[&batch]);
    batch.extend(sum.to_le_bytes());
    batch.extend(payload);
    batch.resize(batch_bytes, 0);
    segment.extend(batch);
    segment
}

/// A snapshot: it is made a data directory, or refused and leaves nothing behind.
pub fn snapshot_stream(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if how != 0 {
        correct_checksums(&mut bytes);
    }
    let scratch = scratch();
    let file = scratch.path().join("snapshot");
    fs::write(&file, bytes).expect("room in memory");
    let verified = snapshot::verify(&file, false);
    let dir = scratch.path().join("data");
    let restored = snapshot::restore(&file, &dir, &options(), fastrand::Rng::with_seed(1), |_| Ok(()));
    match restored {
        Ok(restored) => {
            let summary = verified.expect("what can be restored is whole");
            assert_eq!((restored.records, restored.revision), (summary.total_keys, summary.revision));
        }
        Err(_) => assert!(!dir.exists(), "half a directory is left"),
    }
}

fn options() -> RestoreOptions {
    RestoreOptions {
        cluster: ClusterId(5),
        membership: Membership::of_voters([NodeId(1)]),
        members: Vec::new(),
        member: NodeId(1),
        bump_revision: 0,
        mark_compacted: false,
        skip_hash_check: false,
        only_of: None,
        lmdb: LmdbOptions { map_bytes: 4 << 20, headroom_bytes: 0, ..LmdbOptions::default() },
        wal_segment_bytes: 3 * BLOCK as u32,
    }
}

/// Walks over the blocks that the bytes claim to be, and gives each its checksum, and the whole its own.
fn correct_checksums(bytes: &mut Vec<u8>) {
    let Some(begin) = bytes.get(..12) else { return };
    let mut sum = crc(0, &[begin]);
    let mut at = 12;
    while let Some(header) = bytes.get(at..at + 9) {
        let length = u32::from_le_bytes(header[1..5].try_into().expect("four bytes")) as usize;
        let kind = header[0];
        let Some(items) = bytes.get(at + 9..at.saturating_add(9).saturating_add(length)) else { break };
        sum = crc(sum, &[&bytes[at..at + 5], items]);
        bytes[at + 5..at + 9].copy_from_slice(&sum.to_le_bytes());
        at += 9 + length;
        // The last one.
        if kind == 5 {
            break;
        }
    }
    bytes.truncate(at);
    let sha = Sha256::digest(&*bytes);
    bytes.extend(&sha[..]);
}

fn crc(seed: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}
