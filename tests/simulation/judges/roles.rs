//! Where a cluster chooses its voters by itself: does it keep the majority that it has, and does it come to rest where it
//! should?

use std::collections::BTreeSet;

use solder::types::NodeId;

use super::Verdict;

/// A change of the voters. If a majority of them was there before, one is there after it. `was_there`: with power, and with a
/// way to the leader and back, at any moment that the leader may know of.
pub fn step(
    before: &BTreeSet<NodeId>,
    after: &BTreeSet<NodeId>,
    was_there: impl Fn(NodeId) -> bool,
) -> Verdict {
    let has_majority =
        |voters: &BTreeSet<NodeId>| voters.iter().filter(|id| was_there(**id)).count() > voters.len() / 2;
    match has_majority(before) && !has_majority(after) {
        true => Err(format!("a majority of {before:?} was there, and of {after:?} none is")),
        false => Ok(()),
    }
}

/// The members, a while after all that can come back has.
#[derive(Clone, Copy, Debug)]
pub struct Roles {
    pub voters: usize,
    /// Of these, those that never come back.
    pub lost_voters: usize,
    /// That run.
    pub learners: usize,
    pub voters_max: usize,
}

impl Roles {
    pub fn check(self) -> Verdict {
        let Roles { voters, lost_voters, learners, voters_max } = self;
        if voters.is_multiple_of(2) {
            return Err(format!("an even number votes: {self:?}"));
        }
        if voters > voters_max {
            return Err(format!("too many vote: {self:?}"));
        }
        if lost_voters > 0 && learners > 0 {
            return Err(format!("the dead vote where others could: {self:?}"));
        }
        if lost_voters == 0 && learners >= 2 && voters + 2 <= voters_max {
            return Err(format!("two more could vote: {self:?}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn a_majority_is_kept() {
        let alive = |id: NodeId| id.0 <= 2;
        assert!(step(&ids(&[1, 2, 3]), &ids(&[1, 2]), alive).is_ok());
        assert!(step(&ids(&[1, 2, 3]), &ids(&[1, 3]), alive).is_err());
        assert!(step(&ids(&[1, 2, 3]), &ids(&[1, 2, 3, 4]), alive).is_err());
        // There was none to lose.
        assert!(step(&ids(&[1, 3, 4]), &ids(&[3, 4]), alive).is_ok());
    }

    #[test]
    fn where_roles_come_to_rest() {
        let rest = Roles { voters: 3, lost_voters: 0, learners: 1, voters_max: 5 };
        assert_eq!(rest.check(), Ok(()));
        assert!(Roles { voters: 2, ..rest }.check().is_err());
        assert!(Roles { voters_max: 2, ..rest }.check().is_err());
        assert!(Roles { lost_voters: 1, ..rest }.check().is_err());
        assert!(Roles { learners: 2, ..rest }.check().is_err());
        assert_eq!(Roles { learners: 2, voters_max: 3, ..rest }.check(), Ok(()));
        assert_eq!(Roles { lost_voters: 1, learners: 0, ..rest }.check(), Ok(()));
    }
}
