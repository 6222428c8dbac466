//! Proposals that were handed on are taken once, however often the network delivers them.
//!
//! A follower hands a proposal to the leader it knows, in that leader's term. A second copy must not be appended again, nor
//! be refused where the first was taken. So a node remembers which ones it has decided on; and of those handed to it in
//! terms that it may have led before its last start, of which it remembers nothing, it takes none and says nothing.

use std::collections::{BTreeSet, VecDeque};

use crate::types::{ProposalId, Term};

/// More than are ever on their way at once. A copy that is delayed by more proposals than this is taken again.
const REMEMBERED_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct Once {
    /// What came in terms up to this may have been decided on before the last start.
    forgotten: Term,
    order: VecDeque<ProposalId>,
    ids: BTreeSet<ProposalId>,
}

impl Once {
    pub(super) fn since(forgotten: Term) -> Once {
        Once { forgotten, order: VecDeque::new(), ids: BTreeSet::new() }
    }

    /// Is this the first time that it comes? From now on it is not.
    pub(super) fn is_first(&mut self, term: Term, id: ProposalId) -> bool {
        if term <= self.forgotten || !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn id(number: u64) -> ProposalId {
        ProposalId { origin: NodeId(1), number }
    }

    #[test]
    fn a_copy_is_known_until_too_many_came_since() {
        let mut once = Once::since(Term(3));
        assert!(once.is_first(Term(4), id(0)));
        assert!(!once.is_first(Term(4), id(0)));
        assert!(!once.is_first(Term(5), id(0)));
        for number in 1..=REMEMBERED_MAX as u64 {
            assert!(once.is_first(Term(5), id(number)));
        }
        assert_eq!((once.order.len(), once.ids.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(once.is_first(Term(5), id(0)));
    }

    #[test]
    fn what_came_before_the_start_is_not_judged() {
        let mut once = Once::since(Term(3));
        assert!(!once.is_first(Term(3), id(0)));
        assert!(once.is_first(Term(4), id(0)));
    }
}
