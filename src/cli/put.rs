//! `put KEY VALUE`, and what etcdctl does not have: `--ttl`, `--if-…`, `--in-order`.

use std::{ffi::OsString, io::Read as _, time::Duration};

use clap::Args;

use super::{
    condition::{self, Condition},
    failure::Failure,
    go,
    print::{Answer, Format},
    session::{Session, bytes},
};
use crate::{
    rpc::{
        Compare, CompareOperand, CompareResult, CompareTarget, LeaseGrantRequest, LeaseRevokeRequest,
        PutRequest, PutResponse, RangeRequest, RequestOp, ResponseOp, TxnRequest, TxnResponse,
    },
    types::Bytes,
};

/// etcdctl's part, which `txn` has too.
#[derive(Args)]
pub(super) struct Basic {
    /// The key.
    key: Option<OsString>,
    /// The value; if it is not given it is read from standard input.
    value: Option<OsString>,
    /// Attach the key to that lease (hexadecimal).
    #[arg(long, default_value = "0", hide_default_value = true, value_name = "ID")]
    lease: String,
    /// Print the key and value that were there before.
    #[arg(long)]
    prev_kv: bool,
    /// Keep the value that is there.
    #[arg(long)]
    ignore_value: bool,
    /// Keep the lease that is there.
    #[arg(long)]
    ignore_lease: bool,
}

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    basic: Basic,
    /// Let the key live for so long (a lease of its own).
    #[arg(long, value_name = "TIME", value_parser = go::parse_duration, conflicts_with_all = ["lease", "ignore_lease"])]
    ttl: Option<Duration>,
    /// Only if there is no such key.
    #[arg(long, conflicts_with_all = ["if_value", "if_rev", "ignore_value", "ignore_lease"])]
    if_absent: bool,
    /// Only if the key has that value.
    #[arg(long, value_name = "VALUE")]
    if_value: Option<OsString>,
    /// Only if the key was last changed at that revision.
    #[arg(long, value_name = "REVISION")]
    if_rev: Option<i64>,
    /// Make a new key below KEY that comes after all made there before, and print it.
    #[arg(long, conflicts_with_all = ["if_absent", "if_value", "if_rev", "ignore_value", "ignore_lease", "prev_kv"])]
    in_order: bool,
}

pub(super) async fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let condition =
        Condition { absent: arguments.if_absent, value: arguments.if_value, revision: arguments.if_rev };
    let mut request = arguments.basic.request(Some(&mut std::io::stdin()))?;
    let lease = match arguments.ttl {
        Some(ttl) => Some(grant(ttl, session).await?),
        None => None,
    };
    request.lease = lease.unwrap_or(request.lease);
    let done = match arguments.in_order {
        true => in_order(request, session).await,
        false => put(request, condition, session).await,
    };
    if let (Some(id), Err(_)) = (lease, &done) {
        // It would only hold nothing until it expires.
        let _ = session.client.lease_revoke(&LeaseRevokeRequest { id }).await;
    }
    done
}

impl Basic {
    /// Without an input the value must be an argument.
    pub(super) fn request(self, input: Option<&mut dyn std::io::Read>) -> Result<PutRequest, Failure> {
        let needs = "put command needs 1 argument and input from stdin or 2 arguments";
        let Some(key) = self.key else { return Err(Failure::bad_arguments(needs)) };
        if self.ignore_value && self.value.is_some() {
            return Err(Failure::bad_arguments(
                "put command needs only 1 argument when 'ignore-value' is set",
            ));
        }
        let lease = go::parse_int(&self.lease, 16).map_err(|error| {
            Failure::bad_arguments(format_args!("bad lease ID ({error}), expecting ID in Hex"))
        })?;
        let value = match &self.value {
            Some(value) => bytes(value),
            None if self.ignore_value => Bytes::new(),
            None => read_value(input.ok_or_else(|| Failure::bad_arguments(needs))?)?,
        };
        Ok(PutRequest {
            key: bytes(&key),
            value,
            lease,
            prev_kv: self.prev_kv,
            ignore_value: self.ignore_value,
            ignore_lease: self.ignore_lease,
        })
    }
}

/// No server takes a larger request, whatever its settings are likely to be.
const VALUE_BYTES_MAX: u64 = 64 * 1024 * 1024;

fn read_value(input: &mut dyn std::io::Read) -> Result<Bytes, Failure> {
    let mut value = Vec::new();
    let read = input.take(VALUE_BYTES_MAX + 1).read_to_end(&mut value);
    read.map_err(|error| Failure::error(format_args!("cannot read the value from standard input: {error}")))?;
    match value.len() as u64 > VALUE_BYTES_MAX {
        true => Err(Failure::error(format_args!("the value is larger than {VALUE_BYTES_MAX} bytes"))),
        false => Ok(value.into()),
    }
}

async fn put(request: PutRequest, condition: Condition, session: &Session) -> Result<(), Failure> {
    let compare = condition.compares(&request.key);
    if compare.is_empty() {
        return session.print(&Answer::Put(&session.client.put(&request).await?));
    }
    let key = request.key.clone();
    let response = condition::txn(compare, RequestOp::Put(request), &key, session).await?;
    let prev_kv = match response.responses.into_iter().next() {
        Some(ResponseOp::Put(put)) => put.prev_kv,
        _ => None,
    };
    session.print(&Answer::Put(&PutResponse { header: response.header, prev_kv }))
}

/// A lease's time is in whole seconds: rather a little longer than shorter.
async fn grant(ttl: Duration, session: &Session) -> Result<i64, Failure> {
    let seconds = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0)).max(1);
    let request = LeaseGrantRequest { ttl: i64::try_from(seconds).unwrap_or(i64::MAX), id: 0 };
    Ok(session.client.lease_grant(&request).await?.id)
}

/// Others may make keys at the same time; each turn one of them succeeds.
const TURNS: usize = 100;

/// The new key's name is a revision that is not below any before, and nothing behind it exists: so keys sort by creation.
async fn in_order(request: PutRequest, session: &Session) -> Result<(), Failure> {
    let mut directory = request.key.to_vec();
    if directory.last().is_some_and(|byte| *byte != b'/') {
        directory.push(b'/');
    }
    let now = RangeRequest { key: directory[..].into(), count_only: true, ..RangeRequest::default() };
    let mut revision = session.client.range(&now).await?.header.map_or(0, |header| header.revision);
    for _ in 0..TURNS {
        let name = format!("{:020}", revision.saturating_add(1));
        let key = Bytes::from([&directory[..], name.as_bytes()].concat());
        let response = session.client.txn(&create_last(&directory, key.clone(), &request)).await?;
        if response.succeeded {
            return print_created(&key, response, session);
        }
        let seen = response.header.map_or(0, |header| header.revision);
        revision = seen.max(revision.saturating_add(1));
    }
    Err(Failure::error(format_args!("others made keys below {} all the time", go::quote(&directory))))
}

/// Creates `key` unless it or one that comes after it exists. A revision in twenty digits begins with a zero.
fn create_last(directory: &[u8], key: Bytes, request: &PutRequest) -> TxnRequest {
    let none_behind = Compare {
        result: CompareResult::Equal,
        target: CompareTarget::Create,
        key: key.clone(),
        operand: CompareOperand::CreateRevision(0),
        range_end: [directory, b"1"].concat().into(),
    };
    let range = RangeRequest { key: key.clone(), ..RangeRequest::default() };
    TxnRequest {
        compare: vec![none_behind],
        success: vec![RequestOp::Put(PutRequest { key, ..request.clone() }), RequestOp::Range(range)],
        failure: Vec::new(),
    }
}

/// `simple` prints the key; the other formats what a get of it gives.
fn print_created(key: &Bytes, response: TxnResponse, session: &Session) -> Result<(), Failure> {
    if session.style.format == Format::Simple {
        super::output::Output::new().bytes(&session.text(key));
        return Ok(());
    }
    match response.responses.into_iter().nth(1) {
        Some(ResponseOp::Range(mut range)) => {
            range.header = response.header;
            session.print(&Answer::Get(&range))
        }
        _ => Err(Failure::error("the answer lacks what was created")),
    }
}
