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

use crate::types::{KeyRange, Revision};

use super::{
    Event, Hub, Interest, Message, News,
    index::{Group, Number},
    watcher::State,
    window::{Taken, collect},
};

/// What the store is asked to read: the changes from a revision on that `read` speaks of, so many as are a slice, but
/// whole revisions. From now on it tells with what it applies of the changes that `interest` speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    pub from: Revision,
    pub read: Interest,
    pub interest: Interest,
}

/// What the store has read.
#[derive(Debug)]
pub struct Slice<E> {
    pub events: Vec<E>,
    /// There is nothing else of what was asked for from `Scan::from` up to here: the newest revision, or a lower one.
    pub upto: Revision,
}

pub(super) struct CatchUp<E> {
    /// Streams that wait, with the lowest cursor of their watchers that are behind.
    asking: BTreeSet<(Revision, u32)>,
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
        let lowest = stream.lowest();
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
        (!asking.is_empty() || self.less_interest) && under_way.is_none() && held.is_none()
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
        let from = lowest.unwrap_or(self.revision.next());
        let scan = Scan { from, read, interest: self.interest.clone() };
        self.less_interest = false;
        self.catch_up.under_way = Some(scan.clone());
        Some(scan)
    }

    /// Who is behind and waits, with their cursors.
    fn askers(&self) -> Vec<(Revision, Number)> {
        let streams = self.catch_up.asking.iter();
        streams.flat_map(|&(_, name)| self.streams[name].behind.iter().copied()).collect()
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
                assert!(compacted > scan.from, "{} is not compacted at {compacted}", scan.from);
                self.catch_up.interest = scan.interest;
                self.compact(compacted);
            }
        }
    }

    fn hand_out(&mut self, scan: &Scan, slice: Slice<E>) {
        let upto = slice.upto;
        assert!(
            upto <= self.revision,
            "read up to {upto} before it was told of what is after {}",
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
            let wants = |event: &&E| {
                event.rev().main >= cursor && range.contains(event.key()) && filter.passes(*event)
            };
            match rest.iter().find(wants) {
                Some(event) => {
                    self.wait_in_slice(number, event.rev().main);
                    takers += 1;
                }
                None => self.go_on(number, cursor.max(upto.next())),
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

    fn wait_in_slice(&mut self, number: Number, cursor: Revision) {
        self.move_to(number, cursor);
        self.watchers[number].state = State::InSlice;
        self.enqueue(number);
    }

    /// All before `cursor` has been told.
    fn go_on(&mut self, number: Number, cursor: Revision) {
        self.move_to(number, cursor);
        self.settle(number);
    }

    /// Takes a watcher from those who are behind.
    fn move_to(&mut self, number: Number, cursor: Revision) {
        let watcher = &mut self.watchers[number];
        let (before, name) = (std::mem::replace(&mut watcher.cursor, cursor), watcher.stream);
        watcher.state = State::Live;
        self.streams[name].leave_behind(before, number);
        self.register(name);
    }

    pub(super) fn say_slice(&mut self, number: Number) -> Message<E> {
        let watcher = &self.watchers[number];
        let (watch, cursor) = (watcher.id, watcher.cursor);
        let (range, filter) = (self.index.range(watcher.group), watcher.filter);
        let wants = |event: &E| range.contains(event.key()) && filter.passes(event);
        let limits = self.message_limits();
        let held = self.catch_up.held.as_mut().expect("somebody waits in the slice");
        held.touched = self.now;
        let start = held.slice.events.partition_point(|event| event.rev().main < cursor);
        let Taken { events, rest } = collect(held.slice.events[start..].iter(), wants, usize::MAX, limits);
        let next = rest.map_or(held.slice.upto.next(), |(_, revision)| revision);
        let watcher = &mut self.watchers[number];
        watcher.spoke();
        watcher.cursor = next;
        if rest.is_some() {
            self.enqueue(number);
        } else {
            self.settle(number);
        }
        Message { watch, revision: Revision(next.0 - 1), what: News::Events(events) }
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
