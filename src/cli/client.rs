//! The commands that talk to a cluster: `solder get`, or all there is where the binary is called `etcdctl`.

use clap::Subcommand;

use super::{
    cluster, del, endpoint,
    failure::Failure,
    get, invite, lease, ls, member, put,
    session::{Globals, Session},
    snapshot, txn, watch,
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Get keys.
    Get(get::Arguments),
    /// Put a value under a key.
    Put(put::Arguments),
    /// Delete keys.
    Del(del::Arguments),
    /// List keys as a tree.
    Ls(ls::Arguments),
    /// Carry out many operations at once, on conditions.
    Txn(txn::Arguments),
    /// Follow what changes.
    Watch(watch::Arguments),
    /// Leases: keys that live as long as somebody does.
    #[command(subcommand)]
    Lease(lease::Command),
    /// Forget history up to a revision.
    Compaction(cluster::Compaction),
    /// Give back the disk space that is not used.
    Defrag(endpoint::Defrag),
    /// How the endpoints are.
    Endpoint(endpoint::Arguments),
    /// Alarms.
    #[command(subcommand)]
    Alarm(cluster::Alarm),
    /// The members of the cluster.
    #[command(subcommand)]
    Member(member::Command),
    /// What holds for all members of the cluster.
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Make a URL that lets boards into the cluster, with 'solder serve --discovery URL' on each.
    Invite(invite::Arguments),
    /// Let another member lead.
    MoveLeader(cluster::MoveLeader),
    /// Snapshots of the whole store.
    #[command(subcommand)]
    Snapshot(snapshot::Command),
    /// Print the version.
    Version,
}

pub(super) fn run(command: Command, globals: Globals, as_etcdctl: bool) -> Result<(), Failure> {
    let session = Session::new(globals)?;
    async_io::block_on(dispatch(command, &session, as_etcdctl))
}

async fn dispatch(command: Command, session: &Session, as_etcdctl: bool) -> Result<(), Failure> {
    match command {
        Command::Get(arguments) => get::run(arguments, session).await,
        Command::Put(arguments) => put::run(arguments, session).await,
        Command::Del(arguments) => del::run(arguments, session).await,
        Command::Ls(arguments) => ls::run(arguments, session).await,
        Command::Txn(arguments) => txn::run(arguments, session).await,
        Command::Watch(arguments) => {
            watch::run(arguments, session, if as_etcdctl { "ETCDCTL" } else { "SOLDER" }).await
        }
        Command::Lease(command) => lease::run(command, session).await,
        Command::Compaction(arguments) => cluster::compaction(arguments, session).await,
        Command::Defrag(arguments) => endpoint::defrag(arguments, session).await,
        Command::Endpoint(arguments) => endpoint::run(arguments, session).await,
        Command::Alarm(command) => cluster::alarm(command, session).await,
        Command::Member(command) => member::run(command, session, as_etcdctl).await,
        Command::Cluster(command) => cluster::cluster(command, session).await,
        Command::Invite(arguments) => invite::run(arguments, session).await,
        Command::MoveLeader(arguments) => cluster::move_leader(arguments, session).await,
        Command::Snapshot(command) => snapshot::run(command, session).await,
        Command::Version => {
            cluster::version(as_etcdctl);
            Ok(())
        }
    }
}
