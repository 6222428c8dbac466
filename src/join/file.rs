//! Small files beside a board's keys: read by whom they concern, written whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Errors: one line that names the file.
pub(super) fn keep(folder: &Path, name: &str, text: &str) -> Result<(), String> {
    write(folder, name, text)
        .map_err(|error| format!("{} cannot be written: {error}", folder.join(name).display()))
}

fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, folder.join(name))?;
    File::open(folder)?.sync_all()
}
