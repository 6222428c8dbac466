//! The hub: who watches what, and what each has yet to be told.

use std::{collections::BTreeSet, time::Duration};

use crate::types::{KeyRev, Revision};

use super::{
    Event, Interest, StreamId, WatchId, WatchRequest,
    catch_up::CatchUp,
    index::{Index, Number},
    slab::Slab,
    stream::Stream,
    watcher::{Filter, Notify, State, Watcher},
    window::{MessageLimits, Window},
};

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the window holds for streams that have not taken it yet. A stream takes within a turn of the executor
    /// unless its client does not read; so this is what all clients who do not read cost together, before they fall
    /// behind. A revision larger than it is not held.
    pub window_bytes_max: u64,
    /// Where a message of what the window or a slice holds ends, at the next revision.
    pub message_events_max: usize,
    pub message_bytes_max: u64,
    /// A slice of history waits for those it is for as long as one of them takes his part within this time.
    pub slice_patience: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            window_bytes_max: 1 << 20,
            message_events_max: 1000,
            message_bytes_max: 128 << 10,
            slice_patience: Duration::from_millis(100),
        }
    }
}

pub struct Hub<E> {
    pub(super) options: Options,
    /// Up to here it has been told what happened.
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
    pub(super) now: Duration,
    pub(super) streams: Slab<Stream>,
    pub(super) watchers: Slab<Watcher>,
    pub(super) index: Index,
    pub(super) window: Window<E>,
    /// Who is `InWindow`, by cursor: the window goes back to the first.
    pub(super) in_window: BTreeSet<(Revision, Number)>,
    pub(super) catch_up: CatchUp<E>,
    /// Of all watchers there are, and perhaps some who are gone.
    pub(super) interest: Interest,
    /// How many are gone that `interest` may still speak of.
    gone: usize,
    /// `interest` has become less, and the store has not been told.
    pub(super) less_interest: bool,
    /// How many are behind to whom what they have yet to be told is owed.
    pub(super) creditors: usize,
    /// The store has been told to keep something that is compacted.
    pub(super) store_keeps: bool,
    /// What is compacted, or owed of that, has changed, and the store has not been told.
    pub(super) owed_changed: bool,
    /// When to look at those who want to hear of progress.
    timers: BTreeSet<(Duration, Number)>,
    pub(super) woken: Vec<StreamId>,
}

impl<E: Event> Hub<E> {
    pub fn new(options: Options, revision: Revision, compacted: Revision) -> Hub<E> {
        Hub {
            options,
            revision,
            compacted,
            now: Duration::ZERO,
            streams: Slab::default(),
            watchers: Slab::default(),
            index: Index::default(),
            window: Window::default(),
            in_window: BTreeSet::new(),
            catch_up: CatchUp::default(),
            interest: Interest::default(),
            gone: 0,
            less_interest: false,
            creditors: 0,
            store_keeps: false,
            owed_changed: false,
            timers: BTreeSet::new(),
            woken: Vec::new(),
        }
    }

    /// Up to here it has been told what happened.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// What is before cannot be read any more.
    pub fn compacted(&self) -> Revision {
        self.compacted
    }

    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    pub fn watchers(&self) -> usize {
        self.watchers.len()
    }

    /// Watchers that have yet to be told something that has happened.
    pub fn slow_watchers(&self) -> usize {
        let late = |watcher: &Watcher| watcher.state != State::Live && watcher.cursor.main <= self.revision;
        self.watchers.iter().filter(|(_, watcher)| late(watcher)).count()
    }

    /// What is held for those who have yet to take it.
    pub fn held_bytes(&self) -> u64 {
        self.window.bytes + self.catch_up.held_bytes()
    }

    /// The same, counted.
    pub fn held_events(&self) -> usize {
        self.window.len() + self.catch_up.held_events()
    }

    pub fn open(&mut self) -> StreamId {
        StreamId(self.streams.insert(Stream::default()))
    }

    pub fn close(&mut self, stream: StreamId) {
        self.rest(stream);
        for number in self.streams[stream.0].numbers() {
            self.remove(number);
        }
        self.streams.remove(stream.0);
    }

    /// The id must be free on this stream. From the next revision on if `start` is 0.
    pub fn create(&mut self, stream: StreamId, id: WatchId, request: WatchRequest) {
        let WatchRequest { range, start, prev_kv, no_put, no_delete, progress_notify } = request;
        let notify = progress_notify
            .map(|interval| Box::new(Notify { interval, due: self.now + interval, spoke: false }));
        let due = notify.as_ref().map(|notify| notify.due);
        let number = self.watchers.insert(Watcher {
            id,
            stream: stream.0,
            group: 0,
            cursor: beginning(if start.0 == 0 { self.revision.next() } else { start.max(Revision(1)) }),
            state: State::Live,
            filter: Filter { prev_kv, no_put, no_delete },
            waiting: 0,
            first: 0,
            queued: false,
            owes_progress: false,
            owed: false,
            notify,
        });
        self.watchers[number].group = self.index.add(&range, number);
        self.streams[stream.0].add(id, number);
        self.timers.extend(due.map(|due| (due, number)));
        self.interest.add(&range, prev_kv);
        self.settle(number);
    }

    /// Was there such a watch?
    pub fn cancel(&mut self, stream: StreamId, id: WatchId) -> bool {
        let number = self.streams[stream.0].get(id);
        number.inspect(|&number| self.remove(number)).is_some()
    }

    pub(super) fn remove(&mut self, number: Number) {
        self.leave(number);
        self.forgive(number);
        let watcher = self.watchers.remove(number);
        if watcher.state != State::Doomed {
            self.index.remove(watcher.group, number);
            self.forget_interest();
        }
        if let Some(notify) = watcher.notify {
            self.timers.remove(&(notify.due, number));
        }
        let stream = &mut self.streams[watcher.stream];
        stream.remove(watcher.id);
        if watcher.queued {
            stream.ready.retain(|&other| other != number);
        }
        if stream.speaker == Some(number) {
            self.fall_silent(watcher.stream);
        }
    }

    /// Somebody is gone. The interest is made anew when it may speak of more who are gone than are there.
    fn forget_interest(&mut self) {
        self.gone += 1;
        if self.gone <= self.watchers.len() {
            return;
        }
        self.gone = 0;
        self.less_interest = true;
        self.interest = Interest::default();
        for (_, watcher) in self.watchers.iter().filter(|(_, watcher)| watcher.state != State::Doomed) {
            self.interest.add(self.index.range(watcher.group), watcher.filter.prev_kv);
        }
    }

    /// Takes a watcher out of where its state has it.
    fn leave(&mut self, number: Number) {
        let Watcher { cursor, state, stream, .. } = self.watchers[number];
        match state {
            State::Live => {}
            State::Doomed => return,
            State::InWindow => {
                self.in_window.remove(&(cursor.main, number));
                self.trim_window();
            }
            State::Behind => {
                self.streams[stream].leave_behind(cursor, number);
                self.register(stream);
            }
            State::InSlice => self.leave_slice(),
        }
        self.watchers[number].state = State::Live;
    }

    /// Puts a watcher where its cursor belongs.
    pub(super) fn settle(&mut self, number: Number) {
        self.leave(number);
        let watcher = &mut self.watchers[number];
        if watcher.cursor.main < self.compacted && !watcher.owed {
            return self.doom(number);
        }
        let range = self.index.range(watcher.group);
        let (is_new, name) = (watcher.cursor.main > self.revision, watcher.stream);
        let is_live = is_new && self.catch_up.store_tells_of(range, watcher.filter.prev_kv);
        if is_new && self.streams[name].progress.is_some() {
            self.wake(name);
        }
        if is_live {
            return self.forgive(number);
        }
        if is_new {
            // It only waits until the store tells of it.
            self.owe(number);
        }
        let watcher = &mut self.watchers[number];
        watcher.state = State::Behind;
        let Watcher { cursor, stream, .. } = *watcher;
        self.streams[stream].behind.insert((cursor, number));
        self.register(stream);
    }

    fn doom(&mut self, number: Number) {
        let watcher = &mut self.watchers[number];
        watcher.state = State::Doomed;
        self.index.remove(watcher.group, number);
        self.forget_interest();
        self.enqueue(number);
    }

    /// Its stream is to hear of it.
    pub(super) fn enqueue(&mut self, number: Number) {
        let watcher = &mut self.watchers[number];
        if watcher.queued {
            return;
        }
        watcher.queued = true;
        let name = watcher.stream;
        let stream = &mut self.streams[name];
        match stream.speaker {
            Some(speaker) if speaker == number => stream.ready.push_front(number),
            // It has to wait until that one has done.
            Some(_) => return stream.ready.push_back(number),
            None => stream.ready.push_back(number),
        }
        self.wake(name);
    }

    pub(super) fn wake(&mut self, name: u32) {
        let stream = &mut self.streams[name];
        if stream.waiting {
            stream.waiting = false;
            self.woken.push(StreamId(name));
            self.register(name);
        }
    }

    /// The streams that waited and have something to take now, told once.
    pub fn woken(&mut self) -> Vec<StreamId> {
        std::mem::take(&mut self.woken)
    }

    /// The store has applied all up to `revision`, and these are the changes up to `told` that its interest speaks of;
    /// less than all if there were too many bytes of them. Called in the order in which the store says so, and with what
    /// it says to `scanned`.
    pub fn publish(&mut self, events: Vec<E>, told: Revision, revision: Revision) {
        assert!(
            self.revision <= revision && told <= revision,
            "told up to {told} of {revision} after {}",
            self.revision
        );
        for event in events {
            assert!(event.rev().main > self.revision, "{} after {}", event.rev(), self.revision);
            if self.mark(&event) {
                self.window.push(event);
            }
        }
        self.revision = revision;
        if told < revision {
            self.cut(told);
        }
        while self.window.bytes > self.options.window_bytes_max
            && let Some(oldest) = self.window.oldest()
        {
            self.fall_behind(oldest);
        }
    }

    /// Is the event for anybody who is live?
    fn mark(&mut self, event: &E) -> bool {
        let main = event.rev().main;
        let (mut found, mut fresh) = (false, Vec::new());
        let Hub { index, watchers, .. } = self;
        index.groups_of(event.key(), &mut |group| {
            for number in index.members(group) {
                let watcher = &mut watchers[number];
                if watcher.cursor.main > main || !watcher.filter.passes(event) {
                    continue;
                }
                match watcher.state {
                    State::InWindow => watcher.waiting += 1,
                    State::Live => fresh.push(number),
                    State::Behind | State::InSlice | State::Doomed => continue,
                }
                found = true;
            }
        });
        for number in fresh {
            self.wait_in_window(number, main);
        }
        found
    }

    /// The next event is the first that waits for this one.
    fn wait_in_window(&mut self, number: Number, cursor: Revision) {
        let watcher = &mut self.watchers[number];
        (watcher.state, watcher.cursor) = (State::InWindow, beginning(cursor));
        (watcher.waiting, watcher.first) = (1, self.window.end());
        self.in_window.insert((cursor, number));
        self.enqueue(number);
    }

    /// What happened after `told` is only in history.
    fn cut(&mut self, told: Revision) {
        let live: Vec<Number> = self.watchers.iter().map(|(number, _)| number).collect();
        for number in live {
            let watcher = &mut self.watchers[number];
            match watcher.state {
                State::Live => watcher.cursor = watcher.cursor.max(beginning(told.next())),
                State::InWindow => {}
                State::Behind | State::InSlice | State::Doomed => continue,
            }
            self.owe(number);
            self.settle(number);
        }
    }

    /// The window cannot wait for those who have yet to take `oldest`.
    fn fall_behind(&mut self, oldest: Revision) {
        while let Some(&(cursor, number)) = self.in_window.first()
            && cursor <= oldest
        {
            self.owe(number);
            self.settle(number);
        }
        self.window.drop_before(oldest.next());
    }

    pub(super) fn trim_window(&mut self) {
        match self.in_window.first() {
            Some(&(oldest, _)) => self.window.drop_before(oldest),
            None => self.window.clear(),
        }
    }

    /// What is before `compacted` cannot be read any more, but for what is owed.
    pub fn compact(&mut self, compacted: Revision) {
        self.compacted = self.compacted.max(compacted);
        self.owed_changed = true;
        let late = |watcher: &Watcher| {
            watcher.state == State::Behind && watcher.cursor.main < self.compacted && !watcher.owed
        };
        let late = self.watchers.iter().filter(|(_, watcher)| late(watcher));
        for number in late.map(|(number, _)| number).collect::<Vec<_>>() {
            self.settle(number);
        }
    }

    pub(super) fn message_limits(&self) -> MessageLimits {
        let Options { message_events_max, message_bytes_max, .. } = self.options;
        MessageLimits { events: message_events_max, bytes: message_bytes_max }
    }

    /// Time has passed. `now` is counted from any one moment, and never goes back.
    pub fn advance(&mut self, now: Duration) {
        self.now = now;
        self.hurry_slice();
        while let Some(&(due, number)) = self.timers.first()
            && due <= now
        {
            self.timers.remove(&(due, number));
            self.notify(number);
        }
    }

    /// As etcd does it: told if nothing else was within the last interval.
    fn notify(&mut self, number: Number) {
        let watcher = &mut self.watchers[number];
        let (idle, doomed) =
            (watcher.state == State::Live && !watcher.queued, watcher.state == State::Doomed);
        let notify = watcher.notify.as_mut().expect("who has a timer wants to be notified");
        let quiet = !std::mem::take(&mut notify.spoke);
        notify.due = self.now + notify.interval;
        if !doomed {
            self.timers.insert((notify.due, number));
        }
        if idle && quiet {
            watcher.owes_progress = true;
            self.enqueue(number);
        }
    }

    /// When `advance` has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        let timer = self.timers.first().map(|&(due, _)| due);
        timer.into_iter().chain(self.slice_deadline()).min()
    }
}

/// Where a revision begins.
pub(super) fn beginning(revision: Revision) -> KeyRev {
    KeyRev { main: revision, sub: 0 }
}

impl Watcher {
    pub(super) fn spoke(&mut self) {
        if let Some(notify) = &mut self.notify {
            notify.spoke = true;
        }
    }
}
