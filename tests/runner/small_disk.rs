//! A small file system, if one can be had.

use std::{path::Path, process::Command};

/// Mounts one of this size (`512k`, `8m`) on the directory. `None`: only root can.
pub(crate) fn small_disk<'a>(dir: &'a Path, size: &str) -> Option<Unmount<'a>> {
    let size = format!("size={size}");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir).status();
    let mounted = mount.is_ok_and(|status| status.success());
    if !mounted {
        eprintln!("SKIPPED: a small file system can be mounted by root only");
    }
    mounted.then_some(Unmount(dir))
}

pub(crate) struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        // Lazily: what holds files open is dropped after this.
        let done = Command::new("umount").arg("-l").arg(self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}
