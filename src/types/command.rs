//! What a log entry asks of the store, and its bytes.
//!
//! ```text
//! | 0       | 1 ..                            |
//! | version | postcard(Command)               |     version = 1
//!
//! put "a" = "1":  01 00 01 61 01 31 00 00 00 00
//!                 |  |  |     |     |  prev_kv, ignore_value, ignore_lease: false
//!                 |  |  |     |     lease 0 (zigzag)
//!                 |  |  |     value, length first
//!                 |  |  key, length first
//!                 |  variant 0: Put
//!                 version
//! ```
//!
//! Requests have etcd's fields and etcd's meaning. What has no meaning for the store (`serializable`, `physical`) is
//! settled before a command is made.

use std::{cell::Cell, fmt};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Bytes, KeyRange, LeaseId, NodeId, Revision, Term, limits};

/// The format that `Command::encode` writes. All that `decode` reads: 1.
const VERSION: u8 = 1;

/// The newest level of kinds that this build brings.
const LEVEL: u32 = 2;

/// The number behind the version is less: so many kinds are known.
const KINDS: u32 = 14 + cfg!(feature = "testing") as u32;

/// One thing that the log can ask of the store. Every member that applies it at the same place does the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact {
        revision: Revision,
    },
    /// The id is chosen by who proposes; `ttl_s` has been raised to the minimum already.
    LeaseGrant {
        id: LeaseId,
        ttl_s: i64,
    },
    /// With `only_in`, nothing happens unless the entry has that term: what a leader proposes because a lease ran out
    /// must not take effect once it is deposed.
    LeaseRevoke {
        id: LeaseId,
        only_in: Option<Term>,
    },
    /// The leader's count of what long leases have left, kept for the next leader.
    LeaseCheckpoint {
        leases: Vec<LeaseRemaining>,
        only_in: Option<Term>,
    },
    Alarm(AlarmRequest),
    /// What a member tells of itself when it has begun to serve. Of a board that has its id and not its data it is refused.
    Publish {
        member: NodeId,
        name: String,
        client_urls: Vec<String>,
        level: u32,
        incarnation: u64,
    },
    /// A member's peer URLs, as an operator has changed them.
    UpdateMember {
        member: NodeId,
        peer_urls: Vec<String>,
    },
    UpdateCluster(ClusterChange),
    /// By which key a member is known, and its hardware. Of level 2.
    Identify {
        member: NodeId,
        key: Bytes,
        board: Bytes,
    },
    /// Of level 2.
    Autopilot(AutopilotChange),
    /// What was found out about members since their rows were made; of those that are none any more it says nothing. Of level 2.
    Amend {
        members: Vec<NodeId>,
        /// `MemberRow::since_s`, where that is not known.
        since_s: Option<u64>,
        /// `MemberRow::board`. Empty: it does not tell them from others.
        board: Option<Bytes>,
    },
    /// Of the next level: does nothing. So that tests see how clusters of two builds go about it.
    #[cfg(feature = "testing")]
    Probe,
}

/// What is to hold for all members from now on; what is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterChange {
    /// Heartbeat and election, in milliseconds; only both together mean something.
    pub timeouts_ms: Option<(u32, u32)>,
    /// Raises it; never lowers it.
    pub level: Option<u32>,
}

/// How the cluster looks after its members from now on; see `ClusterRow`. What is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutopilotChange {
    pub voters_max: Option<u32>,
    pub replace_after_s: Option<u32>,
    pub learners_max: Option<u32>,
    pub forming: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutRequest {
    pub key: Bytes,
    pub value: Bytes,
    pub lease: LeaseId,
    pub prev_kv: bool,
    pub ignore_value: bool,
    pub ignore_lease: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRangeRequest {
    pub range: KeyRange,
    pub prev_kv: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRequest {
    pub range: KeyRange,
    /// At most so many; 0 or less is no limit.
    pub limit: i64,
    /// 0 or less is the newest.
    pub revision: Revision,
    pub sort_order: SortOrder,
    pub sort_target: SortTarget,
    pub keys_only: bool,
    pub count_only: bool,
    /// Inclusive; 0 is no bound. So are the next three.
    pub min_mod_revision: Revision,
    pub max_mod_revision: Revision,
    pub min_create_revision: Revision,
    pub max_create_revision: Revision,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortOrder {
    #[default]
    None,
    Ascend,
    Descend,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortTarget {
    #[default]
    Key,
    Version,
    Create,
    Mod,
    Value,
}

/// If all of `compare` hold, `success` is done, else `failure`; in one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnRequest {
    pub compare: Vec<Compare>,
    pub success: Vec<TxnOp>,
    pub failure: Vec<TxnOp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnOp {
    Range(RangeRequest),
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    #[serde(deserialize_with = "nested")]
    Txn(Box<TxnRequest>),
}

/// One condition: every key of `range` has `result` to `value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    pub range: KeyRange,
    pub result: CompareResult,
    pub value: CompareValue,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompareResult {
    #[default]
    Equal,
    Greater,
    Less,
    NotEqual,
    /// A number that etcd does not know either: such a compare holds.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompareValue {
    Version(i64),
    Create(Revision),
    Mod(Revision),
    Value(Bytes),
    Lease(LeaseId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRemaining {
    pub id: LeaseId,
    pub remaining_s: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmRequest {
    pub action: AlarmAction,
    pub member: NodeId,
    pub kind: AlarmKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlarmAction {
    Activate,
    Deactivate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AlarmKind {
    NoSpace,
    Corrupt,
}

impl Command {
    /// The newest level of kinds that this build knows: raised with each kind that is added. What is above the cluster's own
    /// (`ClusterRow::level`) is not proposed.
    #[cfg(not(feature = "testing"))]
    pub fn level_known() -> u32 {
        LEVEL
    }

    /// As it ships, or as a build that is a level older or newer: tests say so in the environment of their servers.
    #[cfg(feature = "testing")]
    pub fn level_known() -> u32 {
        static KNOWN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
        *KNOWN.get_or_init(|| match std::env::var("SOLDER_TEST_LEVEL").as_deref() {
            Ok("1") => LEVEL - 1,
            Ok("3") => LEVEL + 1,
            _ => LEVEL,
        })
    }

    /// The level that brought this kind.
    pub fn level(&self) -> u32 {
        match self {
            #[cfg(feature = "testing")]
            Command::Probe => LEVEL + 1,
            Command::Identify { .. } | Command::Autopilot(_) | Command::Amend { .. } => 2,
            _ => 1,
        }
    }

    /// Room that most commands fit in, so that encoding one is one allocation.
    fn expected_bytes(&self) -> usize {
        const FIELDS_BYTES: usize = 40;
        match self {
            Command::Put(put) => FIELDS_BYTES + put.key.len() + put.value.len(),
            _ => 4 * FIELDS_BYTES,
        }
    }

    pub fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.expected_bytes());
        bytes.push(VERSION);
        postcard::to_extend(self, bytes).expect("a vector takes what memory takes").into()
    }

    /// Errors: a format version of the future, or bytes that are no command. Either is a fault of who wrote them, so a
    /// member that meets one in its log stops rather than skips it.
    pub fn decode(bytes: &[u8]) -> Result<Command, DecodeError> {
        match bytes.split_first() {
            Some((&VERSION, body)) => match postcard::take_from_bytes::<Command>(body) {
                Ok((command, [])) if command.level() <= Command::level_known() => Ok(command),
                Ok((_, [])) => Err(DecodeError::Kind(kind(body))),
                Ok(_) => Err(DecodeError::Trailing),
                Err(_) if kind(body) >= KINDS => Err(DecodeError::Kind(kind(body))),
                Err(error) => Err(DecodeError::Malformed(error)),
            },
            Some((&version, _)) => Err(DecodeError::Version(version)),
            None => Err(DecodeError::Empty),
        }
    }
}

/// Why bytes are no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    Empty,
    Version(u8),
    /// A kind of a later level, by its number.
    Kind(u32),
    Malformed(postcard::Error),
    Trailing,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a command without bytes"),
            Self::Version(version) => write!(
                f,
                "a command of format {version}, this build knows up to {VERSION}: install the newer build"
            ),
            Self::Kind(kind) => write!(
                f,
                "a command of kind {kind}, and this build knows none above level {}: install the build that the other \
                 members run",
                Command::level_known()
            ),
            Self::Malformed(error) => write!(f, "a command that cannot be read: {error}"),
            Self::Trailing => f.write_str("a command with bytes behind its end"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// The variant's number, which comes first.
fn kind(body: &[u8]) -> u32 {
    postcard::take_from_bytes(body).map_or(0, |(kind, _)| kind)
}

/// Nested transactions are read by recursion, and bytes from outside must not choose its depth.
fn nested<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<TxnRequest>, D::Error> {
    thread_local!(static DEPTH: Cell<usize> = const { Cell::new(0) });

    if DEPTH.get() >= limits::TXN_DEPTH_MAX {
        return Err(de::Error::custom("transactions nested too deep"));
    }
    DEPTH.set(DEPTH.get() + 1);
    let request = TxnRequest::deserialize(deserializer);
    DEPTH.set(DEPTH.get() - 1);
    request.map(Box::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_put() {
        let put = Command::Put(PutRequest { key: b"a".into(), value: b"1".into(), ..PutRequest::default() });
        let bytes = put.encode();
        assert_eq!(bytes[..], [1, 0, 1, b'a', 1, b'1', 0, 0, 0, 0]);
        assert_eq!(Command::decode(&bytes), Ok(put));
    }

    #[test]
    fn bytes_that_are_no_command() {
        assert_eq!(Command::decode(&[]), Err(DecodeError::Empty));
        assert_eq!(Command::decode(&[9, 0]), Err(DecodeError::Version(9)));
        assert!(matches!(Command::decode(&[1, 0, 5]), Err(DecodeError::Malformed(_))));
        assert_eq!(Command::decode(&[1, 3, 2, 0]), Err(DecodeError::Trailing));
    }

    #[test]
    fn nesting_is_bounded() {
        let nest = |depth: usize| {
            (0..depth).fold(TxnRequest::default(), |inner, _| TxnRequest {
                success: vec![TxnOp::Txn(Box::new(inner))],
                ..TxnRequest::default()
            })
        };
        let deepest = Command::Txn(nest(limits::TXN_DEPTH_MAX));
        assert_eq!(Command::decode(&deepest.encode()), Ok(deepest));
        let deeper = Command::Txn(nest(limits::TXN_DEPTH_MAX + 1)).encode();
        assert!(matches!(Command::decode(&deeper), Err(DecodeError::Malformed(_))));
        // The depth is counted down again after an error.
        assert!(Command::decode(&Command::Txn(nest(2)).encode()).is_ok());
    }
}
