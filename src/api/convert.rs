//! Between the messages of the API and the words of the store.

use crate::{
    member,
    rpc::{self, CompareOperand, CompareTarget, RequestOp},
    store::{self, Record, RevRecord},
    types::{
        AlarmKind, Compare, CompareResult, CompareValue, DeleteRangeRequest, Error, KeyRange, LeaseId,
        PutRequest, RangeRequest, Revision, SortOrder, SortTarget, TxnOp, TxnRequest,
    },
};

pub(super) fn header(header: member::Header) -> rpc::ResponseHeader {
    rpc::ResponseHeader {
        cluster_id: header.cluster.0,
        member_id: header.member.0,
        revision: header.revision.0,
        raft_term: header.term.0,
    }
}

pub(super) fn key_value(record: RevRecord) -> rpc::KeyValue {
    rpc::KeyValue {
        key: record.key,
        create_revision: record.create.0,
        mod_revision: record.rev.main.0,
        version: record.version,
        value: record.value,
        lease: record.lease.0,
    }
}

/// `key_value` of bytes that lie elsewhere.
pub(super) fn key_value_at(record: Record<'_>) -> rpc::KeyValueAt<'_> {
    rpc::KeyValueAt {
        key: record.key,
        create_revision: record.create.0,
        mod_revision: record.rev.main.0,
        version: record.version,
        value: record.value,
        lease: record.lease.0,
    }
}

pub(super) fn range(request: rpc::RangeRequest) -> RangeRequest {
    RangeRequest {
        range: KeyRange::new(request.key, request.range_end),
        limit: request.limit,
        revision: Revision(request.revision),
        sort_order: match request.sort_order {
            rpc::SortOrder::None | rpc::SortOrder::Unknown(_) => SortOrder::None,
            rpc::SortOrder::Ascend => SortOrder::Ascend,
            rpc::SortOrder::Descend => SortOrder::Descend,
        },
        sort_target: match request.sort_target {
            rpc::SortTarget::Key | rpc::SortTarget::Unknown(_) => SortTarget::Key,
            rpc::SortTarget::Version => SortTarget::Version,
            rpc::SortTarget::Create => SortTarget::Create,
            rpc::SortTarget::Mod => SortTarget::Mod,
            rpc::SortTarget::Value => SortTarget::Value,
        },
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod_revision: Revision(request.min_mod_revision),
        max_mod_revision: Revision(request.max_mod_revision),
        min_create_revision: Revision(request.min_create_revision),
        max_create_revision: Revision(request.max_create_revision),
    }
}

pub(super) fn put(request: rpc::PutRequest) -> PutRequest {
    PutRequest {
        key: request.key,
        value: request.value,
        lease: LeaseId(request.lease),
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    }
}

pub(super) fn delete_range(request: rpc::DeleteRangeRequest) -> DeleteRangeRequest {
    DeleteRangeRequest { range: KeyRange::new(request.key, request.range_end), prev_kv: request.prev_kv }
}

/// Errors: `KeyNotFound` for an operation that is none, as etcd says it; `TooManyOps`; and what is wrong with a compare or an
/// operation before these, since etcd names the first.
pub(super) fn txn(request: rpc::TxnRequest, ops_max: usize) -> Result<TxnRequest, Error> {
    let widest = request.compare.len().max(request.success.len()).max(request.failure.len());
    // A nested transaction may use what its parent has left.
    let ops_left = ops_max.checked_sub(widest).ok_or(Error::TooManyOps)?;
    let branch =
        |ops: Vec<RequestOp>| ops.into_iter().map(|op| txn_op(op, ops_left)).collect::<Result<_, _>>();
    let checked = |given| {
        let compare = compare(given);
        store::check_compare(&compare).map(|()| compare)
    };
    Ok(TxnRequest {
        compare: request.compare.into_iter().map(checked).collect::<Result<_, _>>()?,
        success: branch(request.success)?,
        failure: branch(request.failure)?,
    })
}

fn txn_op(op: RequestOp, ops_max: usize) -> Result<TxnOp, Error> {
    let op = match op {
        RequestOp::None => return Err(Error::KeyNotFound),
        RequestOp::Range(request) => TxnOp::Range(range(request)),
        RequestOp::Put(request) => TxnOp::Put(put(request)),
        RequestOp::DeleteRange(request) => TxnOp::DeleteRange(delete_range(request)),
        RequestOp::Txn(request) => TxnOp::Txn(Box::new(txn(request, ops_max)?)),
    };
    store::check_op(&op)?;
    Ok(op)
}

/// The target says what is compared; an operand of another kind counts as none, and none as zero.
fn compare(compare: rpc::Compare) -> Compare {
    let operand = compare.operand;
    let value = match (compare.target, operand) {
        (CompareTarget::Version | CompareTarget::Unknown(_), CompareOperand::Version(version)) => {
            CompareValue::Version(version)
        }
        (CompareTarget::Version | CompareTarget::Unknown(_), _) => CompareValue::Version(0),
        (CompareTarget::Create, CompareOperand::CreateRevision(revision)) => {
            CompareValue::Create(Revision(revision))
        }
        (CompareTarget::Create, _) => CompareValue::Create(Revision(0)),
        (CompareTarget::Mod, CompareOperand::ModRevision(revision)) => CompareValue::Mod(Revision(revision)),
        (CompareTarget::Mod, _) => CompareValue::Mod(Revision(0)),
        (CompareTarget::Value, CompareOperand::Value(value)) => CompareValue::Value(value),
        (CompareTarget::Value, _) => CompareValue::Value(Default::default()),
        (CompareTarget::Lease, CompareOperand::Lease(lease)) => CompareValue::Lease(LeaseId(lease)),
        (CompareTarget::Lease, _) => CompareValue::Lease(LeaseId::NONE),
    };
    let result = match compare.result {
        rpc::CompareResult::Equal => CompareResult::Equal,
        rpc::CompareResult::Greater => CompareResult::Greater,
        rpc::CompareResult::Less => CompareResult::Less,
        rpc::CompareResult::NotEqual => CompareResult::NotEqual,
        rpc::CompareResult::Unknown(_) => CompareResult::Unknown,
    };
    Compare { range: KeyRange::new(compare.key, compare.range_end), result, value }
}

/// `None`: no alarm that there is.
pub(super) fn alarm_kind(alarm: rpc::AlarmType) -> Option<AlarmKind> {
    match alarm {
        rpc::AlarmType::NoSpace => Some(AlarmKind::NoSpace),
        rpc::AlarmType::Corrupt => Some(AlarmKind::Corrupt),
        rpc::AlarmType::None | rpc::AlarmType::Unknown(_) => None,
    }
}

pub(super) fn alarm_type(kind: AlarmKind) -> rpc::AlarmType {
    match kind {
        AlarmKind::NoSpace => rpc::AlarmType::NoSpace,
        AlarmKind::Corrupt => rpc::AlarmType::Corrupt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, ops_max: usize) -> Result<TxnRequest, Error> {
        txn(rpc::decode(body.as_bytes()).unwrap(), ops_max)
    }

    #[test]
    fn operands_that_do_not_fit_are_zero() {
        let cases = [
            (r#""target":"MOD","mod_revision":7"#, CompareValue::Mod(Revision(7))),
            (r#""target":"MOD","version":7"#, CompareValue::Mod(Revision(0))),
            (r#""target":"BOGUS","version":7"#, CompareValue::Version(7)),
            (r#""target":9,"version":7"#, CompareValue::Version(7)),
            (r#""target":"VALUE""#, CompareValue::Value(Default::default())),
            (r#""target":"LEASE","lease":-1"#, CompareValue::Lease(LeaseId(-1))),
        ];
        for (text, wanted) in cases {
            let body = format!(r#"{{"compare":[{{"key":"YQ==",{text}}}]}}"#);
            assert_eq!(read(&body, 128).unwrap().compare[0].value, wanted, "{text}");
        }
        let unknown = read(r#"{"compare":[{"key":"YQ==","result":9}]}"#, 128).unwrap();
        assert_eq!(unknown.compare[0].result, CompareResult::Unknown);
    }

    #[test]
    fn operations_are_counted_with_what_the_parent_uses() {
        let nested = |inner: usize| {
            let ops = vec![r#"{"request_range":{"key":"YQ=="}}"#; inner].join(",");
            format!(r#"{{"success":[{{"request_txn":{{"failure":[{ops}]}}}}]}}"#)
        };
        assert!(read(&nested(3), 4).is_ok());
        assert_eq!(read(&nested(4), 4), Err(Error::TooManyOps));
        assert_eq!(read(r#"{"compare":[{},{},{}]}"#, 2), Err(Error::TooManyOps));
    }

    #[test]
    fn the_first_thing_wrong_is_named() {
        let cases = [
            (r#"{"failure":[{}]}"#, Error::KeyNotFound),
            (r#"{"failure":[{}],"compare":[{}]}"#, Error::EmptyKey),
            (
                r#"{"failure":[{}],"success":[{"request_txn":{"failure":[{"request_put":{}}]}}]}"#,
                Error::EmptyKey,
            ),
            (r#"{"success":[{},{"request_put":{}}]}"#, Error::KeyNotFound),
        ];
        for (body, error) in cases {
            assert_eq!(read(body, 128), Err(error), "{body}");
        }
    }
}
