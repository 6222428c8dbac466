//! The follower's side of replication: takes what the leader sends (Raft thesis 3.5).
//!
//! - Only a conflict drops entries: an old, shorter, repeated Append that matches changes nothing.
//! - What is committed here is in every later leader's log, so it is taken as matching and never looked at again.
//! - The commit index never passes what the message itself proves to match.
//! - An acknowledgement leaves when the entries are durable, and the term it is given in: a node that forgot the term could
//!   let an older leader replace what it acknowledged to the later one.
//! - A heartbeat's answer leaves at once, even if the term it is given in is not durable yet: it promises nothing for
//!   later. That the leader still leads rests on its voters' durable votes, not on the memory of those who answer; should
//!   this node forget the term, the leader's predecessor still finds no majority.

use crate::types::{Bug, Entry, EntryId, Index, NodeId, Payload, Term};

use super::{
    Message, Node,
    node::{INDEX_MAX, State},
};

impl Node {
    /// A message that only the leader of our term sends. Two in one term there cannot be: one of them is noise.
    fn accept_leader(&mut self, from: NodeId) -> bool {
        match (&self.state, self.leader) {
            (State::Leader(_), _) => return false,
            (State::Follower, Some(leader)) if leader != from => return false,
            (State::Follower, Some(_)) => self.elapsed_ticks = 0,
            (State::Follower, None) | (State::Candidate(_), _) => {
                self.become_follower(self.hard_state.term, Some(from));
            }
        }
        true
    }

    pub(super) fn on_heartbeat(&mut self, from: NodeId, commit: Index, round: u64) {
        if !self.accept_leader(from) {
            return;
        }
        // The leader names only what we acknowledged, so what we do not have is noise.
        if commit <= self.log.last().index {
            self.commit_to(commit);
        }
        if round > 0 {
            self.say_heard(from, round);
        }
    }

    pub(super) fn on_append(&mut self, from: NodeId, prev: EntryId, entries: Vec<Entry>, commit: Index) {
        if !is_sound(prev, &entries, self.hard_state.term) || !self.accept_leader(from) {
            return;
        }
        if self.catching_up {
            self.reject(from, prev, true);
            return;
        }
        let (prev, entries) = self.behind_commit(prev, entries);
        if !is_sound(prev, &entries, self.hard_state.term) {
            // Contradicts what is committed.
            return;
        }
        if !self.log.holds(prev) {
            self.reject(from, prev, false);
            return;
        }
        let was_empty = entries.is_empty();
        let taken = self.take(prev, entries, commit);
        self.commit_to(commit.min(taken));
        // If there was no room for anything, silence: the leader asks again after the next heartbeat.
        if was_empty || taken > prev.index {
            self.accept(from, taken);
        }
    }

    /// The part of an Append that is not committed here yet.
    fn behind_commit(&self, prev: EntryId, mut entries: Vec<Entry>) -> (EntryId, Vec<Entry>) {
        let commit = self.log.commit();
        if prev.index >= commit {
            return (prev, entries);
        }
        let known = entries.partition_point(|entry| entry.id.index <= commit);
        entries.drain(..known);
        let term = self.log.term_at(commit).expect("the tail begins before the commit index");
        (EntryId { index: commit, term }, entries)
    }

    /// Takes entries that follow `prev`, which matches, as far as there is room. Returns the last that is now as the leader
    /// has it.
    fn take(&mut self, prev: EntryId, entries: Vec<Entry>, commit: Index) -> Index {
        let mut matched = prev.index;
        for entry in entries {
            let id = entry.id;
            match self.log.term_at(id.index) {
                Some(term) if term == id.term => {}
                conflict => {
                    // Also if there is no room for what comes instead: what is dropped makes some.
                    if conflict.is_some() {
                        self.log.truncate_from(id.index);
                        self.members.truncated_from(id.index);
                    }
                    if !self.takes(&entry, commit) {
                        break;
                    }
                    self.members.appended(&entry);
                    self.log.append(entry);
                }
            }
            matched = id.index;
        }
        matched
    }

    /// Is there room for it? What a new leader must have copied before it can commit anything is taken in any case: its
    /// first entry, and those of earlier terms that are not committed.
    fn takes(&self, entry: &Entry, commit: Index) -> bool {
        let is_of_earlier_term = entry.id.term < self.hard_state.term && entry.id.index > commit;
        let held = self.log.held_bytes();
        is_of_earlier_term
            || entry.payload == Payload::Empty
            || held == 0
            || held.saturating_add(entry.weight_bytes()) <= self.held_bytes_max()
    }

    fn accept(&mut self, to: NodeId, matched: Index) {
        let message = Message::AppendAccepted { matched };
        // What is on disk already, in a term that is too, need not wait for what is under way behind it.
        let is_durable = matched <= self.log.durable() && self.writes.durable() == self.hard_state;
        if is_durable || self.options.bugs.has(Bug::AckBeforeSync) {
            self.say(to, message);
        } else {
            self.say_after_persist(to, message);
        }
    }

    /// Names the last entry that may be the leader's too: not beyond our end, nor of a later term than the leader's there.
    fn reject(&mut self, to: NodeId, prev: EntryId, catching_up: bool) {
        let commit = self.log.commit();
        let committed = EntryId { index: commit, term: self.log.term_at(commit).unwrap_or_default() };
        let hint = self.log.last_up_to(prev.index, prev.term).unwrap_or(committed).max(committed);
        self.say(to, Message::AppendRejected { prev: prev.index, hint, catching_up });
    }
}

/// Could a leader of `term` have sent this? Indexes without gaps, terms that never fall nor pass the leader's.
fn is_sound(prev: EntryId, entries: &[Entry], term: Term) -> bool {
    let mut last = prev;
    prev.index <= INDEX_MAX
        && prev.term <= term
        && entries.iter().all(|entry| {
            let follows = entry.id.index == last.index.next() && entry.id.term >= last.term;
            last = entry.id;
            follows && entry.id.term <= term
        })
}
