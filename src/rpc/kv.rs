//! Keys: ranges, puts, deletes, transactions, compaction.

use super::{CompareResult, CompareTarget, SortOrder, SortTarget, base64, member};
use crate::types::Bytes;

message! {
    pub struct ResponseHeader {
        cluster_id: u64,
        member_id: u64,
        revision: i64,
        raft_term: u64,
    }
}

message! {
    pub struct KeyValue {
        key: Bytes,
        create_revision: i64,
        mod_revision: i64,
        version: i64,
        value: Bytes,
        lease: i64,
    }
}

/// A `KeyValue` of bytes that lie elsewhere, to be written only.
#[derive(Clone, Copy, Debug)]
pub struct KeyValueAt<'a> {
    pub key: &'a [u8],
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
    pub value: &'a [u8],
    pub lease: i64,
}

impl KeyValueAt<'_> {
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        member_base64(out, "\"key\":", self.key);
        member(out, "\"create_revision\":", &self.create_revision);
        member(out, "\"mod_revision\":", &self.mod_revision);
        member(out, "\"version\":", &self.version);
        member_base64(out, "\"value\":", self.value);
        member(out, "\"lease\":", &self.lease);
        out.push(b'}');
    }
}

fn member_base64(out: &mut Vec<u8>, key: &str, bytes: &[u8]) {
    if !bytes.is_empty() {
        super::key(out, key);
        base64(out, bytes);
    }
}

message! {
    pub struct RangeRequest {
        key: Bytes,
        range_end: Bytes,
        limit: i64,
        revision: i64,
        sort_order: SortOrder,
        sort_target: SortTarget,
        serializable: bool,
        keys_only: bool,
        count_only: bool,
        min_mod_revision: i64,
        max_mod_revision: i64,
        min_create_revision: i64,
        max_create_revision: i64,
    }
}

message! {
    pub struct RangeResponse {
        header: Option<ResponseHeader>,
        kvs: Vec<KeyValue>,
        more: bool,
        count: i64,
    }
}

message! {
    pub struct PutRequest {
        key: Bytes,
        value: Bytes,
        lease: i64,
        prev_kv: bool,
        ignore_value: bool,
        ignore_lease: bool,
    }
}

message! {
    pub struct PutResponse {
        header: Option<ResponseHeader>,
        prev_kv: Option<KeyValue>,
    }
}

message! {
    pub struct DeleteRangeRequest {
        key: Bytes,
        range_end: Bytes,
        prev_kv: bool,
    }
}

message! {
    pub struct DeleteRangeResponse {
        header: Option<ResponseHeader>,
        deleted: i64,
        prev_kvs: Vec<KeyValue>,
    }
}

message! {
    pub struct Compare {
        result: CompareResult,
        target: CompareTarget,
        key: Bytes,
        operand: CompareOperand,
        range_end: Bytes,
    }
}

oneof! {
    /// What is compared with, etcd's `target_union`.
    part enum CompareOperand {
        Version(i64) = "version",
        CreateRevision(i64) = "create_revision",
        ModRevision(i64) = "mod_revision",
        Value(Bytes) = "value",
        Lease(i64) = "lease",
    }
}

message! {
    pub struct TxnRequest {
        compare: Vec<Compare>,
        success: Vec<RequestOp>,
        failure: Vec<RequestOp>,
    }
}

oneof! {
    message enum RequestOp {
        Range(RangeRequest) = "request_range",
        Put(PutRequest) = "request_put",
        DeleteRange(DeleteRangeRequest) = "request_delete_range",
        Txn(TxnRequest) = "request_txn",
    }
}

message! {
    pub struct TxnResponse {
        header: Option<ResponseHeader>,
        succeeded: bool,
        responses: Vec<ResponseOp>,
    }
}

oneof! {
    message enum ResponseOp {
        Range(RangeResponse) = "response_range",
        Put(PutResponse) = "response_put",
        DeleteRange(DeleteRangeResponse) = "response_delete_range",
        Txn(TxnResponse) = "response_txn",
    }
}

message! {
    pub struct CompactionRequest {
        revision: i64,
        physical: bool,
    }
}

message! {
    pub struct CompactionResponse {
        header: Option<ResponseHeader>,
    }
}
