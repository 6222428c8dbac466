//! One scan of history for all who are behind.
//!
//! ```text
//!   cursors:     a     b  b b        c                 revision
//!   history:  ---|=====|==|=|========|=================|
//!                 slice for all ----->     then the next, from the lowest cursor
//! ```
//!
//! A slice is read from the lowest cursor of those who wait, and is for all whose cursor lies in it. The next one is read
//! when all who have something in it have taken that; who is not heard of for too long loses it, and asks again.

use std::{collections::BTreeSet, time::Duration};

use crate::types::{KeyRange, KeyRev, Revision};

use super::{
    Event, Hub, Interest, Message, News,
    hub::beginning,
    index::{Group, Number},
    watcher::State,
    window::{Taken, collect},
};

/// What the store is asked to read: the changes from a place on that `read` speaks of, so many as are a slice. From now on it
/// tells with what it applies of the changes that `interest` speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    pub from: KeyRev,
    pub read: Interest,
    pub interest: Interest,
    /// The newest compaction that the hub has heard of, and from where on, though compacted, changes with the values before are
    /// to stay readable. The store keeps all that it could read before a compaction until it is told of that one.
    pub heard: Revision,
    pub owed: Option<Revision>,
}

impl Scan {
    /// Is it to read what is compacted, too?
    pub fn is_kept(&self) -> bool {
        self.owed.is_some_and(|owed| self.from.main >= owed)
    }
}

/// What the store has read.
#[derive(Debug)]
pub struct Slice<E> {
    pub events: Vec<E>,
    /// There is nothing else of what was asked for from `Scan::from` to before this place: where a revision begins, the one
    /// after the newest at the most, or within one of which there is more.
    pub next: KeyRev,
}

pub(super) struct CatchUp<E> {
    /// Streams that wait, with the lowest cursor of their watchers that are behind.
    asking: BTreeSet<(KeyRev, u32)>,
    under_way: Option<Scan>,
    held: Option<Held<E>>,
    /// What the store has been told, and has answered to.
    interest: Interest,
}

/// A slice that somebody has something in.
struct Held<E> {
    slice: Slice<E>,
    takers: u32,
    /// When it came, or somebody took his part.
    touched: Duration,
}

impl<E> Default for CatchUp<E> {
    fn default() -> CatchUp<E> {
        CatchUp { asking: BTreeSet::new(), under_way: None, held: None, interest: Interest::default() }
    }
}

impl<E: Event> CatchUp<E> {
    pub(super) fn held_bytes(&self) -> u64 {
        let held = self.held.iter().flat_map(|held| &held.slice.events);
        held.map(Event::weight_bytes).sum()
    }

    pub(super) fn held_events(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.slice.events.len())
    }

    /// Does the store tell of all changes that are to come?
    pub(super) fn store_tells_of(&self, range: &KeyRange, prev_kv: bool) -> bool {
        let to_come = self.under_way.as_ref().map_or(&self.interest, |scan| &scan.interest);
        self.interest.covers(range, prev_kv) && to_come.covers(range, prev_kv)
    }
}

impl<E: Event> Hub<E> {
    /// What a stream asks of the scan may have changed.
    pub(super) fn register(&mut self, name: u32) {
        let stream = &mut self.streams[name];
        let lowest = stream.askers().next().map(|(cursor, _)| cursor);
        if lowest == stream.asks {
            return;
        }
        let asking = &mut self.catch_up.asking;
        if let Some(before) = stream.asks {
            asking.remove(&(before, name));
        }
        asking.extend(lowest.map(|cursor| (cursor, name)));
        stream.asks = lowest;
    }

    /// Is there something for the store to do, for `scan` to tell?
    pub fn has_scan(&self) -> bool {
        let CatchUp { asking, under_way, held, .. } = &self.catch_up;
        let has_news = self.less_interest || self.owed_changed;
        (!asking.is_empty() || has_news) && under_way.is_none() && held.is_none()
    }

    /// What the store is to do next, if anything; it answers each with `scanned`, and until then there is no other.
    pub fn scan(&mut self) -> Option<Scan> {
        if !self.has_scan() {
            return None;
        }
        let lowest = self.catch_up.asking.first().map(|&(cursor, _)| cursor);
        let mut read = Interest::default();
        for (_, number) in self.askers() {
            let watcher = &self.watchers[number];
            read.add(self.index.range(watcher.group), watcher.filter.prev_kv);
        }
        let from = lowest.unwrap_or(beginning(self.revision.next()));
        let (heard, owed) = (self.compacted, self.owed_from());
        let scan = Scan { from, read, interest: self.interest.clone(), heard, owed };
        (self.less_interest, self.owed_changed) = (false, false);
        self.store_keeps = owed.is_some();
        self.catch_up.under_way = Some(scan.clone());
        Some(scan)
    }

    /// Who is behind and waits, with their cursors.
    fn askers(&self) -> Vec<(KeyRev, Number)> {
        let streams = self.catch_up.asking.iter();
        streams.flat_map(|&(_, name)| self.streams[name].askers()).collect()
    }

    /// The store has carried out the scan; or could not, because all below the revision that is the error is compacted.
    pub fn scanned(&mut self, slice: Result<Slice<E>, Revision>) {
        let scan = self.catch_up.under_way.take().expect("the store answers to a scan");
        match slice {
            Ok(slice) => {
                self.catch_up.interest = scan.interest.clone();
                self.hand_out(&scan, slice);
            }
            Err(compacted) => {
                assert!(compacted > scan.from.main, "{} is not compacted at {compacted}", scan.from);
                let was_kept = scan.is_kept();
                self.catch_up.interest = scan.interest;
                if was_kept {
                    self.lose(compacted);
                } else {
                    self.compact(compacted);
                }
            }
        }
    }

    fn hand_out(&mut self, scan: &Scan, slice: Slice<E>) {
        let next = slice.next;
        assert!(
            next <= beginning(self.revision.next()),
            "read to {next} before it was told of what is after {}",
            self.revision
        );
        let first = self.first_of_groups(&slice.events);
        let mut takers = 0;
        for (cursor, number) in self.askers() {
            let watcher = &self.watchers[number];
            let (range, filter) = (self.index.range(watcher.group), watcher.filter);
            // Who came after the scan began may not be in it.
            if cursor < scan.from || !scan.read.covers(range, filter.prev_kv) {
                continue;
            }
            let place = first.binary_search_by_key(&watcher.group, |&(group, _)| group);
            let rest = place.map_or(&[][..], |place| &slice.events[first[place].1..]);
            let wants =
                |event: &&E| event.rev() >= cursor && range.contains(event.key()) && filter.passes(*event);
            let found = rest.iter().find(wants).map(Event::rev);
            // Whose message goes on has its end to say, with or without an event, before what comes later.
            let is_open = self.streams[watcher.stream].speaker == Some(number);
            let here = if is_open && next.main > cursor.main { Some(cursor) } else { found };
            match here {
                Some(place) => {
                    self.wait_in_slice(number, place);
                    takers += 1;
                }
                None => self.go_on(number, cursor.max(next)),
            }
        }
        if takers > 0 {
            self.catch_up.held = Some(Held { slice, takers, touched: self.now });
        }
    }

    /// For every group that has an event, in order of the groups, the place of the first.
    fn first_of_groups(&self, events: &[E]) -> Vec<(Group, usize)> {
        let mut first = Vec::new();
        for (place, event) in events.iter().enumerate() {
            self.index.groups_of(event.key(), &mut |group| first.push((group, place)));
        }
        first.sort_unstable();
        first.dedup_by_key(|&mut (group, _)| group);
        first
    }

    fn wait_in_slice(&mut self, number: Number, cursor: KeyRev) {
        self.move_to(number, cursor);
        self.watchers[number].state = State::InSlice;
        self.enqueue(number);
    }

    /// All before `cursor` has been told.
    fn go_on(&mut self, number: Number, cursor: KeyRev) {
        self.move_to(number, cursor);
        self.settle(number);
    }

    /// Takes a watcher from those who are behind.
    fn move_to(&mut self, number: Number, cursor: KeyRev) {
        let watcher = &mut self.watchers[number];
        let (before, name) = (std::mem::replace(&mut watcher.cursor, cursor), watcher.stream);
        watcher.state = State::Live;
        self.streams[name].leave_behind(before, number);
        self.register(name);
    }

    /// `None`: behind the end of its message there was nothing else.
    pub(super) fn say_slice(&mut self, number: Number) -> Option<Message<E>> {
        let watcher = &self.watchers[number];
        let (watch, cursor, name) = (watcher.id, watcher.cursor, watcher.stream);
        let was_open = self.streams[name].speaker == Some(number);
        let Taken { events, rest } = self.part_of_slice(number, was_open);
        let end = self.catch_up.held.as_ref().expect("somebody waits in the slice").slice.next;
        // A message that goes on ends with its revision.
        let ends_here = was_open && end.main > cursor.main;
        let rest = rest.map(|(_, revision)| revision).or(ends_here.then_some(cursor.main.next()));
        let next = rest.map_or(end, beginning);
        let is_open = events.last().map(|event| event.rev().main).or(was_open.then_some(cursor.main))
            == Some(next.main);
        self.watchers[number].cursor = next;
        match (was_open, is_open) {
            (_, true) => self.speak_on(number),
            (true, false) => self.fall_silent(name),
            (false, false) => {}
        }
        match rest {
            Some(_) => self.enqueue(number),
            None => self.settle(number),
        }
        if events.is_empty() && !was_open {
            return None;
        }
        self.watchers[number].spoke();
        let told = Revision(next.main.0 - 1);
        Some(match is_open {
            true => Message { watch, revision: next.main, what: News::Part(events) },
            false => Message { watch, revision: told, what: News::Events(events) },
        })
    }

    /// What a watcher wants of the slice, as much as makes a message; of its revision alone, if its message goes on.
    fn part_of_slice(&mut self, number: Number, goes_on: bool) -> Taken<E> {
        let limits = self.message_limits();
        let watcher = &self.watchers[number];
        let (range, filter, cursor) = (self.index.range(watcher.group), watcher.filter, watcher.cursor);
        let wants = |event: &E| range.contains(event.key()) && filter.passes(event);
        let held = self.catch_up.held.as_mut().expect("somebody waits in the slice");
        held.touched = self.now;
        let events = &held.slice.events;
        let start = events.partition_point(|event| event.rev() < cursor);
        let until = KeyRev::end_of(cursor.main);
        let end = if goes_on { events.partition_point(|event| event.rev() <= until) } else { events.len() };
        collect(events[start..end].iter(), wants, usize::MAX, limits)
    }

    /// One of those who have something in the slice is done with it.
    pub(super) fn leave_slice(&mut self) {
        let held = self.catch_up.held.as_mut().expect("somebody was in the slice");
        held.takers -= 1;
        if held.takers == 0 {
            self.catch_up.held = None;
        }
    }

    pub(super) fn slice_deadline(&self) -> Option<Duration> {
        self.catch_up.held.as_ref().map(|held| held.touched + self.options.slice_patience)
    }

    /// A slice does not wait for those who are not heard of.
    pub(super) fn hurry_slice(&mut self) {
        if self.slice_deadline().is_none_or(|deadline| deadline > self.now) {
            return;
        }
        let late = self.watchers.iter().filter(|(_, watcher)| watcher.state == State::InSlice);
        for number in late.map(|(number, _)| number).collect::<Vec<_>>() {
            self.settle(number);
        }
    }
}
