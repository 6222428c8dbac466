//! Settings as each part takes them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    api,
    config::{self, Settings},
    http,
    join::Origin,
    member, peer, store,
    types::{AutopilotChange, ClusterId, NodeId},
};

/// Files, sockets between threads and the like, beside connections.
const DESCRIPTORS_BESIDE: u64 = 64;

/// Where the map begins; it grows up to the budget's.
const MAP_BYTES: u64 = 64 << 20;

/// What a member is to be like.
pub fn member(settings: &Settings) -> member::Options {
    let budget = &settings.budget;
    let defaults = member::Options::new(&settings.data_dir);
    member::Options {
        name: settings.name.clone(),
        is_default_name: settings.is_default_name,
        cluster_token: settings.cluster_token.clone(),
        peer_urls: settings.advertise_peer_urls.clone(),
        client_urls: settings.advertise_client_urls.clone(),
        start: start(settings),
        force_new_cluster: settings.force_new_cluster,
        learners_max: settings.learners_max,
        autopilot: autopilot(settings),
        strict_reconfig: settings.strict_reconfig_check,
        heartbeat: settings.heartbeat_interval,
        election: settings.election_timeout,
        request_timeout: member::REQUEST_TIMEOUT + 2 * settings.election_timeout,
        quota_bytes: settings.quota_bytes.unwrap_or(u64::MAX),
        auto_compaction: settings.auto_compaction.map(|keep| match keep {
            config::AutoCompaction::Periodic(time) => member::AutoCompaction::Periodic(time),
            config::AutoCompaction::Revision(count) => {
                member::AutoCompaction::Revisions(i64::try_from(count).unwrap_or(i64::MAX))
            }
        }),
        flush_interval: budget.flush_interval,
        wal_segment_bytes: budget.wal_segment_bytes,
        store: store::Options {
            pending_bytes_max: budget.pending_bytes_max,
            flush_pages_max: budget.flush_pages_max,
            ..store::Options::default()
        },
        lmdb: store::LmdbOptions {
            map_bytes: MAP_BYTES.min(budget.db_map_bytes_max),
            map_bytes_max: budget.db_map_bytes_max,
            ..store::LmdbOptions::default()
        },
        slow_request: settings.slow_request,
        reach: settings.reach.clone(),
        joining: settings.autopilot,
        has_made_keys: |folder, hardware| drop(Origin::of_member(folder, hardware)),
        ..defaults
    }
}

fn autopilot(settings: &Settings) -> Option<AutopilotChange> {
    let voters_max = settings.autopilot.voters_max;
    (settings.is_autopilot_from_the_first && voters_max > 0).then(|| settings.autopilot.change())
}

fn start(settings: &Settings) -> member::Start {
    match settings.initial_cluster.len() {
        0 | 1 => member::Start::Alone,
        _ => member::Start::Together(settings.initial_cluster.clone()),
    }
}

/// Who calls, and what it may cost.
pub(super) fn peers(
    tls: Option<peer::Tls>,
    (cluster, member, incarnation): (ClusterId, NodeId, u64),
) -> peer::Options {
    peer::Options { tls, ..peer::Options::new(cluster, member, incarnation) }
}

pub(super) fn peer_tls(settings: &Settings) -> Option<peer::Tls> {
    let config::PeerTls { cert, key, trusted_ca } = settings.peer_tls.clone()?;
    Some(peer::Tls::Files(peer::TlsFiles { cert, key, trusted_ca }))
}

pub(super) fn http(settings: &Settings) -> http::Options {
    let limits = http::Limits { connections_max: settings.budget.connections_max, ..http::Limits::default() };
    http::Options { limits, host_whitelist: settings.host_whitelist.clone(), cors: settings.cors.clone() }
}

pub(super) fn api(settings: &Settings) -> api::Options {
    api::Options {
        request_bytes_max: settings.request_bytes_max,
        txn_ops_max: settings.txn_ops_max,
        watch_progress_interval: settings.watch_progress_interval,
        discovery: api::DiscoveryOptions {
            public: settings.discovery_public,
            alone: settings.discovery_alone,
            url: settings.advertise_client_urls[0].clone(),
            ..api::DiscoveryOptions::default()
        },
    }
}

/// A connection is a descriptor. Systems allow 1024 at first and more to who asks.
pub(super) fn raise_descriptors(connections_max: usize) {
    let wanted = connections_max as u64 + DESCRIPTORS_BESIDE;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current.filter(|&current| current < wanted) else { return };
    let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(current);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        log::warn!("cannot raise the limit of open files from {current} to {raised}: {error}");
    } else if raised < wanted {
        log::warn!(
            "{raised} open files are allowed: at most about {} connections",
            raised - DESCRIPTORS_BESIDE
        );
    }
}
