//! How many keys there are, by stretches of the key space, so that counting a range need not walk all of it.
//!
//! ```text
//!   boundaries:   ""        b07        b13               n22          END
//!   keys between:    64         61        not known         70
//!
//!   count of [b03, n30): walk b03..b07, add 61, walk b13..n22 (and learn), add 70, walk ..n30
//! ```
//!
//! etcd tells with every range how many keys are in it, whatever the limit says. It knows from an index of all keys in memory;
//! this is a thousandth of one. A stretch is walked once, when somebody counts it, and then kept up to date by what is
//! applied. All numbers are exact, for the newest state; older ones are walked.
//!
//! Here you will not find: keys of more than the boundaries, anything that survives a restart.

use std::{collections::BTreeMap, ops::Bound};

use super::format;

/// Keys in a new stretch: what is walked at both ends of a range. It doubles when there is no room for that many boundaries.
const STRIDE: u32 = 32;

/// Room for all boundaries: 32 keys a stretch up to about 100 000 keys of 30 bytes, 512 for a million.
const BYTES_MAX: usize = 384 << 10;

/// What a boundary costs beside its bytes: the node's slot, half empty at worst, and an allocation.
const OVERHEAD_BYTES: usize = 80;

pub(super) struct Tally {
    /// Where a stretch begins (a prefix of `keys`), and the keys up to the next one, if they have been counted. There is
    /// always one that begins at "".
    stretches: BTreeMap<Box<[u8]>, Option<u32>>,
    bytes: usize,
    stride: u32,
}

impl Default for Tally {
    fn default() -> Tally {
        let stretches = BTreeMap::from([(Box::default(), None)]);
        Tally { stretches, bytes: 0, stride: STRIDE }
    }
}

impl Tally {
    /// So many keys of a stretch that is not known are walked before a boundary is set.
    pub(super) fn stride(&self) -> u32 {
        self.stride
    }

    /// The stretches that are known, follow each other from `from`, and end by `until`: where they end, and their keys.
    /// `None`: there is no such stretch.
    pub(super) fn known(&self, from: &[u8], until: &[u8]) -> Option<(&[u8], u64)> {
        let bounds = (Bound::Included(from), Bound::Unbounded);
        let mut stretches = self.stretches.range::<[u8], _>(bounds);
        let (_, mut count) = stretches.next().filter(|(start, _)| &***start == from)?;
        let (mut end, mut keys) = (None, 0);
        while let &Some(counted) = count {
            let next = stretches.next();
            let start = next.map_or(&format::END[..], |(start, _)| start);
            if start > until {
                break;
            }
            (end, keys) = (Some(start), keys + u64::from(counted));
            let Some((_, after)) = next else { break };
            count = after;
        }
        Some((end?, keys))
    }

    /// Is the stretch that `at` lies in known? Then it is not to be split.
    pub(super) fn is_known_around(&self, at: &[u8]) -> bool {
        let bounds = (Bound::Unbounded, Bound::Included(at));
        self.stretches.range::<[u8], _>(bounds).next_back().is_some_and(|(_, count)| count.is_some())
    }

    pub(super) fn is_boundary(&self, at: &[u8]) -> bool {
        self.stretches.contains_key(at)
    }

    pub(super) fn boundary_after(&self, at: &[u8]) -> &[u8] {
        let bounds = (Bound::Excluded(at), Bound::Unbounded);
        self.stretches.range::<[u8], _>(bounds).next().map_or(&format::END, |(start, _)| start)
    }

    /// The stretch that begins at the boundary `from` has so many keys.
    pub(super) fn learn(&mut self, from: &[u8], count: u32) {
        let stretch = self.stretches.get_mut(from).expect("only stretches are learned");
        *stretch = Some(count);
    }

    /// Sets a boundary where there is none. What is known of the stretch around it is not known of its parts.
    pub(super) fn split(&mut self, at: &[u8]) {
        self.bytes += at.len() + OVERHEAD_BYTES;
        if self.bytes > BYTES_MAX {
            *self = Tally { stride: self.stride.saturating_mul(2), ..Tally::default() };
            return;
        }
        if let Some((_, around)) = self.around(at) {
            *around = None;
        }
        self.stretches.insert(at.into(), None);
    }

    /// A key has come to be.
    pub(super) fn created(&mut self, prefix: &[u8]) {
        let widest = self.stride.saturating_mul(4);
        if let Some((_, stretch @ Some(_))) = self.around(prefix) {
            // One that has become too long is walked again, and split.
            *stretch = stretch.map(|count| count + 1).filter(|&count| count <= widest);
        }
    }

    /// A key has been deleted.
    pub(super) fn deleted(&mut self, prefix: &[u8]) {
        if let Some((start, Some(count))) = self.around(prefix) {
            *count =
                count.checked_sub(1).unwrap_or_else(|| panic!("no key is in the stretch from {start:x?}"));
        }
    }

    fn around(&mut self, prefix: &[u8]) -> Option<(&[u8], &mut Option<u32>)> {
        let bounds = (Bound::Unbounded, Bound::Included(prefix));
        self.stretches.range_mut::<[u8], _>(bounds).next_back().map(|(start, count)| (&**start, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(tally: &Tally, from: &str) -> Option<(String, u64)> {
        let (end, count) = tally.known(from.as_bytes(), &format::END)?;
        Some((String::from_utf8_lossy(end).into_owned(), count))
    }

    #[test]
    fn stretches_are_learned_and_kept() {
        let mut tally = Tally::default();
        tally.split(b"b");
        tally.split(b"d");
        tally.learn(b"", 3);
        tally.learn(b"b", 5);
        assert_eq!(known(&tally, ""), Some(("d".into(), 8)), "as far as it is known");
        tally.created(b"b");
        tally.created(b"c");
        tally.deleted(b"a");
        assert_eq!(known(&tally, "b"), Some(("d".into(), 7)));
        assert_eq!(known(&tally, ""), Some(("d".into(), 9)));
        assert_eq!(tally.known(b"", b"c"), Some((&b"b"[..], 2)), "the next one does not end there");
        assert_eq!(known(&tally, "d"), None, "nobody counted it");
        assert_eq!(tally.known(b"b", b"c"), None, "it does not end there");
        tally.split(b"c");
        assert_eq!((known(&tally, "b"), known(&tally, "c")), (None, None));
    }

    #[test]
    fn a_stretch_that_grew_is_walked_again() {
        let mut tally = Tally::default();
        tally.split(b"b");
        tally.learn(b"", 4 * STRIDE);
        tally.created(b"a");
        assert_eq!(known(&tally, ""), None);
    }

    #[test]
    fn room_is_bounded() {
        let mut tally = Tally::default();
        for number in 0..100_000u32 {
            tally.split(&number.to_be_bytes());
            assert!(tally.bytes <= BYTES_MAX && tally.bytes >= tally.stretches.len().saturating_sub(1) * 84);
        }
        assert!(tally.stride() > STRIDE);
    }
}
