//! Files that are for nobody else to read.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

const OTHERS: u32 = 0o077;

/// Takes from others what older builds have left them, of a file or a directory. Where that cannot be, because it is somebody
/// else's or the file system has no such rights, it stays as it is.
pub fn owner_only(path: &Path) {
    let Ok(found) = fs::metadata(path) else { return };
    let mode = found.permissions().mode();
    if mode & OTHERS == 0 {
        return;
    }
    if let Err(error) = fs::set_permissions(path, Permissions::from_mode(mode & 0o700)) {
        log::debug!("{} stays readable for others: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_reads_it() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let (path, mode) = (dir.path().join("x"), |path: &Path| {
            fs::metadata(path).expect("it is there").permissions().mode()
        });
        fs::write(&path, "x").expect("room");
        for (given, expected) in [(0o644, 0o600), (0o600, 0o600), (0o400, 0o400), (0o466, 0o400)] {
            fs::set_permissions(&path, Permissions::from_mode(given)).expect("it is ours");
            owner_only(&path);
            assert_eq!(mode(&path) & 0o777, expected, "{given:o}");
        }
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("it is ours");
        owner_only(dir.path());
        assert_eq!(mode(dir.path()) & 0o777, 0o700);
        owner_only(&dir.path().join("nothing"));
    }
}
