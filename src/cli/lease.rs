//! `lease grant|revoke|timetolive|list|keep-alive`.

use clap::Subcommand;

use super::{
    failure::{Failure, Status},
    go,
    output::Output,
    print::Answer,
    session::Session,
};
use crate::{
    client::ClientError,
    rpc::{LeaseGrantRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest},
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create a lease of so many seconds.
    Grant {
        /// How long it lives unless it is kept alive, in seconds.
        ttl: Option<String>,
    },
    /// End a lease, and delete its keys.
    Revoke {
        /// The lease (hexadecimal).
        id: Option<String>,
    },
    /// Tell how long a lease has left.
    Timetolive {
        /// The lease (hexadecimal).
        id: Option<String>,
        /// Tell its keys too.
        #[arg(long)]
        keys: bool,
    },
    /// List the leases.
    List,
    /// Keep a lease alive, for as long as this runs.
    KeepAlive {
        /// The lease (hexadecimal).
        id: Option<String>,
        /// Renew it once, now.
        #[arg(long)]
        once: bool,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Grant { ttl } => grant(ttl, session).await,
        Command::Revoke { id } => revoke(lease(id, "lease revoke command needs 1 argument")?, session).await,
        Command::Timetolive { id, keys } => {
            let id = lease(id, "lease timetolive command needs lease ID as argument")?;
            let response = session.client.lease_time_to_live(&LeaseTimeToLiveRequest { id, keys }).await;
            let response = response.map_err(bad_connection)?;
            session.print(&Answer::TimeToLive { response: &response, keys })
        }
        Command::List => session.print(&Answer::Leases(&session.client.leases().await?)),
        Command::KeepAlive { id, once } => {
            let id = lease(id, "lease keep-alive command needs lease ID as argument")?;
            match once {
                true => keep_alive_once(id, session).await,
                false => keep_alive(id, session).await,
            }
        }
    }
}

async fn grant(ttl: Option<String>, session: &Session) -> Result<(), Failure> {
    let ttl = ttl.ok_or_else(|| Failure::bad_arguments("lease grant command needs TTL argument"))?;
    let ttl =
        go::parse_int(&ttl, 10).map_err(|error| Failure::bad_arguments(format_args!("bad TTL ({error})")))?;
    let response = session.client.lease_grant(&LeaseGrantRequest { ttl, id: 0 }).await;
    let response = response.map_err(|error| {
        Failure::call(Status::Error, &error, |error| format!("failed to grant lease ({error})"))
    })?;
    session.print(&Answer::Grant(&response))
}

async fn revoke(id: i64, session: &Session) -> Result<(), Failure> {
    let response = session.client.lease_revoke(&LeaseRevokeRequest { id }).await;
    let response = response.map_err(|error| {
        Failure::call(Status::Error, &error, |error| format!("failed to revoke lease ({error})"))
    })?;
    session.print(&Answer::Revoke { id, response: &response })
}

async fn keep_alive_once(id: i64, session: &Session) -> Result<(), Failure> {
    let response = session.client.keep_alive(id).once().await.map_err(bad_connection)?;
    match response.ttl {
        ..=0 => Err(Failure::new(Status::BadConnection, "etcdserver: requested lease not found")),
        _ => session.print(&Answer::KeepAlive(&response)),
    }
}

/// What etcdctl calls it, whatever it is.
fn bad_connection(error: ClientError) -> Failure {
    Failure::call(Status::BadConnection, &error, ToString::to_string)
}

async fn keep_alive(id: i64, session: &Session) -> Result<(), Failure> {
    let mut keep_alive = session.client.keep_alive(id);
    loop {
        let response = keep_alive.next().await.map_err(bad_connection)?;
        match response {
            Some(response) => session.print(&Answer::KeepAlive(&response))?,
            None => break,
        }
    }
    Output::new().line(format_args!("lease {id:016x} expired or revoked."));
    Ok(())
}

fn lease(id: Option<String>, needs: &str) -> Result<i64, Failure> {
    let id = id.ok_or_else(|| Failure::bad_arguments(needs))?;
    go::parse_int(&id, 16).map_err(|error| {
        Failure::bad_arguments(format_args!("bad lease ID arg ({error}), expecting ID in Hex"))
    })
}
