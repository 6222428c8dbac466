//! `solder serve`: runs a board's store until it is told to stop.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::{config, run};

/// Set for the members of a demo: the process that they are to end with, however it ends.
pub(super) const PARENT: &str = "SOLDER_DEMO_PROCESS";

pub(super) fn run(flags: &config::Flags) -> Result<(), String> {
    if let Some(parent) = std::env::var_os(PARENT) {
        end_with(&parent.to_string_lossy())?;
    }
    let settings = config::load(flags).map_err(|error| error.to_string())?;
    run::serve(&settings)
}

/// From now on the kernel ends this process when the thread that started it ends. Of a parent that has ended before, it says
/// nothing any more; then this process has another parent.
fn end_with(parent: &str) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot be made to end with process {parent}: {error}"))?;
    let is_there = getppid().is_some_and(|pid| pid.as_raw_nonzero().to_string() == parent);
    if is_there { Ok(()) } else { Err(format!("process {parent}, which started this one, has ended")) }
}
