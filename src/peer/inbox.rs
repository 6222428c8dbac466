//! What has come from peers and waits for the engine: one list, one waker, bounded in bytes.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    mem,
    task::{Poll, Waker},
};

use super::PeerEvent;

/// See the module.
pub(super) struct Inbox {
    events: RefCell<Vec<PeerEvent>>,
    bytes: Cell<u64>,
    bytes_max: u64,
    waker: RefCell<Option<Waker>>,
    for_room: RefCell<Vec<Waker>>,
}

impl Inbox {
    pub(super) fn new(bytes_max: u64) -> Inbox {
        Inbox {
            events: RefCell::default(),
            bytes: Cell::new(0),
            bytes_max,
            waker: RefCell::default(),
            for_room: RefCell::default(),
        }
    }

    pub(super) fn push(&self, event: PeerEvent, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
        self.events.borrow_mut().push(event);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Returns once there is room for one more message, whatever its size.
    pub(super) async fn room(&self) {
        poll_fn(|context| {
            if self.bytes.get() < self.bytes_max {
                return Poll::Ready(());
            }
            self.for_room.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// All there is, in the order in which each connection brought it. `waker` is woken, once, when there is more.
    pub(super) fn take(&self, into: &mut Vec<PeerEvent>, waker: &Waker) {
        *self.waker.borrow_mut() = Some(waker.clone());
        self.bytes.set(0);
        match into.is_empty() {
            true => mem::swap(&mut *self.events.borrow_mut(), into),
            false => into.append(&mut self.events.borrow_mut()),
        }
        self.for_room.borrow_mut().drain(..).for_each(Waker::wake);
    }
}
