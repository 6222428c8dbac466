//! A disk that can be full: a file system of its own in memory, where the machine lets us mount one.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

pub struct SmallDisk {
    place: TempDir,
}

impl SmallDisk {
    /// `None`, and said so, where it cannot be mounted.
    pub fn mount(bytes: u64) -> Option<SmallDisk> {
        let place = TempDir::new().expect("a temporary directory");
        let size = format!("size={bytes}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(place.path()).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk { place });
        }
        eprintln!("SKIPPED: a small file system can be mounted by root only");
        None
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Takes all the space that is left, but `spare_bytes`.
    pub fn fill(&self, spare_bytes: u64) {
        let status = rustix::fs::statvfs(self.path()).expect("it is mounted");
        let free = status.f_bavail * status.f_frsize;
        let mut left = free.saturating_sub(spare_bytes);
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).expect("a file");
        let block = vec![0xb5; 64 * 1024];
        while left > 0 {
            let piece = left.min(block.len() as u64) as usize;
            // Others write at the same time: full is what it was to become.
            if ballast.write_all(&block[..piece]).is_err() {
                return;
            }
            left -= piece as u64;
        }
    }

    /// Gives back what `fill` took.
    pub fn free(&self) {
        match fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                panic!("the ballast stays: {error}")
            }
            _ => (),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there keeps it until then.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
