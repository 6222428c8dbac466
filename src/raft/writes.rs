//! Writes under way: what was handed out with each ticket, until it is reported durable.
//!
//! Here you will not find: which entries that makes durable; the log knows (`log`).

use std::collections::VecDeque;

use crate::types::{HardState, Index};

use super::{Ticket, queue::pop_front_if};

/// Tickets under way. A disk that takes nothing for a day, because it is full, must not fill the memory with promises to
/// keep then: at ten a second, that is a million. A disk that works needs no more than a few.
const UNDER_WAY_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct Writes {
    under_way: VecDeque<Write>,
    last: Ticket,
    /// The term and vote that were handed out last.
    handed_out: HardState,
    /// The term and vote that the disk holds.
    durable: HardState,
    /// The greatest index that the reported tickets named.
    named: Index,
}

#[derive(Debug)]
struct Write {
    ticket: Ticket,
    hard_state: HardState,
    last: Index,
}

impl Writes {
    pub(super) fn new(durable: HardState) -> Writes {
        Writes { under_way: VecDeque::new(), last: Ticket(0), handed_out: durable, durable, named: Index(0) }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.under_way.len() < UNDER_WAY_MAX
    }

    pub(super) fn handed_out(&self) -> HardState {
        self.handed_out
    }

    pub(super) fn durable(&self) -> HardState {
        self.durable
    }

    pub(super) fn next_ticket(&self) -> Ticket {
        Ticket(self.last.0 + 1)
    }

    /// `last` is the end of the log that the disk will hold then.
    pub(super) fn hand_out(&mut self, ticket: Ticket, hard_state: HardState, last: Index) {
        assert!(ticket > self.last, "{ticket:?} handed out after {:?}", self.last);
        self.last = ticket;
        self.handed_out = hard_state;
        self.under_way.push_back(Write { ticket, hard_state, last });
    }

    /// Returns the greatest index that the reported tickets named.
    pub(super) fn persisted(&mut self, ticket: Ticket) -> Index {
        assert!(ticket <= self.last, "{ticket:?} reported, {:?} was the last", self.last);
        while let Some(write) = pop_front_if(&mut self.under_way, |write| write.ticket <= ticket) {
            self.durable = write.hard_state;
            self.named = self.named.max(write.last);
        }
        self.named
    }
}
