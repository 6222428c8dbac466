//! `snapshot save|status`.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, IsTerminal as _, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Subcommand;
use sha2::{Digest as _, Sha256};

use super::{
    failure::{Failure, Status},
    go,
    output::Output,
    print::{Answer, Snapshot},
    session::Session,
};
use crate::{rpc::SnapshotResponse, snapshot};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Save all that the store holds to a file.
    Save {
        /// The file; one of that name is replaced.
        file: Option<PathBuf>,
        /// Of this data directory, without a server, which must not be running.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Check a snapshot, and tell what it holds.
    Status {
        /// The file.
        file: PathBuf,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Save { file: None, .. } => Err(Failure::bad_arguments("snapshot save expects one argument")),
        Command::Save { file: Some(file), data_dir: None } => save(&file, session).await,
        Command::Save { file: Some(file), data_dir: Some(data_dir) } => {
            snapshot::save_offline(&data_dir, &file).map_err(Failure::error)?;
            saved(&file)
        }
        Command::Status { file } => {
            let found = snapshot::verify(&file, false).map_err(Failure::error)?;
            let answer = Snapshot {
                hash: found.hash,
                revision: found.revision.0,
                keys: found.total_keys,
                bytes: found.total_size,
            };
            session.print(&Answer::Snapshot(&answer))
        }
    }
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
        self.progress.end();
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
