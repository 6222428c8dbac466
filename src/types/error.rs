//! The caller's faults, in etcd's words. One table, elsewhere, gives them their gRPC code and HTTP status.

use std::fmt;

use super::{NodeId, Revision, limits};

/// Why a request was refused. Goes back to who asked; never ends a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    EmptyKey,
    KeyTooLong {
        bytes: usize,
    },
    KeyNotFound,
    ValueProvided,
    LeaseProvided,
    TooManyOps,
    DuplicateKey,
    /// The revision asked for is below the compacted one, which this names.
    Compacted(Revision),
    FutureRevision,
    NoSpace,
    Corrupt,
    LeaseNotFound,
    LeaseExists,
    LeaseTtlTooLarge,
    TooManyLeases,
    TooManyAlarms,
    TooManyRequests,
    RequestTooLarge,
    /// This member is catching up: what it holds is between two states. Another one may answer (gRPC: unavailable).
    NotReady,
    /// This member only listens: what it has may be old, and nobody is to depend on it.
    IsLearner,
    /// Some member's build does not know this kind of command yet.
    NotCapable,
    NoLeader,
    NotLeader,
    LeaderChanged,
    Timeout,
    MemberNotFound,
    MemberExists,
    PeerUrlExists,
    /// Another member is called so.
    NameTaken,
    /// The members know each other by keys, and an id alone would be anybody's.
    KnownByKeys,
    TooManyLearners,
    /// Somebody whose vote may be needed is not connected.
    UnhealthyCluster,
    MemberRemoved(NodeId),
    NotLearner,
    LearnerNotReady,
    /// A change of the members is under way, or the leader has not committed in its term yet.
    MembershipBusy,
    BadLeaderTransferee,
    /// Nobody knows who leads next.
    TransferTimeout,
    /// In milliseconds.
    BadTimeouts {
        heartbeat: u32,
        election: u32,
    },
    /// A setting of the cluster.
    OutOfRange {
        name: &'static str,
        given: u32,
        least: u32,
        most: u32,
    },
    /// No boards are waited for that found the cluster together.
    Founded,
    /// The cluster is being founded by so many boards together, of which so many are missing.
    Founding {
        missing: u32,
        size: u32,
    },
    /// The change would leave no voter.
    NotEnoughStartedMembers,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyKey => f.write_str("etcdserver: key is not provided"),
            Self::KeyTooLong { bytes } => {
                write!(f, "etcdserver: key is too long ({bytes} bytes, limit {})", limits::KEY_BYTES_MAX)
            }
            Self::KeyNotFound => f.write_str("etcdserver: key not found"),
            Self::ValueProvided => f.write_str("etcdserver: value is provided"),
            Self::LeaseProvided => f.write_str("etcdserver: lease is provided"),
            Self::TooManyOps => f.write_str("etcdserver: too many operations in txn request"),
            Self::DuplicateKey => f.write_str("etcdserver: duplicate key given in txn request"),
            Self::Compacted(_) => f.write_str("etcdserver: mvcc: required revision has been compacted"),
            Self::FutureRevision => f.write_str("etcdserver: mvcc: required revision is a future revision"),
            Self::NoSpace => f.write_str("etcdserver: mvcc: database space exceeded"),
            Self::Corrupt => f.write_str("etcdserver: corrupt cluster"),
            Self::LeaseNotFound => f.write_str("etcdserver: requested lease not found"),
            Self::LeaseExists => f.write_str("etcdserver: lease already exists"),
            Self::LeaseTtlTooLarge => f.write_str("etcdserver: too large lease TTL"),
            Self::TooManyLeases => {
                write!(f, "etcdserver: too many leases (limit {}): revoke some", limits::LEASES_MAX)
            }
            Self::TooManyAlarms => {
                write!(f, "etcdserver: too many alarms (limit {}): deactivate some", limits::ALARMS_MAX)
            }
            Self::TooManyRequests => f.write_str("etcdserver: too many requests"),
            Self::RequestTooLarge => f.write_str("etcdserver: request is too large"),
            Self::NotReady => {
                f.write_str("etcdserver: not capable: this member is catching up: ask another one")
            }
            Self::IsLearner => f.write_str("etcdserver: rpc not supported for learner"),
            Self::NotCapable => f.write_str(
                "etcdserver: not capable: a member's build does not know this yet: upgrade it first",
            ),
            Self::NoLeader => f.write_str("etcdserver: no leader"),
            Self::NotLeader => f.write_str("etcdserver: not leader"),
            Self::LeaderChanged => f.write_str("etcdserver: leader changed"),
            Self::Timeout => f.write_str("etcdserver: request timed out"),
            Self::MemberNotFound => f.write_str("etcdserver: member not found"),
            Self::MemberExists => f.write_str("etcdserver: member ID already exist"),
            Self::PeerUrlExists => f.write_str("etcdserver: Peer URLs already exists"),
            Self::NameTaken => f.write_str("etcdserver: another member has that name already"),
            Self::KnownByKeys => f.write_str(
                "the members of this cluster know each other by keys, which a board has to bring along: let it in with a URL of \
                 `solder invite`",
            ),
            Self::TooManyLearners => f.write_str("etcdserver: too many learner members in cluster"),
            Self::UnhealthyCluster => f.write_str("etcdserver: unhealthy cluster"),
            Self::MemberRemoved(id) => {
                write!(f, "etcdserver: member {id} was removed for good: add the board under a new id")
            }
            Self::NotLearner => f.write_str("etcdserver: can only promote a learner member"),
            Self::LearnerNotReady => {
                f.write_str("etcdserver: can only promote a learner member which is in sync with leader")
            }
            Self::MembershipBusy => {
                f.write_str("etcdserver: another membership change is under way: try again when it is done")
            }
            Self::BadLeaderTransferee => f.write_str("etcdserver: bad leader transferee"),
            Self::TransferTimeout => {
                f.write_str("etcdserver: request timed out, leader transfer took too long")
            }
            Self::BadTimeouts { heartbeat, election } => bad_timeouts(f, *heartbeat, *election),
            Self::OutOfRange { name, given, least, most } => {
                write!(f, "{name} is {given}, and can be {least} to {most}")
            }
            Self::Founded => {
                f.write_str("no boards are waited for: the cluster is founded, or is about to be")
            }
            Self::Founding { missing, size } => {
                write!(f, "etcdserver: not ready: waiting for {missing} more of {size} boards")
            }
            Self::NotEnoughStartedMembers => {
                f.write_str("etcdserver: re-configuration failed due to not enough started members")
            }
        }
    }
}

/// etcd's words about its flags.
fn bad_timeouts(f: &mut fmt::Formatter<'_>, heartbeat: u32, election: u32) -> fmt::Result {
    if heartbeat == 0 {
        return f.write_str("--heartbeat-interval must be >0 (set to 0ms)");
    }
    if election == 0 {
        return f.write_str("--election-timeout must be >0 (set to 0ms)");
    }
    if election > limits::ELECTION_MS_MAX {
        let most = limits::ELECTION_MS_MAX;
        return write!(
            f,
            "--election-timeout[{election}ms] is too long, and should be set less than {most}ms"
        );
    }
    write!(
        f,
        "--election-timeout[{election}ms] should be at least as {} times as --heartbeat-interval[{heartbeat}ms]",
        limits::HEARTBEATS_AN_ELECTION
    )
}

impl std::error::Error for Error {}
