//! Watches of doors.

use std::{rc::Rc, time::Duration};

use crate::{
    store::RevRecord,
    types::{KeyRange, Revision},
};

use super::Member;

impl Member {
    /// The watches of one connection.
    pub fn watch_stream(&self) -> WatchStream {
        unimplemented!()
    }
}

/// Names a watch on its stream; chosen by the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub i64);

#[derive(Clone, Debug)]
pub struct WatchRequest {
    pub range: KeyRange,
    /// 0: from now on.
    pub start: Revision,
    pub prev_kv: bool,
    pub no_put: bool,
    pub no_delete: bool,
    /// Say where we are when nothing came for so long.
    pub progress_notify: Option<Duration>,
}

/// One change, shared by all who are told of it.
pub struct WatchEvent {
    pub record: RevRecord,
    /// The value before, if some watcher of this event asked for it and there was one.
    pub prev: Option<RevRecord>,
    /// Free for the door: an event is given its outer form once. [without prev_kv, with prev_kv]
    pub encoded: [std::cell::OnceCell<Box<[u8]>>; 2],
}

/// What a stream of watches has to say next.
pub struct WatchMessage {
    pub watch: WatchId,
    /// All changes up to and including it that the watch is to see have been told, with this message.
    pub revision: Revision,
    pub what: WatchNews,
}

pub enum WatchNews {
    /// Whole revisions, in order, already filtered.
    Events(Vec<Rc<WatchEvent>>),
    Progress,
    /// The next revision it wanted is compacted; the watch is gone. The compacted revision.
    Compacted(Revision),
}

/// Dropping it ends its watches.
pub struct WatchStream {}

impl WatchStream {
    /// The id must be free on this stream. From the next revision on if `start` is 0.
    pub fn create(&mut self, _id: WatchId, _request: WatchRequest) {
        unimplemented!()
    }

    /// Was there such a watch?
    pub fn cancel(&mut self, _id: WatchId) -> bool {
        unimplemented!()
    }

    /// Have all watches seen everything up to the newest revision (which is answered)?
    pub fn synced(&self) -> Option<Revision> {
        unimplemented!()
    }

    /// What comes next. Cancel-safe: nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> WatchMessage {
        unimplemented!()
    }
}
