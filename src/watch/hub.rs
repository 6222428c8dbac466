//! The hub: who watches what, and what each has yet to be told.

use std::{collections::BTreeSet, time::Duration};

use crate::types::Revision;

use super::{
    Event, Interest, Message, News, StreamId, WatchId, WatchRequest,
    catch_up::CatchUp,
    index::{Index, Number},
    slab::Slab,
    stream::Stream,
    watcher::{Filter, Notify, State, Watcher},
    window::{MessageLimits, Taken, Window, collect},
};

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the window holds for streams that have not taken it yet. A stream takes within a turn of the executor
    /// unless its client does not read; so this is what all clients who do not read cost together, before they fall
    /// behind. One revision larger than it is held when nothing else is.
    pub window_bytes_max: u64,
    /// Where a message ends, at the next revision.
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
    in_window: BTreeSet<(Revision, Number)>,
    pub(super) catch_up: CatchUp<E>,
    /// Of all watchers there are, and perhaps some who are gone.
    pub(super) interest: Interest,
    /// How many are gone that `interest` may still speak of.
    gone: usize,
    /// `interest` has become less, and the store has not been told.
    pub(super) less_interest: bool,
    /// When to look at those who want to hear of progress.
    timers: BTreeSet<(Duration, Number)>,
    woken: Vec<StreamId>,
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
        let late = |watcher: &Watcher| watcher.state != State::Live && watcher.cursor <= self.revision;
        self.watchers.iter().filter(|(_, watcher)| late(watcher)).count()
    }

    /// What is held for those who have yet to take it.
    pub fn held_bytes(&self) -> u64 {
        self.window.bytes + self.catch_up.held_bytes()
    }

    pub fn open(&mut self) -> StreamId {
        StreamId(self.streams.insert(Stream::default()))
    }

    pub fn close(&mut self, stream: StreamId) {
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
            cursor: if start.0 == 0 { self.revision.next() } else { start.max(Revision(1)) },
            state: State::Live,
            filter: Filter { prev_kv, no_put, no_delete },
            waiting: 0,
            first: 0,
            queued: false,
            owes_progress: false,
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

    fn remove(&mut self, number: Number) {
        self.leave(number);
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
                self.in_window.remove(&(cursor, number));
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
        if watcher.cursor < self.compacted {
            return self.doom(number);
        }
        let range = self.index.range(watcher.group);
        if watcher.cursor > self.revision && self.catch_up.store_tells_of(range, watcher.filter.prev_kv) {
            return;
        }
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
        stream.ready.push_back(number);
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
            && let Some(oldest) = self.window.oldest_of_several()
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
                if watcher.cursor > main || !watcher.filter.passes(event) {
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
        (watcher.state, watcher.cursor) = (State::InWindow, cursor);
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
                State::Live => watcher.cursor = watcher.cursor.max(told.next()),
                State::InWindow => {}
                State::Behind | State::InSlice | State::Doomed => continue,
            }
            self.settle(number);
        }
    }

    /// The window cannot wait for those who have yet to take `oldest`.
    fn fall_behind(&mut self, oldest: Revision) {
        while let Some(&(cursor, number)) = self.in_window.first()
            && cursor <= oldest
        {
            self.settle(number);
        }
        self.window.drop_before(oldest.next());
    }

    fn trim_window(&mut self) {
        match self.in_window.first() {
            Some(&(oldest, _)) => self.window.drop_before(oldest),
            None => self.window.clear(),
        }
    }

    /// What is before `compacted` cannot be read any more.
    pub fn compact(&mut self, compacted: Revision) {
        self.compacted = self.compacted.max(compacted);
        let late = |watcher: &Watcher| watcher.state == State::Behind && watcher.cursor < self.compacted;
        let late = self.watchers.iter().filter(|(_, watcher)| late(watcher));
        for number in late.map(|(number, _)| number).collect::<Vec<_>>() {
            self.settle(number);
        }
    }

    /// May there be something to take? If not, the stream waits: it takes part in the scan of history, and `woken` tells
    /// when there is something; until `rest`.
    pub fn is_ready(&mut self, stream: StreamId) -> bool {
        if !self.streams[stream.0].ready.is_empty() {
            return true;
        }
        self.streams[stream.0].waiting = true;
        self.register(stream.0);
        false
    }

    /// What a stream has to say next. If that is nothing, it waits, as with `is_ready`.
    pub fn take(&mut self, stream: StreamId) -> Option<Message<E>> {
        while let Some(number) = self.streams[stream.0].ready.pop_front() {
            self.watchers[number].queued = false;
            if let Some(message) = self.say(number) {
                return Some(message);
            }
        }
        self.is_ready(stream);
        None
    }

    /// Nobody waits any more for what the stream has to say.
    pub fn rest(&mut self, stream: StreamId) {
        self.streams[stream.0].waiting = false;
        self.register(stream.0);
    }

    fn say(&mut self, number: Number) -> Option<Message<E>> {
        let watcher = &mut self.watchers[number];
        let (watch, progress) = (watcher.id, std::mem::take(&mut watcher.owes_progress));
        match watcher.state {
            State::Live if progress => Some(Message { watch, revision: self.revision, what: News::Progress }),
            State::Live | State::Behind => None,
            State::InWindow => Some(self.say_events(number)),
            State::InSlice => Some(self.say_slice(number)),
            State::Doomed => {
                let revision = Revision(watcher.cursor.0 - 1);
                self.remove(number);
                Some(Message { watch, revision, what: News::Compacted(self.compacted) })
            }
        }
    }

    fn say_events(&mut self, number: Number) -> Message<E> {
        let watcher = &self.watchers[number];
        let (watch, cursor, most) = (watcher.id, watcher.cursor, watcher.waiting as usize);
        let (range, filter) = (self.index.range(watcher.group), watcher.filter);
        let wants = |event: &E| range.contains(event.key()) && filter.passes(event);
        let Taken { events, rest } =
            collect(self.window.from(watcher.first), wants, most, self.message_limits());
        self.in_window.remove(&(cursor, number));
        let watcher = &mut self.watchers[number];
        watcher.spoke();
        match rest {
            Some((passed, revision)) => {
                watcher.cursor = revision;
                watcher.waiting -= events.len() as u32;
                watcher.first += passed as u64;
                self.in_window.insert((revision, number));
                self.enqueue(number);
            }
            None => (watcher.state, watcher.cursor) = (State::Live, self.revision.next()),
        }
        let told = Revision(self.watchers[number].cursor.0 - 1);
        self.trim_window();
        Message { watch, revision: told, what: News::Events(events) }
    }

    pub(super) fn message_limits(&self) -> MessageLimits {
        let Options { message_events_max, message_bytes_max, .. } = self.options;
        MessageLimits { events: message_events_max, bytes: message_bytes_max }
    }

    /// If all watches of a stream have been told everything up to the newest revision, and that was taken: the revision.
    /// A stream that still has messages may be asked again after each.
    pub fn synced(&self, stream: StreamId) -> Option<Revision> {
        let stream = &self.streams[stream.0];
        let behind = stream.behind.first().is_some_and(|&(cursor, _)| cursor <= self.revision);
        (stream.ready.is_empty() && !behind).then_some(self.revision)
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

impl Watcher {
    pub(super) fn spoke(&mut self) {
        if let Some(notify) = &mut self.notify {
            notify.spoke = true;
        }
    }
}
