//! What is true of the store as a whole, and its rows in `meta`.
//!
//! `state` is written in the transaction that holds the data it is about, always: a store that is behind its applied
//! index loses entries, one that is ahead applies them twice.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Backend, ReceiveMark, Snapshot, StoreError, Table, Transaction, Usage,
    format::{decode_meta, encode_meta},
    removal::Progress,
    unfinished::Unfinished,
};
use crate::types::{AlarmKind, ClusterId, EntryId, KeyRev, Membership, NodeId, Revision};

/// The format of all rows. Raised when their bytes change.
const FORMAT: u16 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) cluster: ClusterId,
    pub(super) applied: EntryId,
    pub(super) revision: Revision,
    /// -1: never compacted.
    pub(super) compacted: Revision,
    /// A running checksum of all that was ever applied: equal on all members at one applied index.
    pub(super) hash: u32,
    pub(super) membership: Membership,
    pub(super) alarms: BTreeSet<(NodeId, AlarmKind)>,
    /// How many there are, so that one too many is refused without counting.
    pub(super) leases: u32,
}

impl State {
    pub(super) fn new(cluster: ClusterId, membership: Membership) -> State {
        State {
            cluster,
            applied: EntryId::default(),
            // As in etcd: the first write makes 2.
            revision: Revision(1),
            compacted: Revision(-1),
            hash: 0,
            membership,
            alarms: BTreeSet::new(),
            leases: 0,
        }
    }

    pub(super) fn has_alarm(&self, kind: AlarmKind) -> bool {
        self.alarms.iter().any(|&(_, active)| active == kind)
    }
}

/// What a database, or a layer on top of it, leads to: the state after some entry, and how far the next one has come if
/// it is applied in parts.
#[derive(Clone, Debug)]
pub(super) struct AsOf {
    pub(super) state: State,
    pub(super) unfinished: Option<Unfinished>,
}

impl AsOf {
    /// All that is in it is of entries up to here.
    pub(super) fn last(&self) -> EntryId {
        self.unfinished.as_ref().map_or(self.state.applied, |unfinished| unfinished.entry)
    }

    /// All changes up to here are in it.
    pub(super) fn last_change(&self) -> KeyRev {
        let revision = self.state.revision;
        match &self.unfinished {
            None => KeyRev::end_of(revision),
            Some(unfinished) => KeyRev { main: revision.next(), sub: unfinished.changes - 1 },
        }
    }
}

/// What the file was made for. LMDB's file is laid out in pages and words of the board that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Layout {
    format: u16,
    page_bytes: u32,
    word_bits: u32,
}

/// All of `meta`.
pub(super) struct Meta {
    pub(super) as_of: Option<AsOf>,
    pub(super) progress: Progress,
    pub(super) mark: Option<ReceiveMark>,
}

impl Meta {
    pub(super) fn load(backend: &dyn Backend) -> Result<Meta, StoreError> {
        let usage = backend.usage()?;
        let snapshot = backend.read()?;
        if let Some(layout) = get::<Layout>(&*snapshot, "layout")? {
            layout.check(&usage)?;
        }
        let unfinished = get(&*snapshot, "unfinished")?;
        Ok(Meta {
            as_of: get(&*snapshot, "state")?.map(|state| AsOf { state, unfinished }),
            progress: get(&*snapshot, "progress")?.unwrap_or_default(),
            mark: get(&*snapshot, "receive")?,
        })
    }
}

impl Layout {
    fn check(&self, usage: &Usage) -> Result<(), StoreError> {
        let foreign = |what: String| Err(StoreError::Foreign { what });
        if self.format > FORMAT {
            let format = self.format;
            return foreign(format!(
                "it was written in format {format}, this build knows up to {FORMAT}: install the newer build"
            ));
        }
        if self.page_bytes != usage.page_bytes || self.word_bits != usage.word_bits {
            return foreign(format!(
                "it was written with pages of {} bytes and words of {} bits, here they are {} and {}: clear the data \
                 directory and join the cluster again, or restore a snapshot",
                self.page_bytes, self.word_bits, usage.page_bytes, usage.word_bits
            ));
        }
        Ok(())
    }
}

/// The last entry that is in a database.
pub(super) fn applied(snapshot: &dyn Snapshot) -> Result<Option<EntryId>, StoreError> {
    Ok(get::<State>(snapshot, "state")?.map(|state| state.applied))
}

fn get<T: DeserializeOwned>(snapshot: &dyn Snapshot, name: &str) -> Result<Option<T>, StoreError> {
    snapshot.get(Table::Meta, name.as_bytes())?.map(|bytes| decode_meta(name, bytes)).transpose()
}

fn put<T: Serialize>(txn: &mut dyn Transaction, name: &str, value: &T) -> Result<(), StoreError> {
    txn.put(Table::Meta, name.as_bytes(), &encode_meta(name, value))
}

pub(super) fn put_layout(txn: &mut dyn Transaction, usage: &Usage) -> Result<(), StoreError> {
    let layout = Layout { format: FORMAT, page_bytes: usage.page_bytes, word_bits: usage.word_bits };
    put(txn, "layout", &layout)
}

pub(super) fn put_as_of(txn: &mut dyn Transaction, as_of: &AsOf) -> Result<(), StoreError> {
    put(txn, "state", &as_of.state)?;
    match &as_of.unfinished {
        Some(unfinished) => put(txn, "unfinished", unfinished),
        None => txn.delete(Table::Meta, b"unfinished"),
    }
}

pub(super) fn put_progress(txn: &mut dyn Transaction, progress: &Progress) -> Result<(), StoreError> {
    put(txn, "progress", progress)
}

/// `None`: the store is whole again.
pub(super) fn put_mark(txn: &mut dyn Transaction, mark: Option<&ReceiveMark>) -> Result<(), StoreError> {
    match mark {
        Some(mark) => put(txn, "receive", mark),
        None => txn.delete(Table::Meta, b"receive"),
    }
}
