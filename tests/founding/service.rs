//! The discovery service: its registry and its store are real, and what happens between two looks at it is chance.

use std::sync::Arc;

use solder::{
    api::discovery::{Gathering, Registry, Token},
    join::{Board, Registered},
    store::{Options, RangeCursor, SliceLimits, Store, Twin},
    types::{
        ClusterId, Command, Entry, EntryId, LeaseId, Membership, NodeId, Outcome, Payload, ProposalId,
        PutRequest, RangeRequest, Term, TxnOp, TxnRequest,
    },
};

const LEASE: LeaseId = LeaseId(7);

const TOKEN_BYTES: [u8; 16] = [0xab; 16];
pub(crate) const TOKEN: &str = "abababababababababababababababab";

/// Behind the # of the URL: the service never sees it.
pub(crate) const SECRET: [u8; 16] = *b"0123456789abcdef";

pub(crate) struct Service {
    store: Store,
    token: Token,
    /// Registrations that have read the registry, and are about to write.
    pub(crate) underway: Vec<Underway>,
}

/// A registration within the service.
pub(crate) struct Underway {
    pub(crate) id: String,
    pub(crate) reply_to: (usize, u32),
    txn: TxnRequest,
}

/// What came of a step.
pub(crate) enum Taken {
    Registered,
    /// Somebody else was quicker: it looks again.
    Outrun,
}

impl Service {
    pub(crate) fn new(size: u32) -> Service {
        let store = Store::open(Arc::new(Twin::new()), Options::default()).expect("a fresh database");
        let token = Token::new(TOKEN_BYTES);
        let mut service = Service { store, token, underway: Vec::new() };
        service.store.init(ClusterId(1), Membership::of_voters([NodeId(1)])).expect("a fresh database");
        service.apply(&Command::LeaseGrant { id: LEASE, ttl_s: 604_800 });
        let (key, value) = (service.token.size(), size.to_string().into_bytes().into());
        let put = PutRequest { key, value, lease: LEASE, ..PutRequest::default() };
        let txn = TxnRequest { success: vec![TxnOp::Put(put)], ..TxnRequest::default() };
        service.apply(&Command::Txn(txn));
        service
    }

    /// The token ends.
    pub(crate) fn end(&mut self) {
        self.apply(&Command::LeaseRevoke { id: LEASE, only_in: None });
    }

    /// As a board hears of it. `None`: no such token.
    pub(crate) fn registered(&self) -> Option<Registered> {
        let registry = self.registry()?;
        let size = registry.node("_config/size")?.value.parse().expect("a number");
        let boards = registry.members().map(|node| Board::of_value(node.name.to_owned(), node.value));
        Some(Registered::new(size, boards, &SECRET, TOKEN))
    }

    /// Looks at the registry for a registration. `Some`: it is answered at once, for the id is there, or there is no room.
    pub(crate) fn begin(&mut self, id: &str, reply_to: (usize, u32)) -> Option<()> {
        let registry = self.registry()?;
        if registry.node(id).is_some() || registry.is_full() {
            return Some(());
        }
        let txn = registry.enlist(&self.token, id, &format!("{id}=https://{id}:2380"));
        self.underway.push(Underway { id: id.to_owned(), reply_to, txn });
        None
    }

    pub(crate) fn finish(&mut self, underway: &Underway) -> Taken {
        match self.apply(&Command::Txn(underway.txn.clone())) {
            Outcome::Txn(txn) if txn.succeeded => Taken::Registered,
            Outcome::Txn(_) => Taken::Outrun,
            outcome => panic!("a txn led to {outcome:?}"),
        }
    }

    fn registry(&self) -> Option<Registry> {
        let request = RangeRequest { range: self.token.keys(), ..RangeRequest::default() };
        let at = self.store.range_at(&request).expect("a range");
        let revision = at.at.main;
        let mut gathering = Gathering::default();
        let slice = self
            .store
            .range(&mut RangeCursor::new(at), SliceLimits { rows: 64, bytes: 64 << 10 })
            .expect("a range");
        slice.rows.iter().for_each(|row| gathering.add(&self.token, &row));
        gathering.done(revision)
    }

    fn apply(&mut self, command: &Command) -> Outcome {
        let id = EntryId { term: Term(1), index: self.store.applied().index.next() };
        let payload = Payload::Command { id: ProposalId::default(), data: command.encode() };
        self.store.apply_whole(&Entry { id, payload }).expect("a command")
    }
}
