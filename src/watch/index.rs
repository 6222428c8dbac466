//! Who watches a key.
//!
//! Watchers of the same range are one group: it is looked for once, and its range is held once. Groups of a single key
//! are found by that key, those of a range in `Ranges`.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Bytes, KeyRange};

use super::{ranges::Ranges, slab::Slab};

/// Numbers of groups and of watchers.
pub(super) type Group = u32;
pub(super) type Number = u32;

#[derive(Default)]
pub(super) struct Index {
    groups: Slab<Entry>,
    singles: BTreeMap<Bytes, Group>,
    ranges: Ranges,
    members: BTreeSet<(Group, Number)>,
}

struct Entry {
    range: KeyRange,
    members: u32,
}

impl Index {
    pub(super) fn add(&mut self, range: &KeyRange, watcher: Number) -> Group {
        let known =
            if range.is_single() { self.singles.get(&range.key).copied() } else { self.ranges.get(range) };
        let group = known.unwrap_or_else(|| self.add_group(range));
        self.groups[group].members += 1;
        self.members.insert((group, watcher));
        group
    }

    fn add_group(&mut self, range: &KeyRange) -> Group {
        let group = self.groups.insert(Entry { range: range.clone(), members: 0 });
        if range.is_single() {
            self.singles.insert(range.key.clone(), group);
        } else {
            self.ranges.insert(range.clone(), group);
        }
        group
    }

    pub(super) fn remove(&mut self, group: Group, watcher: Number) {
        assert!(self.members.remove(&(group, watcher)), "watcher {watcher} is not in group {group}");
        self.groups[group].members -= 1;
        if self.groups[group].members > 0 {
            return;
        }
        let Entry { range, .. } = self.groups.remove(group);
        if range.is_single() {
            self.singles.remove(&range.key);
        } else {
            self.ranges.remove(&range);
        }
    }

    pub(super) fn range(&self, group: Group) -> &KeyRange {
        &self.groups[group].range
    }

    /// Calls with every group that has the key.
    pub(super) fn groups_of(&self, key: &Bytes, found: &mut impl FnMut(Group)) {
        if let Some(&group) = self.singles.get(key) {
            found(group);
        }
        self.ranges.find(key, found);
    }

    pub(super) fn members(&self, group: Group) -> impl Iterator<Item = Number> + '_ {
        self.members.range((group, 0)..=(group, Number::MAX)).map(|&(_, watcher)| watcher)
    }
}
