//! What can be wrong with a snapshot, or with what is made of it.

use std::{fmt, io, path::PathBuf};

use super::format::VERSION;
use crate::{
    store::{ReadError, StoreError},
    types::ClusterId,
    wal::WalError,
};

/// Each says where it happened and what to do.
#[derive(Debug)]
pub enum SnapshotError {
    /// Not what was saved.
    Broken {
        path: PathBuf,
        offset: u64,
        what: String,
    },
    /// Written by a newer build.
    Version {
        path: PathBuf,
        version: u32,
    },
    /// Where a data directory is to be made, something is.
    Exists {
        path: PathBuf,
    },
    /// Nothing can be saved from here.
    NoStore {
        path: PathBuf,
        what: &'static str,
    },
    /// The authority that is to be taken with it is another cluster's.
    OtherCluster {
        path: PathBuf,
        of: ClusterId,
        cluster: ClusterId,
    },
    Read(ReadError),
    Store(StoreError),
    Wal(WalError),
    Io {
        what: String,
        error: io::Error,
    },
}

impl SnapshotError {
    pub(super) fn io(path: &std::path::Path, what: &str, error: io::Error) -> SnapshotError {
        SnapshotError::Io { what: format!("{} {what}", path.display()), error }
    }
}

impl From<StoreError> for SnapshotError {
    fn from(error: StoreError) -> SnapshotError {
        SnapshotError::Store(error)
    }
}

impl From<WalError> for SnapshotError {
    fn from(error: WalError) -> SnapshotError {
        SnapshotError::Wal(error)
    }
}

impl From<ReadError> for SnapshotError {
    fn from(error: ReadError) -> SnapshotError {
        SnapshotError::Read(error)
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken { path, offset, what } => {
                let path = path.display();
                write!(f, "{path} is no whole snapshot: at offset {offset}: {what}: save it again")
            }
            Self::Version { path, version } => write!(
                f,
                "{} has format {version}, this build knows up to {VERSION}: install the newer build",
                path.display()
            ),
            Self::Exists { path } => {
                write!(f, "{} exists already: move it away, or name another directory", path.display())
            }
            Self::NoStore { path, what } => write!(f, "{}: {what}", path.display()),
            Self::OtherCluster { path, of, cluster } => write!(
                f,
                "{} is of cluster {of}, and the authority of cluster {cluster}: use the file that was saved with it",
                path.display()
            ),
            Self::Read(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Wal(error) => error.fmt(f),
            Self::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Wal(error) => Some(error),
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
