//! `/new`: makes a token, and answers with its URL and nothing else. Refusals are a line of text.

use super::{FORM_BYTES_MAX, Token};
use crate::{
    api::{
        Api,
        errors::{Fault, Refusal, status},
        pages, query, text_head,
    },
    http::{BodyError, Closed, Exchange},
    member,
    types::{
        Command, Compare, CompareResult, CompareValue, Error, KeyRange, LeaseId, Outcome, PutRequest,
        RangeRequest, Revision, TxnOp, TxnRequest, limits,
    },
};

/// The public service's.
const SIZE_DEFAULT: u8 = 3;

pub(super) async fn handle(api: &Api, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    if !matches!(exchange.method(), "GET" | "POST") {
        return pages::method_not_allowed(exchange, "GET, POST").await;
    }
    match make(api, exchange).await {
        Ok(url) => exchange.reply(text_head(status::OK), url.as_bytes()).await,
        Err(Fault::Refused(refusal)) => {
            let text = format!("{}\n", refusal.message);
            exchange.reply(text_head(refusal.status()), text.as_bytes()).await
        }
        Err(Fault::Closed) => Err(Closed),
    }
}

async fn make(api: &Api, exchange: &mut Exchange<'_>) -> Result<String, Fault> {
    let options = &api.options.discovery;
    if !options.public && !exchange.is_from_here() {
        return Err(Refusal::TOKEN_OF_STRANGER.into());
    }
    // A GET that does something is the protocol's; pages of others need not ask before they send one.
    if !matches!(exchange.header("sec-fetch-site"), None | Some(b"none" | b"same-origin")) {
        return Err(Refusal::TOKEN_OF_PAGE.into());
    }
    if api.member.only_listens() {
        return Err(Refusal::from(Error::IsLearner).into());
    }
    let size = size(exchange).await?;
    let _place = api.makers.place().ok_or(Refusal::TOKENS_AT_ONCE)?;
    if count(api).await? >= options.tokens_max {
        return Err(Refusal::too_many_tokens(options.tokens_max).into());
    }
    if !exchange.is_from_here() {
        api.makers.may(exchange.peer()).map_err(Refusal::too_many_tokens_of_stranger)?;
    }
    let token = Token::new(member::draw());
    let ttl_s = limits::DISCOVERY_TTL_S;
    let (lease, _) = api.member.lease_grant(LeaseId::NONE, ttl_s).await.map_err(Refusal::of_write)?;
    if let Err(refusal) = keep(api, &token, size, lease).await {
        // If it cannot be revoked now, it runs out.
        let _ = api.member.lease_revoke(lease).await;
        return Err(refusal.into());
    }
    Ok(match exchange.header("host").and_then(authority) {
        Some(host) => format!("http://{host}/{token}"),
        None => format!("{}/{token}", options.url.trim_end_matches('/')),
    })
}

/// Behind the question mark, or in the form that is posted.
async fn size(exchange: &mut Exchange<'_>) -> Result<u8, Fault> {
    let body = exchange.body(FORM_BYTES_MAX).await.map_err(|error| match error {
        BodyError::Closed => Fault::Closed,
        BodyError::TooLarge { .. } => Error::RequestTooLarge.into(),
        BodyError::Malformed => Refusal::MALFORMED_BODY.into(),
        BodyError::Busy => Refusal::BUSY.into(),
    })?;
    let form = std::str::from_utf8(&body).map_err(|_| Refusal::ESCAPE)?;
    let pairs = format!("{}&{form}", exchange.query().unwrap_or_default());
    let query = query::strict(Some(&pairs), &["size"])?;
    match query.first("size") {
        None | Some("") => Ok(SIZE_DEFAULT),
        Some(text) => size_of(text).ok_or(Refusal::TOKEN_SIZE.into()),
    }
}

fn size_of(text: &str) -> Option<u8> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let size = text.parse().ok().filter(|_| is_digits)?;
    (1..=limits::DISCOVERY_SIZE_MAX).contains(&size).then_some(size)
}

async fn count(api: &Api) -> Result<u64, Error> {
    let request = RangeRequest { range: Token::all(), count_only: true, ..RangeRequest::default() };
    let mut reader = api.member.range(request, false).await?;
    loop {
        if let Some(end) = reader.next().await?.end {
            return Ok(end.count);
        }
    }
}

async fn keep(api: &Api, token: &Token, size: u8, lease: LeaseId) -> Result<(), Refusal> {
    let put = |key, value: String| {
        TxnOp::Put(PutRequest { key, value: value.into_bytes().into(), lease, ..PutRequest::default() })
    };
    let is_new = Compare {
        range: KeyRange::single(token.size()),
        result: CompareResult::Equal,
        value: CompareValue::Create(Revision(0)),
    };
    let txn = TxnRequest {
        compare: vec![is_new],
        success: vec![put(token.size(), size.to_string()), put(token.mark(), String::new())],
        failure: Vec::new(),
    };
    match api.propose(Command::Txn(txn)).await?.outcome {
        Outcome::Txn(txn) => {
            assert!(txn.succeeded, "128 drawn bits came twice");
            Ok(())
        }
        outcome => panic!("a txn led to {outcome:?}"),
    }
}

/// What the board was called by, if others can call it so: `board.local`, `10.0.0.1:2379`, `[fd00::1]:2379`.
fn authority(host: &[u8]) -> Option<&str> {
    let host = std::str::from_utf8(host).ok()?;
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, port.strip_prefix(':').or(port.is_empty().then_some("80"))?)
        }
        None => host.split_once(':').unwrap_or((host, "80")),
    };
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let is_port =
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0);
    (!name.is_empty() && name.bytes().all(is_known) && is_port).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_can_be_called() {
        for good in ["board", "board.local:80", "10.0.0.1:2379", "[fd00::1]", "[fd00::1]:2379"] {
            assert_eq!(authority(good.as_bytes()), Some(good));
        }
        for bad in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:+1",
            "a:65536",
            "a b",
            "a:1:2",
            "[fe80::1%eth0]:1",
            "[::1",
            "[::1]1",
            "[a]:1",
        ] {
            assert_eq!(authority(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, size) in
            [("1", Some(1)), ("9", Some(9)), ("0", None), ("10", None), ("-1", None), ("+3", None)]
        {
            assert_eq!(size_of(text), size, "{text}");
        }
    }
}
