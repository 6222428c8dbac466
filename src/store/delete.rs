//! What deletes many keys: deletes of ranges, and the end of a lease.
//!
//! How many keys that is, nothing bounds. So they are taken some at a time, and between any two of them the command may
//! pause.

use super::{
    StoreError, Table,
    apply::{Apply, Stop, need_term},
    format,
    format::Version,
    layer::FAR_APART,
    unfinished::UnderWay,
    walk::{self, Bounds, Walk},
};
use crate::types::{
    Bytes, DeleteOutcome, DeleteRangeRequest, Error, KeyRange, KeyRev, LeaseId, Outcome, RangeAt,
    RangeRequest, Term,
};

/// Keys taken at a time.
const KEYS_AT_A_TIME: usize = 256;

/// A key that is to be deleted.
struct Doomed {
    key: Bytes,
    lease: LeaseId,
    /// How far its rows lie behind those of the one before.
    apart_bytes: u64,
}

impl Apply<'_> {
    pub(super) fn delete_range(&mut self, delete: &DeleteRangeRequest) -> Result<DeleteOutcome, Stop> {
        let at = self.here();
        let deleted = match self.course.deleted() {
            Some(deleted) => {
                self.changes += deleted;
                deleted
            }
            None => self.delete_keys(&delete.range, at)?,
        };
        let prev = delete.prev_kv.then(|| RangeAt { request: all_of(&delete.range), at });
        let prev = prev.filter(|_| deleted > 0);
        Ok(DeleteOutcome { revision: self.revision(), deleted: deleted.into(), prev })
    }

    fn delete_keys(&mut self, range: &KeyRange, at: KeyRev) -> Result<u32, Stop> {
        let (mut bounds, mut deleted) = (Bounds::of(range), 0);
        if let Some(before) = self.course.under_way() {
            bounds.after(&format::key_prefix(&before.after));
            deleted = before.deleted;
            self.changes += deleted;
        }
        loop {
            let keys = self.some_keys(&mut bounds, at)?;
            let mut lease_before = LeaseId::NONE;
            for Doomed { key, lease, apart_bytes } in &keys {
                // Of one lease, these rows are side by side, as the keys are.
                let lease_apart = if *lease == lease_before { 0 } else { FAR_APART };
                lease_before = *lease;
                self.delete(key, *lease, *apart_bytes, lease_apart);
                deleted += 1;
                self.breathe(Some((key, deleted)))?;
            }
            if keys.len() < KEYS_AT_A_TIME {
                self.course.delete_done(deleted);
                return Ok(deleted);
            }
        }
    }

    fn some_keys(&self, bounds: &mut Bounds, at: KeyRev) -> Result<Vec<Doomed>, StoreError> {
        let mut keys = Vec::new();
        let mut walk = Walk::new(self.view(), bounds, at)?;
        while keys.len() < KEYS_AT_A_TIME
            && let Some(found) = walk.next()?
        {
            let key = format::decode_prefix(walk.prefix())?;
            keys.push(Doomed { key, lease: found.version.lease, apart_bytes: walk.apart_bytes() });
            bounds.after(walk.prefix());
        }
        Ok(keys)
    }

    fn delete(&mut self, key: &[u8], lease: LeaseId, apart_bytes: u64, lease_apart_bytes: u64) {
        self.hold(key, lease, LeaseId::NONE, lease_apart_bytes);
        self.change(key, &Version::TOMBSTONE, &[], apart_bytes);
    }

    /// The lease itself goes last: while its keys go, it is there, with those that it still holds.
    pub(super) fn revoke(&mut self, id: LeaseId, only_in: Option<Term>, term: Term) -> Result<Outcome, Stop> {
        need_term(only_in, term)?;
        if self.view().lease(id)?.is_none() {
            return Err(Error::LeaseNotFound.into());
        }
        self.delete_held(id)?;
        self.set(Table::Leases, format::lease_key(id).to_vec(), None);
        self.state.leases -= 1;
        Ok(Outcome::LeaseRevoked { revision: self.revision() })
    }

    /// What is done is not held any more: all that still is, is to be deleted.
    fn delete_held(&mut self, id: LeaseId) -> Result<(), Stop> {
        self.changes = self.course.done();
        let mut after = self.course.under_way().map(|UnderWay { after, .. }| after);
        // Behind this lies nothing: how far away the first key is nobody knows.
        let mut before = Vec::new();
        loop {
            let keys = self.view().lease_keys(id, after.as_deref(), KEYS_AT_A_TIME)?;
            let keys: Vec<Bytes> = keys.into_iter().map(Bytes::from).collect();
            for key in &keys {
                let prefix = format::key_prefix(key);
                let apart_bytes = walk::apart_bytes(&self.view(), &before, &prefix)?;
                before = prefix;
                self.delete(key, id, apart_bytes, 0);
                self.breathe(Some((key, self.changes)))?;
            }
            match keys.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }
}

fn all_of(range: &KeyRange) -> RangeRequest {
    RangeRequest { range: range.clone(), ..RangeRequest::default() }
}
