//! The pending layers and the database as one: the newest layer wins, markers hide.

use super::{
    Lease, Record, Row, Rows, Snapshot, StoreError, Table,
    format::{self, Version},
    layer::{Change, Layer, Pending},
};
use crate::types::{KeyRev, LeaseId};

#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) pending: &'a Pending,
    pub(super) base: &'a dyn Snapshot,
}

/// One version of a key, as `keys` knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) rev: KeyRev,
    pub(super) version: Version,
}

impl<'a> View<'a> {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<&'a [u8]>, StoreError> {
        match self.pending.layers().find_map(|layer| layer.get(table, key)) {
            Some(value) => Ok(value),
            None => self.base.get(table, key),
        }
    }

    /// The last row before `key`.
    pub(super) fn seek_before(&self, table: Table, key: &[u8]) -> Result<Option<Row<'a>>, StoreError> {
        let mut before = key;
        loop {
            let base = self.base.seek_before(table, before)?.map(|(key, value)| (key, Some(value)));
            let rows = self.pending.layers().map(|layer| layer.before(table, before)).chain([base]);
            // `max_by_key` prefers the last of equals: reversed, that is the newest layer.
            match rows.flatten().collect::<Vec<_>>().into_iter().rev().max_by_key(|&(key, _)| key) {
                Some((key, Some(value))) => return Ok(Some((key, value))),
                Some((key, None)) => before = key,
                None => return Ok(None),
            }
        }
    }

    /// The first row of `keys` at or after `key`. Nothing is deleted from `keys` in a layer, and no row is in two.
    pub(super) fn seek_version(&self, key: &[u8]) -> Result<Option<Row<'a>>, StoreError> {
        let mut first = self.base.seek(Table::Keys, key)?;
        for layer in self.pending.layers() {
            if let Some((row, Some(value))) = layer.from(Table::Keys, key).next()
                && first.is_none_or(|(first, _)| row < first)
            {
                first = Some((row, value));
            }
        }
        Ok(first)
    }

    /// All rows at or after `key`.
    pub(super) fn scan(&self, table: Table, key: &[u8]) -> Result<Merged<'a>, StoreError> {
        let base = self.base.scan(table, key)?;
        let layers = self.pending.layers().map(|layer| Source::of_layer(layer, table, key));
        let mut sources: Vec<Source<'a>> = layers.filter(|source| source.head.is_some()).collect();
        sources.push(Source::of_base(base)?);
        Ok(Merged { sources })
    }

    /// The version of `key` at a place in history, a tombstone too: the newest that is not newer than `at`.
    pub(super) fn newest_at(&self, key: &[u8], at: KeyRev) -> Result<Option<Found>, StoreError> {
        let prefix = format::key_prefix(key);
        let prefix_len = prefix.len();
        self.newest_from(&format::with_rev(prefix, at), prefix_len)
    }

    /// `newest_at` for who has the row to seek from: a prefix of `prefix_len` bytes and an inverted revision.
    pub(super) fn newest_from(&self, from: &[u8], prefix_len: usize) -> Result<Option<Found>, StoreError> {
        let prefix = &from[..prefix_len];
        // What a layer holds of a key is newer than what lies below it: the first that has one at or before `at` has
        // the newest.
        for layer in self.pending.layers() {
            if let Some((key, Some(value))) = layer.from(Table::Keys, from).next()
                && key.starts_with(prefix)
            {
                return Found::decode(key, prefix_len, value).map(Some);
            }
        }
        match self.base.seek(Table::Keys, from)? {
            Some((key, value)) if key.starts_with(prefix) => Found::decode(key, prefix_len, value).map(Some),
            _ => Ok(None),
        }
    }

    /// The version of `key` at a place in history, unless it is deleted there.
    pub(super) fn live_at(&self, key: &[u8], at: KeyRev) -> Result<Option<Found>, StoreError> {
        Ok(self.newest_at(key, at)?.filter(|found| !found.version.tombstone))
    }

    pub(super) fn record(&self, rev: KeyRev) -> Result<Option<Record<'a>>, StoreError> {
        let row = self.get(Table::Revs, &format::rev_key(rev))?;
        row.map(|bytes| format::decode_record(rev, bytes)).transpose()
    }

    /// The record that a row of `keys` speaks of.
    pub(super) fn record_of(&self, found: &Found) -> Result<Record<'a>, StoreError> {
        self.record(found.rev)?.ok_or_else(|| StoreError::Corrupt {
            what: format!("table keys names revision {}, table revs has no such record", found.rev),
        })
    }

    pub(super) fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        let row = self.get(Table::Leases, &format::lease_key(id))?;
        row.map(|bytes| format::decode_plain("a lease", bytes)).transpose()
    }

    /// Some of the keys that a lease holds, in order: those behind `after`.
    pub(super) fn lease_keys(
        &self,
        id: LeaseId,
        after: Option<&[u8]>,
        rows: usize,
    ) -> Result<Vec<&'a [u8]>, StoreError> {
        let lease = format::lease_key(id);
        let mut from = format::held_key(id, after.unwrap_or_default());
        if after.is_some() {
            from.push(0);
        }
        let mut keys = Vec::new();
        let mut scan = self.scan(Table::LeaseKeys, &from)?;
        while keys.len() < rows
            && let Some((row, _)) = scan.next()?
            && let Some(key) = row.strip_prefix(&lease)
        {
            keys.push(key);
        }
        Ok(keys)
    }
}

impl Found {
    /// Of a row of `keys` whose prefix has so many bytes.
    pub(super) fn decode(row: &[u8], prefix_len: usize, value: &[u8]) -> Result<Found, StoreError> {
        let rev = format::decode_version_rev(row, prefix_len)?;
        Ok(Found { rev, version: format::decode_version(value)? })
    }

    /// Of a record that is no tombstone.
    pub(super) fn of(record: &Record<'_>) -> Found {
        let Record { rev, create, version, lease, tombstone, .. } = *record;
        Found { rev, version: Version { tombstone, create, version, lease } }
    }

    /// What `keys` knows of the record.
    pub(super) fn without_value<'k>(&self, key: &'k [u8]) -> Record<'k> {
        let Version { tombstone, create, version, lease } = self.version;
        Record { rev: self.rev, key, value: &[], create, version, lease, tombstone }
    }
}

/// Rows of all layers in one order.
pub(super) struct Merged<'a> {
    /// The newest first.
    sources: Vec<Source<'a>>,
}

struct Source<'a> {
    head: Option<Change<'a>>,
    rest: Rest<'a>,
}

enum Rest<'a> {
    Layer(Box<dyn Iterator<Item = Change<'a>> + 'a>),
    Base(Rows<'a>),
}

impl<'a> Merged<'a> {
    pub(super) fn next(&mut self) -> Result<Option<Row<'a>>, StoreError> {
        if let [base] = &mut self.sources[..] {
            return base.take();
        }
        loop {
            let heads = self.sources.iter().filter_map(|source| source.head);
            // The first of equals: the newest layer's.
            let Some((key, value)) = heads.min_by_key(|&(key, _)| key) else { return Ok(None) };
            for source in &mut self.sources {
                if source.head.is_some_and(|(head, _)| head == key) {
                    source.advance()?;
                }
            }
            if let Some(value) = value {
                return Ok(Some((key, value)));
            }
        }
    }
}

impl<'a> Source<'a> {
    fn of_layer(layer: &'a Layer, table: Table, key: &[u8]) -> Source<'a> {
        let mut rows = layer.from(table, key);
        Source { head: rows.next(), rest: Rest::Layer(Box::new(rows)) }
    }

    fn of_base(rows: Rows<'a>) -> Result<Source<'a>, StoreError> {
        let mut source = Source { head: None, rest: Rest::Base(rows) };
        source.advance()?;
        Ok(source)
    }

    /// The next row, of the only source: the database, which has no markers.
    fn take(&mut self) -> Result<Option<Row<'a>>, StoreError> {
        let row = self.head.and_then(|(key, value)| value.map(|value| (key, value)));
        self.advance()?;
        Ok(row)
    }

    fn advance(&mut self) -> Result<(), StoreError> {
        self.head = match &mut self.rest {
            Rest::Layer(rows) => rows.next(),
            Rest::Base(rows) => rows.next().transpose()?.map(|(key, value)| (key, Some(value))),
        };
        Ok(())
    }
}
