//! `solder check-config`.

use std::io::{self, Write as _};

use crate::config::{self, Flags, Surroundings};

pub(super) fn run(flags: &Flags) -> Result<(), String> {
    let surroundings = Surroundings::here().map_err(|error| error.to_string())?;
    let text = config::check(flags, &surroundings).map_err(|error| error.to_string())?;
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("cannot write the result: {error}"))
}
