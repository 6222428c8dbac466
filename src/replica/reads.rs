//! Reads of this board's clients, asked for together: one question to the leader at a time, however many wait.
//!
//! ```text
//!   arrive --> next --ask--> out --confirmed, refused--> all of it answered
//! ```
//!
//! A question may serve only what had arrived before it was asked. It may be asked again, after a loss: it writes nothing,
//! and an answer to any of its askings is as good, for all that it serves had arrived before the first.

use crate::types::{NodeId, ProposalId};

#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Arrived since the last question.
    next: Vec<ProposalId>,
    out: Option<Question>,
}

#[derive(Debug)]
struct Question {
    /// Asked under the name of the first.
    reads: Vec<ProposalId>,
    leader: Option<NodeId>,
    age_ticks: u64,
}

impl Reads {
    pub(super) fn push(&mut self, id: ProposalId) {
        self.next.push(id);
    }

    /// What is to be asked now, if anything.
    pub(super) fn ask(&mut self, leader: Option<NodeId>) -> Option<ProposalId> {
        if self.out.is_some() || self.next.is_empty() {
            return None;
        }
        let reads = std::mem::take(&mut self.next);
        let first = reads.first().copied();
        self.out = Some(Question { reads, leader, age_ticks: 0 });
        first
    }

    /// What nobody waits for any more need not be asked. (A question keeps its name.)
    pub(super) fn retain(&mut self, is_awaited: impl Fn(ProposalId) -> bool) {
        self.next.retain(|id| is_awaited(*id));
    }

    pub(super) fn tick(&mut self) {
        if let Some(question) = &mut self.out {
            question.age_ticks += 1;
        }
    }

    /// What is to be asked again: somebody else leads now, or there was no answer for so long.
    pub(super) fn again(&mut self, leader: Option<NodeId>, again_ticks: u64) -> Option<ProposalId> {
        let question = self.out.as_mut()?;
        if leader.is_none() || question.leader == leader && question.age_ticks < again_ticks {
            return None;
        }
        (question.leader, question.age_ticks) = (leader, 0);
        question.reads.first().copied()
    }

    /// Nobody led where it was asked, or this board was not ready for the answer. It waits for somebody who does, and is asked
    /// again at the next tick.
    pub(super) fn refused(&mut self, id: ProposalId) {
        match &mut self.out {
            Some(question) if question.reads.first() == Some(&id) => question.leader = None,
            _ => self.next.push(id),
        }
    }

    pub(super) fn is_out(&self, id: ProposalId) -> bool {
        self.out.as_ref().is_some_and(|question| question.reads.first() == Some(&id))
    }

    /// All that were asked for by this name; none if that has been answered already.
    pub(super) fn answered(&mut self, id: ProposalId) -> Vec<ProposalId> {
        if self.is_out(id) {
            self.out.take().map_or_else(Vec::new, |question| question.reads)
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> ProposalId {
        ProposalId { origin: NodeId(1), number }
    }

    #[test]
    fn one_question_at_a_time() {
        let leader = Some(NodeId(2));
        let mut reads = Reads::default();
        assert_eq!(reads.ask(leader), None);
        reads.push(id(1));
        reads.push(id(2));
        assert_eq!(reads.ask(leader), Some(id(1)));
        reads.push(id(3));
        assert_eq!(reads.ask(leader), None, "what came later waits");
        assert_eq!(reads.answered(id(2)), [], "nobody asked by that name");
        assert_eq!(reads.answered(id(1)), [id(1), id(2)]);
        assert_eq!(reads.answered(id(1)), [], "an answer that comes twice");
        assert_eq!(reads.ask(leader), Some(id(3)));
    }

    #[test]
    fn a_question_is_asked_again() {
        let mut reads = Reads::default();
        reads.push(id(1));
        reads.ask(Some(NodeId(2)));
        let mut after = |ticks: u32, leader| {
            (0..ticks).for_each(|_| reads.tick());
            reads.again(leader, 3)
        };
        assert_eq!(after(2, Some(NodeId(2))), None);
        assert_eq!(after(1, Some(NodeId(2))), Some(id(1)));
        assert_eq!(after(0, Some(NodeId(3))), Some(id(1)), "of another leader at once");
        assert_eq!(after(2, Some(NodeId(3))), None);
        assert_eq!(after(9, None), None, "of nobody");
        reads.again(Some(NodeId(3)), 1);
        reads.refused(id(1));
        assert_eq!(
            reads.again(Some(NodeId(3)), 100),
            Some(id(1)),
            "it was not answered, and is not waited for"
        );
    }
}
