//! The keys of a range as they were at one place in history, in either direction, one at a time.

use super::{
    StoreError, Table,
    format::{self, Version},
    view::{Found, Merged, View},
};
use crate::types::{Bytes, KeyRange, KeyRev, RangeEnd};

/// Rows of one key that a walk steps over before it seeks past them.
const STEPS_BEFORE_SEEK: u32 = 8;

/// The bounds of a walk, as prefixes of `keys`.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// The next row is at or after this one.
    from: Vec<u8>,
    /// And before this one.
    until: Vec<u8>,
}

impl Bounds {
    pub(super) fn of(range: &KeyRange) -> Bounds {
        let from = format::key_prefix(&range.key);
        let until = match range.end() {
            RangeEnd::Single => format::behind(&from),
            RangeEnd::Open => format::END.to_vec(),
            RangeEnd::Before(end) => format::key_prefix(end),
        };
        Bounds { from, until }
    }

    /// What is left of an ascending walk after a key.
    pub(super) fn after(&mut self, prefix: &[u8]) {
        self.from = format::behind(prefix);
    }

    /// What is left of a descending walk after a key.
    pub(super) fn before(&mut self, prefix: &[u8]) {
        self.until = prefix.to_vec();
    }
}

/// One key that is there.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) prefix: Vec<u8>,
    pub(super) found: Found,
}

impl Live {
    pub(super) fn key(&self) -> Result<Bytes, StoreError> {
        format::decode_prefix(&self.prefix)
    }

    pub(super) fn version(&self) -> &Version {
        &self.found.version
    }
}

/// Ascending.
pub(super) struct Walk<'a> {
    view: View<'a>,
    rows: Merged<'a>,
    until: Vec<u8>,
    at: KeyRev,
    /// The key that has been decided last: its other rows are older.
    decided: Vec<u8>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(view: View<'a>, bounds: &Bounds, at: KeyRev) -> Result<Walk<'a>, StoreError> {
        let rows = view.scan(Table::Keys, &bounds.from)?;
        Ok(Walk { view, rows, until: bounds.until.clone(), at, decided: Vec::new() })
    }

    pub(super) fn next(&mut self) -> Result<Option<Live>, StoreError> {
        let mut steps = 0;
        while let Some((row, value)) = self.rows.next()? {
            if row >= &self.until[..] {
                break;
            }
            let (prefix, rev) = format::split_version_key(row)?;
            let seek = if prefix == &self.decided[..] {
                format::behind(prefix)
            } else if rev > self.at {
                format::with_rev(prefix.to_vec(), self.at)
            } else {
                self.decided.clear();
                self.decided.extend_from_slice(prefix);
                steps = 0;
                let found = Found { rev, version: format::decode_version(value)? };
                if found.version.tombstone {
                    continue;
                }
                return Ok(Some(Live { prefix: prefix.to_vec(), found }));
            };
            steps += 1;
            if steps > STEPS_BEFORE_SEEK {
                self.rows = self.view.scan(Table::Keys, &seek)?;
                steps = 0;
            }
        }
        Ok(None)
    }
}

/// The last key in the bounds that is there. Two seeks for each key it looks at.
pub(super) fn last(view: &View<'_>, bounds: &mut Bounds, at: KeyRev) -> Result<Option<Live>, StoreError> {
    while let Some((row, _)) = view.seek_before(Table::Keys, &bounds.until)? {
        if row < &bounds.from[..] {
            break;
        }
        let (prefix, _) = format::split_version_key(row)?;
        bounds.before(prefix);
        let from = format::with_rev(prefix.to_vec(), at);
        if let Some(found) = view.newest_from(&from, prefix.len())?.filter(|found| !found.version.tombstone) {
            return Ok(Some(Live { prefix: prefix.to_vec(), found }));
        }
    }
    Ok(None)
}
