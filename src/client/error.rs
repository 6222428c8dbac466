//! Why a call failed.

use std::fmt;

/// What a call ends with where there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The server's own answer: a gRPC code and etcd's text.
    Refused { code: u32, message: String },
    /// Nobody took the connection, so nothing was asked. Each endpoint with its reason.
    Unreachable(Vec<(String, String)>),
    /// The connection broke, or what came was not to be understood.
    Broken {
        endpoint: String,
        what: String,
        /// A write was under way: it may have taken effect, or may yet.
        unknown: bool,
    },
    /// No answer in time. A write may have taken effect, or may yet.
    DeadlineExceeded,
    /// More than may be held whole.
    TooLarge { bytes_max: usize },
}

impl ClientError {
    /// gRPC's UNAVAILABLE: another member may well answer.
    pub const UNAVAILABLE: u32 = 14;

    /// May another member do better?
    pub fn is_transient(&self) -> bool {
        match self {
            ClientError::Refused { code, .. } => *code == ClientError::UNAVAILABLE,
            ClientError::Unreachable(_) | ClientError::Broken { .. } | ClientError::DeadlineExceeded => true,
            ClientError::TooLarge { .. } => false,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Refused { message, .. } => f.write_str(message),
            ClientError::Unreachable(tried) => unreachable(f, tried),
            ClientError::Broken { endpoint, what, unknown: false } => {
                write!(f, "the connection to {endpoint} is of no use: {what}")
            }
            ClientError::Broken { endpoint, what, unknown: true } => write!(
                f,
                "the connection to {endpoint} is of no use: {what}: whether the request took effect is not known"
            ),
            // etcdctl's words.
            ClientError::DeadlineExceeded => f.write_str("context deadline exceeded"),
            ClientError::TooLarge { bytes_max } => {
                write!(f, "the answer is larger than {bytes_max} bytes: ask for less at once, with a limit")
            }
        }
    }
}

fn unreachable(f: &mut fmt::Formatter<'_>, tried: &[(String, String)]) -> fmt::Result {
    f.write_str("cannot connect to ")?;
    for (place, (endpoint, reason)) in tried.iter().enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        write!(f, "{comma}{endpoint} ({reason})")?;
    }
    Ok(())
}

impl std::error::Error for ClientError {}
