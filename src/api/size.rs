//! How large a request is, as etcd counts it: the bytes of its message, without JSON and base64.

use crate::types::{Command, CompareValue, Error, PutRequest, TxnOp, TxnRequest};

/// Tags, lengths and numbers around the bytes of one operation.
const OVERHEAD_BYTES: usize = 16;

/// Errors: `RequestTooLarge` for what etcd would not propose.
pub(super) fn check(command: &Command, bytes_max: usize) -> Result<(), Error> {
    if OVERHEAD_BYTES + command_bytes(command) > bytes_max { Err(Error::RequestTooLarge) } else { Ok(()) }
}

fn command_bytes(command: &Command) -> usize {
    match command {
        Command::Put(put) => put_bytes(put),
        Command::DeleteRange(delete) => delete.range.key.len() + delete.range.range_end.len(),
        Command::Txn(txn) => txn_bytes(txn),
        _ => 0,
    }
}

fn put_bytes(put: &PutRequest) -> usize {
    OVERHEAD_BYTES + put.key.len() + put.value.len()
}

fn txn_bytes(txn: &TxnRequest) -> usize {
    let compares = txn.compare.iter().map(|compare| {
        let value = match &compare.value {
            CompareValue::Value(value) => value.len(),
            _ => 0,
        };
        OVERHEAD_BYTES + compare.range.key.len() + compare.range.range_end.len() + value
    });
    let ops = txn.success.iter().chain(&txn.failure).map(|op| match op {
        TxnOp::Range(range) => OVERHEAD_BYTES + range.range.key.len() + range.range.range_end.len(),
        TxnOp::Put(put) => put_bytes(put),
        TxnOp::DeleteRange(delete) => OVERHEAD_BYTES + delete.range.key.len() + delete.range.range_end.len(),
        TxnOp::Txn(txn) => OVERHEAD_BYTES + txn_bytes(txn),
    });
    compares.chain(ops).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::limits::COMMAND_BYTES_MAX;

    #[test]
    fn the_limit_of_etcd() {
        let put = |bytes: usize| PutRequest {
            key: b"key".into(),
            value: vec![0; bytes].into(),
            ..Default::default()
        };
        assert_eq!(check(&Command::Put(put(1_572_600)), COMMAND_BYTES_MAX), Ok(()));
        assert_eq!(check(&Command::Put(put(1_572_864)), COMMAND_BYTES_MAX), Err(Error::RequestTooLarge));
        let inner = TxnRequest { failure: vec![TxnOp::Put(put(800_000))], ..Default::default() };
        let both = |op| TxnRequest { success: vec![TxnOp::Put(put(800_000)), op], ..Default::default() };
        let nested = Command::Txn(both(TxnOp::Txn(Box::new(inner))));
        assert_eq!(check(&nested, COMMAND_BYTES_MAX), Err(Error::RequestTooLarge));
        assert_eq!(check(&nested, 2 * COMMAND_BYTES_MAX), Ok(()));
    }
}
