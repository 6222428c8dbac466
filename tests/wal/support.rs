//! What the tests of the log share: small logs, and a model of what they must hold.

use std::fmt;

use solder::{
    types::{
        Bugs, Bytes, ClusterId, Entry, EntryId, HardState, Index, Membership, NodeId, Payload, ProposalId,
        Term,
    },
    wal::{Disk, Known, Options, Record, Recovered, Wal, WalError},
};

pub(crate) const CLUSTER: ClusterId = ClusterId(0xc1);
pub(crate) const MEMBER: NodeId = NodeId(1);

pub(crate) fn options(segment_blocks: u32) -> Options {
    Options { segment_bytes: segment_blocks * 4096, cluster: CLUSTER, member: MEMBER, bugs: Bugs::default() }
}

pub(crate) fn members() -> Membership {
    Membership::of_voters([MEMBER])
}

pub(crate) fn open<D: Disk>(
    disk: D,
    options: &Options,
    applied: u64,
    seed: u64,
) -> Result<(Wal<D>, Recovered), WalError> {
    let members = members();
    let known = Known { applied: Index(applied), catching_up: false, members: &members };
    Wal::open(disk, options.clone(), known, fastrand::Rng::with_seed(seed))
}

pub(crate) fn entry(term: u64, index: u64, bytes: usize) -> Record {
    let data: Vec<u8> = (0..bytes).map(|at| (at as u64 * 31 + index * 7 + term) as u8).collect();
    let id = ProposalId { origin: MEMBER, number: index };
    let payload = Payload::Command { id, data: Bytes::from(data) };
    Record::Entry(Entry { id: EntryId::new(term, index), payload })
}

pub(crate) fn hard_state(term: u64, vote: u64) -> Record {
    Record::HardState(HardState { term: Term(term), vote: Some(NodeId(vote)) })
}

/// What a log must hold: a plain list.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub hard_state: HardState,
    pub start: EntryId,
    pub entries: Vec<Entry>,
}

impl Model {
    pub(crate) fn push(&mut self, record: &Record) {
        match record {
            Record::HardState(state) => self.hard_state = *state,
            Record::LogStart(id) => {
                self.entries.clear();
                self.start = *id;
            }
            Record::Entry(entry) => {
                self.entries.truncate((entry.index().0 - self.start.index.0 - 1) as usize);
                self.entries.push(entry.clone());
            }
        }
    }

    pub(crate) fn with(&self, records: &[Record]) -> Model {
        let mut next = self.clone();
        records.iter().for_each(|record| next.push(record));
        next
    }

    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.start, |entry| entry.id)
    }

    /// What is left of it when the store has all up to `applied`.
    pub(crate) fn beyond(&self, applied: u64) -> Model {
        let (old, new): (Vec<_>, Vec<_>) =
            self.entries.iter().cloned().partition(|entry| entry.index() <= Index(applied));
        let start = old.last().map_or(self.start, |entry| entry.id);
        Model { hard_state: self.hard_state, start, entries: new }
    }
}

impl From<Recovered> for Model {
    fn from(recovered: Recovered) -> Model {
        let Recovered { hard_state, start, entries, .. } = recovered;
        Model { hard_state, start, entries }
    }
}

/// Ids only: what the entries carry would fill pages.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<EntryId> = self.entries.iter().map(|entry| entry.id).collect();
        write!(f, "{:?} after {} {ids:?}", self.hard_state, self.start)
    }
}
