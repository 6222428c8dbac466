//! Makes the stream, piece by piece, while the store goes on.

use super::format::{Counts, Encoder, Head, Kind};
use crate::{
    store::{ExportCursor, ReadError, SliceLimits, Store, TransferTail},
    types::Revision,
};

/// The rows that one piece looks at, at most: a few milliseconds, for puts wait meanwhile.
const ROWS_PER_PIECE: u32 = 512;

/// How far a stream has come.
#[derive(Debug)]
pub struct SnapshotCursor {
    export: ExportCursor,
    encoder: Encoder,
    counts: Counts,
    remaining_bytes: u64,
    /// Nothing comes but what is encoded.
    done: bool,
}

impl SnapshotCursor {
    /// Begins a snapshot of the store as it is now. Holds its leases until they are sent: 1.5 MiB at most.
    ///
    /// Errors: `NotReady` while catching up.
    pub fn begin(store: &Store) -> Result<SnapshotCursor, ReadError> {
        let (tail, export) = store.export()?;
        let (mut encoder, mut counts) = (Encoder::new(), Counts::default());
        push_tail(&mut encoder, &mut counts, &tail);
        Ok(SnapshotCursor { export, encoder, counts, remaining_bytes: estimate_bytes(store), done: false })
    }

    /// The revision to be pinned as long as the stream lasts.
    pub fn pinned(&self) -> Revision {
        self.export.pinned()
    }

    /// About what is still to come; 0 only at the end.
    pub fn remaining_bytes(&self) -> u64 {
        if self.done { self.encoder.out.len() as u64 } else { self.remaining_bytes.max(1) }
    }
}

fn push_tail(encoder: &mut Encoder, counts: &mut Counts, tail: &TransferTail) {
    encoder.push(Kind::Head, &Head::from(tail));
    for member in &tail.members {
        encoder.push(Kind::Members, member);
        counts.members += 1;
    }
    for lease in &tail.leases {
        encoder.push(Kind::Leases, lease);
        counts.leases += 1;
    }
}

/// About how large a snapshot of the store is.
pub fn estimate_bytes(store: &Store) -> u64 {
    store.in_use_bytes()
}

/// The next piece, of at most `bytes_max`; where much is compacted it can be empty though more comes. `None`: that was all
/// of the stream; a file also has the sha256 of it.
///
/// Errors: `Compacted` if the revision was not pinned; `NotReady` while catching up. The cursor is of no use then.
pub fn next_piece(
    store: &Store,
    cursor: &mut SnapshotCursor,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, ReadError> {
    assert!(bytes_max > 0, "pieces of nothing");
    if !cursor.done && cursor.encoder.out.len() < bytes_max {
        fill(store, cursor, bytes_max)?;
    }
    let out = &mut cursor.encoder.out;
    if cursor.done && out.is_empty() {
        return Ok(None);
    }
    let rest = out.split_off(out.len().min(bytes_max));
    let piece = std::mem::replace(out, rest);
    cursor.remaining_bytes = cursor.remaining_bytes.saturating_sub(piece.len() as u64);
    Ok(Some(piece))
}

fn fill(store: &Store, cursor: &mut SnapshotCursor, bytes: usize) -> Result<(), ReadError> {
    let limits = SliceLimits { rows: ROWS_PER_PIECE, bytes: bytes as u64 };
    let slice = store.export_slice(&mut cursor.export, limits)?;
    for record in &slice.records {
        cursor.encoder.push(Kind::Records, record);
        cursor.counts.records += 1;
    }
    if slice.done {
        cursor.encoder.push(Kind::End, &cursor.counts);
        cursor.encoder.close();
        cursor.done = true;
    }
    Ok(())
}
