//! Catching up: what the log in memory cannot mend is mended from the store, by a transfer that is none of Raft's business
//! but for its begin and its end.
//!
//! ```text
//!   leader                                              the peer
//!   Ready::catch_up ---> [transfer of the store] ---> begin_catch_up
//!   keep_tail_for         ...                           votes by its log, answers heartbeats; applies nothing,
//!   catch_up_ended        ... at S                      rejects Appends, does not stand, reads nothing
//!     probes it  <---------------------------------  finish_catch_up(S)
//! ```
//!
//! The log stays as it is until the end, because votes rest on it: an entry that this node acknowledged may be committed
//! by that acknowledgement. At the end, if the log has the entry at S, the rest of the log may still count and is kept; if
//! not, the log parts from the committed one at or before S, so nothing of it that is not in the store ever counted.

use crate::types::{EntryId, Index, Membership, NodeId};

use super::{Node, membership::Members, node::State};

impl Node {
    /// The store is being filled by a transfer from now on. Must not be called at a leader: it has nobody to catch up with.
    pub fn begin_catch_up(&mut self) {
        assert!(!matches!(self.state, State::Leader(_)), "a leader cannot be caught up");
        if matches!(self.state, State::Candidate(_)) {
            self.become_follower(self.hard_state.term, None);
        }
        self.catching_up = true;
    }

    /// Would a transfer of the store as it is after `at` lead further than what is here? A node that was never told of its
    /// cluster needs even what the store was before the first entry: a leader that was started anew, and has yet to learn
    /// what is committed, has nothing else to offer, and may wait for this very node to acknowledge it.
    pub fn is_led_further_by(&self, at: Index) -> bool {
        at > self.log.applied() || self.members.latest().is_blank()
    }

    /// The store is now durably as it is after `at`, which must lead further; `membership` is of then.
    pub fn finish_catch_up(&mut self, at: EntryId, membership: Membership) {
        let applied = self.log.applied();
        assert!(self.catching_up, "a catch-up ends at {at} that never began");
        assert!(self.is_led_further_by(at.index), "a catch-up ends at {at}, {applied} was applied before");
        if self.log.holds(at) {
            self.log.skip_to(at);
        } else {
            self.log.restart_after(at);
        }
        self.members = Members::new(membership, &self.log.slice(at.index.next(), u64::MAX));
        self.members.committed_to(self.log.commit());
        if at.term > self.hard_state.term {
            self.become_follower(at.term, None);
        }
        self.catching_up = false;
        self.trim_log();
    }

    /// Leader: a peer has reason to know that this entry is committed. It may know better: what it is being caught up with
    /// came from a leader before, and as long as it catches up it acknowledges nothing, so that without this word the two
    /// could wait for each other for ever. A leader has every entry that is committed (thesis 3.6.3), so one that is not in
    /// the log is noise.
    pub fn learn_committed(&mut self, id: EntryId) {
        if matches!(self.state, State::Leader(_)) && id.index > self.log.commit() && self.log.holds(id) {
            self.commit_to(id.index);
            self.serve_reads();
            self.leave_if_no_voter();
        }
    }

    /// Leader: `peer` will come to be at `from` by a transfer. Keeps the entries after that in memory until it has
    /// acknowledged what leads up to them, or leaves, or another leads; at most `tail_bytes_max` more than otherwise.
    pub fn keep_tail_for(&mut self, peer: NodeId, from: Index) {
        if let State::Leader(leader) = &mut self.state
            && let Some(peer) = leader.peers.get_mut(&peer)
        {
            peer.pinned = Some(from);
        }
    }

    /// Leader: the transfer to this peer is over, well or not. If it is still too old, `Ready::catch_up` says so again.
    pub fn catch_up_ended(&mut self, peer: NodeId) {
        if let State::Leader(leader) = &mut self.state
            && let Some(peer) = leader.peers.get_mut(&peer)
        {
            peer.leave_catch_up(&self.log);
        }
    }
}
