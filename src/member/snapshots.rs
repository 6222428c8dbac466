//! Snapshots and defragmentation.

use crate::types::Error;

use super::Member;

impl Member {
    /// Gives disk back. Answers when it is done; puts go on meanwhile. The error is a sentence for the operator.
    pub async fn defragment(&self) -> Result<(), String> {
        unimplemented!()
    }

    /// The whole store in pieces, as of now.
    pub async fn snapshot(&self) -> Result<SnapshotReader, Error> {
        unimplemented!()
    }
}

/// A snapshot being read.
pub struct SnapshotReader {}

impl SnapshotReader {
    /// An estimate of what is still to come, in bytes; 0 only at the end.
    pub fn remaining_bytes(&self) -> u64 {
        unimplemented!()
    }

    /// The next piece of at most 32 KiB; `None`: that was all.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        unimplemented!()
    }
}
