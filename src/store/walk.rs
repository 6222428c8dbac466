//! The keys of a range as they were at one place in history, in either direction, one at a time.

use super::{
    Row, StoreError, Table, format,
    layer::FAR_APART,
    view::{Found, Merged, View},
};
use crate::types::{KeyRange, KeyRev, RangeEnd};

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

    pub(super) fn from(&self) -> &[u8] {
        &self.from
    }

    pub(super) fn until(&self) -> &[u8] {
        &self.until
    }

    /// The same, ending earlier.
    pub(super) fn up_to(&self, until: &[u8]) -> Bounds {
        Bounds { from: self.from.clone(), until: until.to_vec() }
    }

    /// What is left of an ascending walk after a key.
    pub(super) fn after(&mut self, prefix: &[u8]) {
        self.from.clear();
        self.from.extend_from_slice(prefix);
        self.from.extend(format::BEHIND);
    }

    /// What is left of an ascending walk that has come to a boundary.
    pub(super) fn at_boundary(&mut self, boundary: &[u8]) {
        self.from.clear();
        self.from.extend_from_slice(boundary);
    }

    /// What is left of a descending walk after a key.
    pub(super) fn before(&mut self, prefix: &[u8]) {
        self.until = prefix.to_vec();
    }
}

/// Ascending. It steps from row to row as long as keys have few versions, and seeks from key to key where they have many.
pub(super) struct Walk<'a> {
    view: View<'a>,
    stepping: Option<Merged<'a>>,
    /// The next row is at or after it; kept while seeking only.
    from: Vec<u8>,
    until: Vec<u8>,
    at: KeyRev,
    /// The key that has been decided last: its other rows are older.
    decided: Vec<u8>,
    keys: u32,
    /// Rows that were stepped over for nothing.
    wasted: u32,
    /// See the method.
    apart_bytes: u64,
}

/// What a row takes in its page beside its bytes.
const ROW_OVERHEAD_BYTES: u64 = 10;

/// Seeking costs about so many steps, and pays when that many are wasted on a key.
const STEPS_A_SEEK: u32 = 4;

/// After so many keys it is tried anew which of the two pays.
const KEYS_A_TRIAL: u32 = 128;

impl<'a> Walk<'a> {
    pub(super) fn new(view: View<'a>, bounds: &Bounds, at: KeyRev) -> Result<Walk<'a>, StoreError> {
        let stepping = Some(view.scan(Table::Keys, &bounds.from)?);
        let (from, until) = (Vec::new(), bounds.until.clone());
        Ok(Walk { view, stepping, from, until, at, decided: Vec::new(), keys: 0, wasted: 0, apart_bytes: 0 })
    }

    /// The version of the next key that is there; its prefix is `self.prefix()`.
    pub(super) fn next(&mut self) -> Result<Option<Found>, StoreError> {
        // Of what lies before its first key a walk knows nothing.
        self.apart_bytes = if self.decided.is_empty() { FAR_APART } else { 0 };
        while let Some((row, value)) = self.next_row()? {
            self.apart_bytes += (row.len() + value.len()) as u64 + ROW_OVERHEAD_BYTES;
            if row >= &self.until[..] {
                break;
            }
            if !self.decided.is_empty() && row.starts_with(&self.decided) {
                self.pass_over(&row[..self.decided.len()], None);
                continue;
            }
            let (prefix, rev) = format::split_version_key(row)?;
            if rev > self.at {
                self.pass_over(prefix, Some(self.at));
            } else {
                self.decided.clear();
                self.decided.extend_from_slice(prefix);
                self.decide()?;
                let found = Found { rev, version: format::decode_version(value)? };
                if !found.version.tombstone {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Of the key that was found last.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.decided
    }

    /// How far the key that was found last lies behind the one before, in bytes of the rows from there to it.
    pub(super) fn apart_bytes(&self) -> u64 {
        if self.stepping.is_some() { self.apart_bytes } else { FAR_APART }
    }

    fn next_row(&mut self) -> Result<Option<Row<'a>>, StoreError> {
        match &mut self.stepping {
            Some(rows) => rows.next(),
            None => self.view.seek_version(&self.from),
        }
    }

    /// A row that is too new or too old: if steps are not wanted, seek past all of its kind.
    fn pass_over(&mut self, prefix: &[u8], at: Option<KeyRev>) {
        self.wasted += 1;
        if self.stepping.is_some() && self.wasted <= STEPS_A_SEEK * (self.keys + 2) {
            return;
        }
        self.stepping = None;
        self.from = match at {
            None => format::behind(prefix),
            Some(at) => format::with_rev(prefix.to_vec(), at),
        };
    }

    /// One more key: is what is done the right thing?
    fn decide(&mut self) -> Result<(), StoreError> {
        self.keys += 1;
        if self.stepping.is_some() {
            return Ok(());
        }
        self.from.clear();
        self.from.extend_from_slice(&self.decided);
        self.from.extend(format::BEHIND);
        if self.keys >= KEYS_A_TRIAL {
            (self.keys, self.wasted) = (0, 0);
            self.stepping = Some(self.view.scan(Table::Keys, &self.from)?);
        }
        Ok(())
    }
}

/// How far a key's rows lie behind those of an earlier key, for who has not walked there.
pub(super) fn apart_bytes(view: &View<'_>, earlier: &[u8], prefix: &[u8]) -> Result<u64, StoreError> {
    /// So many rows are looked at.
    const ROWS_MAX: u32 = 8;
    let mut rows = view.scan(Table::Keys, &format::behind(earlier))?;
    let mut bytes = 0;
    for _ in 0..ROWS_MAX {
        let Some((row, value)) = rows.next()? else { break };
        bytes += (row.len() + value.len()) as u64 + ROW_OVERHEAD_BYTES;
        if row.starts_with(prefix) {
            return Ok(bytes);
        }
    }
    Ok(FAR_APART)
}

/// The last key in the bounds that is there: its prefix is the new `until`. Two seeks for each key it looks at.
pub(super) fn last(view: &View<'_>, bounds: &mut Bounds, at: KeyRev) -> Result<Option<Found>, StoreError> {
    while let Some((row, _)) = view.seek_before(Table::Keys, &bounds.until)? {
        if row < &bounds.from[..] {
            break;
        }
        let (prefix, _) = format::split_version_key(row)?;
        bounds.before(prefix);
        let from = format::with_rev(prefix.to_vec(), at);
        let found = view.newest_from(&from, prefix.len())?.filter(|found| !found.version.tombstone);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
