//! One watcher: where it stands.
//!
//! ```text
//!            create                       publish: an event for it
//!   behind ----------> live (nothing) ---------------------------> waiting in the window
//!     ^  \  scanned: nothing for it ^                                  |    |
//!     |   \-------------------------+----------------------------------/    |  the window cannot wait, or was cut
//!     |    \ scanned                |             taken                      |
//!     |     +-----> waiting in the slice                                     |
//!     +---------------/ taken, or the slice cannot wait <--------------------+
//! ```

use std::time::Duration;

use crate::types::KeyRev;

use super::{Event, WatchId, index::Group};

pub(super) struct Watcher {
    pub(super) id: WatchId,
    pub(super) stream: u32,
    pub(super) group: Group,
    /// The next place in history that it may have to be told of; while it is live, nothing before it is told. Within a revision
    /// only while it is behind.
    pub(super) cursor: KeyRev,
    pub(super) state: State,
    pub(super) filter: Filter,
    /// Of the events in the window, so many are for it, the first at this place.
    pub(super) waiting: u32,
    pub(super) first: u64,
    /// Its stream has it in its queue of those who have something to say.
    pub(super) queued: bool,
    pub(super) owes_progress: bool,
    /// It is behind, and what it has yet to be told is owed to it, compacted or not.
    pub(super) owed: bool,
    /// Few ask for it, so it is not held in all.
    pub(super) notify: Option<Box<Notify>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Has all up to the hub's revision.
    Live,
    /// Live; has events waiting in the window, the first at its cursor.
    InWindow,
    Behind,
    /// Behind; has events waiting in the slice, the first at its cursor.
    InSlice,
    /// Its cursor is compacted. It only has that to say.
    Doomed,
}

#[derive(Clone, Copy)]
pub(super) struct Filter {
    pub(super) prev_kv: bool,
    pub(super) no_put: bool,
    pub(super) no_delete: bool,
}

pub(super) struct Notify {
    pub(super) interval: Duration,
    pub(super) due: Duration,
    /// Events were told since the last time it was due.
    pub(super) spoke: bool,
}

impl Filter {
    pub(super) fn passes(self, event: &impl Event) -> bool {
        if event.is_delete() { !self.no_delete } else { !self.no_put }
    }
}
