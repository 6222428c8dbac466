//! Catching up: how a member that is older than the leader's log gets the leader's store.
//!
//! ```text
//!   leader (Sender)                                     member (Receiver)
//!   Open: keep what is not removed yet
//!        -- Offer { base } ---------------------------->
//!                                                       Begin: mark the store as catching up, durably
//!        <------------------------ Want { after } ------   (its own last revision, or 0 after a wipe)
//!   Read: what comes after `after`;
//!   from now on keep only that
//!        -- Slice { after, records } ------------------>
//!                                                       Store: one synced transaction with the new cursor
//!        <------------------------ Want { after } ------
//!        ...
//!        -- Slice { after, records, tail } ------------>
//!                                                       Store: small tables, applied entry, mark cleared
//!        <------------------------ Done ----------------
//! ```
//!
//! Invariants
//! - The receiver's cursor is durable before the sender hears of it, and the sender removes nothing beyond a cursor it
//!   has not heard of: a tombstone can not vanish between a put that was sent and the cursor.
//! - All that is sent has been applied by the sender, so it is committed, whoever leads now.
//! - One job of the receiver's store is under way at a time; while one is, nothing else is begun.
//! - Nobody holds more than one piece in memory.
//!
//! Here you will not find: the store (see `jobs`), sockets, clocks.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    raft::Node,
    store::TransferBase,
    types::{EntryId, KeyRev, NodeId},
};

use super::{Effect, Options, PeerMessage, Piece, Session, TransferDone, TransferJob, TransferMessage};

/// The leader's side: who is being brought up to date.
#[derive(Debug)]
pub(super) struct Sender {
    id: NodeId,
    transfers: BTreeMap<NodeId, Transfer>,
    /// Who needs it too, but has to wait for a place.
    queue: BTreeSet<NodeId>,
    transfers_max: usize,
    resend_ticks: u64,
    give_up_ticks: u64,
    rng: fastrand::Rng,
}

#[derive(Debug)]
struct Transfer {
    session: Session,
    stage: Stage,
    /// Ticks since the receiver's cursor moved.
    stuck_ticks: u64,
    /// Ticks since anything was sent or asked of the store.
    silent_ticks: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The store is asked what there is.
    Opening,
    /// The offer is out.
    Offered { base: TransferBase },
    /// The store reads what comes after the cursor.
    Reading(KeyRev),
    /// The piece after the cursor is out, or the store had nothing to send yet.
    Sent(KeyRev),
}

impl Sender {
    pub(super) fn new(id: NodeId, options: &Options, rng: fastrand::Rng) -> Sender {
        Sender {
            id,
            transfers: BTreeMap::new(),
            queue: BTreeSet::new(),
            transfers_max: options.transfers_max,
            resend_ticks: options.transfer_resend_ticks,
            give_up_ticks: options.transfer_give_up_ticks,
            rng,
        }
    }

    pub(super) fn retime(&mut self, options: &Options) {
        self.resend_ticks = options.transfer_resend_ticks;
        self.give_up_ticks = options.transfer_give_up_ticks;
    }

    /// Raft says that `peer` is older than the log.
    pub(super) fn start(&mut self, peer: NodeId, effects: &mut Vec<Effect>) {
        if self.transfers.contains_key(&peer) {
            return;
        }
        if self.transfers.len() >= self.transfers_max {
            self.queue.insert(peer);
            return;
        }
        let session = Session(self.rng.u64(..));
        let transfer = Transfer { session, stage: Stage::Opening, stuck_ticks: 0, silent_ticks: 0 };
        self.transfers.insert(peer, transfer);
        effects.push(Effect::Transfer(TransferJob::Open { peer, session }));
    }

    /// This member no longer leads: whoever does will start anew, from the receiver's cursor.
    pub(super) fn stop(&mut self, effects: &mut Vec<Effect>) {
        self.queue.clear();
        while let Some((peer, _)) = self.transfers.pop_first() {
            effects.push(Effect::Transfer(TransferJob::Close { peer }));
        }
    }

    pub(super) fn tick(&mut self, node: &mut Node, effects: &mut Vec<Effect>) {
        let peers: Vec<NodeId> = self.transfers.keys().copied().collect();
        for peer in peers {
            let transfer = self.transfers.get_mut(&peer).expect("listed above");
            transfer.stuck_ticks += 1;
            transfer.silent_ticks += 1;
            if transfer.stuck_ticks >= self.give_up_ticks || !node.membership().contains(peer) {
                self.close(peer, node, effects);
            } else if transfer.silent_ticks >= self.resend_ticks {
                self.repeat(peer, effects);
            }
        }
    }

    /// Nothing came back: say it again. A piece is read again rather than kept.
    fn repeat(&mut self, peer: NodeId, effects: &mut Vec<Effect>) {
        let Some(transfer) = self.transfers.get_mut(&peer) else { return };
        let session = transfer.session;
        match transfer.stage {
            Stage::Opening | Stage::Reading(_) => {}
            Stage::Offered { base } => {
                transfer.silent_ticks = 0;
                effects.push(self.say(peer, session, TransferMessage::Offer { base }));
            }
            Stage::Sent(after) => {
                transfer.silent_ticks = 0;
                transfer.stage = Stage::Reading(after);
                effects.push(Effect::Transfer(TransferJob::Read { peer, session, after }));
            }
        }
    }

    pub(super) fn received(
        &mut self,
        from: NodeId,
        session: Session,
        message: &TransferMessage,
        node: &mut Node,
        effects: &mut Vec<Effect>,
    ) {
        let Some(transfer) = self.transfers.get_mut(&from).filter(|known| known.session == session) else {
            return;
        };
        match *message {
            TransferMessage::Want { after, committed } => {
                node.learn_committed(committed);
                let asked_before = match transfer.stage {
                    Stage::Reading(cursor) | Stage::Sent(cursor) => cursor >= after,
                    Stage::Opening | Stage::Offered { .. } => false,
                };
                if !asked_before {
                    transfer.stage = Stage::Reading(after);
                    (transfer.stuck_ticks, transfer.silent_ticks) = (0, 0);
                    effects.push(Effect::Transfer(TransferJob::Read { peer: from, session, after }));
                }
            }
            TransferMessage::Decline { committed } => {
                node.learn_committed(committed);
                self.close(from, node, effects);
            }
            TransferMessage::Done => self.close(from, node, effects),
            TransferMessage::Offer { .. } | TransferMessage::Slice(_) => {}
        }
    }

    /// The store has done what was asked of it.
    pub(super) fn done(&mut self, done: &TransferDone, node: &mut Node, effects: &mut Vec<Effect>) {
        match *done {
            TransferDone::Opened { peer, session, base } => {
                if let Some(transfer) = self.current(peer, session) {
                    transfer.stage = Stage::Offered { base };
                    effects.push(self.say(peer, session, TransferMessage::Offer { base }));
                }
            }
            TransferDone::Read { peer, session, ref piece } => {
                let Some(transfer) = self.current(peer, session) else { return };
                let Stage::Reading(cursor) = transfer.stage else { return };
                transfer.stage = Stage::Sent(cursor);
                transfer.silent_ticks = 0;
                let Some(piece) = piece else { return };
                if let Some(tail) = &piece.tail {
                    node.keep_tail_for(peer, tail.at.index);
                }
                effects.push(self.say(peer, session, TransferMessage::Slice(piece.clone())));
            }
            _ => {}
        }
    }

    fn current(&mut self, peer: NodeId, session: Session) -> Option<&mut Transfer> {
        self.transfers.get_mut(&peer).filter(|transfer| transfer.session == session)
    }

    fn close(&mut self, peer: NodeId, node: &mut Node, effects: &mut Vec<Effect>) {
        self.transfers.remove(&peer);
        effects.push(Effect::Transfer(TransferJob::Close { peer }));
        node.catch_up_ended(peer);
        if let Some(next) = self.queue.pop_first() {
            self.start(next, effects);
        }
    }

    fn say(&self, to: NodeId, session: Session, message: TransferMessage) -> Effect {
        Effect::Send(PeerMessage::Transfer { from: self.id, to, session, message })
    }
}

/// The side of the member that catches up.
#[derive(Debug)]
pub(super) struct Receiver {
    id: NodeId,
    stage: Receiving,
    /// The furthest entry that is known to be committed: of this board, or of those who sent what it holds.
    committed: EntryId,
    /// The last transfer that ended well, to answer a sender who has not heard of it.
    finished: Option<Session>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiving {
    Idle,
    /// The store is at work for this session.
    Working {
        session: Session,
        sender: NodeId,
    },
    /// The sender has been told what comes next.
    Waiting {
        session: Session,
        sender: NodeId,
        after: KeyRev,
    },
}

impl Receiver {
    pub(super) fn new(id: NodeId, committed: EntryId) -> Receiver {
        Receiver { id, stage: Receiving::Idle, committed, finished: None }
    }

    pub(super) fn received(
        &mut self,
        from: NodeId,
        session: Session,
        message: TransferMessage,
        node: &mut Node,
        effects: &mut Vec<Effect>,
    ) {
        match message {
            TransferMessage::Offer { base } => self.offered(from, session, base, node, effects),
            TransferMessage::Slice(piece) => self.sent(from, session, piece, node, effects),
            TransferMessage::Want { .. } | TransferMessage::Done | TransferMessage::Decline { .. } => {}
        }
    }

    fn sent(
        &mut self,
        from: NodeId,
        session: Session,
        piece: Box<Piece>,
        node: &Node,
        effects: &mut Vec<Effect>,
    ) {
        match self.stage {
            Receiving::Waiting { session: current, sender, after }
                if (current, sender, after) == (session, from, piece.slice.after)
                    && piece.tail.as_ref().is_none_or(|tail| node.is_led_further_by(tail.at.index)) =>
            {
                // (Nobody who offered to lead further than what is here ends short of it.)
                self.stage = Receiving::Working { session, sender };
                effects.push(Effect::Transfer(TransferJob::Store { session, piece }));
            }
            _ if self.finished == Some(session) => {
                effects.push(self.say(from, session, TransferMessage::Done));
            }
            // This member was started anew meanwhile. A new offer lets it go on from its cursor, if it is to go on.
            Receiving::Idle if node.leader() == Some(from) => {
                let committed = self.committed(node);
                effects.push(self.say(from, session, TransferMessage::Decline { committed }));
            }
            _ => {}
        }
    }

    fn offered(
        &mut self,
        from: NodeId,
        session: Session,
        base: TransferBase,
        node: &mut Node,
        effects: &mut Vec<Effect>,
    ) {
        match self.stage {
            // One job at a time; the sender will offer again.
            Receiving::Working { .. } => return,
            Receiving::Waiting { session: current, after, .. } if current == session => {
                return effects.push(self.want(from, session, after));
            }
            Receiving::Waiting { .. } | Receiving::Idle => {}
        }
        // Only the leader of this member's term may decide that it is to catch up: a deposed one does not know how far
        // it is. What is offered must lead further than what is here; and if the log has that entry, Appends can go on
        // from there. (A log that is longer but has another entry there parts from the leader's before it.)
        let at = base.applied;
        let in_log = node.term_at(at.index) == Some(at.term);
        let of_use = node.is_led_further_by(at.index) && (node.is_catching_up() || !in_log);
        if node.leader() == Some(from) && of_use {
            node.begin_catch_up();
            self.stage = Receiving::Working { session, sender: from };
            effects.push(Effect::Transfer(TransferJob::Begin { session, base }));
        } else if node.leader() == Some(from) {
            let committed = self.committed(node);
            effects.push(self.say(from, session, TransferMessage::Decline { committed }));
        }
    }

    /// The store has done what was asked of it.
    pub(super) fn done(&mut self, done: TransferDone, node: &mut Node, effects: &mut Vec<Effect>) {
        let Receiving::Working { session: current, sender } = self.stage else { return };
        match done {
            TransferDone::Begun { session, after, committed }
            | TransferDone::Stored { session, after, committed } => {
                assert_eq!(session, current, "one job at a time");
                self.committed = committed;
                self.stage = Receiving::Waiting { session, sender, after };
                effects.push(self.want(sender, session, after));
            }
            TransferDone::Finished { session, at, membership } => {
                assert_eq!(session, current, "one job at a time");
                self.stage = Receiving::Idle;
                self.finished = Some(session);
                node.finish_catch_up(at, membership);
                effects.push(self.say(sender, session, TransferMessage::Done));
            }
            TransferDone::Opened { .. } | TransferDone::Read { .. } => {}
        }
    }

    fn say(&self, to: NodeId, session: Session, message: TransferMessage) -> Effect {
        Effect::Send(PeerMessage::Transfer { from: self.id, to, session, message })
    }

    fn committed(&self, node: &Node) -> EntryId {
        let index = node.applied_index();
        if index <= self.committed.index {
            return self.committed;
        }
        let term =
            node.term_at(index).expect("the log in memory begins no later than behind what is applied");
        EntryId { term, index }
    }

    fn want(&self, to: NodeId, session: Session, after: KeyRev) -> Effect {
        self.say(to, session, TransferMessage::Want { after, committed: self.committed })
    }
}
