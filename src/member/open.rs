//! From a data directory to a running member.
//!
//! ```text
//!   open:  lock -> identity -> database -> log -> reconcile      blocks; nothing is started
//!   start: threads, and the future that is the member's life
//! ```
//!
//! Every step leaves, should the power go in the middle of it, something that the next start goes on from.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_lite::future;
use sha2::{Digest as _, Sha256};

use crate::{
    lease,
    peer::{BoardTls, Peers},
    raft,
    replica::{self, Replica, boot},
    store::{Backend, Lmdb, Store, StoreError},
    types::{Bytes, ClusterId, ClusterRow, Command, MemberRow, Membership, NodeId},
    wal::{self, Directory, Disk, Record, Wal, WalError},
};

use super::{
    AutoCompaction, Autopilot, Failure, Formation, Member, Options, authority,
    bootstrap::plain,
    core::autopilot::now_s,
    digests,
    directory::{DataDir, Identity, draw, io_error, is_made},
    engine::{self, Engine},
    forming,
    leases::Leases,
    log_thread::{Log, LogOf},
    mover,
    options::{DEFAULT_NAME, DEFAULT_PEER_URL, Members, Start},
    questions,
    refound::refound,
    roll::Roll,
};

/// Why a member does not start: one line that says what, about which file, and what to do.
#[derive(Debug)]
pub enum OpenError {
    InUse {
        path: PathBuf,
        pid: Option<u32>,
    },
    NotADirectory {
        path: PathBuf,
    },
    NotOurs {
        path: PathBuf,
        file: String,
    },
    BadMember {
        path: PathBuf,
        what: String,
    },
    Format {
        path: PathBuf,
        format: u32,
        known: u32,
    },
    Mixed {
        path: PathBuf,
        cluster: ClusterId,
        found: ClusterId,
    },
    Io {
        path: PathBuf,
        what: &'static str,
        reason: String,
    },
    Store(StoreError),
    Wal(WalError),
    Gap(boot::Gap),
    /// What the cluster has agreed on, and what this build knows.
    Level {
        settled: u32,
        known: u32,
    },
    NoStore {
        path: PathBuf,
        what: &'static str,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path, pid } => {
                write!(f, "the data directory {} is in use by ", path.display())?;
                match pid {
                    Some(pid) => write!(f, "process {pid}")?,
                    None => f.write_str("another process")?,
                }
                f.write_str(": stop it, or give this one another --data-dir")
            }
            Self::NotADirectory { path } => {
                write!(f, "{} is no directory: give another --data-dir", path.display())
            }
            Self::NotOurs { path, file } => write!(
                f,
                "{} is not empty and no data directory of solder (it holds {file:?} and no member.toml): give \
                 another --data-dir",
                path.display()
            ),
            Self::BadMember { path, what } => write!(
                f,
                "{} is damaged ({what}): restore it from a copy, or this member from a snapshot or its peers",
                path.display()
            ),
            Self::Format { path, format, known } => write!(
                f,
                "{} is of format {format}, this build knows format {known}: install the build that wrote it, or a \
                 newer one",
                path.display()
            ),
            Self::Mixed { path, cluster, found } => write!(
                f,
                "{} belongs to cluster {found}, but member.toml beside it says {cluster}: this data directory has \
                 been mixed up with another",
                path.display()
            ),
            Self::Io { path, what, reason } => write!(
                f,
                "{} {what}: {reason}: check the path, who owns it, and that the disk is mounted for writing",
                path.display()
            ),
            Self::Store(error) => error.fmt(f),
            Self::Wal(error) => error.fmt(f),
            Self::Gap(gap) => gap.fmt(f),
            Self::Level { settled, known } => write!(
                f,
                "the members have agreed on entries of level {settled}, and this build knows none above level {known}: \
                 install the build that the other members run"
            ),
            Self::NoStore { path, what } => write!(f, "{}: {what}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> OpenError {
        OpenError::Store(error)
    }
}

impl From<WalError> for OpenError {
    fn from(error: WalError) -> OpenError {
        OpenError::Wal(error)
    }
}

/// A member that is ready to run.
pub struct Opened {
    pub(super) options: Options,
    pub(super) identity: Identity,
    pub(super) replica: Replica,
    pub(super) store: Store,
    pub(super) roll: Roll,
    pub(super) leases: Leases,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) log: Box<dyn Log>,
    pub(super) trust: Option<BoardTls>,
    /// Let go last.
    pub(super) dir: DataDir,
}

/// A data directory that is this process's, before it is known what becomes of it.
pub struct Claim(DataDir);

/// Where a board's keys are, if it has any.
pub fn tls_dir(data_dir: &Path) -> PathBuf {
    super::directory::tls(data_dir)
}

/// Makes the directory if it is not there, and locks it.
pub fn claim(data_dir: &Path) -> Result<Claim, OpenError> {
    DataDir::open(data_dir).map(Claim)
}

/// Locks and reads everything. Blocks.
pub fn open(options: Options) -> Result<Opened, OpenError> {
    claim(&options.data_dir)?.open(options)
}

impl Claim {
    /// Where this board's keys are, if it has any.
    pub fn tls_dir(&self) -> PathBuf {
        self.0.tls()
    }

    /// Reads everything. Blocks.
    pub fn open(self, options: Options) -> Result<Opened, OpenError> {
        open_in(self.0, options)
    }
}

fn open_in(dir: DataDir, options: Options) -> Result<Opened, OpenError> {
    let identity = identify(&options, &dir)?;
    let backend = Arc::new(Lmdb::open(&dir.db(), &options.lmdb)?);
    let path = dir.wal();
    let disk =
        Directory::open(&path).map_err(|error: io::Error| io_error(&path, "cannot be opened", &error))?;
    assemble(options, dir, identity, backend, disk)
}

fn identify(options: &Options, dir: &DataDir) -> Result<Identity, OpenError> {
    if options.force_new_cluster && !is_made(dir.path()) {
        let what = "there is no data here to make a cluster of: leave --force-new-cluster out";
        return Err(OpenError::NoStore { path: dir.path().to_path_buf(), what });
    }
    let identity = dir.identity(|| founder(options))?;
    refound(options, dir, identity)
}

/// As `open`, on another database and another disk.
#[cfg(feature = "testing")]
pub fn open_on<D: Disk + Send + 'static>(
    options: Options,
    backend: Arc<dyn Backend>,
    disk: D,
) -> Result<Opened, OpenError> {
    let dir = DataDir::open(&options.data_dir)?;
    let identity = dir.identity(|| founder(&options))?;
    assemble(options, dir, identity, backend, disk)
}

fn assemble<D: Disk + Send + 'static>(
    mut options: Options,
    dir: DataDir,
    identity: Identity,
    backend: Arc<dyn Backend>,
    disk: D,
) -> Result<Opened, OpenError> {
    let mut rng = fastrand::Rng::new();
    let Identity { cluster, member, .. } = identity;
    let mut store = Store::open(backend.clone(), options.store)?;
    if !store.is_initialised() {
        found(&options, &identity, &mut store)?;
    }
    if store.cluster() != cluster {
        return Err(OpenError::Mixed { path: dir.db(), cluster, found: store.cluster() });
    }
    let mut roll = Roll::new(&store.members()?);
    check_level(roll.cluster.level)?;
    settle(&mut options, &identity, roll.row(member));
    let (wal, boot) = open_log(&options, &identity, &store, disk, &mut rng)?;
    boot.restored.entries.iter().for_each(|entry| roll.appended(entry));
    let members = store.membership().clone();
    let replica = Replica::new(replica_options(&options, member), boot, rng.fork());
    let log = Box::new(LogOf { wal, members });
    let ttl_min_s = lease::ttl_min_s(options.election);
    let leases = Leases::new(lease::Options { ttl_min_s, ..options.lease }, &store)?;
    Ok(Opened { options, identity, replica, store, roll, leases, backend, log, trust: None, dir })
}

/// A build that does not know what the others may write must not go on: it would stop in the midst of it.
pub(super) fn check_level(settled: u32) -> Result<(), OpenError> {
    let known = Command::level_known();
    if settled <= known { Ok(()) } else { Err(OpenError::Level { settled, known }) }
}

/// Who lives in a directory was settled when it was made. What was told since is ignored, as in etcd, and said so.
fn settle(options: &mut Options, identity: &Identity, row: Option<&MemberRow>) {
    let is_chosen = !options.is_default_name && options.name != DEFAULT_NAME;
    if is_chosen && options.name != identity.name {
        log::warn!("--name={} is ignored: this data directory is of member {}", options.name, identity.name);
    }
    options.name.clone_from(&identity.name);
    let known = row.map_or(&[][..], |row| &row.peer_urls);
    let is_told = options.peer_urls != [DEFAULT_PEER_URL];
    if is_told && !known.is_empty() && plain(known) != plain(&options.peer_urls) {
        let (told, id) = (options.peer_urls.join(","), identity.member);
        log::warn!(
            "--initial-advertise-peer-urls={told} is ignored: the cluster knows this member at {}; `solder member update {id} \
             --peer-urls={told}` changes that",
            known.join(",")
        );
    }
}

pub(super) fn open_log<D: Disk>(
    options: &Options,
    identity: &Identity,
    store: &Store,
    disk: D,
    rng: &mut fastrand::Rng,
) -> Result<(Wal<D>, boot::Boot), OpenError> {
    let wal_options = wal::Options {
        segment_bytes: options.wal_segment_bytes,
        cluster: identity.cluster,
        member: identity.member,
        bugs: options.bugs,
    };
    let known = wal::Known {
        applied: store.applied().index,
        catching_up: store.receive_mark().is_some(),
        members: store.membership(),
    };
    let (mut wal, found) = Wal::open(disk, wal_options, known, rng.fork())?;
    found.warning.iter().for_each(|torn| log::warn!("{torn}: it was being written when the power went"));
    found.repaired.iter().for_each(|header| log::warn!("{header}"));
    let log = boot::Log { hard_state: found.hard_state, start: found.start, entries: found.entries };
    let boot = boot::reconcile(store, log).map_err(OpenError::Gap)?;
    if let Some(start) = boot.log_start {
        wal.write(&[Record::LogStart(start)], store.membership())?;
        wal.sync()?;
    }
    Ok((wal, boot))
}

/// A fresh store: what all begin with who found a cluster together, or nothing yet, for who joins one. A first start that was
/// cut off once the board was somebody is gone on with: the settings may be a founder's by now, who this board is not.
fn found(options: &Options, identity: &Identity, store: &mut Store) -> Result<(), StoreError> {
    let founder = founder(options);
    if (founder.cluster, founder.member) != (identity.cluster, identity.member) {
        return store.init(identity.cluster, Membership::default());
    }
    let (membership, rows) = founding(options);
    store.init_with(identity.cluster, membership, &rows)
}

pub(super) fn founding(options: &Options) -> (Membership, Vec<(NodeId, Bytes)>) {
    let founders = match &options.start {
        Start::Join { .. } => Vec::new(),
        Start::Alone => founders(&alone(options), &options.cluster_token),
        Start::Together(members) => founders(members, &options.cluster_token),
        Start::Formed(formation) => return formed(options, formation),
    };
    let membership = Membership::of_voters(founders.iter().map(|(id, _)| *id));
    (membership, founders.iter().map(|(id, row)| (*id, row.encode())).collect())
}

fn alone(options: &Options) -> Members {
    BTreeMap::from([(options.name.clone(), options.peer_urls.clone())])
}

/// Who this board is, in an empty directory.
pub(super) fn founder(options: &Options) -> Identity {
    let name = options.name.clone();
    match &options.start {
        Start::Join { cluster, member } => {
            let (incarnation, becomes) = (draw(), None);
            Identity { cluster: *cluster, member: *member, name, incarnation, becomes, founded_s: 0 }
        }
        Start::Alone => founder_of(&alone(options), &options.cluster_token, name),
        Start::Together(members) => founder_of(members, &options.cluster_token, name),
        Start::Formed(formation) => founder_by_key(formation, name),
    }
}

/// Its key is nobody else's, and the same at a second attempt.
fn founder_by_key(formation: &Formation, name: String) -> Identity {
    let id = |what: &[u8]| id_of([what, &formation.key[..], formation.token.as_bytes()]);
    let (cluster, member) = (ClusterId(id(b"cluster")), NodeId(id(b"member")));
    Identity { cluster, member, name, incarnation: draw(), becomes: None, founded_s: now_s() }
}

/// Alone, with all that the others are to find when they come.
fn formed(options: &Options, formation: &Formation) -> (Membership, Vec<(NodeId, Bytes)>) {
    let id = founder_by_key(formation, String::new()).member;
    let me = MemberRow {
        name: options.name.clone(),
        peer_urls: options.peer_urls.clone(),
        key: formation.key.clone(),
        board: formation.board.clone(),
        ..MemberRow::default()
    };
    // What the others are to prove that they know is kept once this member leads; it counts them from then on.
    let cluster = ClusterRow { forming: ClusterRow::FORMING_BEGINS, ..looked_after(options) };
    (Membership::of_voters([id]), vec![(NodeId(0), cluster.encode()), (id, me.encode())])
}

/// Alone, and to be joined by URLs that are there already. Its key it tells by itself.
pub(super) fn of_authority(options: &Options, id: NodeId) -> (Membership, Vec<(NodeId, Bytes)>) {
    let me = MemberRow { peer_urls: options.peer_urls.clone(), ..MemberRow::default() };
    let rows = vec![(NodeId(0), looked_after(options).encode()), (id, me.encode())];
    (Membership::of_voters([id]), rows)
}

/// By itself: it chooses who votes.
fn looked_after(options: &Options) -> ClusterRow {
    let Autopilot { voters_max, replace_after_s, learners_max } = options.joining;
    let level = Command::level_known();
    ClusterRow { level, voters_max, replace_after_s, learners_max, ..ClusterRow::default() }
}

fn founder_of(members: &Members, token: &str, name: String) -> Identity {
    let member = id_of_member(members.get(&name).map_or(&[][..], Vec::as_slice), token);
    let ids: Vec<[u8; 8]> = founders(members, token).iter().map(|(id, _)| id.0.to_be_bytes()).collect();
    let cluster = ClusterId(id_of(ids.iter().map(|id| &id[..])));
    Identity { cluster, member, name, incarnation: draw(), becomes: None, founded_s: now_s() }
}

/// In the order of their ids.
fn founders(members: &Members, token: &str) -> Vec<(NodeId, MemberRow)> {
    let row = |urls: &Vec<String>| MemberRow { peer_urls: urls.clone(), ..MemberRow::default() };
    let mut founders: Vec<_> = members.values().map(|urls| (id_of_member(urls, token), row(urls))).collect();
    founders.sort_by_key(|(id, _)| *id);
    founders
}

/// As etcd does it: a founder's id is made of its peer URLs and the cluster's token, the cluster's id of its members.
fn id_of_member(peer_urls: &[String], token: &str) -> NodeId {
    let mut urls: Vec<&str> = peer_urls.iter().map(String::as_str).collect();
    urls.sort_unstable();
    NodeId(id_of(urls.iter().map(|url| url.as_bytes()).chain([token.as_bytes()])))
}

pub(super) fn id_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let first: [u8; 8] = hash.finalize()[..8].try_into().expect("8 bytes are 8 bytes");
    // 0 is nobody.
    u64::from_be_bytes(first).max(1)
}

pub(super) fn replica_options(options: &Options, id: NodeId) -> replica::Options {
    let election_ticks = options.ticks(options.election);
    replica::Options {
        raft: raft::Options {
            id,
            election_ticks,
            heartbeat_ticks: 1,
            append_bytes_max: 256 << 10,
            window_bytes: 1 << 20,
            uncommitted_bytes_max: options.uncommitted_bytes_max,
            tail_bytes_max: options.tail_bytes_max,
            apply_bytes_max: options.unapplied_bytes_max,
            reads_max: options.requests_max,
            bugs: options.bugs,
        },
        request_timeout_ticks: options.ticks(options.request_timeout).into(),
        requests_max: options.requests_max,
        transfers_max: 2,
        transfer_piece_bytes: TRANSFER_PIECE_BYTES,
        transfer_resend_ticks: u64::from(election_ticks),
        transfer_give_up_ticks: u64::from(election_ticks) * 60,
    }
}

/// Of a board that is caught up; one is in memory at each end.
pub(super) const TRANSFER_PIECE_BYTES: u64 = 256 << 10;

impl Opened {
    /// Of a board that joined by itself, or lets others in.
    #[must_use]
    pub fn with_trust(self, trust: Option<BoardTls>) -> Opened {
        Opened { trust, ..self }
    }

    /// Which cluster, which member of it, and which incarnation of that.
    pub fn ids(&self) -> (ClusterId, NodeId, u64) {
        (self.identity.cluster, self.identity.member, self.identity.incarnation)
    }

    /// Starts the threads. The future is the member's life: it must be polled first whenever anything happens; it ends
    /// when the member has been stopped, or cannot go on. Without `peers` it hears and reaches nobody.
    pub fn start(self, peers: Option<Peers>) -> (Member, impl Future<Output = Result<(), Failure>>) {
        if let Some(AutoCompaction::Revisions(0) | AutoCompaction::Periodic(std::time::Duration::ZERO)) =
            self.options.auto_compaction
        {
            log::warn!("automatic compaction that keeps nothing is switched off");
        }
        let engine = Engine::start(self, peers);
        engine.receive();
        let member = Member::new(engine.clone());
        // The engine is polled first.
        let clerk = future::or(questions::clerk(member.clone()), digests::checker(member.clone()));
        let tellers = future::or(authority::keeper(member.clone()), mover::mover(member.clone()));
        let tellers = future::or(tellers, forming::keeper(member.clone()));
        (member, future::or(engine::run(engine), future::or(clerk, tellers)))
    }
}
