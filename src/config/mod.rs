//! Settings as written, settings as used.
//!
//! ```text
//!   flag  >  SOLDER_... variable  >  --config-file  >  board profile  >  default
//!      \______________|_________________|__________________/
//!                             v
//!            Written: one text a key, and where it stands          written.rs, file.rs, board.rs
//!                             v   resolve.rs
//!            Settings: typed, absolute, checked                    settings.rs
//! ```
//!
//! One table (`keys.rs`) says which keys there are, what they mean, and what becomes of them here; flags, environment
//! variables, the keys of the file and the answer of `solder check-config` are made from it. Names and meanings are etcd's.
//! - What etcd has and Solder does not need is taken with a warning.
//! - What Solder does not do (yet) is refused, unless the value is the one that changes nothing.
//! - What nobody knows is refused with the nearest name.
//!
//! Unlike etcd, a `--config-file` does not switch off flags and environment variables: each key is looked up on its own.
//!
//! Here you will not find: sockets, the data directory's contents, anything that is changed. Reading settings changes nothing.

mod arguments;
mod board;
mod duration;
mod file;
mod keys;
mod nearest;
mod quota;
mod reading;
mod report;
mod resolve;
mod role;
mod settings;
mod surroundings;
mod url;
mod written;

use std::fmt;

pub use arguments::{Flags, double_dashes};
pub use board::Profile;
pub use duration::{parse_duration, write_duration};
pub use quota::{Room, quota_bytes};
pub use settings::{AutoCompaction, Budget, ClusterState, PeerTls, Settings};
pub use surroundings::Surroundings;

/// Settings that cannot be used: one line that names the place and says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What `solder serve` is to do, on this machine.
pub fn load(flags: &Flags) -> Result<Settings, ConfigError> {
    resolve(flags, &Surroundings::here()?)
}

/// The same for a machine that is described.
pub fn resolve(flags: &Flags, surroundings: &Surroundings) -> Result<Settings, ConfigError> {
    let written = written::Written::gather(flags, surroundings)?;
    resolve::settings(&written, surroundings).map(|(settings, _)| settings)
}

/// What `solder check-config` prints: a configuration file with all that would be used, each with where it comes from.
pub fn check(flags: &Flags, surroundings: &Surroundings) -> Result<String, ConfigError> {
    let written = written::Written::gather(flags, surroundings)?;
    let (settings, report) = resolve::settings(&written, surroundings)?;
    Ok(report::text(&settings, &report))
}
