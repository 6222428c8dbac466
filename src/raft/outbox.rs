//! What has gathered for the next `Ready`, and how it is put together.

use crate::types::NodeId;

use super::{Envelope, Node, Persist, ReadReady, Ready, Refused, node::State};

/// Emptied by each `Ready`; see there for the meaning of the fields.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) send: Vec<Envelope>,
    pub(super) send_after_persist: Vec<Envelope>,
    pub(super) reads: Vec<ReadReady>,
    pub(super) refused: Vec<Refused>,
    pub(super) catch_up: Vec<NodeId>,
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.send.is_empty()
            && self.send_after_persist.is_empty()
            && self.reads.is_empty()
            && self.refused.is_empty()
            && self.catch_up.is_empty()
    }
}

impl Node {
    /// Is there anything to do?
    pub fn has_ready(&self) -> bool {
        let has_to_write = self.has_unwritten() && self.writes.has_room();
        !self.out.is_empty() || has_to_write || self.can_give() || self.has_to_send()
    }

    fn has_unwritten(&self) -> bool {
        self.hard_state != self.writes.handed_out() || self.log.has_unwritten()
    }

    fn can_give(&self) -> bool {
        !self.catching_up && self.log.can_give(self.options.apply_bytes_max)
    }

    fn has_to_send(&self) -> bool {
        let State::Leader(leader) = &self.state else { return false };
        let wants = |peer: &super::progress::Progress| {
            peer.is_too_old(&self.log)
                || peer.wants_append(&self.log, self.options.window_bytes)
                || peer.wants_news(&self.log)
        };
        leader.reads.want_round() || leader.peers.values().any(wants)
    }

    /// What is to be done since the last call. Appends and rounds of heartbeats are made here and not where they are
    /// caused, so that all that came in between shares one.
    pub fn ready(&mut self) -> Ready {
        self.start_round_if_wanted();
        self.replicate();
        let persist = self.hand_out();
        let mut out = std::mem::take(&mut self.out);
        if persist.is_none() {
            out.send.append(&mut out.send_after_persist);
        }
        let apply = if self.can_give() { self.log.give(self.options.apply_bytes_max) } else { Vec::new() };
        Ready {
            send: out.send,
            persist,
            send_after_persist: out.send_after_persist,
            apply,
            reads: out.reads,
            refused: out.refused,
            catch_up: out.catch_up,
        }
    }

    fn hand_out(&mut self) -> Option<Persist> {
        if !self.writes.has_room() {
            // Silence, as if it were lost on its way; who needs it asks again. What is to be written waits in the log.
            self.out.send_after_persist.clear();
            return None;
        }
        // Nothing to write, but what is to be sent rests on writes that are under way: a barrier behind them.
        let is_barrier = !self.out.send_after_persist.is_empty() && !self.writes.is_idle();
        if !self.has_unwritten() && !is_barrier {
            return None;
        }
        let ticket = self.writes.next_ticket();
        let is_changed = self.hard_state != self.writes.handed_out();
        let hard_state = is_changed.then_some(self.hard_state);
        let (log_start, entries) = self.log.hand_out(ticket);
        self.writes.hand_out(ticket, self.hard_state, self.log.last().index);
        Some(Persist { ticket, hard_state, log_start, entries })
    }
}
