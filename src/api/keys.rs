//! Keys for who types curl: `/kv/<key>`, raw values.
//!
//! The key is all that follows `/kv/`, percent-decoded, never cleaned: `/kv//boards/a` is the key `/boards/a`.
//!
//! | request | answer |
//! |---|---|
//! | `GET /kv/a` | the value; 404 if there is none. `ETag` is the key's mod revision |
//! | `GET /kv/a/?prefix` | one JSON line for each key that begins so (see `line`), in order of keys |
//! | `GET /kv/a?watch`, `?watch&prefix` | server-sent events (see `events`) |
//! | `PUT /kv/a` | stores the body; `ETag` is its revision |
//! | `PUT /kv/a?ttl=10s` | ... for so long: under a lease of its own, granted for this put. The lease of the value that is replaced is left to run out, and takes nothing with it |
//! | `DELETE /kv/a` | 404 if there was none |
//! | `DELETE /kv/a/?prefix` | `{"deleted":3}` |
//!
//! `If-Match: "7"` (or `*`: there is one) and `If-None-Match: *` (there is none) make a PUT or DELETE conditional: 412
//! if it is otherwise. `If-None-Match: "7"` makes a GET answer 304 if nothing has changed.
//!
//! A refusal is one line of text. An unknown parameter is refused too, so that a misspelt `ttl` keeps nothing for ever.

use std::time::Duration;

use super::{
    Api,
    errors::{Fault, Refusal, status},
    events, line, pages,
    query::{self, Query},
    text_head,
};
use crate::{
    http::{BodyError, Closed, Exchange, Head, decode_path},
    types::{
        Bytes, Command, Compare, CompareResult, CompareValue, DeleteRangeRequest, Error, KeyRange, LeaseId,
        Outcome, PutRequest, RangeRequest, Revision, TxnOp, TxnPart, TxnRequest, limits,
    },
};

const SLICE_BYTES: usize = 64 << 10;

const VALUE_TYPE: &str = "application/octet-stream";
const LINES_TYPE: &str = "application/x-ndjson";
const NO_SNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");

/// What a put or delete wants to find.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Condition {
    Always,
    Exists,
    Absent,
    Revision(Revision),
}

pub(super) async fn handle(api: &Api, path: &str, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    let result = match exchange.method() {
        "GET" | "HEAD" | "PUT" | "DELETE" if api.member.only_listens() => Err(Error::IsLearner.into()),
        "GET" | "HEAD" => get(api, path, exchange).await,
        "PUT" => put(api, path, exchange).await,
        "DELETE" => delete(api, path, exchange).await,
        _ => return pages::method_not_allowed(exchange, "GET, HEAD, PUT, DELETE").await,
    };
    match result {
        Err(Fault::Refused(refusal)) => {
            let text = format!("{}\n", refusal.message);
            exchange.reply(text_head(refusal.status()), text.as_bytes()).await
        }
        Ok(()) => Ok(()),
        Err(Fault::Closed) => Err(Closed),
    }
}

fn key_of(path: &str) -> Result<Bytes, Refusal> {
    decode_path(path).map(Bytes::from).map_err(|_| Refusal::ESCAPE)
}

fn range_of(key: Bytes, query: &Query) -> KeyRange {
    if query.flag("prefix") { KeyRange::prefix(&key) } else { KeyRange::single(key) }
}

async fn get(api: &Api, path: &str, exchange: &mut Exchange<'_>) -> Result<(), Fault> {
    let query = query::strict(exchange.query(), &["prefix", "watch", "rev"])?;
    let range = range_of(key_of(path)?, &query);
    if query.flag("watch") {
        let start = match query.first("rev") {
            Some(text) => Some(text.parse().map_err(|_| Refusal::REVISION)?),
            None => None,
        };
        return events::watch(api, range, start.map(Revision), exchange).await;
    }
    if query.first("rev").is_some() {
        return Err(Refusal::parameter("rev", &["prefix", "watch (and rev with it)"]).into());
    }
    if query.flag("prefix") { list(api, range, exchange).await } else { value(api, range, exchange).await }
}

async fn value(api: &Api, range: KeyRange, exchange: &mut Exchange<'_>) -> Result<(), Fault> {
    let request = RangeRequest { range, ..RangeRequest::default() };
    crate::store::check_range(&request)?;
    let mut reader = api.member.range(request, false).await?;
    let slice = reader.next().await?;
    let Some(row) = slice.rows.iter().next() else {
        exchange.reply(text_head(status::NOT_FOUND), b"key not found\n").await?;
        return Ok(());
    };
    let tag = etag(row.rev.main);
    let unchanged = exchange.header("if-none-match").is_some_and(|tags| names(tags, &tag));
    let headers = &[("ETag", &*tag), NO_SNIFF];
    match unchanged {
        true => exchange.reply(Head { status: status::NOT_MODIFIED, content_type: "", headers }, b"").await?,
        false => {
            exchange.reply(Head { status: status::OK, content_type: VALUE_TYPE, headers }, row.value).await?
        }
    }
    Ok(())
}

/// Streams one line a key. Cut off if it cannot be finished.
async fn list(api: &Api, range: KeyRange, exchange: &mut Exchange<'_>) -> Result<(), Fault> {
    let request = RangeRequest { range, ..RangeRequest::default() };
    let mut reader = api.member.range(request, false).await?;
    let head = Head { status: status::OK, content_type: LINES_TYPE, headers: &[NO_SNIFF] };
    let (mut out, mut begun) = (Vec::new(), false);
    loop {
        let slice = match reader.next().await {
            Ok(slice) => slice,
            Err(_) if begun => return Err(Fault::Closed),
            Err(error) => return Err(error.into()),
        };
        for row in slice.rows.iter() {
            line::write(&row, &mut out);
            out.push(b'\n');
        }
        match (slice.end.is_some(), begun) {
            (true, false) => return Ok(exchange.reply(head, &out).await?),
            (false, _) if out.len() < SLICE_BYTES => continue,
            (false, false) => exchange.start(head).await?,
            (_, true) => {}
        }
        begun = true;
        exchange.chunk(&out).await?;
        out.clear();
        exchange.room().wait().await;
        if slice.end.is_some() {
            return Ok(exchange.finish().await?);
        }
    }
}

async fn put(api: &Api, path: &str, exchange: &mut Exchange<'_>) -> Result<(), Fault> {
    let query = query::strict(exchange.query(), &["ttl"])?;
    let key = key_of(path)?;
    let ttl = query.first("ttl").map(ttl_s).transpose()?;
    let condition = condition(exchange)?;
    let value = body(api, exchange).await?;
    let put = PutRequest { key, value: value.into(), ..PutRequest::default() };
    crate::store::check(&Command::Put(put.clone()))?;
    let lease = match ttl {
        Some(ttl_s) => api.member.lease_grant(LeaseId::NONE, ttl_s).await.map_err(Refusal::of_write)?.0,
        None => LeaseId::NONE,
    };
    let range = KeyRange::single(put.key.clone());
    let result = propose(api, condition, range, TxnOp::Put(PutRequest { lease, ..put })).await;
    if !matches!(result, Ok(Some(_))) && !lease.is_none() {
        // Nothing hangs on it. If it cannot be revoked now, it runs out.
        let _ = api.member.lease_revoke(lease).await;
    }
    match result? {
        Some(TxnPart::Put(put)) => {
            let tag = etag(put.revision);
            let head = Head { status: status::OK, content_type: "", headers: &[("ETag", &tag)] };
            Ok(exchange.reply(head, b"").await?)
        }
        Some(part) => panic!("a put led to {part:?}"),
        None => precondition_failed(exchange).await,
    }
}

async fn delete(api: &Api, path: &str, exchange: &mut Exchange<'_>) -> Result<(), Fault> {
    let query = query::strict(exchange.query(), &["prefix"])?;
    let range = range_of(key_of(path)?, &query);
    let condition = condition(exchange)?;
    let op = TxnOp::DeleteRange(DeleteRangeRequest { range: range.clone(), prev_kv: false });
    let deleted = match propose(api, condition, range, op).await? {
        Some(TxnPart::Delete(delete)) => delete.deleted,
        Some(part) => panic!("a delete led to {part:?}"),
        None => return precondition_failed(exchange).await,
    };
    if query.flag("prefix") {
        let head = Head { status: status::OK, content_type: "application/json", headers: &[] };
        exchange.reply(head, format!("{{\"deleted\":{deleted}}}\n").as_bytes()).await?;
    } else if deleted == 0 {
        exchange.reply(text_head(status::NOT_FOUND), b"key not found\n").await?;
    } else {
        exchange.reply(Head { status: status::OK, content_type: "", headers: &[] }, b"").await?;
    }
    Ok(())
}

/// What came of `op`; `None`: it was not done, because the condition does not hold.
async fn propose(
    api: &Api,
    condition: Condition,
    range: KeyRange,
    op: TxnOp,
) -> Result<Option<TxnPart>, Refusal> {
    let txn = TxnRequest { compare: condition.compares(range), success: vec![op], failure: Vec::new() };
    let mut applied = api.propose(Command::Txn(txn)).await?;
    match &mut applied.outcome {
        Outcome::Txn(txn) => Ok(txn.parts.pop()),
        outcome => panic!("a txn led to {outcome:?}"),
    }
}

impl Condition {
    fn compares(self, range: KeyRange) -> Vec<Compare> {
        let (result, value) = match self {
            Condition::Always => return Vec::new(),
            Condition::Exists => (CompareResult::Greater, CompareValue::Version(0)),
            Condition::Absent => (CompareResult::Equal, CompareValue::Version(0)),
            Condition::Revision(revision) => (CompareResult::Equal, CompareValue::Mod(revision)),
        };
        vec![Compare { range, result, value }]
    }
}

fn condition(exchange: &Exchange<'_>) -> Result<Condition, Refusal> {
    condition_of(exchange.header("if-match"), exchange.header("if-none-match"))
}

fn condition_of(if_match: Option<&[u8]>, if_none_match: Option<&[u8]>) -> Result<Condition, Refusal> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::Always),
        (None, Some(b"*")) => Ok(Condition::Absent),
        (Some(b"*"), None) => Ok(Condition::Exists),
        (Some(tag), None) => {
            let digits = tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\""));
            let revision = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
            revision.map(|revision| Condition::Revision(Revision(revision.into()))).ok_or(Refusal::ETAG)
        }
        _ => Err(Refusal::ETAG),
    }
}

async fn precondition_failed(exchange: &mut Exchange<'_>) -> Result<(), Fault> {
    Ok(exchange
        .reply(
            text_head(status::PRECONDITION_FAILED),
            b"the key is not as If-Match or If-None-Match wants it\n",
        )
        .await?)
}

fn etag(revision: Revision) -> String {
    format!("\"{revision}\"")
}

/// Is `tag` in a list such as `"7", W/"8"`?
fn names(tags: &[u8], tag: &str) -> bool {
    let mut tags = tags.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    tags.any(|one| one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes())
}

async fn body(api: &Api, exchange: &mut Exchange<'_>) -> Result<Vec<u8>, Fault> {
    exchange.body(api.options.request_bytes_max).await.map_err(|error| match error {
        BodyError::Closed => Fault::Closed,
        BodyError::TooLarge { .. } => Error::RequestTooLarge.into(),
        BodyError::Malformed => Refusal::MALFORMED_BODY.into(),
        BodyError::Busy => Refusal::BUSY.into(),
    })
}

/// `10s`, `5m`, `1h`, `2d`, or plain seconds.
fn ttl_s(text: &str) -> Result<i64, Refusal> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        "d" => Duration::from_secs(86_400),
        _ => return Err(Refusal::TTL),
    };
    let number: i64 = digits.parse().map_err(|_| Refusal::TTL)?;
    let seconds = number.saturating_mul(unit.as_secs() as i64);
    match seconds {
        ..=0 => Err(Refusal::TTL),
        _ if seconds > limits::LEASE_TTL_MAX_S => Err(Error::LeaseTtlTooLarge.into()),
        _ => Ok(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let good = [("10s", 10), ("7", 7), ("5m", 300), ("1h", 3600), ("2d", 172_800)];
        for (text, seconds) in good {
            assert_eq!(ttl_s(text), Ok(seconds), "{text}");
        }
        for bad in ["", "s", "10x", "-1s", "0", "1.5s", "10 s", "99999999999999999999s"] {
            assert_eq!(ttl_s(bad), Err(Refusal::TTL), "{bad}");
        }
        assert_eq!(ttl_s("9223372036854775807d"), Err(Error::LeaseTtlTooLarge.into()));
    }

    #[test]
    fn conditions() {
        assert_eq!(condition_of(None, None), Ok(Condition::Always));
        assert_eq!(condition_of(Some(b"*"), None), Ok(Condition::Exists));
        assert_eq!(condition_of(None, Some(b"*")), Ok(Condition::Absent));
        assert_eq!(condition_of(Some(b"\"7\""), None), Ok(Condition::Revision(Revision(7))));
        for bad in [&b"7"[..], b"\"x\"", b"W/\"7\"", b"\"7\", \"8\"", b"\"-1\"", b"\xff"] {
            assert_eq!(condition_of(Some(bad), None), Err(Refusal::ETAG), "{bad:?}");
        }
        assert_eq!(condition_of(None, Some(b"\"7\"")), Err(Refusal::ETAG));
        assert_eq!(condition_of(Some(b"*"), Some(b"*")), Err(Refusal::ETAG));
    }

    #[test]
    fn lists_of_tags() {
        let tag = etag(Revision(7));
        for tags in [&b"\"7\""[..], b"*", b"\"6\", \"7\"", b"W/\"7\""] {
            assert!(names(tags, &tag), "{tags:?}");
        }
        for tags in [&b""[..], b"7", b"\"77\"", b"\"6\" \"7\""] {
            assert!(!names(tags, &tag), "{tags:?}");
        }
    }
}
