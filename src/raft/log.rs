//! The log in memory: a tail of the whole log, and how far each thing has got in it.
//!
//! ```text
//!   before |   tail kept for   |  handed out, not  | committed, not  |  not committed |
//!    @     |   peers (bounded) |  applied yet      | handed out yet  |                |
//!          '- first            '- applied          '- given          '- commit        '- last
//!
//!          |     on this board's disk     |  in tickets under way  |  not handed out   |
//!                                         '- durable               '- written          '- last
//! ```
//!
//! - `before <= applied <= given <= commit <= last` and `durable <= written <= last`.
//! - Nothing at or below `commit` is ever replaced.
//! - An entry leaves memory only when it is applied and durable here.
//! - Each entry between `durable` and `written` belongs to the write that handed it out last. A write that was replaced
//!   is forgotten, so its late report makes nothing durable, be it even for an equal entry at the same index.
//!
//! Here you will not find: who may append what (replication, leader), what is in an entry.

use std::collections::VecDeque;

use crate::types::{Bug, Bugs, Entry, EntryId, Index, Term};

use super::{Ticket, queue::pop_front_if};

#[derive(Debug)]
pub(super) struct Log {
    /// The entry before the first one in memory.
    before: EntryId,
    slots: VecDeque<Slot>,
    commit: Index,
    applied: Index,
    given: Index,
    durable: Index,
    written: Index,
    /// Writes under way, ascending in ticket and index; they share out `durable + 1 ..= written`.
    writes: VecDeque<Write>,
    /// The log on disk is to be dropped and to begin after this.
    start: Option<EntryId>,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    /// Bytes of all entries up to and including this one, from some origin: differences are what counts.
    sum_bytes: u64,
}

#[derive(Debug)]
struct Write {
    ticket: Ticket,
    last: Index,
}

impl Log {
    /// The log behind `applied`, as the disk holds it.
    pub(super) fn new(applied: EntryId, entries: Vec<Entry>) -> Log {
        let mut log = Log::starting_after(applied);
        entries.into_iter().for_each(|entry| log.append(entry));
        log.written = log.last().index;
        log.durable = log.last().index;
        log
    }

    fn starting_after(at: EntryId) -> Log {
        Log {
            before: at,
            slots: VecDeque::new(),
            commit: at.index,
            applied: at.index,
            given: at.index,
            durable: at.index,
            written: at.index,
            writes: VecDeque::new(),
            start: None,
        }
    }

    /// Drops everything: the log now begins after `at`, and so will the one on disk.
    pub(super) fn restart_after(&mut self, at: EntryId) {
        assert!(self.commit <= at.index, "committed {} dropped for a start after {at}", self.commit);
        *self = Log { start: Some(at), ..Log::starting_after(at) };
    }

    pub(super) fn before(&self) -> EntryId {
        self.before
    }

    pub(super) fn last(&self) -> EntryId {
        self.slots.back().map_or(self.before, |slot| slot.entry.id)
    }

    pub(super) fn commit(&self) -> Index {
        self.commit
    }

    pub(super) fn applied(&self) -> Index {
        self.applied
    }

    pub(super) fn durable(&self) -> Index {
        self.durable
    }

    /// `None` if the index is before the tail or beyond the end.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.before.index {
            return Some(self.before.term);
        }
        self.slot(index).map(|slot| slot.entry.id.term)
    }

    pub(super) fn holds(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    fn slot(&self, index: Index) -> Option<&Slot> {
        let offset = index.0.checked_sub(self.before.index.0)?.checked_sub(1)?;
        self.slots.get(usize::try_from(offset).ok()?)
    }

    /// Bytes of the entries after `after`, up to and including `last`. Both must be in the tail.
    pub(super) fn bytes_between(&self, after: Index, last: Index) -> u64 {
        self.sum_at(last).saturating_sub(self.sum_at(after))
    }

    fn sum_at(&self, index: Index) -> u64 {
        match self.slot(index) {
            Some(slot) => slot.sum_bytes,
            None => self.slots.front().map_or(0, |slot| slot.sum_bytes - slot.entry.weight_bytes()),
        }
    }

    /// What must stay in memory because it is not applied or not durable yet.
    pub(super) fn held_bytes(&self) -> u64 {
        self.bytes_between(self.applied.min(self.durable), self.last().index)
    }

    pub(super) fn uncommitted_bytes(&self) -> u64 {
        self.bytes_between(self.commit, self.last().index)
    }

    /// The last entry up to `index` whose term is not beyond `term`: of a log that has an entry of `term` at `index`, all
    /// later ones are certain to differ from ours. `None` if it is older than the tail.
    pub(super) fn last_up_to(&self, index: Index, term: Term) -> Option<EntryId> {
        let held = index.0.saturating_sub(self.before.index.0).min(self.slots.len() as u64);
        // Terms never fall along the log, so the slots that qualify are a prefix.
        let fits = self.slots.partition_point(|slot| slot.entry.id.term <= term) as u64;
        match held.min(fits) {
            0 => (index >= self.before.index && self.before.term <= term).then_some(self.before),
            count => self.slot(Index(self.before.index.0 + count)).map(|slot| slot.entry.id),
        }
    }

    /// Entries from `from` on, up to so many bytes but at least one, if there is one.
    pub(super) fn slice(&self, from: Index, bytes_max: u64) -> Vec<Entry> {
        self.range(from, self.last().index, from.prev(), bytes_max)
    }

    /// Entries `from ..= last` while those after `base` stay within `bytes_max`; the first after `base` always does.
    fn range(&self, from: Index, last: Index, base: Index, bytes_max: u64) -> Vec<Entry> {
        let base_sum = self.sum_at(base);
        let fits =
            |slot: &&Slot| slot.entry.id.index == base.next() || slot.sum_bytes - base_sum <= bytes_max;
        (from.0..=last.0)
            .map_while(|index| self.slot(Index(index)))
            .take_while(fits)
            .map(|slot| slot.entry.clone())
            .collect()
    }

    pub(super) fn append(&mut self, entry: Entry) {
        let last = self.last();
        assert!(
            entry.id.index == last.index.next() && entry.id.term >= last.term,
            "{} appended behind {last}",
            entry.id
        );
        let sum_bytes = self.sum_at(last.index) + entry.weight_bytes();
        self.slots.push_back(Slot { entry, sum_bytes });
    }

    /// Drops `from` and all behind it.
    pub(super) fn truncate_from(&mut self, from: Index) {
        assert!(from > self.commit, "{from} dropped though committed up to {}", self.commit);
        let kept = from.prev();
        self.slots.truncate((kept.0 - self.before.index.0) as usize);
        self.durable = self.durable.min(kept);
        self.written = self.written.min(kept);
        while self.writes.back().is_some_and(|write| write.last > kept) {
            let cut = self.writes.pop_back().map(|write| Write { last: kept, ..write });
            let begins_after = self.writes.back().map_or(self.durable, |write| write.last);
            self.writes.extend(cut.filter(|_| begins_after < kept));
        }
    }

    pub(super) fn has_unwritten(&self) -> bool {
        self.written < self.last().index || self.start.is_some()
    }

    /// What the disk does not know yet, which goes out with `ticket`.
    pub(super) fn hand_out(&mut self, ticket: Ticket) -> (Option<EntryId>, Vec<Entry>) {
        let last = self.last().index;
        let entries = self.range(self.written.next(), last, self.written, u64::MAX);
        if !entries.is_empty() {
            self.writes.push_back(Write { ticket, last });
        }
        self.written = last;
        (self.start.take(), entries)
    }

    /// All that was handed out up to `ticket` is on disk. `named` is the greatest index that those tickets named,
    /// be it of entries that were replaced since.
    pub(super) fn persisted(&mut self, ticket: Ticket, named: Index, bugs: Bugs) {
        while let Some(write) = pop_front_if(&mut self.writes, |write| write.ticket <= ticket) {
            self.durable = write.last;
        }
        if bugs.has(Bug::PersistedByIndexAlone) {
            self.durable = self.durable.max(named.min(self.last().index));
        }
    }

    /// Raises the commit index; lower ones change nothing.
    pub(super) fn commit_to(&mut self, index: Index) {
        assert!(index <= self.last().index, "committed {index} of a log that ends at {}", self.last());
        self.commit = self.commit.max(index);
    }

    pub(super) fn can_give(&self, bytes_max: u64) -> bool {
        let next = self.given.next();
        next <= self.commit
            && (self.given == self.applied || self.bytes_between(self.applied, next) <= bytes_max)
    }

    /// Committed entries to be applied, as long as those not yet applied stay within `bytes_max`.
    pub(super) fn give(&mut self, bytes_max: u64) -> Vec<Entry> {
        let entries = self.range(self.given.next(), self.commit, self.applied, bytes_max);
        self.given = entries.last().map_or(self.given, Entry::index);
        entries
    }

    pub(super) fn applied_to(&mut self, index: Index) {
        assert!(index <= self.given, "applied {index}, given only up to {}", self.given);
        self.applied = self.applied.max(index);
    }

    /// The store holds everything up to `at` by other means than this log, which agrees with it at `at`.
    pub(super) fn skip_to(&mut self, at: EntryId) {
        assert!(self.holds(at), "{at} skipped to is not in the log {} .. {}", self.before, self.last());
        self.commit = self.commit.max(at.index);
        self.applied = at.index;
        self.given = at.index;
    }

    /// Lets go of entries that nothing here needs: as many as `tail_bytes_max` asks for, but for those after `pinned`,
    /// which may take as much room again.
    pub(super) fn trim(&mut self, tail_bytes_max: u64, pinned: Option<Index>) {
        let floor = self.applied.min(self.durable);
        while self.before.index < floor {
            let is_pinned = pinned.is_some_and(|pinned| pinned <= self.before.index);
            let max = if is_pinned { tail_bytes_max.saturating_mul(2) } else { tail_bytes_max };
            if self.bytes_between(self.before.index, floor) <= max {
                break;
            }
            self.before = self.slots.pop_front().expect("the floor is within the log").entry.id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Payload;

    /// A log behind `applied` with entries of these terms.
    fn log(applied: EntryId, terms: &[u64]) -> Log {
        let entries = terms.iter().zip(applied.index.0 + 1..).map(|(term, index)| entry(index, *term));
        Log::new(applied, entries.collect())
    }

    fn entry(index: u64, term: u64) -> Entry {
        Entry { id: EntryId::new(term, index), payload: Payload::Empty }
    }

    fn hand_out(log: &mut Log, ticket: u64) -> usize {
        log.hand_out(Ticket(ticket)).1.len()
    }

    fn persisted(log: &mut Log, ticket: u64) -> u64 {
        log.persisted(Ticket(ticket), Index(0), Bugs::default());
        log.durable().0
    }

    #[test]
    fn the_last_entry_that_may_be_the_same() {
        let log = log(EntryId::new(2, 10), &[2, 3, 3, 5]);
        let cases = [
            (14, 5, Some(EntryId::new(5, 14))),
            (14, 4, Some(EntryId::new(3, 13))),
            (99, 9, Some(EntryId::new(5, 14))),
            (12, 9, Some(EntryId::new(3, 12))),
            (14, 2, Some(EntryId::new(2, 11))),
            (10, 2, Some(EntryId::new(2, 10))),
            (14, 1, None),
            (9, 2, None),
        ];
        for (index, term, expected) in cases {
            assert_eq!(log.last_up_to(Index(index), Term(term)), expected, "{index}@{term}");
        }
    }

    #[test]
    fn reports_of_what_was_replaced_count_for_what_is_left_of_it() {
        let mut log = log(EntryId::default(), &[1, 1]);
        for index in 3..=6 {
            log.append(entry(index, 2));
            assert_eq!(hand_out(&mut log, index), 1);
        }
        log.truncate_from(Index(5));
        log.append(entry(5, 3));
        assert_eq!(hand_out(&mut log, 7), 1);
        assert_eq!(persisted(&mut log, 3), 3);
        assert_eq!(persisted(&mut log, 6), 4);
        assert_eq!(persisted(&mut log, 7), 5);
    }

    #[test]
    fn a_write_of_several_is_cut() {
        let mut log = log(EntryId::default(), &[1]);
        (2..=9).for_each(|index| log.append(entry(index, 1)));
        assert_eq!(hand_out(&mut log, 1), 8);
        log.truncate_from(Index(4));
        assert_eq!((log.last().index, log.durable()), (Index(3), Index(1)));
        log.truncate_from(Index(3));
        (3..=5).for_each(|index| log.append(entry(index, 2)));
        assert_eq!(hand_out(&mut log, 2), 3);
        assert_eq!(persisted(&mut log, 1), 2);
        assert_eq!(persisted(&mut log, 2), 5);
    }

    #[test]
    fn what_is_durable_is_not_when_replaced() {
        let mut log = log(EntryId::default(), &[1, 1, 1]);
        assert_eq!(log.durable(), Index(3));
        log.truncate_from(Index(2));
        log.append(entry(2, 2));
        assert_eq!(log.durable(), Index(1));
        assert_eq!(hand_out(&mut log, 1), 1);
        assert_eq!(persisted(&mut log, 1), 2);
    }

    #[test]
    #[should_panic(expected = "2 dropped though committed up to 2")]
    fn what_is_committed_stays() {
        let mut log = log(EntryId::default(), &[1, 1, 1]);
        log.commit_to(Index(2));
        log.truncate_from(Index(2));
    }

    #[test]
    fn a_tail_is_trimmed_and_counted_right() {
        let each = entry(1, 1).weight_bytes();
        let mut log = log(EntryId::default(), &[1; 10]);
        log.commit_to(Index(8));
        assert_eq!(log.give(u64::MAX).len(), 8);
        log.applied_to(Index(6));
        log.trim(2 * each, None);
        assert_eq!(log.before().index, Index(4));
        assert_eq!(log.held_bytes(), 4 * each);
        assert_eq!(log.uncommitted_bytes(), 2 * each);
        assert_eq!(log.slice(Index(5), 3 * each).len(), 3);
        assert_eq!(log.slice(Index(5), 1).len(), 1);
        assert_eq!(log.term_at(Index(3)), None);
        log.applied_to(Index(8));
        log.trim(each, Some(Index(4)));
        assert_eq!(log.before().index, Index(6), "what is pinned may take as much again");
        log.trim(0, None);
        assert_eq!(log.before().index, Index(8));
    }

    #[test]
    fn so_much_is_given_before_it_is_applied() {
        let each = entry(1, 1).weight_bytes();
        let mut log = log(EntryId::default(), &[1; 6]);
        log.commit_to(Index(5));
        assert_eq!(log.give(1).len(), 1, "one at least");
        assert!(!log.can_give(1));
        assert_eq!(log.give(3 * each).len(), 2);
        log.applied_to(Index(3));
        assert_eq!(log.give(u64::MAX).len(), 2, "what is committed and no more");
        assert!(!log.can_give(u64::MAX));
    }

    #[test]
    fn a_log_starts_anew() {
        let mut log = log(EntryId::default(), &[1, 1, 1]);
        log.append(entry(4, 1));
        assert_eq!(hand_out(&mut log, 1), 1);
        log.restart_after(EntryId::new(2, 9));
        log.append(entry(10, 2));
        assert_eq!(log.hand_out(Ticket(2)), (Some(EntryId::new(2, 9)), vec![entry(10, 2)]));
        assert_eq!(persisted(&mut log, 1), 9, "what was dropped does not count");
        assert_eq!(persisted(&mut log, 2), 10);
    }
}
