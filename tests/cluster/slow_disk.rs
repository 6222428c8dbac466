//! A disk that stands still most of the time: a file system on a loop device, frozen and thawed in turn.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tempfile::TempDir;

use crate::support::net::loudly;

const BYTES: u64 = 256 << 20;

pub(crate) struct SlowDisk {
    place: TempDir,
}

/// As long as it lives, the disk is slow.
pub(crate) struct Stutter {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SlowDisk {
    /// As fast as any, for now. `None`, and said so, where it cannot be had.
    pub(crate) fn mount() -> Option<SlowDisk> {
        let disk = SlowDisk { place: TempDir::new().expect("a temporary directory") };
        let image = disk.place.path().join("image");
        File::create(&image).and_then(|file| file.set_len(BYTES)).expect("a sparse file");
        std::fs::create_dir(disk.path()).expect("a directory");
        let made = run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))
            && run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.path()));
        if !made {
            loudly("SKIPPED: NO SLOW DISK WAS TESTED: there are no loop devices here, or no ext4");
            return None;
        }
        Some(disk)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.place.path().join("disk")
    }

    /// From now on, writes wait this long, again and again.
    pub(crate) fn stutter(&self, still: Duration) -> Stutter {
        let stop = Arc::new(AtomicBool::new(false));
        let (path, stopped) = (self.path(), stop.clone());
        assert!(freeze(&path, "--freeze") && freeze(&path, "--unfreeze"), "a disk cannot be frozen");
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let is_frozen = freeze(&path, "--freeze");
                thread::sleep(still);
                assert!(!is_frozen || freeze(&path, "--unfreeze"), "a disk stays frozen");
                thread::sleep(still / 8);
            }
        });
        Stutter { stop, thread: Some(thread) }
    }
}

impl Drop for Stutter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "a disk stays frozen");
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.path()));
    }
}

fn freeze(path: &Path, how: &str) -> bool {
    run(Command::new("fsfreeze").arg(how).arg(path))
}

fn run(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
