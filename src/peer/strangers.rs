//! Connections whose other side has not said yet who it is: how many there may be, and who goes when one more comes. Pure.
//!
//! Whoever opens sockets and says nothing must not keep members out. So a newcomer is always taken; if there is no room, the
//! oldest of the address that has most goes. A flood from one address pushes out only itself, and at a flood from the
//! address of a member, the member's own greeting has only to be faster than so many others.

use std::{collections::BTreeMap, net::IpAddr};

/// What is held for each is `T`; dropping it ends the connection.
#[derive(Debug)]
pub(super) struct Strangers<T> {
    /// By the order in which they came.
    waiting: BTreeMap<u64, (IpAddr, T)>,
    next: u64,
    waiting_max: usize,
}

impl<T> Strangers<T> {
    pub(super) fn new(waiting_max: usize) -> Strangers<T> {
        assert!(waiting_max > 0, "room for {waiting_max} strangers");
        Strangers { waiting: BTreeMap::new(), next: 0, waiting_max }
    }

    /// The number of the next that comes.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Returns who has to go for it.
    pub(super) fn add(&mut self, address: IpAddr, stranger: T) -> Option<T> {
        let goes = if self.waiting.len() >= self.waiting_max { self.remove_one() } else { None };
        self.waiting.insert(self.next, (address, stranger));
        self.next += 1;
        goes
    }

    fn remove_one(&mut self) -> Option<T> {
        let mut counts = BTreeMap::<IpAddr, usize>::new();
        self.waiting.values().for_each(|(address, _)| *counts.entry(*address).or_default() += 1);
        let (&address, _) = counts.iter().max_by_key(|(_, count)| **count)?;
        let (&number, _) = self.waiting.iter().find(|(_, (other, _))| *other == address)?;
        self.remove(number)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        self.waiting.remove(&number).map(|(_, stranger)| stranger)
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_pushes_out_itself() {
        let address = |last| IpAddr::from([10, 0, 0, last]);
        let mut strangers = Strangers::new(4);
        assert_eq!(strangers.add(address(1), 0), None);
        assert_eq!((1..4).map(|number| strangers.add(address(2), number)).collect::<Vec<_>>(), [None; 3]);
        assert_eq!(
            (4..7).map(|number| strangers.add(address(2), number)).collect::<Vec<_>>(),
            [1, 2, 3].map(Some)
        );
        assert_eq!(strangers.add(address(3), 7), Some(4), "not the two that are alone");
        assert_eq!(strangers.remove(0), Some(0));
        assert_eq!(strangers.remove(0), None);
        assert_eq!(strangers.add(address(1), 8), None, "there is room again");
    }
}
