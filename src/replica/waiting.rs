//! Which client waits for which proposal or read, and until when.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Error, Index, NodeId, Outcome, ProposalId};

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
    pub(super) fn set_timeout(&mut self, ticks: u64) {
        self.timeout_ticks = ticks;
    }

    /// `life` names this boot: drawn at random, so that no answer meets the request of another one.
    pub(super) fn new(origin: NodeId, life: u32, timeout_ticks: u64) -> Waiting {
        let (requests, confirmed) = (BTreeMap::new(), BTreeSet::new());
        Waiting { origin, next: u64::from(life) << 32, timeout_ticks, requests, confirmed }
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn add(&mut self, id: RequestId, kind: Kind, now_tick: u64) -> ProposalId {
        let number = self.next;
        self.next += 1;
        let deadline_tick = now_tick + self.timeout_ticks;
        self.requests.insert(number, Request { id, kind, deadline_tick });
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

    /// Gives what waits under `id` another name.
    pub(super) fn rename(&mut self, id: ProposalId) -> Option<ProposalId> {
        let request = self.take(id)?;
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
        if id.origin == self.origin && self.requests.contains_key(&id.number) {
            self.confirmed.insert((index, id.number));
        }
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
        let id = waiting.add(RequestId(1), Kind::Proposal, 0);
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
        waiting.add(RequestId(1), Kind::Proposal, 0);
        for (origin, number) in [(NodeId(2), 7 << 32), (ME, 6 << 32)] {
            waiting.applied(vec![(ProposalId { origin, number }, Outcome::None)], &mut effects);
        }
        assert_eq!(answers(effects), []);
    }

    #[test]
    fn time_runs_out_in_the_order_of_arrival() {
        let (mut waiting, mut effects) = (Waiting::new(ME, 0, 10), Vec::new());
        waiting.add(RequestId(1), Kind::Proposal, 0);
        waiting.add(RequestId(2), Kind::Read, 3);
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
        let (first, second) =
            (waiting.add(RequestId(1), Kind::Read, 0), waiting.add(RequestId(2), Kind::Read, 0));
        waiting.confirmed(second, Index(5));
        waiting.confirmed(first, Index(4));
        waiting.release_reads(Index(4), &mut effects);
        assert_eq!(answers(std::mem::take(&mut effects)), [(1, Answer::ReadAt(Index(4)))]);
        waiting.expire(10, &mut effects);
        assert_eq!(answers(std::mem::take(&mut effects)), [(2, Answer::Refused(Error::Timeout))]);
        waiting.release_reads(Index(9), &mut effects);
        assert_eq!(answers(effects), []);
    }
}
