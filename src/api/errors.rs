//! The one table that gives a refusal its gRPC code, its HTTP status and etcd's text. No other file writes a status code.

use std::{borrow::Cow, time::Duration};

use crate::{
    http::Closed,
    rpc::{self, ParseError},
    types::{Error, limits},
};

/// The statuses of answers that are no refusals of a call.
pub(super) mod status {
    pub(in crate::api) const OK: u16 = 200;
    pub(in crate::api) const CREATED: u16 = 201;
    pub(in crate::api) const MOVED: u16 = 301;
    pub(in crate::api) const NOT_MODIFIED: u16 = 304;
    pub(in crate::api) const BAD_REQUEST: u16 = 400;
    pub(in crate::api) const FORBIDDEN: u16 = 403;
    pub(in crate::api) const NOT_FOUND: u16 = 404;
    pub(in crate::api) const METHOD_NOT_ALLOWED: u16 = 405;
    pub(in crate::api) const PRECONDITION_FAILED: u16 = 412;
    pub(in crate::api) const UNAVAILABLE: u16 = 503;
}

/// gRPC's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Code {
    Ok = 0,
    Canceled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    OutOfRange = 11,
    Unimplemented = 12,
    Unavailable = 14,
    DataLoss = 15,
}

impl Code {
    /// As grpc-gateway's `HTTPStatusFromCode`.
    pub(super) fn status(self) -> u16 {
        match self {
            Code::Ok => status::OK,
            Code::Canceled => 499,
            Code::Unknown | Code::DataLoss => 500,
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => status::BAD_REQUEST,
            Code::DeadlineExceeded => 504,
            Code::NotFound => status::NOT_FOUND,
            Code::PermissionDenied => status::FORBIDDEN,
            Code::ResourceExhausted => 429,
            Code::Unimplemented => 501,
            Code::Unavailable => status::UNAVAILABLE,
        }
    }

    /// As in the label `grpc_code` of etcd's metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Code::Ok => "OK",
            Code::Canceled => "Canceled",
            Code::Unknown => "Unknown",
            Code::InvalidArgument => "InvalidArgument",
            Code::DeadlineExceeded => "DeadlineExceeded",
            Code::NotFound => "NotFound",
            Code::PermissionDenied => "PermissionDenied",
            Code::ResourceExhausted => "ResourceExhausted",
            Code::FailedPrecondition => "FailedPrecondition",
            Code::OutOfRange => "OutOfRange",
            Code::Unimplemented => "Unimplemented",
            Code::Unavailable => "Unavailable",
            Code::DataLoss => "DataLoss",
        }
    }
}

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) message: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn told(code: Code, message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { code, message: message.into() }
    }

    const fn fixed(code: Code, message: &'static str) -> Refusal {
        Refusal { code, message: Cow::Borrowed(message) }
    }

    pub(super) const METHOD: Refusal = Refusal::fixed(Code::Unimplemented, "Method Not Allowed");
    pub(super) const PATH: Refusal = Refusal::fixed(Code::NotFound, "Not Found");
    pub(super) const ABSENT: Refusal =
        Refusal::fixed(Code::Unimplemented, "not implemented by this version of solder");
    pub(super) const MEMBER_URLS: Refusal =
        Refusal::fixed(Code::InvalidArgument, "etcdserver: given member URLs are invalid");
    pub(super) const NO_SETTINGS: Refusal = Refusal::fixed(
        Code::InvalidArgument,
        "nothing is to be set: give heartbeatInterval, electionTimeout (in milliseconds), voters, replaceAfter (in seconds), \
         maxLearners or size",
    );
    pub(super) const DOWNGRADE_FORMAT: Refusal =
        Refusal::fixed(Code::InvalidArgument, "etcdserver: wrong downgrade target version format");
    pub(super) const DOWNGRADE_TARGET: Refusal =
        Refusal::fixed(Code::InvalidArgument, "etcdserver: invalid downgrade target version");
    pub(super) const DOWNGRADE_NONE: Refusal =
        Refusal::fixed(Code::FailedPrecondition, "etcdserver: no inflight downgrade job");
    pub(super) const ANSWER_TOO_LARGE: Refusal = Refusal::fixed(
        Code::ResourceExhausted,
        "the answer is too large for one WebSocket message: use a limit, or plain HTTP",
    );
    pub(super) const MALFORMED_BODY: Refusal =
        Refusal::fixed(Code::InvalidArgument, "the chunks of the body are malformed");
    pub(super) const BUSY: Refusal =
        Refusal::fixed(Code::Unavailable, "too many requests have large bodies: try again later");
    pub(super) const TTL: Refusal =
        Refusal::fixed(Code::InvalidArgument, "ttl is not a number of seconds such as 10s, 5m or 1h");
    pub(super) const ESCAPE: Refusal =
        Refusal::fixed(Code::InvalidArgument, "the path has a % without two hex digits");
    pub(super) const REVISION: Refusal = Refusal::fixed(Code::InvalidArgument, "rev is not a revision");
    pub(super) const ETAG: Refusal =
        Refusal::fixed(Code::InvalidArgument, "If-Match is not an entity tag of one revision such as \"7\"");

    pub(super) const TOKEN_SIZE: Refusal =
        Refusal::fixed(Code::InvalidArgument, "size is not a whole number from 1 to 9");
    pub(super) const TOKEN_OF_STRANGER: Refusal = Refusal::fixed(
        Code::PermissionDenied,
        "discovery tokens are made only for who asks by a loopback address: do so on the board, or start it with \
         --discovery-public",
    );
    pub(super) const TOKEN_OF_PAGE: Refusal =
        Refusal::fixed(Code::PermissionDenied, "web pages of others cannot make discovery tokens");
    pub(super) const TOKENS_AT_ONCE: Refusal =
        Refusal::fixed(Code::Unavailable, "too many discovery tokens are being made: try again later");

    /// No room for another token.
    pub(super) fn too_many_tokens(most: u64) -> Refusal {
        let days = limits::DISCOVERY_TTL_S / 86_400;
        let message = format!(
            "there are {most} discovery tokens, which is the most: each ends {days} days after it was made"
        );
        Refusal { code: Code::Unavailable, message: message.into() }
    }

    /// One stranger has made as many as one may, for so long.
    pub(super) fn too_many_tokens_of_stranger(left: Duration) -> Refusal {
        let (most, minutes) = (limits::DISCOVERY_STRANGER_TOKENS_MAX, left.as_secs().div_ceil(60));
        let message = format!(
            "{most} discovery tokens were made from this address: another can be made in {minutes} minutes"
        );
        Refusal { code: Code::ResourceExhausted, message: message.into() }
    }

    /// More than etcd's gRPC server would take: as it counts, without base64.
    pub(super) fn too_large(bytes: usize, bytes_max: usize) -> Refusal {
        let message = format!("grpc: received message larger than max ({bytes} vs. {bytes_max})");
        Refusal { code: Code::ResourceExhausted, message: message.into() }
    }

    pub(super) fn parameter(name: &str, known: &[&str]) -> Refusal {
        let message = format!("unknown parameter {name:?}: there are {}", known.join(", "));
        Refusal { code: Code::InvalidArgument, message: message.into() }
    }

    /// This board could not, and says why.
    pub(super) fn unknown(message: String) -> Refusal {
        Refusal { code: Code::Unknown, message: message.into() }
    }

    /// For a write, a time-out means something else than for a read: it may still take effect. etcd tells them apart.
    pub(super) fn of_write(error: Error) -> Refusal {
        match error {
            Error::Timeout => Refusal::fixed(Code::DeadlineExceeded, "context deadline exceeded"),
            error => error.into(),
        }
    }

    pub(super) fn status(&self) -> u16 {
        self.code.status()
    }

    /// The body of a refused unary call.
    pub(super) fn body(&self) -> Vec<u8> {
        let (code, message) = (self.code as i32, self.message.to_string());
        rpc::encode(&rpc::Failure { error: message.clone(), code, message })
    }

    /// The last line of a failed stream.
    pub(super) fn line(&self) -> Vec<u8> {
        let failure =
            rpc::Failure { error: String::new(), code: self.code as i32, message: self.message.to_string() };
        rpc::encode(&rpc::StreamMessage::<rpc::WatchResponse> { result: None, error: Some(failure) })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal { code: code_of(&error), message: error.to_string().into() }
    }
}

fn code_of(error: &Error) -> Code {
    match error {
        Error::EmptyKey
        | Error::KeyTooLong { .. }
        | Error::KeyNotFound
        | Error::ValueProvided
        | Error::LeaseProvided
        | Error::TooManyOps
        | Error::DuplicateKey
        | Error::RequestTooLarge
        | Error::BadTimeouts { .. }
        | Error::OutOfRange { .. } => Code::InvalidArgument,
        Error::Compacted(_) | Error::FutureRevision | Error::LeaseTtlTooLarge => Code::OutOfRange,
        Error::NoSpace | Error::TooManyLeases | Error::TooManyAlarms | Error::TooManyRequests => {
            Code::ResourceExhausted
        }
        Error::Corrupt => Code::DataLoss,
        Error::LeaseNotFound | Error::MemberNotFound => Code::NotFound,
        Error::LeaseExists
        | Error::NotLeader
        | Error::MemberExists
        | Error::PeerUrlExists
        | Error::NameTaken
        | Error::KnownByKeys
        | Error::TooManyLearners
        | Error::MemberRemoved(_)
        | Error::NotLearner
        | Error::LearnerNotReady
        | Error::NotCapable
        | Error::Founded
        | Error::BadLeaderTransferee => Code::FailedPrecondition,
        Error::NoLeader
        | Error::NotReady
        | Error::Founding { .. }
        | Error::IsLearner
        | Error::LeaderChanged
        | Error::Timeout
        | Error::TransferTimeout
        | Error::MembershipBusy
        | Error::UnhealthyCluster => Code::Unavailable,
        // etcd forgot to map it.
        Error::NotEnoughStartedMembers => Code::Unknown,
    }
}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Refusal {
        Refusal { code: Code::InvalidArgument, message: error.to_string().into() }
    }
}

/// Why a handler did not come to its end.
#[derive(Debug)]
pub(super) enum Fault {
    Refused(Refusal),
    Closed,
}

impl<R: Into<Refusal>> From<R> for Fault {
    fn from(refusal: R) -> Fault {
        Fault::Refused(refusal.into())
    }
}

impl From<Closed> for Fault {
    fn from(_: Closed) -> Fault {
        Fault::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_statuses_and_texts() {
        let cases = [
            (Error::EmptyKey.into(), 3, 400, "etcdserver: key is not provided"),
            (
                Error::Compacted(crate::types::Revision(7)).into(),
                11,
                400,
                "etcdserver: mvcc: required revision has been compacted",
            ),
            (Error::NoSpace.into(), 8, 429, "etcdserver: mvcc: database space exceeded"),
            (Error::Corrupt.into(), 15, 500, "etcdserver: corrupt cluster"),
            (
                Error::Founding { missing: 1, size: 3 }.into(),
                14,
                503,
                "etcdserver: not ready: waiting for 1 more of 3 boards",
            ),
            (Error::LeaseNotFound.into(), 5, 404, "etcdserver: requested lease not found"),
            (Error::LeaseExists.into(), 9, 400, "etcdserver: lease already exists"),
            (Error::Timeout.into(), 14, 503, "etcdserver: request timed out"),
            (Refusal::of_write(Error::Timeout), 4, 504, "context deadline exceeded"),
            (Refusal::of_write(Error::NoSpace), 8, 429, "etcdserver: mvcc: database space exceeded"),
            (Refusal::METHOD, 12, 501, "Method Not Allowed"),
            (
                Refusal::too_large(2200017, 2097152),
                8,
                429,
                "grpc: received message larger than max (2200017 vs. 2097152)",
            ),
        ];
        for (refusal, code, status, text) in cases {
            let refusal: Refusal = refusal;
            assert_eq!((refusal.code as i32, refusal.status(), &*refusal.message), (code, status, text));
        }
    }

    #[test]
    fn bodies() {
        let refusal = Refusal::from(Error::EmptyKey);
        let text = "etcdserver: key is not provided";
        let body = format!(r#"{{"error":"{text}","code":3,"message":"{text}"}}"#);
        assert_eq!(String::from_utf8(refusal.body()), Ok(body));
        let line = format!(r#"{{"error":{{"code":3,"message":"{text}"}}}}"#);
        assert_eq!(String::from_utf8(refusal.line()), Ok(line));
    }
}
