//! What a majority of the voters has in common.

use std::collections::BTreeSet;

use crate::types::NodeId;

/// The greatest value that a majority of `voters` has reached.
pub(super) fn reached<T: Ord + Copy>(voters: &BTreeSet<NodeId>, value: impl Fn(NodeId) -> T) -> Option<T> {
    let mut values: Vec<T> = voters.iter().map(|id| value(*id)).collect();
    values.sort_unstable_by(|a, b| b.cmp(a));
    values.get(voters.len() / 2).copied()
}

/// Is what holds for these voters held by a majority of them?
pub(super) fn holds(voters: &BTreeSet<NodeId>, has: impl Fn(NodeId) -> bool) -> bool {
    reached(voters, has) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majorities() {
        let cases: [(&[u64], Option<u64>); 6] = [
            (&[], None),
            (&[7], Some(7)),
            (&[7, 3], Some(3)),
            (&[7, 3, 5], Some(5)),
            (&[7, 3, 5, 1], Some(3)),
            (&[7, 3, 5, 1, 1], Some(3)),
        ];
        for (values, expected) in cases {
            let voters = (0..values.len() as u64).map(NodeId).collect();
            assert_eq!(reached(&voters, |id| values[id.0 as usize]), expected, "{values:?}");
        }
    }
}
