//! The node: signatures first, so that its neighbours can be written against them.

use crate::types::{
    Bytes, EntryId, Error, Index, Membership, MembershipChange, NodeId, ProposalId, Term,
};

use super::{Envelope, Options, Ready, Restored, Ticket};

pub struct Node {}

/// What a node is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

/// All that is worth showing of a node, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub id: NodeId,
    pub term: Term,
    pub vote: Option<NodeId>,
    pub role: Role,
    pub leader: Option<NodeId>,
    pub commit: Index,
    pub applied: Index,
    pub last: EntryId,
    pub durable: Index,
    pub membership: Membership,
    pub catching_up: bool,
}

#[rustfmt::skip]
impl Node {
    pub fn new(_options: Options, _restored: Restored, _rng: fastrand::Rng) -> Node { todo!() }
    pub fn tick(&mut self) { todo!() }
    pub fn step(&mut self, _envelope: Envelope) { todo!() }
    pub fn propose(&mut self, _id: ProposalId, _data: Bytes) { todo!() }
    pub fn change_members(&mut self, _id: ProposalId, _change: MembershipChange, _info: Bytes) { todo!() }
    pub fn read_index(&mut self, _id: ProposalId) { todo!() }
    pub fn transfer_leader(&mut self, _to: Option<NodeId>) -> Result<(), Error> { todo!() }
    pub fn persisted(&mut self, _ticket: Ticket) { todo!() }
    pub fn applied(&mut self, _index: Index) { todo!() }
    pub fn begin_catch_up(&mut self) { todo!() }
    pub fn finish_catch_up(&mut self, _at: EntryId, _membership: Membership) { todo!() }
    pub fn keep_tail_for(&mut self, _peer: NodeId, _from: Index) { todo!() }
    pub fn catch_up_ended(&mut self, _peer: NodeId) { todo!() }
    pub fn has_ready(&self) -> bool { todo!() }
    pub fn ready(&mut self) -> Ready { todo!() }

    pub fn id(&self) -> NodeId { todo!() }
    pub fn term(&self) -> Term { todo!() }
    pub fn role(&self) -> Role { todo!() }
    pub fn leader(&self) -> Option<NodeId> { todo!() }
    pub fn commit(&self) -> Index { todo!() }
    pub fn applied_index(&self) -> Index { todo!() }
    pub fn last(&self) -> EntryId { todo!() }
    pub fn durable(&self) -> Index { todo!() }
    pub fn membership(&self) -> &Membership { todo!() }
    pub fn is_catching_up(&self) -> bool { todo!() }
    pub fn term_at(&self, _index: Index) -> Option<Term> { todo!() }
    pub fn status(&self) -> Status { todo!() }
}
