//! What the floor is told, and what peers may cost: every bound next to its reason.

use std::time::{Duration, SystemTime};

use crate::types::{ClusterId, NodeId};

use super::Tls;

/// Who this board is.
#[derive(Clone, Debug)]
pub struct Options {
    pub cluster: ClusterId,
    pub member: NodeId,
    /// Of this board's data.
    pub incarnation: u64,
    /// Needed for `https` listeners and peers.
    pub tls: Option<Tls>,
    pub limits: Limits,
    /// Certificates ask it, and nothing else.
    pub wall_clock: fn() -> SystemTime,
}

impl Options {
    pub fn new(cluster: ClusterId, member: NodeId, incarnation: u64) -> Options {
        Options {
            cluster,
            member,
            incarnation,
            tls: None,
            limits: Limits::default(),
            wall_clock: SystemTime::now,
        }
    }
}

/// What peers may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest payload of a frame. A command has at most 1.5 MiB, a board's table of leases as much, a piece of a
    /// transfer 256 KiB.
    pub frame_bytes_max: u32,
    /// Data that waits for one peer in one lane; one message may be larger, alone. Must be more than Raft's window and one
    /// Append, or a leader that sends as it may loses what it sends.
    pub queue_bytes_max: u64,
    /// What has come and was not taken. Beyond it nothing more is read, and TCP holds back those who send.
    pub inbox_bytes_max: u64,
    /// Connections that have not greeted yet; one more pushes one out. About 20 KB each, at worst 140 KB (a handshake's
    /// messages have at most 64 KB each).
    pub strangers_max: usize,
    /// Who is taken though no member that is known here. A cluster changes by one member at a time.
    pub guests_max: usize,
    /// From the first byte of a connection, its dialling included, until both sides have greeted. A handshake takes a
    /// board of the smallest kind half a second, and others may be before it.
    pub greeting_timeout: Duration,
    /// From a joiner's greeting until it is told what became of it: an entry or two go through the log, which may just be
    /// electing.
    pub join_timeout: Duration,
    /// What the other board's system has not acknowledged for so long is lost, with its connection. A link may well be away
    /// for a second or two, and a new handshake costs more than a little patience; but TCP repeats itself ever more
    /// rarely, so after a long break a new connection is there sooner than the old one.
    pub silence_timeout: Duration,
    /// The longest pause between two attempts to reach a peer.
    pub redial_max: Duration,
    /// How often each connection is looked at, and each urgent one sends a ping: one wake-up for all.
    pub beat: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frame_bytes_max: 4 << 20,
            queue_bytes_max: 2 << 20,
            inbox_bytes_max: 2 << 20,
            strangers_max: 32,
            guests_max: 8,
            greeting_timeout: Duration::from_secs(5),
            join_timeout: Duration::from_secs(20),
            silence_timeout: Duration::from_secs(5),
            redial_max: Duration::from_secs(2),
            beat: Duration::from_secs(10),
        }
    }
}

/// What is larger goes by bulk: on a link of 1 MB a second, heartbeats wait a third of a second behind it. All Appends but
/// those of a single large entry are smaller (`raft::Options::append_bytes_max` and what surrounds them).
pub(super) const URGENT_BYTES_MAX: u64 = 300 << 10;

/// The system's own queue of a socket. More would lie between a heartbeat and its way; the default grows to megabytes.
pub(super) const SEND_BUFFER_BYTES: usize = 128 << 10;

/// Small frames are gathered up to here for one write: two TLS records.
pub(super) const WRITE_BYTES: usize = 32 << 10;

/// What a connection reads into while nothing larger comes.
pub(super) const READ_BYTES: usize = 4 << 10;

/// After a large frame the buffer shrinks again, unless the next is as large.
pub(super) const READ_BYTES_KEPT: usize = 64 << 10;

/// Beats without a message, after which a connection that nobody needs is closed.
pub(super) const IDLE_BEATS: u32 = 3;

/// How long what ends may take to say why.
pub(super) const BYE_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest list of members that is told to who asks: a row is some 200 bytes, a removed id at most 10.
pub(super) const ROLL_BYTES_MAX: u32 = 1 << 20;

/// What a joiner says of itself: some names and URLs, and a key of 91 bytes.
pub(super) const JOIN_BYTES_MAX: u32 = 16 << 10;

/// Joiners that have proven themselves and wait to be let in. Members enter one at a time anyhow; the others ask again.
pub(super) const JOINERS_MAX: usize = 16;

/// A P-256 key is 138 bytes of PKCS #8.
pub(super) const AUTHORITY_BYTES_MAX: u32 = 1 << 10;

/// A connection that lives for so long was a good one: the next attempt need not wait.
pub(super) const STEADY: Duration = Duration::from_secs(1);

/// Names that are looked up at one time, each on a thread that the system's resolver may keep for long.
pub(super) const LOOKUPS_MAX: usize = 4;

/// Anybody can cause warnings about strangers: one in so much time, the others are only counted.
pub(super) const WARN_EVERY: Duration = Duration::from_secs(10);
