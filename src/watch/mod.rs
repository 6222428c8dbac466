//! Watch: tells clients what changed, in revision order, without gaps.
//!
//! ```text
//!   apply --publish--> Hub: window --> watchers that are live
//!                       ^
//!   store history ------+-- slice ---> watchers that are behind
//! ```
//!
//! A watcher is a cursor (its next revision), never a queue. It is *live* (its events are in the window, from its cursor
//! on, until its stream takes them) or *behind* (it needs history from its cursor on), and changes over only where
//! history has reached the hub's revision: no event is lost, none comes twice.
//!
//! - What has not been taken is held once for all, in the window, and that is bounded: who is so late that the window
//!   cannot wait falls behind. So ten thousand who do not read cost what ten thousand cursors cost.
//! - All who are behind share one scan of history, a slice at a time, from the lowest cursor of those whose stream
//!   waits for something. A stream that does not read takes no part, and holds up nobody.
//! - A revision may have any number of events. A slice ends where it is full, be it within a revision; so does the part of
//!   a message that is made of it. Until that revision is at its end its stream *speaks* for this watcher alone: it says
//!   nothing else, takes part in the scan for nothing else, and what follows goes on with the same message.
//! - Live watchers do not hear of compactions. What they have yet to be told when they fall behind is *owed* to them, as is the
//!   rest of a message that has begun: the store keeps it readable until the hub has told it, having heard of the compaction,
//!   from where on somebody is owed something.
//! - The store reads for the window only what somebody watches: its `Interest`. A watcher becomes live only after the
//!   store has told of a scan that brought it an interest with this watcher in it.
//!
//! Here you will not find: sockets, LMDB, threads, clocks. The hub is told.

mod catch_up;
mod hub;
mod index;
mod interest;
mod owed;
mod ranges;
mod slab;
mod speech;
mod stream;
mod watcher;
mod window;

use std::time::Duration;

pub use catch_up::{Scan, Slice};
pub use hub::{Hub, Options};
pub use interest::Interest;
pub use stream::StreamId;

use crate::types::{Bytes, KeyRange, KeyRev, Revision};

/// One change of a key, as the hub sees it. A clone is a second handle to the same event.
pub trait Event: Clone {
    fn rev(&self) -> KeyRev;
    fn key(&self) -> &Bytes;
    fn is_delete(&self) -> bool;
    /// What it counts against bounds in bytes.
    fn weight_bytes(&self) -> u64;
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

/// What a stream of watches has to say next.
#[derive(Debug)]
pub struct Message<E> {
    pub watch: WatchId,
    /// All changes up to and including it that the watch is to see have been told, with this message.
    pub revision: Revision,
    pub what: News<E>,
}

#[derive(Debug)]
pub enum News<E> {
    /// In order, already filtered, and to the end of their last revision. If they end a message that came in parts, there may
    /// be none.
    Events(Vec<E>),
    /// The same, but of the last revision there may be more: the message goes on, before the stream says anything else.
    /// `Message::revision` is that revision.
    Part(Vec<E>),
    Progress,
    /// The next revision it wanted is compacted; the watch is gone. The compacted revision.
    Compacted(Revision),
}
