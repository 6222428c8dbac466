//! What others may want of a connection while its session is at work.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use super::{frame::Bye, identity::Shown, signal::Signal};

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) is_dialled: bool,
    /// By the certificates that the other side has shown.
    pub(super) shown: Option<Shown>,
    /// The longest payload that the other side takes.
    pub(super) frame_bytes_max: u32,
    /// There is something to write.
    pub(super) work: Signal,
    pub(super) ending: Signal,
    bye: Cell<Option<Bye>>,
    ping: Cell<Option<u64>>,
    pong: Cell<Option<u64>>,
    asked: Cell<Option<(u64, Instant)>>,
    pings: Cell<u64>,
    has_moved: Cell<bool>,
    idle_beats: Cell<u32>,
}

impl Connection {
    pub(super) fn new(
        number: u64,
        is_dialled: bool,
        frame_bytes_max: u32,
        shown: Option<Shown>,
    ) -> Connection {
        Connection {
            number,
            is_dialled,
            shown,
            frame_bytes_max,
            work: Signal::new(),
            ending: Signal::new(),
            bye: Cell::new(None),
            ping: Cell::new(None),
            pong: Cell::new(None),
            asked: Cell::new(None),
            pings: Cell::new(0),
            has_moved: Cell::new(false),
            idle_beats: Cell::new(0),
        }
    }

    /// Says why, and ends. The first reason counts.
    pub(super) fn end(&self, why: Bye) {
        if self.bye.get().is_none() {
            self.bye.set(Some(why));
            self.work.raise();
            self.ending.raise();
        }
    }

    pub(super) fn bye(&self) -> Option<Bye> {
        self.bye.get()
    }

    /// To be sent when there is room; a newer one takes the place of one that still waits.
    pub(super) fn ask(&self, number: u64) {
        self.ping.set(Some(number));
        self.work.raise();
    }

    /// To measure the way there and back. Each has another number, so that a late answer is not taken for a quick one.
    pub(super) fn ping(&self) {
        self.pings.set(self.pings.get() + 1);
        self.ask(self.pings.get());
    }

    pub(super) fn answer(&self, number: u64) {
        self.pong.set(Some(number));
        self.work.raise();
    }

    pub(super) fn take_ping(&self) -> Option<u64> {
        let number = self.ping.take()?;
        self.asked.set(Some((number, Instant::now())));
        Some(number)
    }

    pub(super) fn take_pong(&self) -> Option<u64> {
        self.pong.take()
    }

    /// How long the answer took, if it is one to what was asked last.
    pub(super) fn answered(&self, number: u64) -> Option<Duration> {
        let (asked, at) = self.asked.get()?;
        (asked == number).then(|| {
            self.asked.set(None);
            at.elapsed()
        })
    }

    /// A message went or came.
    pub(super) fn moved(&self) {
        self.has_moved.set(true);
    }

    /// Returns for how many beats nothing has moved.
    pub(super) fn beat(&self) -> u32 {
        let idle = if self.has_moved.take() { 0 } else { self.idle_beats.get() + 1 };
        self.idle_beats.set(idle);
        idle
    }
}
