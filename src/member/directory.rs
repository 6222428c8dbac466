//! A member's files.
//!
//! ```text
//!   data-dir/        0700
//!     LOCK           held (flock) by the process that serves; holds its pid, for the message to a second one
//!     member.toml    format, ids, name, incarnation: written before anything else is made
//!     wal/  db/      see their floors
//!     tls/           this board's keys and certificates, where boards join by themselves: see `peer`
//! ```
//!
//! A crash while it is made leaves `LOCK`, perhaps `member.toml.new`, or all of `member.toml`: the next start goes on from
//! there. `tls/` may be there before a board is anybody: its key is what it becomes somebody with. Where anything else stands and `member.toml` does not, the directory is somebody else's and is not touched.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    store::FileLock,
    types::{ClusterId, NodeId},
};

use super::open::OpenError;

/// The format that this build writes, and the newest that it reads.
const FORMAT: u32 = 1;

const LOCK: &str = "LOCK";
const MEMBER: &str = "member.toml";
const MEMBER_NEW: &str = "member.toml.new";
const TLS: &str = "tls";

/// Who this member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) cluster: ClusterId,
    pub(super) member: NodeId,
    pub(super) name: String,
    /// Drawn when the directory is made: a board with the same ids and another incarnation has lost its data.
    pub(super) incarnation: u64,
    /// The new cluster that its data is being made (see `refound`).
    pub(super) becomes: Option<ClusterId>,
    /// When it founded its cluster, alone or with others, in Unix seconds by its own clock. 0: it did not, or that is not known.
    pub(super) founded_s: u64,
}

/// `member.toml`. TOML's integers are signed, so ids are written as everywhere: in hexadecimal.
#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    cluster_id: String,
    member_id: String,
    name: String,
    /// Absent in directories of 0.1.0.
    incarnation: Option<String>,
    becomes: Option<String>,
    /// Absent where `Identity` has 0.
    founded_s: Option<u64>,
}

/// What is read first, of any format.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// A data directory that is ours until it is dropped.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    _lock: FileLock,
}

impl DataDir {
    /// Makes it if it is not there, and locks it. What is somebody else's gets not even a lock.
    pub(super) fn open(path: &Path) -> Result<DataDir, OpenError> {
        make(path)?;
        match check_empty(path) {
            Err(OpenError::NotOurs { .. }) if path.join(MEMBER).exists() => {}
            checked => checked?,
        }
        let lock = lock(path)?;
        Ok(DataDir { path: path.to_path_buf(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn db(&self) -> PathBuf {
        self.path.join("db")
    }

    pub(super) fn tls(&self) -> PathBuf {
        tls(&self.path)
    }

    pub(super) fn wal(&self) -> PathBuf {
        self.path.join("wal")
    }

    /// Who lives here; in an empty directory, from now on, `founder`.
    pub(super) fn identity(&self, founder: impl FnOnce() -> Identity) -> Result<Identity, OpenError> {
        let path = self.path.join(MEMBER);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let identity = read(&path, &text)?;
                if identity.incarnation != 0 {
                    return Ok(identity);
                }
                self.keep(Identity { incarnation: draw(), ..identity })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check_empty(&self.path)?;
                self.keep(founder())
            }
            Err(error) => Err(io_error(&path, "cannot be read", &error)),
        }
    }

    /// From now on it is this one.
    pub(super) fn keep(&self, identity: Identity) -> Result<Identity, OpenError> {
        let written = self.write(&identity);
        written.map_err(|error| io_error(&self.path.join(MEMBER), "cannot be written", &error))?;
        Ok(identity)
    }

    fn write(&self, identity: &Identity) -> io::Result<()> {
        let written = Written {
            format: FORMAT,
            cluster_id: identity.cluster.to_string(),
            member_id: identity.member.to_string(),
            name: identity.name.clone(),
            incarnation: Some(format!("{:x}", identity.incarnation)),
            becomes: identity.becomes.map(|cluster| cluster.to_string()),
            founded_s: Some(identity.founded_s).filter(|at| (1..=i64::MAX as u64).contains(at)),
        };
        let text = toml::to_string(&written).map_err(io::Error::other)?;
        let new = self.path.join(MEMBER_NEW);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(
            b"# Who this member is. Written by solder; not to be edited, nor copied to another board.\n",
        )?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(MEMBER))?;
        sync_directory(&self.path)
    }
}

pub(super) fn tls(data_dir: &Path) -> PathBuf {
    data_dir.join(TLS)
}

/// Of whoever lives there, also while it runs.
pub fn cluster(data_dir: &Path) -> Result<ClusterId, OpenError> {
    let path = data_dir.join(MEMBER);
    let text = fs::read_to_string(&path).map_err(|error| io_error(&path, "cannot be read", &error))?;
    read(&path, &text).map(|identity| identity.cluster)
}

/// Whether somebody lives there.
pub(super) fn is_made(data_dir: &Path) -> bool {
    data_dir.join(MEMBER).exists()
}

/// An incarnation: 0 would be none.
pub(super) fn draw() -> u64 {
    fastrand::u64(1..)
}

fn check_empty(path: &Path) -> Result<(), OpenError> {
    let failed = |error| io_error(path, "cannot be listed", &error);
    for file in fs::read_dir(path).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        if name != LOCK && name != MEMBER_NEW && name != TLS && name != "lost+found" {
            return Err(OpenError::NotOurs {
                path: path.to_path_buf(),
                file: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(())
}

fn read(path: &Path, text: &str) -> Result<Identity, OpenError> {
    let bad = |what: String| OpenError::BadMember { path: path.to_path_buf(), what };
    let Format { format } = toml::from_str(text).map_err(|error| bad(one_line(&error)))?;
    if format != FORMAT {
        return Err(OpenError::Format { path: path.to_path_buf(), format, known: FORMAT });
    }
    let written: Written = toml::from_str(text).map_err(|error| bad(one_line(&error)))?;
    let id = |name: &str, text: &str| match u64::from_str_radix(text, 16) {
        Ok(id) if id != 0 => Ok(id),
        _ => Err(bad(format!("{name} {text:?} is no id"))),
    };
    Ok(Identity {
        cluster: ClusterId(id("cluster_id", &written.cluster_id)?),
        member: NodeId(id("member_id", &written.member_id)?),
        name: written.name,
        incarnation: written.incarnation.map_or(Ok(0), |text| id("incarnation", &text))?,
        becomes: written.becomes.map(|text| id("becomes", &text).map(ClusterId)).transpose()?,
        founded_s: written.founded_s.unwrap_or(0),
    })
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().replace('\n', " ")
}

fn make(path: &Path) -> Result<(), OpenError> {
    let failed = |error| io_error(path, "cannot be made", &error);
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(OpenError::NotADirectory { path: path.to_path_buf() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
            let parent = path.parent().filter(|parent| *parent != Path::new(""));
            sync_directory(parent.unwrap_or(Path::new("."))).map_err(failed)
        }
        Err(error) => Err(io_error(path, "cannot be looked at", &error)),
    }
}

fn lock(path: &Path) -> Result<FileLock, OpenError> {
    let name = path.join(LOCK);
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&name);
    let file = opened.map_err(|error| io_error(path, "cannot be written", &error))?;
    match FileLock::take(file).map_err(|error| io_error(&name, "cannot be locked", &error))? {
        Ok(lock) => {
            let mut file: &File = &lock;
            file.set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()))
                .map_err(|error| io_error(&name, "cannot be written", &error))?;
            Ok(lock)
        }
        Err(mut held) => {
            let mut pid = String::new();
            // Only for the message: whatever cannot be read is left out.
            let _ = held.read_to_string(&mut pid);
            Err(OpenError::InUse { path: path.to_path_buf(), pid: pid.trim().parse().ok() })
        }
    }
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(super) fn io_error(path: &Path, what: &'static str, error: &io::Error) -> OpenError {
    OpenError::Io { path: path.to_path_buf(), what, reason: error.to_string() }
}
