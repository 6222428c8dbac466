//! The key of the cluster's authority, beside a snapshot.
//!
//! It is read from a data directory of this machine, by who may read that directory: with it anybody gets into the cluster, so
//! no server tells it to a client, be it over TLS or from the same board, where every user and every program can ask.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    cli::{failure::Failure, output::Output, session::Session},
    config, member,
    peer::AuthorityCopy,
    types::ClusterId,
};

/// Where it is kept.
pub(super) fn path(snapshot: &Path) -> PathBuf {
    let mut name = OsString::from(snapshot);
    name.push(".authority");
    PathBuf::from(name)
}

/// By the member whose directory this is; `None`: the one that `solder serve` would use.
pub(super) fn held(dir: Option<&Path>) -> Result<AuthorityCopy, Failure> {
    let dir = match dir {
        Some(dir) => dir.to_owned(),
        None => config::load(&config::Flags::of([])).map_err(Failure::error)?.data_dir,
    };
    let cluster = member::cluster(&dir).map_err(Failure::error)?;
    AuthorityCopy::of(&member::tls_dir(&dir), cluster).map_err(Failure::error)
}

/// Before anything is saved: is the server that is asked of the same cluster?
pub(super) async fn check_server(held: Option<&AuthorityCopy>, session: &Session) -> Result<(), Failure> {
    let Some(held) = held else { return Ok(()) };
    let header = session.client.status().await?.header.unwrap_or_default();
    check(held, ClusterId(header.cluster_id))
}

/// The same of what is saved without a server.
pub(super) fn check_directory(held: Option<&AuthorityCopy>, dir: &Path) -> Result<(), Failure> {
    let Some(held) = held else { return Ok(()) };
    check(held, member::cluster(dir).map_err(Failure::error)?)
}

fn check(held: &AuthorityCopy, saved: ClusterId) -> Result<(), Failure> {
    match saved == held.cluster() {
        true => Ok(()),
        false => Err(Failure::error(format_args!(
            "the snapshot would be of cluster {saved}, and the authority of cluster {}: give the data directory of a member of the \
             same cluster with --with-authority=DIR",
            held.cluster()
        ))),
    }
}

pub(super) fn keep(held: Option<&AuthorityCopy>, snapshot: &Path) -> Result<(), Failure> {
    let Some(held) = held else { return Ok(()) };
    let path = path(snapshot);
    held.write(&path).map_err(Failure::error)?;
    Output::new().line(format_args!(
        "Authority saved at {}: whoever has that file gets into the cluster",
        path.display()
    ));
    Ok(())
}

pub(super) fn beside(snapshot: &Path) -> Result<AuthorityCopy, Failure> {
    AuthorityCopy::read(&path(snapshot)).map_err(Failure::error)
}

/// Beside what etcd tells of a snapshot.
pub(super) fn tell(snapshot: &Path, cluster: ClusterId) {
    let path = path(snapshot);
    if !path.exists() {
        return;
    }
    match AuthorityCopy::read(&path) {
        Ok(copy) if copy.cluster() == cluster => {
            let pin: String = copy.pin().iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{} has the authority of its cluster: SHA-256 {pin}", path.display());
        }
        Ok(copy) => {
            eprintln!("{} has the authority of another cluster, {}", path.display(), copy.cluster())
        }
        Err(wrong) => eprintln!("{wrong}"),
    }
}
