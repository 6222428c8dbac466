//! What reading has taught of the newest state, kept up to date by what is applied.

use super::{format::Version, hot::Hot, tally::Tally};

#[derive(Default)]
pub(super) struct Learned {
    pub(super) tally: Tally,
    pub(super) hot: Hot,
}

impl Learned {
    /// A key has got this version.
    pub(super) fn changed(&mut self, prefix: &[u8], version: &Version) {
        match version {
            Version { tombstone: true, .. } => self.tally.deleted(prefix),
            Version { version: 1, .. } => self.tally.created(prefix),
            _ => {}
        }
        self.hot.changed(prefix);
    }
}
