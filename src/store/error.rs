//! What can be wrong with this board. What is wrong with a request is `types::Error`.

use std::{fmt, io, path::PathBuf};

use crate::types::{DecodeError, Error};

/// This board's fault. All but `Full` end the process; each says where it happened and what to do.
#[derive(Debug)]
pub enum StoreError {
    /// No room on the disk or in the map. Nothing was changed: the same can be tried again once there is room.
    Full {
        what: String,
    },
    /// Bytes that are not what was written.
    Corrupt {
        what: String,
    },
    /// Written by a build that this one cannot follow: other format, word size or page size.
    Foreign {
        what: String,
    },
    /// Another process, or another part of this one, has it open.
    InUse {
        path: PathBuf,
    },
    /// The log holds a command that this build cannot read.
    Command(DecodeError),
    Io {
        what: String,
        error: io::Error,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { what } => write!(f, "store: no room: {what}"),
            Self::Corrupt { what } => write!(
                f,
                "store: damaged: {what}: restore this member from its peers (remove it, clear its data directory, \
                 join it again), or a single board from a snapshot"
            ),
            Self::Foreign { what } => write!(f, "store: {what}"),
            Self::InUse { path } => {
                write!(f, "store: {} is open already: stop the other solder that uses it", path.display())
            }
            Self::Command(error) => write!(f, "store: the log holds {error}"),
            Self::Io { what, error } => write!(f, "store: {what}: {error}"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Command(error) => Some(error),
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Why a read gave nothing: by the caller's fault or by this board's.
#[derive(Debug)]
pub enum ReadError {
    Refused(Error),
    Store(StoreError),
}

impl From<Error> for ReadError {
    fn from(error: Error) -> ReadError {
        ReadError::Refused(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> ReadError {
        ReadError::Store(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}
