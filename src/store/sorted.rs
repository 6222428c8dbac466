//! Ranges in an order that is not that of the keys.
//!
//! Sorting takes all rows, and all rows may be the whole store. So they are not taken: pass after pass over the range,
//! each pass selects the rows that come next in the order, as many as a slice may hold, and answers them.
//!
//! ```text
//!   pass 1:  walk all keys, hold the first n in the order  -> answer them
//!   pass 2:  walk all keys, hold the first n behind those  -> answer them      .. until a pass has held all that were left
//! ```
//!
//! Rows that are equal in the order come in the order of their keys, ascending in both directions.

use std::{cmp::Ordering, collections::BTreeSet};

use super::{
    StoreError,
    range::Slice,
    view::Found,
    walk::{Bounds, Walk},
};
use crate::types::{RangeRequest, SortOrder, SortTarget};

/// What a held row costs beside its bytes.
const HELD_OVERHEAD_BYTES: u64 = 160;

pub(super) struct Sorted {
    bounds: Bounds,
    /// Rows at the beginning of the range that take part; the others are counted only. etcd's quirk: with a target but no
    /// order, no more keys than the limit and one are fetched before they are sorted.
    window: u64,
    /// Keys seen in this pass.
    seen: u64,
    /// Rows that the filters let through, known after the first pass.
    through: u64,
    answered: u64,
    first_pass: bool,
    answering: bool,
    /// The first of the rows that had to be let go in this pass: it and what comes after it are for later passes.
    first_dropped: Option<Held>,
    held: BTreeSet<Held>,
    held_bytes: u64,
    /// The last row answered: the next pass selects what comes after it.
    last: Option<Held>,
}

#[derive(Clone, PartialEq, Eq)]
struct Held {
    by: By,
    descending: bool,
    prefix: Vec<u8>,
    found: Found,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Number(i64),
    Value(Vec<u8>),
}

impl Ord for Held {
    fn cmp(&self, other: &Held) -> Ordering {
        let by = self.by.cmp(&other.by);
        let by = if self.descending { by.reverse() } else { by };
        by.then_with(|| self.prefix.cmp(&other.prefix))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Held) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Held {
    fn bytes(&self) -> u64 {
        let by = if let By::Value(value) = &self.by { value.len() } else { 0 };
        HELD_OVERHEAD_BYTES + (by + self.prefix.len()) as u64
    }
}

impl Sorted {
    pub(super) fn new(request: &RangeRequest) -> Sorted {
        let quirk = request.sort_order == SortOrder::None && !request.has_filters();
        let window = request.rows_max().filter(|_| quirk).map_or(u64::MAX, |limit| limit.saturating_add(1));
        Sorted {
            bounds: Bounds::of(&request.range),
            window,
            seen: 0,
            through: 0,
            answered: 0,
            first_pass: true,
            answering: false,
            first_dropped: None,
            held: BTreeSet::new(),
            held_bytes: 0,
            last: None,
        }
    }

    fn hold(&mut self, row: Held, bytes_max: u64) {
        if self.first_dropped.as_ref().is_some_and(|first| row > *first) {
            return;
        }
        self.held_bytes += row.bytes();
        self.held.insert(row);
        while self.held_bytes > bytes_max && self.held.len() > 1 {
            let dropped = self.held.pop_last().expect("more than one is held");
            self.held_bytes -= dropped.bytes();
            self.first_dropped = Some(dropped);
        }
    }

    fn start_pass(&mut self, request: &RangeRequest) {
        self.bounds = Bounds::of(&request.range);
        self.seen = 0;
        self.first_pass = false;
        self.answering = false;
        self.first_dropped = None;
    }
}

impl Slice<'_> {
    pub(super) fn sorted(&mut self, sorted: &mut Sorted) -> Result<bool, StoreError> {
        if !sorted.answering {
            self.select(sorted)?;
            return Ok(false);
        }
        while let Some(row) = sorted.held.pop_first() {
            sorted.held_bytes -= row.bytes();
            self.answer(&row.prefix, &row.found)?;
            sorted.answered += 1;
            sorted.last = Some(row);
            if self.request.rows_max() == Some(sorted.answered) {
                sorted.held.clear();
                sorted.first_dropped = None;
            }
            if self.bytes >= self.limits.bytes || self.rows.len() >= self.limits.rows as usize {
                break;
            }
        }
        if !sorted.held.is_empty() {
            return Ok(false);
        }
        let ended = sorted.first_dropped.is_none();
        sorted.start_pass(self.request);
        Ok(ended)
    }

    /// Some steps of a pass.
    fn select(&mut self, sorted: &mut Sorted) -> Result<(), StoreError> {
        let mut walk = Walk::new(self.view, &sorted.bounds, self.at)?;
        for _ in 0..self.limits.rows.max(1) {
            let in_window = sorted.seen < sorted.window;
            let next = if in_window || sorted.first_pass { walk.next()? } else { None };
            let Some(found) = next else {
                sorted.answering = true;
                self.totals.more = self.request.rows_max().is_some_and(|max| sorted.through > max);
                return Ok(());
            };
            sorted.bounds.after(walk.prefix());
            sorted.seen += 1;
            self.totals.count += u64::from(sorted.first_pass);
            if in_window && self.request.lets_through(&found) {
                sorted.through += u64::from(sorted.first_pass);
                let row = self.held(walk.prefix(), found)?;
                if sorted.last.as_ref().is_none_or(|last| row > *last) {
                    sorted.hold(row, self.limits.bytes);
                }
            }
        }
        Ok(())
    }

    fn held(&self, prefix: &[u8], found: Found) -> Result<Held, StoreError> {
        let version = &found.version;
        let by = match self.request.sort_target {
            SortTarget::Version => By::Number(version.version),
            SortTarget::Create => By::Number(version.create.0),
            SortTarget::Mod => By::Number(found.rev.main.0),
            SortTarget::Value => By::Value(self.view.record_of(&found)?.value.to_vec()),
            SortTarget::Key => unreachable!("the order of keys is that of the walk"),
        };
        let descending = self.request.sort_order == SortOrder::Descend;
        Ok(Held { by, descending, prefix: prefix.to_vec(), found })
    }
}
