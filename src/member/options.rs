//! How a member is run: settings as used, resolved by who starts it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Autopilot, Hardware, Reach};
use crate::{
    lease, store,
    types::{AutopilotChange, Bugs, Bytes, ClusterId, NodeId, limits},
    wal,
};

/// etcd's: beside two elections.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// etcd's. Who starts a member without saying otherwise gets them, be it another member than this.
pub(super) const DEFAULT_NAME: &str = "default";
pub(super) const DEFAULT_PEER_URL: &str = "http://localhost:2380";

#[derive(Clone, Debug)]
pub struct Options {
    pub data_dir: PathBuf,
    pub name: String,
    /// Nobody chose it.
    pub is_default_name: bool,
    /// Goes into the ids of a new cluster, so that two clusters of boards with equal URLs are told apart.
    pub cluster_token: String,
    pub peer_urls: Vec<String>,
    /// What to begin with in an empty directory.
    pub start: Start,
    /// What there is becomes a cluster of this member alone.
    pub force_new_cluster: bool,
    pub client_urls: Vec<String>,
    /// Learners at one time.
    pub learners_max: usize,
    /// What a board that founds a cluster alone settles for it. `None`: people say who votes.
    pub autopilot: Option<AutopilotChange>,
    /// Members are added and removed only where those that are there can be reached.
    pub strict_reconfig: bool,
    /// One tick.
    pub heartbeat: Duration,
    pub election: Duration,
    /// How long who asks waits for an answer. etcd's: five seconds and two elections.
    pub request_timeout: Duration,
    /// Pages in use and changes pending, together. Beyond it puts are refused, and the alarm is raised.
    pub quota_bytes: u64,
    pub auto_compaction: Option<AutoCompaction>,
    /// What is pending goes into the database at the latest after this time, so that the log can be released.
    pub flush_interval: Duration,
    pub wal_segment_bytes: u32,
    pub store: store::Options,
    pub lmdb: store::LmdbOptions,
    /// Proposals, and reads that want to be linearizable, under way at one time. About 500 bytes each; one more is answered
    /// "too many requests".
    pub requests_max: usize,
    /// Slices that the store has been asked for, 64 KiB each at the most when they are answered and not yet taken. One more
    /// is answered "too many requests".
    pub queries_max: usize,
    /// Proposed and not yet committed. Beyond it: "too many requests".
    pub uncommitted_bytes_max: u64,
    /// Committed and not yet applied, in memory.
    pub unapplied_bytes_max: u64,
    /// Entries kept for peers that are a little behind.
    pub tail_bytes_max: u64,
    /// What takes longer is named in the log, with what it waited for.
    pub slow_request: Duration,
    /// The shortest TTL follows from `election`.
    pub lease: lease::Options,
    pub bugs: Bugs,
    /// How others reach this board once they are invited. `None`: their URLs and certificates are the operator's business.
    pub reach: Option<Reach>,
    /// It begins with keys of its own: it joined by a URL, or has let others in.
    pub goes_by_keys: bool,
    /// What a cluster that boards join by themselves begins with.
    pub joining: Autopilot,
    /// How long others can join by the token that boards have founded it with, once they have.
    pub founding_ttl_s: i64,
    pub hardware: Hardware,
    /// Is told when this board has made keys in this folder: what else belongs there is for others to know.
    pub has_made_keys: fn(&Path, &Hardware),
}

/// Names and peer URLs.
pub type Members = BTreeMap<String, Vec<String>>;

/// How a member without data begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// A cluster of this member alone.
    #[default]
    Alone,
    /// A new cluster of these, this one among them. All begin with the same list.
    Together(Members),
    /// As a member that the cluster has been told of.
    Join { cluster: ClusterId, member: NodeId },
    /// A cluster of this member at first, which others are to join before it takes writes.
    Formed(Formation),
}

/// How a cluster begins that boards form together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formation {
    /// By which they have found each other.
    pub token: String,
    /// How many they are to be.
    pub size: u32,
    /// Of the founder: the hash of its public key, and what tells its hardware.
    pub key: Bytes,
    pub board: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Keep what happened in this time.
    Periodic(Duration),
    /// Keep so many revisions.
    Revisions(i64),
}

impl Options {
    /// The defaults: etcd's where there is one.
    pub fn new(data_dir: impl Into<PathBuf>) -> Options {
        let election = Duration::from_millis(1000);
        Options {
            data_dir: data_dir.into(),
            name: DEFAULT_NAME.into(),
            is_default_name: false,
            cluster_token: "etcd-cluster".into(),
            peer_urls: vec![DEFAULT_PEER_URL.into()],
            start: Start::Alone,
            force_new_cluster: false,
            client_urls: vec!["http://localhost:2379".into()],
            learners_max: 1,
            autopilot: None,
            strict_reconfig: true,
            heartbeat: Duration::from_millis(100),
            election,
            request_timeout: REQUEST_TIMEOUT + 2 * election,
            quota_bytes: 2 << 30,
            auto_compaction: None,
            flush_interval: Duration::from_secs(300),
            wal_segment_bytes: wal::Options::SEGMENT_BYTES,
            store: store::Options::default(),
            lmdb: store::LmdbOptions::default(),
            requests_max: 4096,
            queries_max: 1024,
            uncommitted_bytes_max: 8 << 20,
            unapplied_bytes_max: 8 << 20,
            tail_bytes_max: 1 << 20,
            slow_request: Duration::from_millis(100),
            lease: lease::Options::default(),
            bugs: Bugs::default(),
            reach: None,
            goes_by_keys: false,
            joining: Autopilot::default(),
            founding_ttl_s: limits::DISCOVERY_TTL_S,
            has_made_keys: |_, _| {},
            hardware: Hardware::here(),
        }
    }

    /// Heartbeat and election.
    pub(super) fn timeouts_ms(&self) -> (u32, u32) {
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1);
        (ms(self.heartbeat), ms(self.election))
    }

    /// And what follows from them.
    pub(super) fn set_timeouts(&mut self, heartbeat: Duration, election: Duration) {
        (self.heartbeat, self.election) = (heartbeat, election);
        self.request_timeout = REQUEST_TIMEOUT + 2 * election;
    }

    pub(super) fn ticks(&self, time: Duration) -> u32 {
        let ticks = time.as_nanos().div_ceil(self.heartbeat.as_nanos().max(1));
        u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
    }
}
