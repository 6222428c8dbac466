//! Transactions: which way, may it be gone, go.
//!
//! etcd's order (server/etcdserver/txn): all compares, nested ones too, look at the state before the transaction and
//! choose the path; then everything on the path is checked, puts first; then it is done, and nothing can fail any more.

use std::cmp::Ordering;

use super::{
    StoreError,
    apply::{Apply, Stop},
    view::Found,
    walk::{Bounds, Walk},
};
use crate::types::{
    Bytes, Compare, CompareResult, CompareValue, DeleteRangeRequest, Error, KeyRev, PutRequest, RangeAt,
    RangeEnd, RangeRequest, Revision, TxnOp, TxnOutcome, TxnPart, TxnRequest,
};

impl TxnRequest {
    /// Is there a put in one of its branches? Nested transactions are not looked into, as in etcd's quota.
    pub(super) fn puts_at_top(&self) -> bool {
        self.ops().any(|op| matches!(op, TxnOp::Put(_)))
    }

    /// Is there anything but ranges in one of its branches?
    pub(crate) fn writes(&self) -> bool {
        self.ops().any(|op| !matches!(op, TxnOp::Range(_)))
    }

    fn ops(&self) -> impl Iterator<Item = &TxnOp> {
        self.success.iter().chain(&self.failure)
    }
}

/// A transaction with its compares decided.
struct Path<'r> {
    succeeded: bool,
    steps: Vec<Step<'r>>,
}

enum Step<'r> {
    Op(&'r TxnOp),
    Txn(Path<'r>),
}

impl<'r> Path<'r> {
    fn ops(&self, see: &mut dyn FnMut(&'r TxnOp) -> Result<(), Stop>) -> Result<(), Stop> {
        self.steps.iter().try_for_each(|step| match step {
            Step::Op(op) => see(op),
            Step::Txn(path) => path.ops(see),
        })
    }
}

impl Apply<'_> {
    pub(super) fn txn(&mut self, txn: &TxnRequest) -> Result<TxnOutcome, Stop> {
        let path = self.decide(txn)?;
        if !self.course.goes_on() {
            let mut emptied = None;
            path.ops(&mut |op| self.may_put(op, &mut emptied))?;
            path.ops(&mut |op| self.may_range(op))?;
        }
        let parts = self.follow(&path)?;
        Ok(TxnOutcome { revision: self.revision(), succeeded: path.succeeded, parts })
    }

    fn decide<'r>(&mut self, txn: &'r TxnRequest) -> Result<Path<'r>, StoreError> {
        let succeeded = match self.course.path() {
            Some(known) => known,
            None => {
                let holds = self.all_hold(&txn.compare)?;
                self.course.decided(holds);
                holds
            }
        };
        let ops = if succeeded { &txn.success } else { &txn.failure };
        let steps = ops.iter().map(|op| match op {
            TxnOp::Txn(inner) => self.decide(inner).map(Step::Txn),
            op => Ok(Step::Op(op)),
        });
        Ok(Path { succeeded, steps: steps.collect::<Result<_, _>>()? })
    }

    fn all_hold(&self, compares: &[Compare]) -> Result<bool, StoreError> {
        for compare in compares {
            if !self.holds(compare)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn holds(&self, compare: &Compare) -> Result<bool, StoreError> {
        let mut walk = Walk::new(self.view(), &Bounds::of(&compare.range), self.here())?;
        let Some(first) = walk.next()? else { return Ok(holds_without_key(compare)) };
        let mut next = Some(first);
        while let Some(found) = next {
            if !self.holds_for(compare, &found)? {
                return Ok(false);
            }
            next = walk.next()?;
        }
        Ok(true)
    }

    fn holds_for(&self, compare: &Compare, found: &Found) -> Result<bool, StoreError> {
        let version = &found.version;
        let order = match &compare.value {
            CompareValue::Version(given) => version.version.cmp(given),
            CompareValue::Create(given) => version.create.cmp(given),
            CompareValue::Mod(given) => found.rev.main.cmp(given),
            CompareValue::Lease(given) => version.lease.cmp(given),
            CompareValue::Value(given) => self.view().record_of(found)?.value.cmp(&given[..]),
        };
        Ok(is(order, compare.result))
    }

    /// `emptied`: from here on a delete without end, earlier on the path, has taken all keys. (Other deletes are held against
    /// puts by `check_txn`.) etcd ends itself where a put then wants the value or lease that was there.
    fn may_put<'r>(&self, op: &'r TxnOp, emptied: &mut Option<&'r Bytes>) -> Result<(), Stop> {
        if let TxnOp::DeleteRange(DeleteRangeRequest { range, .. }) = op
            && range.end() == RangeEnd::Open
        {
            *emptied = Some(emptied.map_or(&range.key, |from| from.min(&range.key)));
        }
        let TxnOp::Put(PutRequest { key, lease, ignore_value, ignore_lease, .. }) = op else { return Ok(()) };
        if *ignore_value || *ignore_lease {
            let is_gone = emptied.is_some_and(|from| key >= from);
            if is_gone || self.view().live_at(key, self.here())?.is_none() {
                return Err(Error::KeyNotFound.into());
            }
        }
        self.need_lease(*lease)
    }

    fn may_range(&self, op: &TxnOp) -> Result<(), Stop> {
        let TxnOp::Range(RangeRequest { revision, .. }) = op else { return Ok(()) };
        if *revision > self.state.revision {
            return Err(Error::FutureRevision.into());
        }
        // As etcd, which lets no negative one pass here but those that a store never compacted (-1) lets pass.
        if revision.0 != 0 && *revision < self.state.compacted {
            return Err(Error::Compacted(self.state.compacted).into());
        }
        Ok(())
    }

    fn follow(&mut self, path: &Path<'_>) -> Result<Vec<TxnPart>, Stop> {
        let mut parts = Vec::with_capacity(path.steps.len());
        for step in &path.steps {
            parts.push(match step {
                Step::Op(op) => self.step(op)?,
                Step::Txn(inner) => TxnPart::Txn { succeeded: inner.succeeded, parts: self.follow(inner)? },
            });
        }
        Ok(parts)
    }

    fn step(&mut self, op: &TxnOp) -> Result<TxnPart, Stop> {
        self.breathe(None)?;
        match op {
            TxnOp::Range(request) => {
                let at = if request.revision.0 > 0 { KeyRev::end_of(request.revision) } else { self.here() };
                let range = RangeAt { request: request.clone(), at };
                Ok(TxnPart::Range { revision: self.revision(), range })
            }
            TxnOp::Put(put) => Ok(TxnPart::Put(self.put(put)?)),
            TxnOp::DeleteRange(delete) => self.delete_range(delete).map(TxnPart::Delete),
            TxnOp::Txn(_) => unreachable!("a nested transaction is a step of its own"),
        }
    }
}

/// A key that is not there has version, revisions and lease 0, and no value that anything could be compared with.
fn holds_without_key(compare: &Compare) -> bool {
    let order = match &compare.value {
        CompareValue::Version(given) => 0.cmp(given),
        CompareValue::Create(given) | CompareValue::Mod(given) => Revision(0).cmp(given),
        CompareValue::Lease(given) => 0.cmp(&given.0),
        CompareValue::Value(_) => return false,
    };
    is(order, compare.result)
}

fn is(order: Ordering, wanted: CompareResult) -> bool {
    match wanted {
        CompareResult::Equal => order.is_eq(),
        CompareResult::NotEqual => order.is_ne(),
        CompareResult::Greater => order.is_gt(),
        CompareResult::Less => order.is_lt(),
        CompareResult::Unknown => true,
    }
}
