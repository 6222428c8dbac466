//! The machine as settings see it. Read once; a test describes another one.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::{fs::statvfs, system::uname};

use super::{ConfigError, quota::Room};

#[derive(Clone, Debug)]
pub struct Surroundings {
    /// `SOLDER_...`, and what systemd tells of directories.
    pub environment: BTreeMap<String, String>,
    /// What relative paths begin with.
    pub directory: PathBuf,
    pub hostname: String,
    /// As the device tree calls the board.
    pub model: Option<String>,
    pub memory_bytes: Option<u64>,
    pub arch: String,
    pub word_bits: u32,
    pub room: fn(&Path) -> Option<Room>,
}

impl Surroundings {
    pub fn here() -> Result<Surroundings, ConfigError> {
        let directory = env::current_dir()
            .map_err(|error| ConfigError(format!("cannot tell the current directory: {error}")))?;
        Ok(Surroundings {
            environment: environment()?,
            directory,
            hostname: uname().nodename().to_string_lossy().into_owned(),
            model: model(Path::new("/proc/device-tree/model")),
            memory_bytes: memory_bytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            arch: env::consts::ARCH.into(),
            word_bits: usize::BITS,
            room,
        })
    }
}

fn environment() -> Result<BTreeMap<String, String>, ConfigError> {
    let mut found = BTreeMap::new();
    for (name, value) in env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        if name.starts_with("SOLDER_") || name == "STATE_DIRECTORY" || name == "CONFIGURATION_DIRECTORY" {
            let value = value.into_string().map_err(|_| ConfigError(format!("{name}: not UTF-8")))?;
            found.insert(name, value);
        }
    }
    Ok(found)
}

/// The kernel ends the text with a zero byte.
fn model(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_end_matches('\0').trim().to_string()).filter(|model| !model.is_empty())
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What is free where the database is or will be, and what it takes already.
fn room(data_dir: &Path) -> Option<Room> {
    let there = data_dir.ancestors().find(|directory| directory.exists())?;
    let disk = statvfs(there).ok()?;
    let database = fs::metadata(data_dir.join("db/data.mdb"));
    Some(Room {
        free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        database_bytes: database.map_or(0, |file| file.blocks().saturating_mul(512)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_as_the_kernel_tells_it() {
        assert_eq!(memory_bytes("MemTotal:         437052 kB\nMemFree: 1 kB\n"), Some(437_052 * 1024));
        assert_eq!(memory_bytes(""), None);
        assert_eq!(memory_bytes("MemTotal: x kB\n"), None);
    }

    #[test]
    fn a_model_ends_before_its_zero() {
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let path = directory.path().join("model");
        assert_eq!(model(&path), None);
        fs::write(&path, b"Raspberry Pi Zero 2 W Rev 1.0\0").expect("room");
        assert_eq!(model(&path).as_deref(), Some("Raspberry Pi Zero 2 W Rev 1.0"));
        fs::write(&path, b"\0").expect("room");
        assert_eq!(model(&path), None);
    }

    #[test]
    fn room_of_a_directory_that_is_not_there_yet() {
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let found = room(&directory.path().join("a/b")).expect("its file system is there");
        assert!(found.free_bytes > 0 && found.database_bytes == 0, "{found:?}");
        fs::create_dir_all(directory.path().join("a/b/db")).expect("room");
        fs::write(directory.path().join("a/b/db/data.mdb"), vec![1; 100_000]).expect("room");
        assert!(room(&directory.path().join("a/b")).expect("the same").database_bytes > 0);
    }
}
