//! How a command ends that did not succeed.

use std::fmt;

use crate::client::ClientError;

/// etcdctl's exit statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Error = 1,
    BadConnection = 2,
    InvalidInput = 3,
    BadFeature = 4,
    Interrupted = 5,
    BadArguments = 128,
}

/// One line for standard error, and the exit status. Without a line the reason has been told.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: Status,
    pub(super) line: Option<String>,
}

impl Failure {
    pub(super) fn new(status: Status, line: impl fmt::Display) -> Failure {
        Failure { status, line: Some(format!("Error: {line}")) }
    }

    /// What is not a client's says so as the daemon does.
    pub(super) fn daemon(line: String) -> Failure {
        Failure { status: Status::Error, line: Some(format!("solder: {line}")) }
    }

    pub(super) fn error(line: impl fmt::Display) -> Failure {
        Failure::new(Status::Error, line)
    }

    pub(super) fn bad_arguments(line: impl fmt::Display) -> Failure {
        Failure::new(Status::BadArguments, line)
    }

    /// A call failed; `told` wraps its reason in etcdctl's words. Where nobody was reached, what helps is said instead.
    pub(super) fn call(
        status: Status,
        error: &ClientError,
        told: impl FnOnce(&ClientError) -> String,
    ) -> Failure {
        match error {
            ClientError::Unreachable(_) => Failure::new(
                status,
                format_args!("{error}: is a server running there? `solder serve` starts one"),
            ),
            error => Failure::new(status, told(error)),
        }
    }

    /// Ends without another word.
    pub(super) fn silent(status: Status) -> Failure {
        Failure { status, line: None }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::call(Status::Error, &error, ToString::to_string)
    }
}
