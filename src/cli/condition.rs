//! `--if-absent`, `--if-value`, `--if-rev`: a change on a condition, as a transaction.

use std::ffi::OsString;

use super::{
    failure::Failure,
    go,
    session::{Session, bytes},
};
use crate::{
    rpc::{
        Compare, CompareOperand, CompareResult, CompareTarget, KeyValue, RangeRequest, RequestOp, ResponseOp,
        TxnRequest, TxnResponse,
    },
    types::Bytes,
};

pub(super) struct Condition {
    pub(super) absent: bool,
    pub(super) value: Option<OsString>,
    pub(super) revision: Option<i64>,
}

impl Condition {
    /// What must hold; nothing if there is no condition.
    pub(super) fn compares(&self, key: &Bytes) -> Vec<Compare> {
        let compare = |target, operand| Compare {
            result: CompareResult::Equal,
            target,
            key: key.clone(),
            operand,
            range_end: Bytes::new(),
        };
        let absent = self.absent.then(|| compare(CompareTarget::Create, CompareOperand::CreateRevision(0)));
        let value = self
            .value
            .as_ref()
            .map(|value| compare(CompareTarget::Value, CompareOperand::Value(bytes(value))));
        let revision = self.revision.map(|rev| compare(CompareTarget::Mod, CompareOperand::ModRevision(rev)));
        absent.into_iter().chain(value).chain(revision).collect()
    }
}

/// Carries an operation out, or says what is there instead.
pub(super) async fn txn(
    compare: Vec<Compare>,
    operation: RequestOp,
    key: &Bytes,
    session: &Session,
) -> Result<TxnResponse, Failure> {
    let there = RangeRequest { key: key.clone(), ..RangeRequest::default() };
    let request = TxnRequest { compare, success: vec![operation], failure: vec![RequestOp::Range(there)] };
    let response = session.client.txn(&request).await?;
    match response.succeeded {
        true => Ok(response),
        false => Err(refused(key, &response)),
    }
}

fn refused(key: &Bytes, response: &TxnResponse) -> Failure {
    let found = match response.responses.first() {
        Some(ResponseOp::Range(range)) => range.kvs.first(),
        _ => None,
    };
    let key = go::quote(key);
    Failure::error(match found {
        None => format!("nothing was changed: there is no key {key}"),
        Some(kv) => {
            format!("nothing was changed: {key} has {} since revision {}", shown(kv), kv.mod_revision)
        }
    })
}

fn shown(kv: &KeyValue) -> String {
    match kv.value.len() {
        0..=100 => format!("the value {}", go::quote(&kv.value)),
        bytes => format!("a value of {bytes} bytes"),
    }
}
