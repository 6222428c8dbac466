//! `solder serve`: runs a board's store until it is told to stop.

use crate::{config, run};

pub(super) fn run(flags: &config::Flags) -> Result<(), String> {
    let settings = config::load(flags).map_err(|error| error.to_string())?;
    run::serve(&settings)
}
