//! How threads are told: what waits for one of them, taken out whole.
//!
//! No bound of its own: what is in it is bounded by who sends (requests under way, Raft's bytes not yet durable or applied),
//! so that sending never blocks and nothing is lost half-way.

use std::{
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

pub(super) struct Mailbox<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

struct State<T> {
    waiting: Vec<T>,
    /// The owner waits: it must be woken.
    sleeps: bool,
    closed: bool,
}

impl<T> Mailbox<T> {
    pub(super) fn new() -> Mailbox<T> {
        let state = State { waiting: Vec::new(), sleeps: false, closed: false };
        Mailbox { state: Mutex::new(state), arrived: Condvar::new() }
    }

    pub(super) fn send(&self, item: T) {
        let mut state = self.lock();
        state.waiting.push(item);
        self.wake(state);
    }

    /// Sends all of them with one wake.
    pub(super) fn send_all(&self, items: &mut Vec<T>) {
        if items.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.waiting.append(items);
        self.wake(state);
    }

    /// For what can wait until there is something else to do.
    pub(super) fn leave(&self, item: T) {
        self.lock().waiting.push(item);
    }

    /// The owner is to end, once it has done what is there.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.wake(state);
    }

    /// Waits until there is something, or the deadline. False: closed, and nothing is left.
    pub(super) fn take(&self, into: &mut Vec<T>, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.closed {
            state.sleeps = true;
            state = match deadline {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        state.sleeps = false;
                        return true;
                    }
                    let waited = self.arrived.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.sleeps = false;
        }
        let open = !state.closed || !state.waiting.is_empty();
        take_all(&mut state.waiting, into);
        open
    }

    /// What there is by now, without waiting.
    pub(super) fn take_now(&self, into: &mut Vec<T>) {
        take_all(&mut self.lock().waiting, into);
    }

    fn wake(&self, mut state: MutexGuard<'_, State<T>>) {
        if mem::take(&mut state.sleeps) {
            drop(state);
            self.arrived.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in here can be half done: a panic elsewhere is reported by the thread that had it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that one burst needed is given back.
const KEPT_CAPACITY: usize = 1024;

fn take_all<T>(waiting: &mut Vec<T>, into: &mut Vec<T>) {
    if into.is_empty() {
        mem::swap(waiting, into);
    } else {
        into.append(waiting);
    }
    if waiting.capacity() > KEPT_CAPACITY {
        *waiting = Vec::new();
    }
}
