//! `VecDeque::pop_front_if` and `pop_back_if`, which are younger than the oldest compiler that Solder builds with.

use std::collections::VecDeque;

pub(super) fn pop_front_if<T>(queue: &mut VecDeque<T>, is_wanted: impl FnOnce(&T) -> bool) -> Option<T> {
    if queue.front().is_some_and(is_wanted) { queue.pop_front() } else { None }
}

pub(super) fn pop_back_if<T>(queue: &mut VecDeque<T>, is_wanted: impl FnOnce(&T) -> bool) -> Option<T> {
    if queue.back().is_some_and(is_wanted) { queue.pop_back() } else { None }
}
