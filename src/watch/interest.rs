//! What is watched at all, as one range: cheap to tell, cheap to ask.

use std::cmp;

use crate::types::{Bytes, KeyRange, RangeEnd};

/// The smallest range with all watched keys in it, and the smallest with all whose value before is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// `None`: nobody watches.
    pub events: Option<KeyRange>,
    /// `None`: nobody wants to know the value before.
    pub prev: Option<KeyRange>,
}

impl Interest {
    pub(super) fn add(&mut self, range: &KeyRange, prev_kv: bool) {
        grow(&mut self.events, range);
        if prev_kv {
            grow(&mut self.prev, range);
        }
    }

    pub(super) fn covers(&self, range: &KeyRange, prev_kv: bool) -> bool {
        let inside = |of: &Option<KeyRange>| of.as_ref().is_some_and(|outer| covers(outer, range));
        inside(&self.events) && (!prev_kv || inside(&self.prev))
    }

    pub fn wants(&self, key: &[u8]) -> bool {
        self.events.as_ref().is_some_and(|range| range.contains(key))
    }

    pub fn wants_prev(&self, key: &[u8]) -> bool {
        self.prev.as_ref().is_some_and(|range| range.contains(key))
    }
}

fn grow(hull: &mut Option<KeyRange>, range: &KeyRange) {
    match hull {
        None => *hull = Some(range.clone()),
        Some(old) if covers(old, range) => {}
        Some(old) => *old = both(old, range),
    }
}

fn covers(outer: &KeyRange, inner: &KeyRange) -> bool {
    match (outer.end(), inner.end()) {
        (_, RangeEnd::Single) => outer.contains(&inner.key),
        (RangeEnd::Open, _) => outer.key <= inner.key,
        (RangeEnd::Before(outer_end), RangeEnd::Before(inner_end)) => {
            outer.key <= inner.key && outer_end >= inner_end
        }
        _ => false,
    }
}

/// The smallest range around two.
fn both(a: &KeyRange, b: &KeyRange) -> KeyRange {
    let key = cmp::min(&a.key, &b.key).clone();
    let range_end = match (a.end(), b.end()) {
        (RangeEnd::Open, _) | (_, RangeEnd::Open) => Bytes::from(b"\0"),
        _ => cmp::max(end_bytes(a), end_bytes(b)),
    };
    KeyRange { key, range_end }
}

/// The first key behind a range that has an end.
fn end_bytes(range: &KeyRange) -> Bytes {
    if range.is_single() { [&range.key[..], b"\0"].concat().into() } else { range.range_end.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_around_all_and_no_further() {
        let mut interest = Interest::default();
        assert!(!interest.wants(b"b") && !interest.covers(&KeyRange::single(b"b"), false));
        interest.add(&KeyRange::single(b"b"), false);
        assert_eq!(interest.events, Some(KeyRange::single(b"b")));
        interest.add(&KeyRange::single(b"d"), true);
        assert_eq!(interest.events, Some(KeyRange::new(b"b", b"d\0")));
        assert_eq!(interest.prev, Some(KeyRange::single(b"d")));
        assert!(interest.covers(&KeyRange::new(b"c", b"d"), false));
        assert!(!interest.covers(&KeyRange::new(b"c", b"d"), true), "the value before of c");
        interest.add(&KeyRange::prefix(b"a"), false);
        assert_eq!(interest.events, Some(KeyRange::new(b"a", b"d\0")));
        interest.add(&KeyRange::new(b"c", b"\0"), false);
        assert_eq!(interest.events, Some(KeyRange::new(b"a", b"\0")));
        assert!(interest.covers(&KeyRange::new(b"zz", b"\0"), false) && !interest.wants(b"\0"));
    }
}
