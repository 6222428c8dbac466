//! Which client waits for which proposal or read, and until when.
//!
//! A leader takes a proposal only in the term in which it was made (`raft::Node::step`), so its entry has that term, and
//! terms never fall along the log: it is applied before the first entry of a later term, or never. So when such an entry is
//! applied, which every new leader has at its begin, all that wait from earlier terms are told that it is certain. That an
//! entry was replaced in this board's log is no such proof: another one may still hold it, and be elected.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Error, Index, NodeId, Outcome, ProposalId, Term};

use super::{Answer, Effect, RequestId};

/// Requests that have been taken and not been answered. Bounded by `Options::requests_max`.
#[derive(Debug)]
pub(super) struct Waiting {
    origin: NodeId,
    next: u64,
    timeout_ticks: u64,
    requests: BTreeMap<u64, Request>,
    /// Reads that Raft has confirmed, by the index that must be applied first. A number whose request has run out is
    /// passed over.
    confirmed: BTreeSet<(Index, u64)>,
}

#[derive(Debug)]
struct Request {
    id: RequestId,
    kind: Kind,
    term: Term,
    deadline_tick: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Time-out means: nobody knows.
    Proposal,
    /// Time-out means: not answered.
    Read,
}

impl Waiting {
    /// `life` names this boot: drawn at random, so that no answer meets the request of another one.
    pub(super) fn new(origin: NodeId, life: u32, timeout_ticks: u64) -> Waiting {
        let (requests, confirmed) = (BTreeMap::new(), BTreeSet::new());
        Waiting { origin, next: u64::from(life) << 32, timeout_ticks, requests, confirmed }
    }

    /// A request waits for so long from now on. Of those that wait already as much is left as before, by its share: ticks
    /// may be of another length now.
    pub(super) fn set_timeout(&mut self, ticks: u64, now_tick: u64) {
        for request in self.requests.values_mut() {
            let left = request.deadline_tick.saturating_sub(now_tick);
            request.deadline_tick = now_tick + (left * ticks).div_ceil(self.timeout_ticks.max(1));
        }
        self.timeout_ticks = ticks;
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// `term`: that of the board which asks.
    pub(super) fn add(&mut self, id: RequestId, kind: Kind, term: Term, now_tick: u64) -> ProposalId {
        let number = self.next;
        self.next += 1;
        let deadline_tick = now_tick + self.timeout_ticks;
        self.requests.insert(number, Request { id, kind, term, deadline_tick });
        ProposalId { origin: self.origin, number }
    }

    /// Answers the request behind `id`, if it is one of this life and still waits.
    pub(super) fn answer(&mut self, id: ProposalId, answer: Answer, effects: &mut Vec<Effect>) {
        if let Some(request) = self.take(id) {
            effects.push(Effect::Answer { request: request.id, answer });
        }
    }

    pub(super) fn applied(&mut self, outcomes: Vec<(ProposalId, Outcome)>, effects: &mut Vec<Effect>) {
        for (id, outcome) in outcomes {
            self.answer(id, Answer::Applied(outcome), effects);
        }
    }

    /// Does somebody wait for it still?
    pub(super) fn has(&self, id: ProposalId) -> bool {
        id.origin == self.origin && self.requests.contains_key(&id.number)
    }

    pub(super) fn is_read(&self, id: ProposalId) -> bool {
        let request = self.requests.get(&id.number).filter(|_| id.origin == self.origin);
        request.is_some_and(|request| request.kind == Kind::Read)
    }

    /// Gives what waits under `id` another name, and makes it one of this term.
    pub(super) fn rename(&mut self, id: ProposalId, term: Term) -> Option<ProposalId> {
        let request = Request { term, ..self.take(id)? };
        let number = self.next;
        self.next += 1;
        self.requests.insert(number, request);
        Some(ProposalId { origin: self.origin, number })
    }

    fn take(&mut self, id: ProposalId) -> Option<Request> {
        if id.origin == self.origin { self.requests.remove(&id.number) } else { None }
    }

    /// A read may be answered once `index` is applied.
    pub(super) fn confirmed(&mut self, id: ProposalId, index: Index) {
        if self.has(id) {
            self.confirmed.insert((index, id.number));
        }
    }

    /// An entry of this term has been applied, and what came of all before it has been told.
    pub(super) fn term_applied(&mut self, term: Term, effects: &mut Vec<Effect>) {
        let is_over = |request: &Request| request.kind == Kind::Proposal && request.term < term;
        self.end(is_over, &Answer::Refused(Error::LeaderChanged), effects);
    }

    /// The store was filled by other means than the log: which proposals that holds, nobody can tell.
    pub(super) fn caught_up(&mut self, effects: &mut Vec<Effect>) {
        let is_proposal = |request: &Request| request.kind == Kind::Proposal;
        self.end(is_proposal, &Answer::Unknown(Error::Timeout), effects);
    }

    fn end(&mut self, is_over: impl Fn(&Request) -> bool, answer: &Answer, effects: &mut Vec<Effect>) {
        self.requests.retain(|_, request| {
            let ends = is_over(request);
            if ends {
                effects.push(Effect::Answer { request: request.id, answer: answer.clone() });
            }
            !ends
        });
    }

    /// Answers the reads that only waited for `applied`.
    pub(super) fn release_reads(&mut self, applied: Index, effects: &mut Vec<Effect>) {
        while let Some(&(index, number)) = self.confirmed.first()
            && index <= applied
        {
            self.confirmed.pop_first();
            if let Some(request) = self.requests.remove(&number) {
                effects.push(Effect::Answer { request: request.id, answer: Answer::ReadAt(index) });
            }
        }
    }

    pub(super) fn expire(&mut self, now_tick: u64, effects: &mut Vec<Effect>) {
        let expired: Vec<u64> = self
            .requests
            .iter()
            .filter(|(_, request)| request.deadline_tick <= now_tick)
            .map(|(number, _)| *number)
            .collect();
        for request in expired.into_iter().filter_map(|number| self.requests.remove(&number)) {
            let answer = match request.kind {
                Kind::Proposal => Answer::Unknown(Error::Timeout),
                Kind::Read => Answer::Refused(Error::Timeout),
            };
            effects.push(Effect::Answer { request: request.id, answer });
        }
        self.confirmed.retain(|(_, number)| self.requests.contains_key(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);

    fn answers(effects: Vec<Effect>) -> Vec<(u64, Answer)> {
        let answer = |effect| match effect {
            Effect::Answer { request, answer } => (request.0, answer),
            other => panic!("{other:?} is no answer"),
        };
        effects.into_iter().map(answer).collect()
    }

    #[test]
    fn a_request_is_answered_once() {
        let (mut waiting, mut effects) = (Waiting::new(ME, 7, 10), Vec::new());
        let id = waiting.add(RequestId(1), Kind::Proposal, Term(1), 0);
        assert_eq!(id, ProposalId { origin: ME, number: 7 << 32 });
        waiting.applied(vec![(id, Outcome::None)], &mut effects);
        waiting.answer(id, Answer::Refused(Error::NotLeader), &mut effects);
        waiting.expire(100, &mut effects);
        assert_eq!(answers(effects), [(1, Answer::Applied(Outcome::None))]);
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn the_number_of_another_member_or_life_is_not_ours() {
        let (mut waiting, mut effects) = (Waiting::new(ME, 7, 10), Vec::new());
        waiting.add(RequestId(1), Kind::Proposal, Term(1), 0);
        for (origin, number) in [(NodeId(2), 7 << 32), (ME, 6 << 32)] {
            waiting.applied(vec![(ProposalId { origin, number }, Outcome::None)], &mut effects);
        }
        assert_eq!(answers(effects), []);
    }

    #[test]
    fn time_runs_out_in_the_order_of_arrival() {
        let (mut waiting, mut effects) = (Waiting::new(ME, 0, 10), Vec::new());
        waiting.add(RequestId(1), Kind::Proposal, Term(1), 0);
        waiting.add(RequestId(2), Kind::Read, Term(1), 3);
        waiting.expire(9, &mut effects);
        assert!(effects.is_empty());
        waiting.expire(10, &mut effects);
        assert_eq!(answers(std::mem::take(&mut effects)), [(1, Answer::Unknown(Error::Timeout))]);
        waiting.expire(13, &mut effects);
        assert_eq!(answers(effects), [(2, Answer::Refused(Error::Timeout))]);
    }

    #[test]
    fn a_read_waits_for_what_was_committed_before_it() {
        let (mut waiting, mut effects) = (Waiting::new(ME, 0, 10), Vec::new());
        let (first, second) = (
            waiting.add(RequestId(1), Kind::Read, Term(1), 0),
            waiting.add(RequestId(2), Kind::Read, Term(1), 0),
        );
        waiting.confirmed(second, Index(5));
        waiting.confirmed(first, Index(4));
        waiting.release_reads(Index(4), &mut effects);
        assert_eq!(answers(std::mem::take(&mut effects)), [(1, Answer::ReadAt(Index(4)))]);
        waiting.expire(10, &mut effects);
        assert_eq!(answers(std::mem::take(&mut effects)), [(2, Answer::Refused(Error::Timeout))]);
        waiting.release_reads(Index(9), &mut effects);
        assert_eq!(answers(effects), []);
    }

    #[test]
    fn an_entry_of_a_later_term_ends_what_was_proposed_before_it() {
        let (mut waiting, mut effects) = (Waiting::new(ME, 0, 10), Vec::new());
        waiting.add(RequestId(1), Kind::Proposal, Term(1), 0);
        waiting.add(RequestId(2), Kind::Read, Term(1), 0);
        waiting.add(RequestId(3), Kind::Proposal, Term(2), 0);
        waiting.term_applied(Term(1), &mut effects);
        assert!(effects.is_empty());
        waiting.term_applied(Term(2), &mut effects);
        assert_eq!(answers(std::mem::take(&mut effects)), [(1, Answer::Refused(Error::LeaderChanged))]);
        waiting.caught_up(&mut effects);
        assert_eq!(answers(effects), [(3, Answer::Unknown(Error::Timeout))]);
    }

    #[test]
    fn a_new_timeout_keeps_the_order_and_the_share_that_is_left() {
        let (mut waiting, mut effects) = (Waiting::new(ME, 0, 100), Vec::new());
        waiting.add(RequestId(1), Kind::Read, Term(1), 0);
        waiting.add(RequestId(2), Kind::Read, Term(1), 40);
        waiting.set_timeout(10, 50);
        waiting.add(RequestId(3), Kind::Read, Term(1), 50);
        let mut ends = Vec::new();
        for now in 50..=60 {
            waiting.expire(now, &mut effects);
            ends.extend(answers(std::mem::take(&mut effects)).into_iter().map(|(id, _)| (id, now)));
        }
        assert_eq!(ends, [(1, 55), (2, 59), (3, 60)]);
    }
}
