//! Pending: what was applied since the last commit, in memory.
//!
//! ```text
//!   apply -> active -seal-> sealed .. sealed -flush-> database
//!            newest                   oldest
//! ```
//!
//! - A layer can be written in one transaction, with what it leads to: the state after its last entry, and how far a
//!   command has come that is not done yet (`unfinished`).
//! - A deleted row is a marker, so that it hides what lies below.
//! - Rows of `keys` and `revs` are only ever added here, and what is added is newer than all that lies below.

use std::{collections::BTreeMap, collections::VecDeque, ops::Bound, sync::Arc};

use super::{Table, state::AsOf, unfinished::Unfinished};

/// What one change costs beside its bytes: two allocations with their headers, and its slot in the tree, which is half
/// empty at worst. A put is two such changes, one more if a lease is concerned: about 430 bytes for a key of 16 and a
/// value of 128.
const CHANGE_OVERHEAD_BYTES: u64 = 112;

/// Two rows that are so many bytes apart are in pages of their own.
pub(super) const FAR_APART: u64 = 2048;

/// Pages are half full, at worst.
const FILL: u64 = 2;

/// What a row takes in its page beside its bytes.
const ROW_OVERHEAD_BYTES: u64 = 16;

/// A row of a layer; without a value it is a marker.
pub(super) type Change<'a> = (&'a [u8], Option<&'a [u8]>);

type Rows = BTreeMap<Box<[u8]>, Option<Box<[u8]>>>;

#[derive(Debug, Default)]
pub(super) struct Layer {
    tables: [Rows; Table::ALL.len()],
    bytes: u64,
    /// Changes of `keys` here and there: of a large store each is in a leaf of its own.
    keys: u64,
    /// Such changes of the small tables.
    others: u64,
    /// What lies side by side: what goes into `revs`, and changes of one row after the other, with what is between them.
    dense_bytes: u64,
    /// What it leads to; set when the layer is sealed.
    as_of: Option<AsOf>,
}

impl Layer {
    /// `apart_bytes`: how far the row lies from one of its table that was changed before.
    pub(super) fn set(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>, apart_bytes: u64) {
        let bytes = (key.len() + value.as_ref().map_or(0, Vec::len)) as u64;
        match table {
            Table::Revs => self.dense_bytes += bytes + ROW_OVERHEAD_BYTES,
            _ if apart_bytes < FAR_APART => {
                self.dense_bytes += FILL * (apart_bytes + bytes + ROW_OVERHEAD_BYTES)
            }
            Table::Keys => self.keys += 1,
            _ => self.others += 1,
        }
        self.bytes += bytes + CHANGE_OVERHEAD_BYTES;
        self.tables[table as usize].insert(key.into_boxed_slice(), value.map(Vec::into_boxed_slice));
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<Option<&[u8]>> {
        self.tables[table as usize].get(key).map(Option::as_deref)
    }

    /// Rows at or after `key`, markers too.
    pub(super) fn from<'a>(&'a self, table: Table, key: &[u8]) -> impl Iterator<Item = Change<'a>> + use<'a> {
        let rows = self.tables[table as usize].range::<[u8], _>((Bound::Included(key), Bound::Unbounded));
        rows.map(|(key, value)| (&**key, value.as_deref()))
    }

    /// The last row before `key`, be it a marker.
    pub(super) fn before(&self, table: Table, key: &[u8]) -> Option<Change<'_>> {
        let mut rows = self.tables[table as usize].range::<[u8], _>((Bound::Unbounded, Bound::Excluded(key)));
        rows.next_back().map(|(key, value)| (&**key, value.as_deref()))
    }

    pub(super) fn rows(&self, table: Table) -> impl Iterator<Item = Change<'_>> {
        self.from(table, &[])
    }

    /// About how many pages writing it makes dirty, where so many branch pages lead to the leaves of `keys`: a leaf for
    /// each row, the branch above it, shared with others once there are more rows than branches, what lies side by side,
    /// and what LMDB needs to record all that.
    pub(super) fn pages(&self, page_bytes: u32, branch_pages: u64) -> u64 {
        self.keys + self.keys.min(branch_pages) + self.others + self.dense_bytes / u64::from(page_bytes)
    }

    /// What the layer leads to. Asked of sealed layers only.
    pub(super) fn as_of(&self) -> &AsOf {
        self.as_of.as_ref().expect("a sealed layer leads somewhere")
    }
}

#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) active: Layer,
    /// The oldest in front: it is the one that is flushed next.
    pub(super) sealed: VecDeque<Arc<Layer>>,
    sealed_bytes: u64,
}

impl Pending {
    /// The newest first.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.active).chain(self.sealed.iter().rev().map(|layer| &**layer))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.active.bytes + self.sealed_bytes
    }

    /// Closes the active layer, which leads to `as_of`.
    pub(super) fn seal(&mut self, as_of: AsOf) {
        let mut layer = std::mem::take(&mut self.active);
        layer.bytes += as_of.unfinished.as_ref().map_or(0, Unfinished::weight_bytes);
        layer.as_of = Some(as_of);
        self.sealed_bytes += layer.bytes;
        self.sealed.push_back(Arc::new(layer));
    }

    /// Drops the oldest sealed layer: it is in the database.
    pub(super) fn drop_oldest(&mut self) -> Arc<Layer> {
        let layer = self.sealed.pop_front().expect("a flush was of a sealed layer");
        self.sealed_bytes -= layer.bytes;
        layer
    }
}
