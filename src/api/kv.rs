//! Keys: range, put, deleterange, txn, compaction.
//!
//! Nothing that can be as large as the store is in memory at once: rows are read in slices and written as they come.

use super::{
    Api,
    answer::Answer,
    convert,
    errors::{Fault, Refusal},
};
use crate::{
    member::RangeReader,
    rpc::{self, member},
    store::{self, RangeDone},
    types::{
        Command, DeleteOutcome, KeyRev, Outcome, PutOutcome, RangeRequest, Revision, TxnOutcome, TxnPart,
    },
};

const HEADER: &str = "\"header\":";

pub(super) async fn range(
    api: &Api,
    request: RangeRequest,
    serializable: bool,
    answer: &mut Answer<'_, '_>,
) -> Result<(), Fault> {
    store::check_range(&request)?;
    let mut reader = api.member.range(request, serializable).await?;
    let header = api.header_at(reader.revision());
    write_range(header, &mut reader, answer).await
}

pub(super) async fn put(api: &Api, request: rpc::PutRequest) -> Result<rpc::PutResponse, Fault> {
    let command = Command::Put(convert::put(request));
    let applied = api.propose(command).await?;
    let Outcome::Put(put) = &applied.outcome else { panic!("a put led to {:?}", applied.outcome) };
    Ok(rpc::PutResponse { header: Some(api.header_at(put.revision)), prev_kv: prev_kv(api, put.prev).await? })
}

pub(super) async fn delete_range(
    api: &Api,
    request: rpc::DeleteRangeRequest,
    answer: &mut Answer<'_, '_>,
) -> Result<(), Fault> {
    let command = Command::DeleteRange(convert::delete_range(request));
    let applied = api.propose(command).await?;
    let Outcome::Delete(delete) = &applied.outcome else { panic!("a delete led to {:?}", applied.outcome) };
    write_delete(api, api.header_at(delete.revision), delete, answer).await
}

pub(super) async fn txn(
    api: &Api,
    request: rpc::TxnRequest,
    answer: &mut Answer<'_, '_>,
) -> Result<(), Fault> {
    let txn = convert::txn(request, api.options.txn_ops_max)?;
    let applied = api.propose(Command::Txn(txn)).await?;
    let Outcome::Txn(txn) = &applied.outcome else { panic!("a txn led to {:?}", applied.outcome) };
    let TxnOutcome { revision, succeeded, parts } = txn;
    write_txn(api, api.header_at(*revision), *succeeded, parts, answer).await
}

pub(super) async fn compact(
    api: &Api,
    request: rpc::CompactionRequest,
) -> Result<rpc::CompactionResponse, Fault> {
    let revision = Revision(request.revision);
    api.member.compact(revision, request.physical).await.map_err(Refusal::of_write)?;
    Ok(rpc::CompactionResponse { header: Some(api.header()) })
}

/// The value before, where an outcome says that it stands.
async fn prev_kv(api: &Api, at: Option<KeyRev>) -> Result<Option<rpc::KeyValue>, Fault> {
    match at {
        Some(at) => Ok(Some(convert::key_value(api.member.record(at).await?))),
        None => Ok(None),
    }
}

/// A RangeResponse.
async fn write_range(
    header: rpc::ResponseHeader,
    reader: &mut RangeReader,
    answer: &mut Answer<'_, '_>,
) -> Result<(), Fault> {
    answer.out.push(b'{');
    member(&mut answer.out, HEADER, &header);
    let RangeDone { count, more } = write_rows("\"kvs\":", reader, answer).await?;
    member(&mut answer.out, "\"more\":", &more);
    member(&mut answer.out, "\"count\":", &count);
    answer.out.push(b'}');
    Ok(())
}

/// A field of KeyValues, absent if there are none.
async fn write_rows(
    name: &str,
    reader: &mut RangeReader,
    answer: &mut Answer<'_, '_>,
) -> Result<RangeDone, Fault> {
    let mut any = false;
    loop {
        let slice = reader.next().await?;
        for row in slice.rows.iter() {
            if any {
                answer.out.push(b',');
            } else {
                rpc::key(&mut answer.out, name);
                answer.out.push(b'[');
            }
            any = true;
            convert::key_value_at(row).write(&mut answer.out);
        }
        if let Some(done) = slice.end {
            if any {
                answer.out.push(b']');
            }
            return Ok(done);
        }
        answer.spill().await?;
    }
}

/// A DeleteRangeResponse.
async fn write_delete(
    api: &Api,
    header: rpc::ResponseHeader,
    delete: &DeleteOutcome,
    answer: &mut Answer<'_, '_>,
) -> Result<(), Fault> {
    answer.out.push(b'{');
    member(&mut answer.out, HEADER, &header);
    member(&mut answer.out, "\"deleted\":", &delete.deleted);
    if let Some(prev) = &delete.prev {
        let mut reader = api.member.range_at(prev.clone()).await?;
        write_rows("\"prev_kvs\":", &mut reader, answer).await?;
    }
    answer.out.push(b'}');
    Ok(())
}

/// A TxnResponse. Nests as deep as the request, which the store bounds.
async fn write_txn(
    api: &Api,
    header: rpc::ResponseHeader,
    succeeded: bool,
    parts: &[TxnPart],
    answer: &mut Answer<'_, '_>,
) -> Result<(), Fault> {
    answer.out.push(b'{');
    member(&mut answer.out, HEADER, &header);
    member(&mut answer.out, "\"succeeded\":", &succeeded);
    for (index, part) in parts.iter().enumerate() {
        if index == 0 {
            rpc::key(&mut answer.out, "\"responses\":");
            answer.out.push(b'[');
        } else {
            answer.out.push(b',');
        }
        write_part(api, part, answer).await?;
        answer.spill().await?;
    }
    if !parts.is_empty() {
        answer.out.push(b']');
    }
    answer.out.push(b'}');
    Ok(())
}

/// A ResponseOp. Inner headers have a revision at most.
async fn write_part(api: &Api, part: &TxnPart, answer: &mut Answer<'_, '_>) -> Result<(), Fault> {
    let inner = |revision: Revision| rpc::ResponseHeader { revision: revision.0, ..Default::default() };
    match part {
        TxnPart::Range { revision, range } => {
            let mut reader = api.member.range_at(range.clone()).await?;
            answer.out.extend_from_slice(b"{\"response_range\":");
            write_range(inner(*revision), &mut reader, answer).await?;
        }
        TxnPart::Put(PutOutcome { revision, prev }) => {
            let put =
                rpc::PutResponse { header: Some(inner(*revision)), prev_kv: prev_kv(api, *prev).await? };
            answer.out.extend_from_slice(b"{\"response_put\":");
            answer.message(&put);
        }
        TxnPart::Delete(delete) => {
            answer.out.extend_from_slice(b"{\"response_delete_range\":");
            write_delete(api, inner(delete.revision), delete, answer).await?;
        }
        TxnPart::Txn { succeeded, parts } => {
            answer.out.extend_from_slice(b"{\"response_txn\":");
            let header = rpc::ResponseHeader::default();
            Box::pin(write_txn(api, header, *succeeded, parts, answer)).await?;
        }
    }
    answer.out.push(b'}');
    Ok(())
}
