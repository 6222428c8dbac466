//! The newest rows of those parts of the key space that ranges have read lately.
//!
//! ```text
//!   key space:   ...[a01 .. a33)[a33 .. b02)......[k00 .. k32)...
//!   blocks:          32 rows     14 rows    unknown   32 rows
//! ```
//!
//! A row of a range is two look-ups in the database, and history that nobody has compacted lies between the keys. Boards
//! poll the same few prefixes, so what was read is kept for a while, ready to be answered.
//!
//! - A block holds every key that is there between its bounds, as of the newest state; blocks do not overlap.
//! - A change of a key drops the block around it: nothing is ever updated here.
//! - Only what is small is kept, and all of it together has a bound.
//!
//! Here you will not find: older states, anything that survives a restart.

use std::{cmp::Ordering, collections::BTreeMap, ops::Bound, sync::Arc};

use super::{Record, Records, format};

/// Rows of a block: what one change makes to be read again.
const BLOCK_ROWS: usize = 32;

/// A larger row is not kept: its look-ups are little beside its bytes.
const ROW_BYTES_MAX: u64 = 2 << 10;

/// Room for all blocks, taken as ranges are read: about 10 000 rows of 150 bytes. A board's ranges over device state are
/// far smaller.
const BYTES_MAX: usize = 2 << 20;

/// What a block costs beside its rows: its slot in the tree, half empty at worst, and four allocations.
const OVERHEAD_BYTES: usize = 240;

#[derive(Default)]
pub(super) struct Hot {
    /// By where they begin: a place in `keys`.
    blocks: BTreeMap<Box<[u8]>, Arc<Block>>,
    bytes: usize,
    /// Where room is made next: one block after the other, round and round.
    hand: Box<[u8]>,
}

/// Some rows that lie side by side.
pub(super) struct Block {
    end: Box<[u8]>,
    rows: Records,
}

impl Block {
    /// It holds all up to here: a place in `keys`.
    pub(super) fn end(&self) -> &[u8] {
        &self.end
    }

    /// The rows at or after `from` and before `until`.
    pub(super) fn between(&self, from: &[u8], until: &[u8]) -> impl Iterator<Item = Record<'_>> {
        let is_cut = until < self.end();
        let rows = self.rows.iter().skip_while(move |row| &format::key_prefix(row.key)[..] < from);
        rows.take_while(move |row| !is_cut || &format::key_prefix(row.key)[..] < until)
    }

    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.end.len() + self.rows.memory_bytes()
    }
}

impl Hot {
    /// The block that holds what lies at a place.
    pub(super) fn at(&self, place: &[u8]) -> Option<Arc<Block>> {
        let (_, block) = self.before(place)?;
        (place < block.end()).then(|| block.clone())
    }

    /// Where the next block behind a place begins.
    pub(super) fn next_start(&self, place: &[u8]) -> Option<&[u8]> {
        let bounds = (Bound::Excluded(place), Bound::Unbounded);
        self.blocks.range::<[u8], _>(bounds).next().map(|(start, _)| &**start)
    }

    /// A key has changed.
    pub(super) fn changed(&mut self, prefix: &[u8]) {
        let Some((start, block)) = self.before(prefix) else { return };
        if prefix < block.end() {
            let start = start.to_vec();
            self.remove(&start);
        }
    }

    /// Keeps what `fill` has collected: all rows that there are from its start to `end`.
    fn keep(&mut self, start: &[u8], end: &[u8], mut rows: Records) {
        rows.shrink_to_fit();
        let block = Block { end: end.into(), rows };
        self.bytes += block.bytes() + start.len();
        let before = self.blocks.insert(start.into(), Arc::new(block));
        assert!(before.is_none(), "two blocks begin at {start:x?}");
        while self.bytes > BYTES_MAX {
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        let next = self.next_start(&self.hand).map(Box::from);
        let next = next.or_else(|| self.blocks.first_key_value().map(|(start, _)| start.clone()));
        let start = next.expect("what has bytes has a block");
        self.remove(&start);
        self.hand = start;
    }

    fn remove(&mut self, start: &[u8]) {
        let block = self.blocks.remove(start).expect("only blocks are removed");
        self.bytes -= block.bytes() + start.len();
    }

    fn before(&self, place: &[u8]) -> Option<(&[u8], &Arc<Block>)> {
        let bounds = (Bound::Unbounded, Bound::Included(place));
        self.blocks.range::<[u8], _>(bounds).next_back().map(|(start, block)| (&**start, block))
    }
}

/// Collects what an ascending walk finds where there is no block, and makes blocks of it.
pub(super) struct Filling {
    start: Vec<u8>,
    rows: Records,
    bytes: u64,
}

impl Filling {
    /// From a place on that no block holds.
    pub(super) fn from(start: &[u8]) -> Filling {
        Filling { start: start.to_vec(), rows: Records::default(), bytes: 0 }
    }

    /// The next row that is there; its prefix.
    pub(super) fn row(&mut self, hot: &mut Hot, prefix: &[u8], row: &Record<'_>) {
        let weight_bytes = row.weight_bytes();
        if weight_bytes > ROW_BYTES_MAX {
            // What lies before it ends with it.
            self.end(hot, prefix);
            self.begin(&format::behind(prefix));
            return;
        }
        self.rows.push(row, BLOCK_ROWS - 1 - self.rows.len());
        self.bytes += weight_bytes;
        if self.rows.len() == BLOCK_ROWS {
            let end = format::behind(prefix);
            self.end(hot, &end);
            self.begin(&end);
        }
    }

    /// The walk has come to a place, and there is nothing more before it.
    pub(super) fn end(&mut self, hot: &mut Hot, end: &[u8]) {
        // An empty stretch is worth a block, too: it is not looked for again.
        if self.start.as_slice().cmp(end) == Ordering::Less {
            hot.keep(&self.start, end, std::mem::take(&mut self.rows));
        }
    }

    fn begin(&mut self, start: &[u8]) {
        *self = Filling::from(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::KeyRev;

    fn record(key: &str, value_len: usize) -> (Vec<u8>, Vec<u8>) {
        (key.as_bytes().to_vec(), vec![b'v'; value_len])
    }

    fn place(key: &str) -> Vec<u8> {
        format::key_prefix(key.as_bytes())
    }

    /// A walk over these keys, up to `end`.
    fn walk(hot: &mut Hot, from: &str, keys: &[(&str, usize)], end: &str) {
        let mut filling = Filling::from(&place(from));
        for &(key, value_len) in keys {
            let (key, value) = record(key, value_len);
            let row = Record {
                rev: KeyRev::new(1, 0),
                key: &key,
                value: &value,
                create: Default::default(),
                version: 1,
                lease: Default::default(),
                tombstone: false,
            };
            filling.row(hot, &format::key_prefix(&key), &row);
        }
        filling.end(hot, &place(end));
    }

    fn keys(hot: &Hot, from: &str, until: &str) -> Option<Vec<String>> {
        let (from, until) = (place(from), place(until));
        let block = hot.at(&from)?;
        let rows = block.between(&from, &until);
        Some(rows.map(|row| String::from_utf8_lossy(row.key).into_owned()).collect())
    }

    fn strings(keys: &[&str]) -> Option<Vec<String>> {
        Some(keys.iter().map(|key| key.to_string()).collect())
    }

    #[test]
    fn what_was_walked_is_known_until_it_changes() {
        let mut hot = Hot::default();
        walk(&mut hot, "b", &[("b1", 3), ("b2", 3), ("b3", 3)], "c");
        assert_eq!(keys(&hot, "b", "c"), strings(&["b1", "b2", "b3"]));
        assert_eq!(keys(&hot, "b2", "b3"), strings(&["b2"]));
        assert_eq!(keys(&hot, "b20", "z"), strings(&["b3"]));
        assert_eq!((keys(&hot, "a", "z"), keys(&hot, "c", "z")), (None, None), "nobody walked there");
        hot.changed(&place("c"));
        hot.changed(&place("az"));
        assert!(keys(&hot, "b", "c").is_some(), "these lie outside");
        hot.changed(&place("b25"));
        assert_eq!((keys(&hot, "b", "c"), hot.bytes), (None, 0), "a key has come to be inside");
    }

    #[test]
    fn blocks_are_cut_and_large_rows_left_out() {
        let mut hot = Hot::default();
        let names: Vec<String> = (0..70).map(|number| format!("k{number:02}")).collect();
        let rows: Vec<(&str, usize)> = names.iter().map(|name| (&name[..], 10)).collect();
        walk(&mut hot, "k", &rows, "l");
        assert_eq!(hot.blocks.len(), 3);
        hot.changed(&place("k40"));
        assert_eq!(keys(&hot, "k", "l").map(|keys| keys.len()), Some(32));
        assert_eq!(keys(&hot, "k31", "l"), strings(&["k31"]));
        assert_eq!(keys(&hot, "k33", "l"), None);
        assert_eq!(hot.next_start(&place("k33")), Some(&format::behind(&place("k63"))[..]));

        walk(&mut hot, "m", &[("m1", 1), ("m2", 4000), ("m3", 1)], "n");
        assert_eq!(keys(&hot, "m", "n"), strings(&["m1"]));
        assert_eq!(keys(&hot, "m2", "n"), None);
        assert_eq!(keys(&hot, "m3", "n"), strings(&["m3"]));
    }

    #[test]
    fn room_is_bounded() {
        let mut hot = Hot::default();
        for number in 0..20_000 {
            let (from, key, end) =
                (format!("k{number:05}"), format!("k{number:05}a"), format!("k{number:05}b"));
            walk(&mut hot, &from, &[(&key, 200)], &end);
            assert!(hot.bytes <= BYTES_MAX);
        }
        let bytes: usize = hot.blocks.iter().map(|(start, block)| start.len() + block.bytes()).sum();
        assert_eq!(hot.bytes, bytes);
        assert!(bytes > BYTES_MAX / 2);
        assert!(keys(&hot, "k19999", "k19999b").is_some(), "the last one is there");
    }
}
