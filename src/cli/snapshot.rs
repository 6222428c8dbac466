//! `snapshot save|status|restore`.

mod authority;

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, IsTerminal as _, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};
use sha2::{Digest as _, Sha256};

use super::{
    failure::{Failure, Status},
    go,
    output::Output,
    print::{Answer, Snapshot},
    session::Session,
};
use crate::{config, member, rpc::SnapshotResponse, run::member_options, snapshot};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Save all that the store holds to a file.
    Save {
        /// The file; one of that name is replaced, but not with --data-dir.
        file: Option<PathBuf>,
        /// Of this data directory, without a server, which must not be running.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Save the key of the cluster's authority, too, in FILE.authority: from the data directory of a board that votes, of
        /// this machine, never over the network [default: --data-dir, or as for `solder serve`].
        #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
        with_authority: Option<Option<PathBuf>>,
    },
    /// Check a snapshot, and tell what it holds.
    Status {
        /// The file.
        file: PathBuf,
    },
    /// Make a data directory of a snapshot, for a member of a new cluster.
    Restore(Restore),
}

#[derive(Args)]
pub(super) struct Restore {
    /// The file.
    file: PathBuf,
    /// The directory, which must not exist or be empty [default: NAME.solder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The board's name [default: default].
    #[arg(long)]
    name: Option<String>,
    /// Members of the new cluster, each of which is made of the same snapshot [default: the board alone].
    #[arg(long, value_name = "NAME=URL,...")]
    initial_cluster: Option<String>,
    /// Tells the new cluster from others whose boards have the same URLs [default: etcd-cluster].
    #[arg(long, value_name = "TOKEN")]
    initial_cluster_token: Option<String>,
    /// Where other members would reach the board [default: http://localhost:2380].
    #[arg(long, value_name = "URLS")]
    initial_advertise_peer_urls: Option<String>,
    /// Profile of the board that it is for, as for `solder serve`.
    #[arg(long)]
    board: Option<String>,
    /// Make the revision so much higher, if clients have seen revisions that are not in the snapshot.
    #[arg(long, default_value_t = 0, value_name = "N")]
    bump_revision: u64,
    /// Forget history: who watches is told to begin anew.
    #[arg(long)]
    mark_compacted: bool,
    /// Take a snapshot whose checksum is missing or wrong.
    #[arg(long)]
    skip_hash_check: bool,
    /// With the authority in FILE.authority: the certificates that it has made and the URLs that have its fingerprint go on to count.
    #[arg(long, conflicts_with = "initial_cluster")]
    with_authority: bool,
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Save { file: None, .. } => Err(Failure::bad_arguments("snapshot save expects one argument")),
        Command::Save { file: Some(file), data_dir: None, with_authority } => {
            let authority = with_authority.map(|dir| authority::held(dir.as_deref())).transpose()?;
            save(&file, session).await?;
            authority::keep(authority.as_ref(), &file)
        }
        Command::Save { file: Some(file), data_dir: Some(data_dir), with_authority } => {
            let dir = with_authority.map(|dir| dir.unwrap_or_else(|| data_dir.clone()));
            let authority = dir.map(|dir| authority::held(Some(&dir))).transpose()?;
            snapshot::save_offline(&data_dir, &file).map_err(Failure::error)?;
            saved(&file)?;
            authority::keep(authority.as_ref(), &file)
        }
        Command::Status { file } => {
            let found = snapshot::verify(&file, false).map_err(Failure::error)?;
            let answer = Snapshot {
                hash: found.hash,
                revision: found.revision.0,
                keys: found.total_keys,
                bytes: found.total_size,
            };
            session.print(&Answer::Snapshot(&answer))?;
            authority::tell(&file, found.cluster);
            Ok(())
        }
        Command::Restore(arguments) => restore(arguments),
    }
}

fn restore(arguments: Restore) -> Result<(), Failure> {
    let flags = config::Flags::of([
        ("data-dir", arguments.data_dir),
        ("name", arguments.name),
        ("initial-cluster", arguments.initial_cluster),
        ("initial-cluster-token", arguments.initial_cluster_token),
        ("initial-advertise-peer-urls", arguments.initial_advertise_peer_urls),
        ("board", arguments.board),
    ]);
    // What `serve` would use: variables and a configuration file count here, too.
    let options = member_options(&config::load(&flags).map_err(Failure::error)?);
    let copy = arguments.with_authority.then(|| authority::beside(&arguments.file)).transpose()?;
    let how = member::Restoring {
        authority: copy.as_ref(),
        bump_revision: arguments.bump_revision,
        mark_compacted: arguments.mark_compacted,
        skip_hash_check: arguments.skip_hash_check,
    };
    let restored = member::restore(&arguments.file, &options, how).map_err(Failure::error)?;
    let directory = options.data_dir.display();
    Output::new().line(format_args!("{directory} holds the snapshot, at revision {}", restored.revision.0));
    if copy.is_none() && authority::path(&arguments.file).exists() {
        eprintln!(
            "{} was not used: boards and URLs of the old cluster are strangers to the new one; --with-authority would take it",
            authority::path(&arguments.file).display()
        );
    }
    Ok(())
}

async fn save(file: &Path, session: &Session) -> Result<(), Failure> {
    if session.endpoints().len() > 1 {
        let all: Vec<String> = session.endpoints().iter().map(ToString::to_string).collect();
        let text =
            format!("snapshot must be requested to one selected node, not multiple [{}]", all.join(" "));
        return Err(Failure::bad_arguments(text));
    }
    let mut download = Download::begin(file)?;
    let mut stream = session.client.snapshot().await?;
    while let Some(piece) = stream.next::<SnapshotResponse>().await? {
        download.take(&piece)?;
    }
    download.finish(file)?;
    saved(file)
}

fn saved(file: &Path) -> Result<(), Failure> {
    Output::new().line(format_args!("Snapshot saved at {}", file.display()));
    Ok(())
}

const HASH_BYTES: usize = 32;

/// A file in the making. Its last bytes are the hash of all before them. Dropped, it leaves nothing behind.
struct Download {
    partial: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    /// The last bytes that came: perhaps they are the hash.
    last: Vec<u8>,
    progress: Progress,
    done: bool,
}

impl Download {
    fn begin(file: &Path) -> Result<Download, Failure> {
        let mut name = OsString::from(file);
        name.push(".part");
        let partial = PathBuf::from(name);
        let file = create(&partial).map_err(|error| {
            let path = partial.display();
            Failure::new(Status::Interrupted, format_args!("could not open {path} ({})", go::reason(&error)))
        })?;
        let progress = Progress::new();
        Ok(Download {
            partial,
            file: BufWriter::new(file),
            hash: Sha256::new(),
            last: Vec::new(),
            progress,
            done: false,
        })
    }

    fn take(&mut self, piece: &SnapshotResponse) -> Result<(), Failure> {
        self.last.extend_from_slice(&piece.blob);
        let settled = self.last.len().saturating_sub(HASH_BYTES);
        self.hash.update(&self.last[..settled]);
        self.last.drain(..settled);
        self.file.write_all(&piece.blob).map_err(|error| self.lost(&error))?;
        self.progress.tell(piece.blob.len() as u64, piece.remaining_bytes);
        Ok(())
    }

    fn finish(mut self, file: &Path) -> Result<(), Failure> {
        if self.hash.clone().finalize()[..] != self.last[..] {
            return Err(Failure::error(
                "the snapshot is broken or cut off: its checksum does not match: try again",
            ));
        }
        let directory = match file.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let kept = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let kept = kept.and_then(|()| fs::rename(&self.partial, file));
        kept.and_then(|()| File::open(directory)?.sync_all()).map_err(|error| self.lost(&error))?;
        self.done = true;
        Ok(())
    }

    fn lost(&self, error: &io::Error) -> Failure {
        Failure::error(format_args!("cannot write {}: {}", self.partial.display(), go::reason(error)))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.progress.end();
        if !self.done {
            // Half a snapshot only takes room.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Values may be secrets.
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// How far a download is, on a terminal's standard error.
struct Progress {
    /// When it was told last; `None`: nobody looks.
    told: Option<Instant>,
    bytes: u64,
}

const TELL_EVERY: Duration = Duration::from_millis(200);

impl Progress {
    fn new() -> Progress {
        Progress { told: io::stderr().is_terminal().then(Instant::now), bytes: 0 }
    }

    fn tell(&mut self, bytes: u64, left: u64) {
        self.bytes += bytes;
        if self.told.is_some_and(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            let (have, all) = (go::size(self.bytes), go::size(self.bytes.saturating_add(left)));
            eprint!("\rsnapshot: {have} of {all} \x1b[K");
        }
    }

    fn end(&self) {
        if self.told.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
