//! Settings as used: resolved, absolute, typed.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    join::JoinUrl,
    logging,
    member::{Autopilot, Reach},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub name: String,
    /// Nobody chose it: where it is taken, another will do.
    pub is_default_name: bool,
    pub data_dir: PathBuf,
    pub listen_client: Vec<SocketAddr>,
    /// For /metrics and /health alone, beside those of clients.
    pub listen_metrics: Vec<SocketAddr>,
    /// URLs at which peers are served.
    pub listen_peer: Vec<String>,
    pub advertise_client_urls: Vec<String>,
    pub advertise_peer_urls: Vec<String>,
    /// Names and peer URLs of all that begin together, this one among them; or of those that are there, to join them.
    pub initial_cluster: BTreeMap<String, Vec<String>>,
    pub cluster_state: ClusterState,
    /// How a board without data becomes a member.
    pub discovery: Option<JoinUrl>,
    /// How others reach this board once they are invited.
    pub reach: Option<Reach>,
    /// What a cluster that this board founds is to look after by itself, once boards join it.
    pub autopilot: Autopilot,
    /// From its founding on.
    pub is_autopilot_from_the_first: bool,
    /// The surviving data is to become a cluster of this member alone.
    pub force_new_cluster: bool,
    /// For https peer URLs.
    pub peer_tls: Option<PeerTls>,
    pub cluster_token: String,
    pub heartbeat_interval: Duration,
    pub election_timeout: Duration,
    pub strict_reconfig_check: bool,
    pub learners_max: usize,
    /// `None`: writes go on until disk or map are full.
    pub quota_bytes: Option<u64>,
    pub auto_compaction: Option<AutoCompaction>,
    pub request_bytes_max: usize,
    pub txn_ops_max: usize,
    /// Web origins beside our own; `*`: all.
    pub cors: Vec<String>,
    /// Host names on loopback beside our own; `*`: all.
    pub host_whitelist: Vec<String>,
    pub watch_progress_interval: Duration,
    /// Others than this board itself may have discovery tokens made.
    pub discovery_public: bool,
    /// Discovery is all that is served.
    pub discovery_alone: bool,
    /// Requests that take longer are named in the log.
    pub slow_request: Duration,
    pub log: logging::Options,
    /// The profile's name.
    pub board: Option<String>,
    pub budget: Budget,
    /// To be logged when logging has begun.
    pub warnings: Vec<String>,
}

/// What a board without data is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// One of those that begin together.
    New,
    /// One more of those that are there.
    Existing,
}

/// The files that mutual TLS between members needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTls {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub trusted_ca: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Keep what is younger.
    Periodic(Duration),
    /// Keep so many revisions.
    Revision(u64),
}

/// What the board can spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// `store::Options::pending_bytes_max`.
    pub pending_bytes_max: u64,
    /// Changes are flushed when they fill `flush_pages_max`, and at the latest after this time.
    pub flush_interval: Duration,
    /// `store::Options::flush_pages_max`.
    pub flush_pages_max: u32,
    /// `wal::Options::segment_bytes`.
    pub wal_segment_bytes: u32,
    /// `store::LmdbOptions::map_bytes_max`.
    pub db_map_bytes_max: u64,
    pub connections_max: usize,
}
