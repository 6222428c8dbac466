//! Events in order, held once for all who have yet to take them.

use std::collections::VecDeque;

use crate::types::Revision;

use super::Event;

/// What is left of the events that somebody was to get.
pub(super) struct Window<E> {
    events: VecDeque<E>,
    /// The place of the first; each event's place is one more than that of the event before.
    start: u64,
    pub(super) bytes: u64,
}

/// How much one message holds before it ends at the next revision. etcd's own bound for messages of history is 1000
/// revisions; in bytes, what a door holds of one stream while it writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageLimits {
    pub(super) events: usize,
    pub(super) bytes: u64,
}

impl<E> Default for Window<E> {
    fn default() -> Window<E> {
        Window { events: VecDeque::new(), start: 0, bytes: 0 }
    }
}

impl<E: Event> Window<E> {
    pub(super) fn push(&mut self, event: E) {
        self.bytes += event.weight_bytes();
        self.events.push_back(event);
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The place of the next event.
    pub(super) fn end(&self) -> u64 {
        self.start + self.events.len() as u64
    }

    pub(super) fn from(&self, place: u64) -> impl Iterator<Item = &E> {
        assert!(place >= self.start, "{place} is not held any more, {} is", self.start);
        self.events.range((place - self.start) as usize..)
    }

    /// Forgets what is before a revision.
    pub(super) fn drop_before(&mut self, revision: Revision) {
        while self.events.front().is_some_and(|event| event.rev().main < revision) {
            let event = self.events.pop_front().expect("there is a front");
            self.bytes -= event.weight_bytes();
            self.start += 1;
        }
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Window { start: self.end(), ..Window::default() };
    }

    pub(super) fn oldest(&self) -> Option<Revision> {
        self.events.front().map(|event| event.rev().main)
    }
}

/// What a watcher is told at once.
pub(super) struct Taken<E> {
    pub(super) events: Vec<E>,
    /// If that was not all: how many events were passed, and the revision to go on with.
    pub(super) rest: Option<(usize, Revision)>,
}

/// Of what a watcher wants, up to the limits, but no part of a revision that is here whole; it wants `most` of these events at the most.
pub(super) fn collect<'a, E: Event + 'a>(
    events: impl Iterator<Item = &'a E>,
    wants: impl Fn(&E) -> bool,
    most: usize,
    limits: MessageLimits,
) -> Taken<E> {
    let mut taken: Vec<E> = Vec::new();
    let mut bytes = 0;
    for (passed, event) in events.enumerate().filter(|(_, event)| wants(event)) {
        let main = event.rev().main;
        let full = taken.len() >= limits.events || bytes >= limits.bytes;
        if full && taken.last().is_some_and(|last| last.rev().main != main) {
            return Taken { events: taken, rest: Some((passed, main)) };
        }
        bytes += event.weight_bytes();
        taken.push(event.clone());
        if taken.len() == most {
            break;
        }
    }
    Taken { events: taken, rest: None }
}
