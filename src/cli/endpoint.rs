//! `endpoint health|status|hashkv`, and `defrag`: what is asked of each endpoint by itself.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, Subcommand};
use smol::LocalExecutor;

use super::{
    failure::{Failure, Status},
    go,
    output::Output,
    print::{Answer, Format, Health},
    session::Session,
};
use crate::{
    client::{Client, ClientError, Endpoint},
    member,
    rpc::{AlarmMember, AlarmRequest, HashKVRequest, MemberListRequest, RangeRequest},
};

#[derive(Args)]
pub(super) struct Arguments {
    /// All endpoints of the cluster, not only those of --endpoints.
    #[arg(long, global = true)]
    cluster: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell whether the endpoints answer.
    Health,
    /// Tell how the endpoints are.
    Status,
    /// Print a hash over the keys and their history, equal on all members.
    Hashkv {
        /// Up to that revision; 0: all.
        #[arg(long, default_value_t = 0)]
        rev: i64,
    },
}

#[derive(Args)]
pub(super) struct Defrag {
    /// All endpoints of the cluster, not only those of --endpoints.
    #[arg(long)]
    cluster: bool,
    /// This data directory, without a server, which must not be running.
    #[arg(long, value_name = "DIR", conflicts_with = "cluster")]
    data_dir: Option<PathBuf>,
}

pub(super) async fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let endpoints = endpoints(arguments.cluster, session).await?;
    match arguments.command {
        Command::Health => health(&endpoints, session).await,
        Command::Status => status(&endpoints, session).await,
        Command::Hashkv { rev } => hash(&endpoints, rev, session).await,
    }
}

pub(super) async fn defrag(arguments: Defrag, session: &Session) -> Result<(), Failure> {
    if let Some(dir) = &arguments.data_dir {
        return defrag_offline(dir);
    }
    let mut failed = false;
    for endpoint in endpoints(arguments.cluster, session).await? {
        match session.client.of(&endpoint).defragment().await {
            Ok(_) => Output::new().line(format_args!("Finished defragmenting etcd member[{endpoint}]")),
            Err(error) => {
                eprintln!("Failed to defragment etcd member[{endpoint}] ({error})");
                failed = true;
            }
        }
    }
    if failed { Err(Failure::silent(Status::Error)) } else { Ok(()) }
}

fn defrag_offline(dir: &Path) -> Result<(), Failure> {
    let shown = dir.display();
    let done = member::defragment(dir)
        .map_err(|error| Failure::error(format_args!("failed to defragment etcd data[{shown}] ({error})")))?;
    let (before, after) = (go::size(done.before.file_bytes), go::size(done.after.file_bytes));
    Output::new()
        .line(format_args!("Finished defragmenting etcd data[{shown}]: {before} before, {after} now"));
    Ok(())
}

async fn endpoints(cluster: bool, session: &Session) -> Result<Vec<Endpoint>, Failure> {
    if !cluster {
        return Ok(session.endpoints().to_vec());
    }
    let failed = |error: &dyn std::fmt::Display| {
        Failure::error(format_args!("failed to fetch endpoints from etcd cluster member list: {error}"))
    };
    let list = session.client.member_list(&MemberListRequest { linearizable: true }).await;
    let list = list.map_err(|error| failed(&error))?;
    let urls = list.members.iter().flat_map(|member| &member.client_urls);
    urls.map(|url| url.parse().map_err(|error: String| failed(&error))).collect()
}

/// All at once: one that does not answer takes its time.
async fn health(endpoints: &[Endpoint], session: &Session) -> Result<(), Failure> {
    let executor = LocalExecutor::new();
    let tasks: Vec<_> = endpoints
        .iter()
        .map(|endpoint| executor.spawn(check(session.client.of(endpoint), endpoint.to_string())))
        .collect();
    let gather = async {
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await);
        }
        all
    };
    let all = executor.run(gather).await;
    session.print(&Answer::Health(&all))?;
    if all.iter().all(|health| health.error.is_none()) {
        return Ok(());
    }
    for Health { endpoint, error, .. } in all.iter().filter(|_| session.style.format == Format::Simple) {
        if let Some(error) = error {
            eprintln!("{endpoint} is unhealthy: failed to commit proposal: {error}");
        }
    }
    Err(Failure::error("unhealthy cluster"))
}

/// gRPC's PERMISSION_DENIED: to know that, the cluster had to agree.
const PERMISSION_DENIED: u32 = 7;

async fn check(client: Client, endpoint: String) -> Health {
    let started = Instant::now();
    let read = client.range(&RangeRequest { key: b"health".into(), ..RangeRequest::default() }).await;
    let took = started.elapsed();
    let error = match read {
        Ok(_) => match alarms(&client).await {
            Ok(()) => founding(&client).await,
            Err(error) => Some(error),
        },
        Err(ClientError::Refused { code: PERMISSION_DENIED, .. }) => None,
        Err(error) => Some(error.to_string()),
    };
    Health { endpoint, took, error }
}

/// A cluster that its boards are still founding answers who reads, and takes nothing.
async fn founding(client: &Client) -> Option<String> {
    let status = client.status().await.ok()?;
    status.notes.into_iter().find(|note| note.starts_with("waiting for "))
}

async fn alarms(client: &Client) -> Result<(), String> {
    let response = client.alarm(&AlarmRequest::default()).await;
    let response = response.map_err(|_| "Unable to fetch the alarm list".to_string())?;
    let name = |alarm: &AlarmMember| format!("{} ", alarm.alarm.name().unwrap_or("unknown"));
    match response.alarms.is_empty() {
        true => Ok(()),
        false => Err(format!("Active Alarm(s): {}", response.alarms.iter().map(name).collect::<String>())),
    }
}

async fn status(endpoints: &[Endpoint], session: &Session) -> Result<(), Failure> {
    let mut all = Vec::new();
    for endpoint in endpoints {
        match session.client.of(endpoint).status().await {
            Ok(status) => all.push((endpoint.to_string(), status)),
            Err(error) => eprintln!("Failed to get the status of endpoint {endpoint} ({error})"),
        }
    }
    session.print(&Answer::Status(&all))?;
    for (endpoint, status) in &all {
        status.notes.iter().for_each(|note| eprintln!("{endpoint}: {note}"));
    }
    match all.len() == endpoints.len() {
        true => Ok(()),
        false => Err(Failure::silent(Status::Error)),
    }
}

async fn hash(endpoints: &[Endpoint], revision: i64, session: &Session) -> Result<(), Failure> {
    let mut all = Vec::new();
    let mut failed = None;
    for endpoint in endpoints {
        match session.client.of(endpoint).hash_kv(&HashKVRequest { revision }).await {
            Ok(hash) => all.push((endpoint.to_string(), hash)),
            Err(error) => {
                eprintln!("Failed to get the hash of endpoint {endpoint} ({error})");
                failed = Some(error);
            }
        }
    }
    session.print(&Answer::Hashes(&all))?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}
