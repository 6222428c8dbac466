//! `solder completions SHELL` and `solder man DIR`: what packages install beside the binary.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use clap::Command;

pub(super) fn completions(mut command: Command, shell: clap_complete::Shell) -> Result<(), String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "solder", &mut script);
    io::stdout().write_all(&script).map_err(|error| format!("cannot write the result: {error}"))
}

/// `solder.1`, `solder-serve.1`, `solder-wal-dump.1`, ...
pub(super) fn pages(command: Command, directory: &Path) -> Result<(), String> {
    let written = fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
    written.map_err(|error| format!("cannot write to {}: {error}", directory.display()))
}
