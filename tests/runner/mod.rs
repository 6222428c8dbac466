//! Runs programs that were built for the tests' target, which need not be the machine's.

use std::{env, ffi::OsStr, process::Command};

/// The program, or `SOLDER_RUNNER` with it: `SOLDER_RUNNER="qemu-arm-static -L /usr/arm-linux-gnueabihf"`. (Cargo has such a
/// setting for the tests themselves, but does not tell them.)
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let runner = env::var("SOLDER_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    match words.next() {
        None => Command::new(program),
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
    }
}
