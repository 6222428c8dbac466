//! What clients can see of a board's store.

use solder::{
    store::{RangeCursor, RevRecord, SliceLimits},
    types::{KeyRange, RangeRequest},
};

use super::Board;

impl Board {
    /// What clients can see of the store, as text.
    /// While a command is half done, the keys that a lease holds may show it: then they are left out.
    pub(in super::super) fn content(&self, with_held_keys: bool) -> Result<String, String> {
        let store = &self.running.as_ref().ok_or("it is not running")?.store;
        let mut text = format!(
            "revision {} compacted {} members {:?}\n",
            store.revision(),
            store.compacted(),
            store.membership()
        );
        let show = |error: &dyn std::fmt::Display| error.to_string();
        let limits = SliceLimits { rows: 1000, bytes: 1 << 20 };
        let all = RangeRequest { range: KeyRange::all(), ..RangeRequest::default() };
        let mut cursor = RangeCursor::new(store.range_at(&all).map_err(|e| show(&e))?);
        loop {
            let slice = store.range(&mut cursor, limits).map_err(|e| show(&e))?;
            slice.rows.iter().for_each(|row| text += &format!("{:?}\n", RevRecord::from(row)));
            if slice.end.is_some() {
                break;
            }
        }
        for (id, lease) in store.leases().map_err(|e| show(&e))? {
            let rows = if with_held_keys { 1000 } else { 0 };
            let keys = store.lease_keys(id, None, rows).map_err(|e| show(&e))?;
            text += &format!("lease {id} {lease:?} {keys:?}\n");
        }
        let mut hash = store.hash_at(store.revision()).map_err(|e| show(&e))?;
        loop {
            if let Some(at) = store.hash(&mut hash, limits).map_err(|e| show(&e))? {
                text += &format!("hash {:08x} state {:08x}", at.hash, store.state_hash());
                return Ok(text);
            }
        }
    }
}
