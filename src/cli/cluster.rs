//! `alarm`, `move-leader`, `compaction`, `version`, and `cluster`: what holds for all members.

use std::ops::RangeInclusive;

use clap::{Args, Subcommand, value_parser};

use super::{failure::Failure, go, output::Output, print::Answer, session::Session};
use crate::{
    rpc::{
        AlarmAction, AlarmMember, AlarmRequest, AlarmResponse, ClusterSetRequest, CompactionRequest,
        MoveLeaderRequest,
    },
    types::limits,
};

#[derive(Subcommand)]
pub(super) enum Alarm {
    /// List the alarms.
    List,
    /// End all alarms.
    Disarm,
}

#[derive(Subcommand)]
pub(super) enum Cluster {
    /// Print what holds for all members.
    Get,
    /// Change it, for all members and at once.
    Set(Settings),
}

#[derive(Args)]
#[group(required = true, multiple = true)]
pub(super) struct Settings {
    /// Milliseconds between two heartbeats of the leader.
    #[arg(long, value_name = "MS", value_parser = value_parser!(u32).range(1..))]
    heartbeat_interval: Option<u32>,
    /// Milliseconds without a heartbeat after which another leader is elected; five heartbeats at least.
    #[arg(long, value_name = "MS", value_parser = value_parser!(u32).range(1..))]
    election_timeout: Option<u32>,
    /// The cluster chooses its voters by itself, an odd number, so many at most; 0: people do.
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(..=i64::from(limits::VOTERS_MAX)))]
    voters: Option<u16>,
    /// A voter that cannot be reached for so long is replaced by a learner: 10m, 1h.
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    replace_after: Option<u32>,
    /// Learners in the cluster at one time.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=i64::from(limits::LEARNERS_MAX)))]
    max_learners: Option<u32>,
    /// A cluster that boards found together is founded with so many, however many it has waited for.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=i64::from(limits::DISCOVERY_SIZE_MAX)))]
    size: Option<u32>,
}

#[derive(Args)]
pub(super) struct MoveLeader {
    /// The member that is to lead (hexadecimal).
    member: Vec<String>,
}

#[derive(Args)]
pub(super) struct Compaction {
    /// What is older than this revision is forgotten.
    revision: Option<String>,
    /// Wait until it is removed.
    #[arg(long)]
    physical: bool,
}

pub(super) async fn alarm(command: Alarm, session: &Session) -> Result<(), Failure> {
    let response = match command {
        Alarm::List => session.client.alarm(&AlarmRequest::default()).await?,
        Alarm::Disarm => disarm(session).await?,
    };
    session.print(&Answer::Alarms(&response))
}

/// One by one, as etcd's client does.
async fn disarm(session: &Session) -> Result<AlarmResponse, Failure> {
    let mut disarmed = AlarmResponse::default();
    for AlarmMember { member_id, alarm } in session.client.alarm(&AlarmRequest::default()).await?.alarms {
        let request = AlarmRequest { action: AlarmAction::Deactivate, member_id, alarm };
        disarmed.alarms.extend(session.client.alarm(&request).await?.alarms);
    }
    Ok(disarmed)
}

pub(super) async fn cluster(command: Cluster, session: &Session) -> Result<(), Failure> {
    let response = match command {
        Cluster::Get => session.client.cluster_settings().await?,
        Cluster::Set(settings) => {
            let request = ClusterSetRequest {
                heartbeat_interval: settings.heartbeat_interval.unwrap_or(0),
                election_timeout: settings.election_timeout.unwrap_or(0),
                voters: settings.voters.map_or(0, |voters| if voters == 0 { -1 } else { voters.into() }),
                replace_after: settings.replace_after.unwrap_or(0),
                max_learners: settings.max_learners.unwrap_or(0),
                size: settings.size.unwrap_or(0),
            };
            session.client.cluster_set(&request).await?
        }
    };
    session.print(&Answer::ClusterSettings(&response))
}

/// Whole seconds.
fn seconds(text: &str) -> Result<u32, String> {
    const FITS: RangeInclusive<u32> = limits::REPLACE_AFTER_S_MIN..=limits::REPLACE_AFTER_S_MAX;
    let seconds = go::parse_duration(text)?.as_secs();
    let fits = u32::try_from(seconds).ok().filter(|seconds| FITS.contains(seconds));
    fits.ok_or_else(|| format!("it can be {} s to {} days", FITS.start(), FITS.end() / 86_400))
}

/// The leader itself is asked, whichever of the endpoints that is.
pub(super) async fn move_leader(arguments: MoveLeader, session: &Session) -> Result<(), Failure> {
    let [id] = &arguments.member[..] else {
        return Err(Failure::bad_arguments("move-leader command needs 1 argument"));
    };
    let target_id = go::parse_uint(id, 16).map_err(Failure::bad_arguments)?;
    for endpoint in session.endpoints() {
        let client = session.client.of(endpoint);
        let status = client.status().await?;
        if status.header.is_some_and(|header| header.member_id == status.leader) {
            client.move_leader(&MoveLeaderRequest { target_id }).await?;
            return session.print(&Answer::LeaderMoved { from: status.leader, to: target_id });
        }
    }
    let endpoints: Vec<String> = session.endpoints().iter().map(ToString::to_string).collect();
    let endpoints = endpoints.join(" ");
    Err(Failure::bad_arguments(format_args!("no leader endpoint given at [{endpoints}]")))
}

pub(super) async fn compaction(arguments: Compaction, session: &Session) -> Result<(), Failure> {
    let text =
        arguments.revision.ok_or_else(|| Failure::bad_arguments("compaction command needs 1 argument"))?;
    let revision = go::parse_int(&text, 10).map_err(Failure::error)?;
    session.client.compact(&CompactionRequest { revision, physical: arguments.physical }).await?;
    Output::new().line(format_args!("compacted revision {revision}"));
    Ok(())
}

/// Scripts look for etcdctl's own line where they call it by that name.
pub(super) fn version(as_etcdctl: bool) {
    let mut output = Output::new();
    if as_etcdctl {
        output.line("etcdctl version: 3.5.30");
    }
    output.line(format_args!("solder version: {}", env!("CARGO_PKG_VERSION")));
    output.line("API version: 3.5");
}
