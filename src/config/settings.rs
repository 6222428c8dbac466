//! Settings as used: resolved, absolute, typed.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::logging;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub name: String,
    pub data_dir: PathBuf,
    pub listen_client: Vec<SocketAddr>,
    /// For /metrics and /health alone, beside those of clients.
    pub listen_metrics: Vec<SocketAddr>,
    /// Where peers would be served. Nothing listens there as long as there are no peers.
    pub listen_peer: Vec<SocketAddr>,
    pub advertise_client_urls: Vec<String>,
    pub advertise_peer_urls: Vec<String>,
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
    /// Requests that take longer are named in the log.
    pub slow_request: Duration,
    pub log: logging::Options,
    /// The profile's name.
    pub board: Option<String>,
    pub budget: Budget,
    /// To be logged when logging has begun.
    pub warnings: Vec<String>,
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
