//! One purpose of one peer: its queue, and the connections there are.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use crate::replica::PeerMessage;

use super::{Purpose, connection::Connection, frame::Bye, queue::Queue, signal::Signal};

/// See the module.
pub(super) struct Lane {
    pub(super) purpose: Purpose,
    pub(super) queue: RefCell<Queue>,
    connections: RefCell<Vec<Rc<Connection>>>,
    /// Which of them the queue goes out on.
    sends_on: Cell<Option<u64>>,
    /// This board has the smaller id, so what it dialled goes before what was dialled from there.
    prefers_dialled: bool,
    /// Dialling may be wanted now.
    pub(super) dial: Signal,
    /// Trying again makes sense now, whatever came of it before.
    pub(super) again: Signal,
}

impl Lane {
    pub(super) fn new(purpose: Purpose, prefers_dialled: bool, queue_bytes_max: u64) -> Lane {
        Lane {
            purpose,
            queue: RefCell::new(Queue::new(queue_bytes_max)),
            connections: RefCell::default(),
            sends_on: Cell::new(None),
            prefers_dialled,
            dial: Signal::new(),
            again: Signal::new(),
        }
    }

    pub(super) fn push(&self, message: PeerMessage) {
        self.queue.borrow_mut().push(message);
        match self.sender() {
            Some(connection) => connection.work.raise(),
            None => self.dial.raise(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        !self.connections.borrow().is_empty()
    }

    pub(super) fn connections(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().clone()
    }

    pub(super) fn sends_on(&self, number: u64) -> bool {
        self.sends_on.get() == Some(number)
    }

    fn sender(&self) -> Option<Rc<Connection>> {
        self.connections.borrow().iter().find(|connection| self.sends_on(connection.number)).cloned()
    }

    pub(super) fn add(&self, connection: Rc<Connection>) {
        let twin = |other: &&Rc<Connection>| other.is_dialled == connection.is_dialled;
        // Whoever dials anew has lost the old one, or is an impostor that the log will show.
        self.connections.borrow().iter().filter(twin).for_each(|other| other.end(Bye::Replaced));
        if !connection.is_dialled {
            self.again.raise();
        }
        self.connections.borrow_mut().push(connection);
        self.queue.borrow_mut().up();
        self.choose();
    }

    /// Returns whether it was the last.
    pub(super) fn remove(&self, gone: &Connection) -> bool {
        self.connections.borrow_mut().retain(|connection| connection.number != gone.number);
        let was_sender = self.sends_on(gone.number);
        self.choose();
        // On an idle one nothing was under way.
        if was_sender && gone.bye() != Some(Bye::Idle) {
            self.queue.borrow_mut().lost();
        }
        self.dial.raise();
        !self.is_connected()
    }

    /// The newest of those that the smaller id dialled, or else the newest.
    fn choose(&self) {
        let rank = |connection: &&Rc<Connection>| {
            let is_preferred = connection.is_dialled == self.prefers_dialled;
            (connection.bye().is_none(), is_preferred, connection.number)
        };
        let connections = self.connections.borrow();
        let chosen = connections.iter().max_by_key(rank);
        self.sends_on.set(chosen.map(|connection| connection.number));
        if let Some(connection) = chosen {
            connection.work.raise();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(number: u64, is_dialled: bool) -> Rc<Connection> {
        Rc::new(Connection::new(number, is_dialled, 0, None))
    }

    #[test]
    fn both_sides_send_on_the_same_of_two() {
        for (prefers_dialled, chosen) in [(true, 1), (false, 2)] {
            for order in [[1, 2], [2, 1]] {
                let lane = Lane::new(Purpose::Urgent, prefers_dialled, 1 << 20);
                order.into_iter().for_each(|number| lane.add(connection(number, number == 1)));
                assert!(lane.sends_on(chosen), "{order:?}");
                assert!(!lane.remove(&connection(chosen, true)));
                assert!(lane.sends_on(3 - chosen));
                assert!(lane.remove(&connection(3 - chosen, true)) && !lane.sends_on(3 - chosen));
            }
        }
    }

    #[test]
    fn who_dials_again_has_lost_what_there_was() {
        let lane = Lane::new(Purpose::Urgent, false, 1 << 20);
        let (old, new) = (connection(1, false), connection(2, false));
        lane.add(old.clone());
        lane.add(new.clone());
        assert_eq!((old.bye(), new.bye()), (Some(Bye::Replaced), None));
        assert!(lane.sends_on(2));
        lane.remove(&old);
        assert!(lane.sends_on(2));
    }
}
