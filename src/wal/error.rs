//! What can be wrong with this board's log, each with the place and what to do.

use std::{fmt, io};

use crate::types::{ClusterId, Index, NodeId};

use super::format::VERSION;

/// All but `Full` are final: the process must end, and nothing more may be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalError {
    /// No space for a segment. Nothing was written; works again when there is space.
    Full { directory: String, needed_bytes: u64, reason: String },
    /// The disk failed. After a write or sync nobody knows what is durable, so it is never tried again.
    Io { verb: &'static str, file: String, reason: String },
    /// Something that had been durable is not what was written.
    Damaged { file: String, offset: u64, what: String },
    /// The log begins after what the store holds: the entries between are gone.
    Gap { directory: String, begins_after: Index, applied: Index },
    /// There is no log, but the store has applied entries: votes may be forgotten.
    Missing { directory: String, applied: Index },
    /// Written by a newer build.
    Version { file: String, version: u32 },
    /// The log of another member or cluster.
    Foreign { file: String, cluster: ClusterId, member: NodeId },
}

impl WalError {
    pub(super) fn io(verb: &'static str, file: String, error: &io::Error) -> WalError {
        WalError::Io { verb, file, reason: error.to_string() }
    }
}

impl fmt::Display for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { directory, needed_bytes, reason } => write!(
                f,
                "no space for the log: {directory} needs {needed_bytes} bytes more ({reason}): free space on this \
                 board"
            ),
            Self::Io { verb: verb @ ("reading" | "listing"), file, reason } => {
                write!(f, "{verb} {file} failed: {reason}: check who may read it, and the card")
            }
            Self::Io { verb, file, reason } => write!(
                f,
                "{verb} {file} failed: {reason}: what is on the disk is unknown now, check the card and start again"
            ),
            Self::Damaged { file, offset, what } => write!(
                f,
                "the log is damaged: {file} at offset {offset}: {what}: a member of a cluster is removed and joins \
                 again from its peers; a single board is offered `solder wal salvage DIR`"
            ),
            Self::Gap { directory, begins_after, applied } => write!(
                f,
                "the log in {directory} begins after entry {begins_after}, the store ends at {applied}: what is \
                 between is lost: a member of a cluster is removed and joins again from its peers; a single board \
                 is restored from a snapshot"
            ),
            Self::Missing { directory, applied } => write!(
                f,
                "there is no log in {directory}, but the store has applied entry {applied}: put the log back, or \
                 remove this member and let it join again"
            ),
            Self::Version { file, version } => write!(
                f,
                "{file} has format {version}, this build knows up to {VERSION}: install the newer build"
            ),
            Self::Foreign { file, cluster, member } => write!(
                f,
                "{file} is the log of member {member} of cluster {cluster}: this data directory has been mixed up \
                 with another"
            ),
        }
    }
}

impl std::error::Error for WalError {}
