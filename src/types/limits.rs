//! Every bound that all boards share, with its reason. What differs from board to board is an option of its floor.
//!
//! One thing has none: how many keys one entry deletes. A delete of a range, or the end of a lease, makes a tombstone of
//! every key that it reaches, in one revision. etcd's clients expect it to work, so nothing is refused, and nothing is
//! held in memory either: such an entry is applied in parts, each flushed before the next (`store::unfinished`). It takes
//! as long as the card takes, and what is written meanwhile waits.

/// Longest key and range end. What LMDB could take varies with the page size; what a cluster accepts must not. Longer
/// ones are refused with `Error::KeyTooLong`.
pub const KEY_BYTES_MAX: usize = 1024;

/// Largest encoded command, as etcd's `--max-request-bytes` default. A larger one is refused with
/// `Error::RequestTooLarge` before it is proposed.
pub const COMMAND_BYTES_MAX: usize = 1_572_864;

/// What holding one log entry costs beside its payload: the struct, its queue slot, its record header. Counted in all
/// bounds in bytes, so that empty entries are not free.
pub const ENTRY_OVERHEAD_BYTES: u64 = 96;

/// Entries in one message to a member: a frame of 4 MiB could name a million empty ones, which would take 100 MB to hold.
/// What is sent is bounded in bytes, of which each entry counts for some (`ENTRY_OVERHEAD_BYTES`), and has far fewer. A
/// message with more is not read, and its connection ends.
pub const APPEND_ENTRIES_MAX: usize = 65_536;

/// Operations in one branch of a transaction, etcd's `--max-txn-ops` default.
pub const TXN_OPS_MAX: usize = 128;

/// How deep transactions nest. etcd has no limit but the one on operations; a recursion must have one. Each level takes
/// at least one operation of the 128 of its parent, so nothing that etcd accepts in practice comes near it.
pub const TXN_DEPTH_MAX: usize = 16;

/// Leases at one time. A board that catches up gets the table of leases in one piece (24 bytes each, 1.5 MiB in all),
/// which must fit in a message. One more is refused with `Error::TooManyLeases`.
pub const LEASES_MAX: usize = 65_536;

/// Alarms of ids that are no members, which etcd takes as it takes those of members. Each is in memory and in every flush of
/// every board. One more is refused with `Error::TooManyAlarms`; a member's own alarm never is.
pub const ALARMS_MAX: usize = 1024;

/// Longest lease, in seconds, as in etcd (about 285 years).
pub const LEASE_TTL_MAX_S: i64 = 9_000_000_000;

/// Longest election, in milliseconds, as in etcd: a board that goes is missed for that long.
pub const ELECTION_MS_MAX: u32 = 50_000;

/// So many heartbeats fit into an election, as etcd wants it: one or two may be lost.
pub const HEARTBEATS_AN_ELECTION: u32 = 5;

/// Voters that a cluster chooses by itself: with nine, four may fail; with more, each write waits for more disks than anybody
/// has a use for. etcd's advice is seven.
pub const VOTERS_MAX: u32 = 9;

/// How soon a voter is replaced: not before a link that is cut is known to be, and a restart of the board is over.
pub const REPLACE_AFTER_S_MIN: u32 = 5;

/// And how late: 30 days.
pub const REPLACE_AFTER_S_MAX: u32 = 30 * 86_400;

/// Learners in a cluster: each costs the leader the sending of everything.
pub const LEARNERS_MAX: u32 = 1000;

/// Where the cluster itself says who votes, and nothing was said about learners.
pub const LEARNERS_WITH_AUTOPILOT: u32 = 100;
/// Discovery tokens at one time: a token with all its members is 25 KB at the most, so that strangers can make a public service
/// keep 25 MB. One more is refused until one has ended.
pub const DISCOVERY_TOKENS_MAX: u64 = 1000;

/// How long a discovery token lives, as with etcd's public service: boards that have not found each other in a week never will.
pub const DISCOVERY_TTL_S: i64 = 7 * 24 * 3600;

/// Tokens that one address makes at once, where they are made for strangers; and then one in so many seconds. In the time that
/// tokens live that is a tenth of all that there can be.
pub const DISCOVERY_STRANGER_TOKENS_MAX: u32 = 20;
pub const DISCOVERY_STRANGER_EVERY_S: u64 = 2 * 3600;

/// The largest cluster that a discovery token can be for. More voters make nothing safer, and each write slower.
pub const DISCOVERY_SIZE_MAX: u8 = 9;

/// So many members may register beyond a token's size: they learn by their place that they came too late. More are refused, so
/// that a token is bounded.
pub const DISCOVERY_LATE_MAX: usize = 16;

/// Longest registration, `NAME=URL,...`: room for a dozen URLs.
pub const DISCOVERY_VALUE_BYTES_MAX: usize = 1024;
