//! What a stream says next, and who on it has the word.

use crate::types::Revision;

use super::{
    Event, Hub, Message, News, StreamId, WatchId,
    hub::beginning,
    index::Number,
    watcher::State,
    window::{Taken, collect},
};

impl<E: Event> Hub<E> {
    /// May there be something to take? If not, the stream waits: it takes part in the scan of history, and `woken` tells
    /// when there is something; until `rest`.
    pub fn is_ready(&mut self, stream: StreamId) -> bool {
        if self.has_the_word(stream.0).is_some() || self.progress_due(stream).is_some() {
            return true;
        }
        self.streams[stream.0].waiting = true;
        self.register(stream.0);
        false
    }

    /// What a stream has to say next. If that is nothing, it waits, as with `is_ready`.
    pub fn take(&mut self, stream: StreamId) -> Option<Message<E>> {
        while let Some(number) = self.has_the_word(stream.0) {
            self.streams[stream.0].ready.pop_front();
            self.watchers[number].queued = false;
            if let Some(message) = self.say(number) {
                return Some(message);
            }
        }
        if let Some((watch, revision)) = self.progress_due(stream) {
            self.streams[stream.0].progress = None;
            return Some(Message { watch, revision, what: News::Progress });
        }
        self.is_ready(stream);
        None
    }

    /// Once all watches of a stream have been told everything, it says so: as progress of `watch`, which is none of them.
    pub fn request_progress(&mut self, stream: StreamId, watch: WatchId) {
        self.streams[stream.0].progress = Some(watch);
    }

    fn progress_due(&self, stream: StreamId) -> Option<(WatchId, Revision)> {
        self.streams[stream.0].progress.zip(self.synced(stream))
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
            State::InSlice => self.say_slice(number),
            State::Doomed => {
                let revision = Revision(watcher.cursor.main.0 - 1);
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
        self.in_window.remove(&(cursor.main, number));
        let watcher = &mut self.watchers[number];
        watcher.spoke();
        match rest {
            Some((passed, revision)) => {
                watcher.cursor = beginning(revision);
                watcher.waiting -= events.len() as u32;
                watcher.first += passed as u64;
                self.in_window.insert((revision, number));
                self.enqueue(number);
            }
            None => (watcher.state, watcher.cursor) = (State::Live, beginning(self.revision.next())),
        }
        let told = Revision(self.watchers[number].cursor.main.0 - 1);
        self.trim_window();
        Message { watch, revision: told, what: News::Events(events) }
    }

    /// If all watches of a stream have been told everything up to the newest revision, and that was taken: the revision.
    /// A stream that still has messages may be asked again after each.
    pub fn synced(&self, stream: StreamId) -> Option<Revision> {
        let stream = &self.streams[stream.0];
        let behind = stream.behind.first().is_some_and(|&(cursor, _)| cursor.main <= self.revision);
        (stream.ready.is_empty() && !behind).then_some(self.revision)
    }

    /// Who may say something now: whose message goes on, or the first of those who have something to say.
    fn has_the_word(&self, name: u32) -> Option<Number> {
        let stream = &self.streams[name];
        let first = stream.ready.front().copied();
        first.filter(|&first| stream.speaker.is_none_or(|speaker| speaker == first))
    }

    /// A message of this watcher goes on, and is owed to the end.
    pub(super) fn speak_on(&mut self, number: Number) {
        let name = self.watchers[number].stream;
        self.owe(number);
        self.streams[name].speaker = Some(number);
        // The others cannot take their parts of the slice for long.
        for other in self.streams[name].numbers() {
            if other != number && self.watchers[other].state == State::InSlice {
                self.settle(other);
            }
        }
    }

    /// The message is at its end, or nobody waits for it any more.
    pub(super) fn fall_silent(&mut self, name: u32) {
        self.streams[name].speaker = None;
        self.register(name);
        if !self.streams[name].ready.is_empty() {
            self.wake(name);
        }
    }
}
