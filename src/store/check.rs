//! What can be refused without looking at any state: by who proposes, so that nothing hopeless is logged, and again when
//! a command is applied. etcd's rules (server/etcdserver/api/v3rpc/key.go), and a bound on keys and on nesting.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{
    Bytes, Command, Compare, DeleteRangeRequest, Error, KeyRange, LeaseId, PutRequest, RangeEnd,
    RangeRequest, TxnOp, TxnRequest, limits,
};

/// Would this command be refused whatever the store holds?
pub fn check(command: &Command) -> Result<(), Error> {
    match command {
        Command::Put(put) => check_put(put),
        Command::DeleteRange(delete) => check_keys(&delete.range),
        Command::Txn(txn) => check_txn(txn),
        Command::LeaseGrant { id, ttl_s } => check_grant(*id, *ttl_s),
        Command::Compact { .. }
        | Command::LeaseRevoke { .. }
        | Command::LeaseCheckpoint { .. }
        | Command::Alarm(_)
        | Command::Publish { .. }
        | Command::UpdateMember { .. }
        | Command::UpdateCluster(_)
        | Command::Identify { .. }
        | Command::Autopilot(_)
        | Command::Amend { .. } => Ok(()),
        #[cfg(feature = "testing")]
        Command::Probe => Ok(()),
    }
}

pub fn check_range(range: &RangeRequest) -> Result<(), Error> {
    check_keys(&range.range)
}

pub fn check_txn(txn: &TxnRequest) -> Result<(), Error> {
    check_ops(txn, limits::TXN_OPS_MAX, 0)?;
    check_duplicates(&txn.success)?;
    check_duplicates(&txn.failure)?;
    Ok(())
}

fn check_put(put: &PutRequest) -> Result<(), Error> {
    check_key(&put.key)?;
    if put.ignore_value && !put.value.is_empty() {
        return Err(Error::ValueProvided);
    }
    if put.ignore_lease && !put.lease.is_none() {
        return Err(Error::LeaseProvided);
    }
    Ok(())
}

fn check_grant(id: LeaseId, ttl_s: i64) -> Result<(), Error> {
    if id.is_none() {
        return Err(Error::LeaseNotFound);
    }
    if ttl_s > limits::LEASE_TTL_MAX_S {
        return Err(Error::LeaseTtlTooLarge);
    }
    Ok(())
}

fn check_key(key: &[u8]) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::EmptyKey);
    }
    check_length(key)
}

fn check_keys(range: &KeyRange) -> Result<(), Error> {
    check_key(&range.key)?;
    check_length(&range.range_end)
}

fn check_length(key: &[u8]) -> Result<(), Error> {
    if key.len() > limits::KEY_BYTES_MAX { Err(Error::KeyTooLong { bytes: key.len() }) } else { Ok(()) }
}

/// A nested transaction may use what the largest list of its parent leaves of the operations.
fn check_ops(txn: &TxnRequest, ops_max: usize, depth: usize) -> Result<(), Error> {
    let ops = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    if ops > ops_max || depth > limits::TXN_DEPTH_MAX {
        return Err(Error::TooManyOps);
    }
    for compare in &txn.compare {
        check_compare(compare)?;
    }
    for op in txn.success.iter().chain(&txn.failure) {
        match op {
            TxnOp::Txn(inner) => check_ops(inner, ops_max - ops, depth + 1)?,
            op => check_op(op)?,
        }
    }
    Ok(())
}

pub fn check_compare(compare: &Compare) -> Result<(), Error> {
    check_keys(&compare.range)
}

/// One operation by itself. A nested transaction is looked at with its parent only.
pub fn check_op(op: &TxnOp) -> Result<(), Error> {
    match op {
        TxnOp::Range(range) => check_range(range),
        TxnOp::Put(put) => check_put(put),
        TxnOp::DeleteRange(delete) => check_keys(&delete.range),
        TxnOp::Txn(_) => Ok(()),
    }
}

/// What the operations of a branch write.
#[derive(Default)]
struct Writes<'a> {
    puts: BTreeSet<&'a Bytes>,
    deletes: Ranges<'a>,
}

/// Keys that are in one of many ranges. Nested transactions can hold a hundred thousand deletes and as many puts, so a
/// key is not held against one range after the other: overlapping ranges are one, and what is left is ordered.
#[derive(Default)]
struct Ranges<'a>(BTreeMap<&'a [u8], Until<'a>>);

/// Where a range ends: at this key, which may be in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Until<'a>(&'a [u8], bool);

impl<'a> Ranges<'a> {
    fn add(&mut self, range: &'a KeyRange) {
        let until = match range.end() {
            RangeEnd::Single => Until(&range.key, true),
            RangeEnd::Before(end) => Until(end, false),
            // etcd takes the zero byte by its word here, as an end before every key: what the rest of the transaction puts is
            // not held against a delete without end.
            RangeEnd::Open => return,
        };
        if !range.is_empty() {
            self.join(&range.key, until);
        }
    }

    fn join(&mut self, mut from: &'a [u8], mut until: Until<'a>) {
        // From the end backwards: whatever begins in the new range, or reaches into it, becomes part of it.
        while let Some((begin, end)) = self.last_before(until)
            && end >= Until(from, false)
        {
            self.0.remove(begin);
            (from, until) = (from.min(begin), until.max(end));
        }
        self.0.insert(from, until);
    }

    fn last_before(&self, until: Until<'a>) -> Option<(&'a [u8], Until<'a>)> {
        self.0.range(..=until.0).next_back().map(|(begin, end)| (*begin, *end))
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.0.range(..=key).next_back().is_some_and(|(_, until)| *until >= Until(key, true))
    }
}

impl<'a> Writes<'a> {
    /// A key is put once, and not put where it is deleted. (Of two branches that exclude each other both may put it.)
    fn put(&mut self, key: &'a Bytes, other_branch: &BTreeSet<&'a Bytes>) -> Result<(), Error> {
        let twice = !self.puts.insert(key) && !other_branch.contains(key);
        if twice || self.deletes.contains(key) {
            return Err(Error::DuplicateKey);
        }
        Ok(())
    }
}

/// etcd's `checkIntervals`: this branch's deletes first, then nested transactions in their order, then its puts. So a
/// nested put before a nested delete of the same key passes, and the other way round does not.
fn check_duplicates(ops: &[TxnOp]) -> Result<Writes<'_>, Error> {
    let mut writes = Writes::default();
    for op in ops {
        if let TxnOp::DeleteRange(DeleteRangeRequest { range, .. }) = op {
            writes.deletes.add(range);
        }
    }
    for op in ops {
        if let TxnOp::Txn(inner) = op {
            let (success, failure) = (check_duplicates(&inner.success)?, check_duplicates(&inner.failure)?);
            for key in &success.puts {
                writes.put(key, &BTreeSet::new())?;
            }
            for key in &failure.puts {
                writes.put(key, &success.puts)?;
            }
            for (from, until) in success.deletes.0.into_iter().chain(failure.deletes.0) {
                writes.deletes.join(from, until);
            }
        }
    }
    for op in ops {
        if let TxnOp::Put(put) = op {
            writes.put(&put.key, &BTreeSet::new())?;
        }
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str) -> TxnOp {
        TxnOp::Put(PutRequest { key: key.into(), ..PutRequest::default() })
    }

    fn delete(key: &str, range_end: &str) -> TxnOp {
        TxnOp::DeleteRange(DeleteRangeRequest { range: KeyRange::new(key, range_end), prev_kv: false })
    }

    fn range(key: &str) -> TxnOp {
        TxnOp::Range(RangeRequest { range: KeyRange::single(key), ..RangeRequest::default() })
    }

    fn nested(success: Vec<TxnOp>, failure: Vec<TxnOp>) -> TxnOp {
        TxnOp::Txn(Box::new(TxnRequest { compare: Vec::new(), success, failure }))
    }

    fn of(success: Vec<TxnOp>) -> Result<(), Error> {
        check_txn(&TxnRequest { success, ..TxnRequest::default() })
    }

    #[test]
    fn a_key_is_put_once() {
        let refused = Err(Error::DuplicateKey);
        assert_eq!(of(vec![put("a"), put("b"), range("a")]), Ok(()));
        assert_eq!(of(vec![put("a"), put("a")]), refused);
        assert_eq!(of(vec![put("a"), nested(vec![put("a")], vec![])]), refused);
        assert_eq!(of(vec![nested(vec![put("a")], vec![put("a")])]), Ok(()), "either the one or the other");
        assert_eq!(of(vec![nested(vec![put("a")], vec![]), nested(vec![], vec![put("a")])]), refused);
        let both = TxnRequest { success: vec![put("a")], failure: vec![put("a")], ..TxnRequest::default() };
        assert_eq!(check_txn(&both), Ok(()));
    }

    #[test]
    fn a_key_is_not_put_where_it_is_deleted() {
        let refused = Err(Error::DuplicateKey);
        assert_eq!(of(vec![put("a"), delete("a", "")]), refused);
        assert_eq!(of(vec![delete("a", "c"), put("b")]), refused);
        assert_eq!(of(vec![delete("a", "c"), put("c")]), Ok(()));
        assert_eq!(of(vec![delete("a", "\0"), put("c")]), Ok(()), "as etcd has it");
        assert_eq!(of(vec![delete("a", "\0"), delete("b", ""), put("b")]), refused);
        assert_eq!(of(vec![delete("a", "c"), delete("b", "d")]), Ok(()));
        let (puts, deletes) = (|| nested(vec![put("a")], vec![]), || nested(vec![delete("a", "")], vec![]));
        assert_eq!(of(vec![deletes(), puts()]), refused);
        assert_eq!(of(vec![puts(), deletes()]), Ok(()), "as etcd has it");
        assert_eq!(of(vec![puts(), delete("a", "")]), refused);
        assert_eq!(of(vec![put("a"), deletes()]), refused);
    }

    #[test]
    fn ranges_hold_what_one_of_them_holds() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut key = |len: std::ops::Range<usize>| -> Vec<u8> {
            (0..rng.usize(len)).map(|_| [0, 1, 2, 0xff][rng.usize(..4)]).collect()
        };
        for _ in 0..2000 {
            let many: Vec<KeyRange> = (0..4).map(|_| KeyRange::new(key(1..4), key(0..4))).collect();
            let mut ranges = Ranges::default();
            many.iter().for_each(|range| ranges.add(range));
            for _ in 0..20 {
                let key = key(1..4);
                assert_eq!(
                    ranges.contains(&key),
                    many.iter().any(|range| range.end() != RangeEnd::Open && range.contains(&key)),
                    "{many:?} {key:?}"
                );
            }
        }
    }

    /// As many operations as fit in a command: compared one by one they would stop every board for minutes.
    #[test]
    fn many_deletes_and_many_puts_are_quick() {
        let mut number = 0u32;
        let mut leaf = |name: &str| -> String {
            number += 1;
            format!("{name}{number:x}")
        };
        let mut branch = |len: usize| -> Vec<TxnOp> {
            (0..len)
                .map(|_| {
                    let puts = (0..32).map(|_| put(&leaf("p"))).collect();
                    nested(puts, (0..32).map(|_| delete(&leaf("d"), "")).collect())
                })
                .collect()
        };
        let wide: Vec<TxnOp> = (0..32).map(|_| nested(branch(64), branch(64))).collect();
        let command = Command::Txn(TxnRequest { success: wide, ..TxnRequest::default() });
        assert!(command.encode().len() > limits::COMMAND_BYTES_MAX, "more than can be asked for");
        assert_eq!(check(&command), Ok(()));
    }

    #[test]
    fn operations_are_counted_with_their_nesting() {
        let ranges = |count: usize| vec![range("a"); count];
        assert_eq!(of(ranges(limits::TXN_OPS_MAX)), Ok(()));
        assert_eq!(of(ranges(limits::TXN_OPS_MAX + 1)), Err(Error::TooManyOps));
        assert_eq!(of(vec![nested(ranges(limits::TXN_OPS_MAX - 1), vec![])]), Ok(()));
        assert_eq!(of(vec![nested(vec![], ranges(limits::TXN_OPS_MAX))]), Err(Error::TooManyOps));
        let deep = |depth| (0..depth).fold(Vec::new(), |inner, _| vec![nested(inner, vec![])]);
        assert_eq!(of(deep(limits::TXN_DEPTH_MAX)), Ok(()));
        assert_eq!(of(deep(limits::TXN_DEPTH_MAX + 1)), Err(Error::TooManyOps));
    }

    /// What passes here is a command that every member can read.
    #[test]
    fn the_deepest_that_passes_can_be_decoded() {
        let deep = (0..limits::TXN_DEPTH_MAX).fold(Vec::new(), |inner, _| vec![nested(inner, vec![])]);
        let command = Command::Txn(TxnRequest { success: deep, ..TxnRequest::default() });
        assert_eq!(check(&command), Ok(()));
        assert_eq!(Command::decode(&command.encode()), Ok(command));
    }

    #[test]
    fn keys_are_there_and_not_too_long() {
        let long = "k".repeat(limits::KEY_BYTES_MAX + 1);
        let too_long = Err(Error::KeyTooLong { bytes: long.len() });
        assert_eq!(of(vec![put("")]), Err(Error::EmptyKey));
        assert_eq!(of(vec![nested(vec![], vec![range("")])]), Err(Error::EmptyKey));
        assert_eq!(of(vec![put(&long)]), too_long);
        assert_eq!(of(vec![delete("a", &long)]), too_long);
        assert_eq!(of(vec![put(&long[1..])]), Ok(()));
    }
}
