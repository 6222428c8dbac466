//! One board around a real node: a disk that keeps what was written to it and syncs when told, and a store that is the
//! list of what was applied.

use std::collections::VecDeque;

use solder::raft::{Envelope, Node, Options, Persist, Ready, Restored, Ticket};
use solder::types::{Entry, EntryId, HardState, Index, Membership, NodeId, Payload};

pub(crate) struct Board {
    pub(crate) options: Options,
    pub(crate) node: Node,
    pub(crate) disk: Disk,
    /// Handed to the disk and not synced, with what may leave then.
    pub(crate) writing: VecDeque<(Persist, Vec<Envelope>)>,
    pub(crate) store: Store,
    /// Handed to the store and not applied.
    pub(crate) applying: VecDeque<Entry>,
}

/// What a restart finds.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) start: EntryId,
    pub(crate) entries: Vec<Entry>,
    pub(crate) store: Store,
    pub(crate) catching_up: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Store {
    /// Before the first entry.
    pub(crate) initial: Membership,
    pub(crate) history: Vec<Entry>,
}

impl Store {
    pub(crate) fn applied(&self) -> EntryId {
        self.history.last().map_or_else(EntryId::default, |entry| entry.id)
    }

    pub(crate) fn membership(&self) -> Membership {
        self.history.iter().fold(self.initial.clone(), |members, entry| match entry.payload {
            Payload::Membership { change, .. } => members.with(change).unwrap_or(members),
            Payload::Empty | Payload::Command { .. } => members,
        })
    }

    pub(crate) fn apply(&mut self, entry: Entry) {
        assert_eq!(entry.index(), self.applied().index.next(), "applied out of order");
        self.history.push(entry);
    }
}

impl Disk {
    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.start, |entry| entry.id)
    }

    fn holds(&self, id: EntryId) -> bool {
        id == self.start || self.entries.iter().any(|entry| entry.id == id)
    }

    pub(crate) fn write(&mut self, persist: Persist) {
        self.hard_state = persist.hard_state.unwrap_or(self.hard_state);
        if let Some(start) = persist.log_start {
            self.start = start;
            self.entries.clear();
        }
        for entry in persist.entries {
            let kept = self.entries.partition_point(|old| old.index() < entry.index());
            self.entries.truncate(kept);
            assert_eq!(entry.index(), self.last().index.next(), "a gap in the log on disk");
            self.entries.push(entry);
        }
    }

    fn restored(&mut self) -> Restored {
        let applied = self.store.applied();
        if !self.holds(applied) {
            self.start = applied;
            self.entries.clear();
        }
        Restored {
            hard_state: self.hard_state,
            applied,
            membership: self.store.membership(),
            entries: self.entries.iter().filter(|entry| entry.index() > applied.index).cloned().collect(),
            catching_up: self.catching_up,
        }
    }
}

impl Board {
    pub(crate) fn new(options: Options, initial: Membership, seed: u64) -> Board {
        let disk = Disk { store: Store { initial, history: Vec::new() }, ..Disk::default() };
        Board::boot(options, disk, seed)
    }

    pub(crate) fn boot(options: Options, mut disk: Disk, seed: u64) -> Board {
        let node = Node::new(options.clone(), disk.restored(), fastrand::Rng::with_seed(seed));
        let store = disk.store.clone();
        Board { options, node, disk, writing: VecDeque::new(), store, applying: VecDeque::new() }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.options.id
    }

    /// Takes what the node wants done; what may leave, and what else is left to the caller, remains in the result.
    pub(crate) fn ready(&mut self) -> Ready {
        let mut ready = self.node.ready();
        self.applying.extend(ready.apply.iter().cloned());
        if let Some(persist) = ready.persist.clone() {
            self.writing.push_back((persist, std::mem::take(&mut ready.send_after_persist)));
        }
        assert!(ready.send_after_persist.is_empty(), "nothing to wait for: {ready:?}");
        ready
    }

    /// The disk syncs up to `count` writes at once; returns what may leave then, and what to report to the node.
    pub(crate) fn sync(&mut self, count: usize) -> (Vec<Envelope>, Option<Ticket>) {
        let mut ticket = None;
        let mut leave = Vec::new();
        for (persist, after) in self.writing.drain(..count.min(self.writing.len())) {
            ticket = Some(persist.ticket);
            self.disk.write(persist);
            leave.extend(after);
        }
        (leave, ticket)
    }

    /// The store applies up to `count` entries.
    pub(crate) fn apply(&mut self, count: usize) {
        for entry in self.applying.drain(..count.min(self.applying.len())) {
            self.store.apply(entry);
        }
        // After a catch-up, reports of before it may be late; the node must bear that.
        let applied = self.store.applied().index;
        if applied > Index(0) {
            self.node.applied(applied);
        }
    }

    /// The store makes durable what it has applied and the own log has synced.
    pub(crate) fn flush(&mut self) {
        let synced = self.disk.last().index;
        let history =
            self.store.history.iter().take_while(|entry| entry.index() <= synced).cloned().collect();
        let flushed = Store { history, initial: self.store.initial.clone() };
        if flushed.applied() > self.disk.store.applied() && !self.disk.catching_up {
            self.disk.store = flushed;
        }
    }

    pub(crate) fn begin_catch_up(&mut self) {
        self.node.begin_catch_up();
        self.disk.catching_up = true;
        self.applying.clear();
    }

    /// The store becomes that of another board.
    pub(crate) fn finish_catch_up(&mut self, store: Store) {
        self.disk.store = store.clone();
        self.disk.catching_up = false;
        self.node.finish_catch_up(store.applied(), store.membership());
        self.store = store;
    }
}
