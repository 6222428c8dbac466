//! What a leader knows of one peer, and what it may send it.
//!
//! ```text
//!              accepted                     too old, or the peer says so
//!   Probe  ----------------->  Replicate  --------------------------------.
//!     ^  ^                         |                                      v
//!     |  '----- rejected ----------'              Probe --------------> CatchUp
//!     '------------------------------ catch_up_ended ---------------------'
//! ```
//!
//! - Probe: where the logs part is not known; one Append at a time, the next after its answer or a heartbeat's.
//! - Replicate: Appends follow each other without waiting, up to a window in bytes.
//! - CatchUp: no Appends; the store is being sent.
//!
//! The same machine as etcd's `tracker.Progress`, whose Snapshot stage is CatchUp here.

use std::collections::VecDeque;

use crate::types::{EntryId, Index, NodeId};

use super::{Message, Options, PeerStatus, log::Log, queue::pop_front_if};

/// How a leader sends to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Probe,
    Replicate,
    CatchUp,
}

#[derive(Debug)]
pub(super) struct Progress {
    pub(super) stage: Stage,
    /// The peer has acknowledged all up to here.
    pub(super) matched: Index,
    /// The next entry to send.
    pub(super) next: Index,
    /// Heard from since the last look at who is there.
    pub(super) is_active: bool,
    /// For how many ticks nothing was heard from it; `None`: nothing ever was, by this leader.
    pub(super) silent_ticks: Option<u32>,
    /// It would take proposals, as it last said; and for how many ticks it has said nothing else.
    pub(super) has_room: bool,
    pub(super) room_ticks: u32,
    /// The latest round of heartbeats that it answered.
    pub(super) round: u64,
    /// It is being caught up: entries after this one stay in memory until it has acknowledged what leads up to them.
    pub(super) pinned: Option<Index>,
    /// A learner: for how many ticks it was sent no heartbeat in its turn.
    pub(super) unasked_ticks: u32,
    /// Sent in this stage and not acknowledged: the last index of each Append and its bytes.
    in_flight: VecDeque<(Index, u64)>,
    in_flight_bytes: u64,
    /// Probe: an Append is under way.
    is_waiting: bool,
    /// Send an Append even if there is nothing new or no room in the window.
    is_due: bool,
    /// It acknowledged something since its last answer to a heartbeat.
    has_moved: bool,
    /// The highest commit index that it was sent.
    told: Index,
}

impl Progress {
    pub(super) fn new(next: Index) -> Progress {
        Progress {
            stage: Stage::Probe,
            matched: Index(0),
            next,
            // It gets one election time-out to be heard from.
            is_active: true,
            silent_ticks: None,
            has_room: false,
            room_ticks: 0,
            round: 0,
            pinned: None,
            unasked_ticks: 0,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            is_waiting: false,
            is_due: false,
            has_moved: false,
            told: Index(0),
        }
    }

    pub(super) fn status(&self, id: NodeId) -> PeerStatus {
        PeerStatus { id, stage: self.stage, matched: self.matched, next: self.next }
    }

    /// Something was heard from it.
    pub(super) fn heard(&mut self) {
        self.is_active = true;
        self.silent_ticks = Some(0);
    }

    fn enter(&mut self, stage: Stage, next: Index) {
        self.stage = stage;
        self.next = next;
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.is_waiting = false;
        self.is_due = false;
    }

    pub(super) fn is_too_old(&self, log: &Log) -> bool {
        self.stage != Stage::CatchUp && self.next <= log.before().index
    }

    pub(super) fn enter_catch_up(&mut self) {
        self.enter(Stage::CatchUp, self.matched.next());
        self.pinned = None;
    }

    /// The transfer is over. It ended where the tail is kept from, if it ended well: the best first guess.
    pub(super) fn leave_catch_up(&mut self, log: &Log) {
        if self.stage == Stage::CatchUp {
            let last = log.last().index;
            self.enter(Stage::Probe, self.pinned.unwrap_or(last).min(last).next());
        }
    }

    /// It has acknowledged all there is.
    pub(super) fn is_up_to_date(&self, log: &Log) -> bool {
        self.stage == Stage::Replicate && self.matched == log.last().index
    }

    pub(super) fn wants_append(&self, log: &Log, window_bytes: u64) -> bool {
        match self.stage {
            Stage::CatchUp => false,
            Stage::Probe => !self.is_waiting,
            Stage::Replicate => self.is_due || (self.has_room(window_bytes) && self.next <= log.last().index),
        }
    }

    fn has_room(&self, window_bytes: u64) -> bool {
        self.in_flight.is_empty() || self.in_flight_bytes < window_bytes
    }

    /// The next Append, if one may go. The entry before `next` must be in the tail.
    pub(super) fn take_append(&mut self, log: &Log, options: &Options) -> Option<Message> {
        if !self.wants_append(log, options.window_bytes) {
            return None;
        }
        let prev = EntryId { index: self.next.prev(), term: log.term_at(self.next.prev())? };
        let has_room = self.stage == Stage::Probe || self.has_room(options.window_bytes);
        let entries = if has_room { log.slice(self.next, options.append_bytes_max) } else { Vec::new() };
        let last = entries.last().map_or(prev.index, |entry| entry.id.index);
        if self.stage == Stage::Probe {
            self.is_waiting = true;
        } else if last > prev.index {
            let bytes = log.bytes_between(prev.index, last);
            self.in_flight.push_back((last, bytes));
            self.in_flight_bytes += bytes;
            self.next = last.next();
        }
        self.is_due = false;
        self.told = self.told.max(log.commit().min(last));
        Some(Message::Append { prev, entries, commit: log.commit() })
    }

    /// The commit index that this peer can take without looking: it has acknowledged the entries.
    fn commit_to_tell(&self, log: &Log) -> Index {
        log.commit().min(self.matched)
    }

    pub(super) fn wants_news(&self, log: &Log) -> bool {
        self.stage == Stage::Replicate && self.told < self.commit_to_tell(log)
    }

    pub(super) fn heartbeat(&mut self, log: &Log, round: u64) -> Message {
        let commit = self.commit_to_tell(log);
        self.told = self.told.max(commit);
        Message::Heartbeat { commit, round }
    }

    pub(super) fn accepted(&mut self, matched: Index) {
        if matched < self.matched {
            return;
        }
        self.has_moved |= matched > self.matched;
        self.matched = matched;
        match self.stage {
            Stage::CatchUp => return,
            Stage::Probe => self.enter(Stage::Replicate, matched.next()),
            Stage::Replicate => {
                self.next = self.next.max(matched.next());
                while let Some((_, bytes)) = pop_front_if(&mut self.in_flight, |(last, _)| *last <= matched) {
                    self.in_flight_bytes -= bytes;
                }
            }
        }
        if self.pinned.is_some_and(|pinned| pinned <= matched) {
            self.pinned = None;
        }
    }

    /// The Append after `prev` did not fit; `hint` is the last entry of the peer's that might.
    pub(super) fn rejected(&mut self, prev: Index, hint: EntryId, log: &Log) {
        match self.stage {
            Stage::CatchUp => {}
            // Late: it has accepted this and more since.
            Stage::Replicate if prev <= self.matched => {}
            // An Append was lost before this one.
            Stage::Replicate => self.enter(Stage::Probe, self.matched.next()),
            // Not the answer to what was asked last.
            Stage::Probe if prev != self.next.prev() => {}
            Stage::Probe => {
                let parted = log.last_up_to(hint.index, hint.term).map_or(Index(0), |id| id.index);
                let next = parted.next().min(prev).max(self.matched.next());
                // If not, it has lost what it had acknowledged. Asking again at once would never end.
                if next < self.next {
                    self.enter(Stage::Probe, next);
                }
            }
        }
    }

    /// The peer answered that it is being caught up. Is that news, and of what was asked last?
    pub(super) fn is_lost(&self, prev: Index) -> bool {
        match self.stage {
            Stage::CatchUp => false,
            Stage::Replicate => prev >= self.matched,
            Stage::Probe => prev == self.next.prev(),
        }
    }

    /// A heartbeat came back: the way is open. If something is under way and did not move since the heartbeat before, it
    /// may be lost: ask.
    pub(super) fn heartbeat_answered(&mut self) {
        self.is_waiting = false;
        self.is_due |= self.stage == Stage::Replicate && !self.has_moved && self.matched < self.next.prev();
        self.has_moved = false;
    }
}
