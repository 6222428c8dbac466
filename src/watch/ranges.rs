//! Ranges, found by a key that is in them, in about log(all) + those found.
//!
//! A treap: a search tree by start, a heap by a scrambled number, which keeps it flat. Each node knows which range below
//! it ends last, so that a branch that ends before the key is not entered:
//!
//! ```text
//!                 [d, k) last: x
//!                /              \
//!      [a, c) last: x          [m, n)          the key "p" is looked for in [d, k) and left of it,
//!            \                                 but not under [m, n): nothing there ends behind it
//!            [b, x)
//! ```

use crate::types::{KeyRange, RangeEnd};

use super::slab::Slab;

#[derive(Default)]
pub(super) struct Ranges {
    nodes: Slab<Node>,
    root: Option<u32>,
    scrambled: u32,
}

struct Node {
    range: KeyRange,
    value: u32,
    priority: u32,
    left: Option<u32>,
    right: Option<u32>,
    /// Of this node and all below, the one whose range ends last.
    last: u32,
}

impl Ranges {
    pub(super) fn get(&self, range: &KeyRange) -> Option<u32> {
        let mut at = self.root;
        while let Some(number) = at {
            let node = &self.nodes[number];
            at = match range.cmp(&node.range) {
                std::cmp::Ordering::Less => node.left,
                std::cmp::Ordering::Greater => node.right,
                std::cmp::Ordering::Equal => return Some(node.value),
            };
        }
        None
    }

    /// The range must not be there yet.
    pub(super) fn insert(&mut self, range: KeyRange, value: u32) {
        // Knuth's multiplier: successive numbers end up far apart.
        self.scrambled = self.scrambled.wrapping_add(1).wrapping_mul(0x9e37_79b1);
        let (below, above) = self.split(self.root, &range);
        let node = Node { range, value, priority: self.scrambled, left: None, right: None, last: 0 };
        let number = self.nodes.insert(node);
        self.nodes[number].last = number;
        let left = self.join(below, Some(number));
        self.root = self.join(left, above);
    }

    /// The range must be there.
    pub(super) fn remove(&mut self, range: &KeyRange) {
        self.root = self.without(self.root, range);
    }

    /// Calls with the value of every range that has the key in it.
    pub(super) fn find(&self, key: &[u8], found: &mut impl FnMut(u32)) {
        self.find_below(self.root, key, found);
    }

    fn find_below(&self, at: Option<u32>, key: &[u8], found: &mut impl FnMut(u32)) {
        let Some(number) = at else { return };
        let node = &self.nodes[number];
        if !ends_behind(&self.nodes[node.last].range, key) {
            return;
        }
        self.find_below(node.left, key, found);
        if &node.range.key[..] <= key {
            if ends_behind(&node.range, key) {
                found(node.value);
            }
            self.find_below(node.right, key, found);
        }
    }

    /// Two trees: what comes before a range, and the rest.
    fn split(&mut self, at: Option<u32>, range: &KeyRange) -> (Option<u32>, Option<u32>) {
        let Some(number) = at else { return (None, None) };
        if self.nodes[number].range < *range {
            let (below, above) = self.split(self.nodes[number].right, range);
            self.nodes[number].right = below;
            self.refresh(number);
            (at, above)
        } else {
            let (below, above) = self.split(self.nodes[number].left, range);
            self.nodes[number].left = above;
            self.refresh(number);
            (below, at)
        }
    }

    /// One tree of two, all of the first before all of the second.
    fn join(&mut self, first: Option<u32>, second: Option<u32>) -> Option<u32> {
        let (Some(a), Some(b)) = (first, second) else { return first.or(second) };
        if self.nodes[a].priority >= self.nodes[b].priority {
            self.nodes[a].right = self.join(self.nodes[a].right, second);
            self.refresh(a);
            first
        } else {
            self.nodes[b].left = self.join(first, self.nodes[b].left);
            self.refresh(b);
            second
        }
    }

    fn without(&mut self, at: Option<u32>, range: &KeyRange) -> Option<u32> {
        let number = at.unwrap_or_else(|| panic!("{range:?} is not there"));
        let Node { left, right, .. } = self.nodes[number];
        match range.cmp(&self.nodes[number].range) {
            std::cmp::Ordering::Less => self.nodes[number].left = self.without(left, range),
            std::cmp::Ordering::Greater => self.nodes[number].right = self.without(right, range),
            std::cmp::Ordering::Equal => {
                self.nodes.remove(number);
                return self.join(left, right);
            }
        }
        self.refresh(number);
        at
    }

    fn refresh(&mut self, number: u32) {
        let Node { left, right, .. } = self.nodes[number];
        let mut last = number;
        for below in [left, right].into_iter().flatten() {
            let other = self.nodes[below].last;
            if ends_later(&self.nodes[other].range, &self.nodes[last].range) {
                last = other;
            }
        }
        self.nodes[number].last = last;
    }
}

fn ends_behind(range: &KeyRange, key: &[u8]) -> bool {
    match range.end() {
        RangeEnd::Single => &range.key[..] >= key,
        RangeEnd::Open => true,
        RangeEnd::Before(end) => end > key,
    }
}

fn ends_later(a: &KeyRange, b: &KeyRange) -> bool {
    match (a.end(), b.end()) {
        (_, RangeEnd::Open) => false,
        (RangeEnd::Open, _) => true,
        _ => a.range_end > b.range_end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(rng: &mut fastrand::Rng) -> KeyRange {
        let mut word = || -> Vec<u8> { (0..rng.usize(1..4)).map(|_| rng.u8(b'a'..b'e')).collect() };
        let (key, end) = (word(), word());
        match rng.u8(..4) {
            0 => KeyRange::prefix(&key),
            1 => KeyRange::new(key, b"\0"),
            _ => KeyRange::new(key, end),
        }
    }

    fn found(ranges: &Ranges, key: &[u8]) -> Vec<u32> {
        let mut all = Vec::new();
        ranges.find(key, &mut |value| all.push(value));
        all.sort_unstable();
        all
    }

    #[test]
    fn finds_what_a_linear_search_finds() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut ranges, mut model) = (Ranges::default(), Vec::<(KeyRange, u32)>::new());
        for step in 0..4000 {
            let range = draw(&mut rng);
            match model.iter().position(|(other, _)| *other == range) {
                Some(place) => {
                    assert_eq!(ranges.get(&range), Some(model[place].1));
                    ranges.remove(&range);
                    model.swap_remove(place);
                }
                None => {
                    assert_eq!(ranges.get(&range), None);
                    ranges.insert(range.clone(), step);
                    model.push((range, step));
                }
            }
            let key = draw(&mut rng).key;
            let mut expected: Vec<u32> =
                model.iter().filter(|(range, _)| range.contains(&key)).map(|&(_, value)| value).collect();
            expected.sort_unstable();
            assert_eq!(found(&ranges, &key), expected, "step {step}, {key:?} in {model:?}");
        }
    }

    fn depth(ranges: &Ranges, at: Option<u32>) -> usize {
        at.map_or(0, |number| {
            let node = &ranges.nodes[number];
            1 + depth(ranges, node.left).max(depth(ranges, node.right))
        })
    }

    #[test]
    fn stays_flat_when_filled_in_order() {
        let mut ranges = Ranges::default();
        for number in 0..10_000 {
            ranges.insert(KeyRange::prefix(format!("/{number:05}/").as_bytes()), number);
        }
        let depth = depth(&ranges, ranges.root);
        assert!(depth < 64, "{depth} deep");
    }
}
