//! The pages that tools and people look at: version and health.

use super::{
    Api, CLUSTER_VERSION, SERVER_VERSION,
    errors::{Fault, Refusal, status},
    query::{self, Query},
    routes::{Check, Page},
    text_head,
};
use crate::{
    http::{Closed, Exchange, Head},
    member::Status,
    rpc,
    types::{AlarmKind, Error, KeyRange, RangeRequest},
};

pub(super) async fn handle(api: &Api, page: Page, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    if exchange.method() != "GET" {
        return method_not_allowed(exchange, "GET").await;
    }
    let query = query::lenient(exchange.query());
    match page {
        Page::Version => version(api, exchange).await,
        Page::Health => health(api, &query, exchange).await,
        Page::Livez(only) => checks(api, only, Check::LIVEZ, &query, exchange).await,
        Page::Readyz(only) => checks(api, only, Check::READYZ, &query, exchange).await,
    }
}

pub(super) async fn not_found(exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    exchange.reply(text_head(status::NOT_FOUND), b"404 page not found\n").await
}

pub(super) async fn method_not_allowed(exchange: &mut Exchange<'_>, allow: &str) -> Result<(), Closed> {
    let headers = &[("Allow", allow), ("X-Content-Type-Options", "nosniff")];
    let head = Head { headers, ..text_head(status::METHOD_NOT_ALLOWED) };
    exchange.reply(head, b"Method Not Allowed\n").await
}

pub(super) async fn moved(exchange: &mut Exchange<'_>, mut to: String) -> Result<(), Closed> {
    if let Some(query) = exchange.query() {
        to.push('?');
        to.push_str(query);
    }
    let head = Head { status: status::MOVED, content_type: "", headers: &[("Location", &to)] };
    exchange.reply(head, b"").await
}

/// Word for word as etcd's, so that what compares it finds nothing foreign; whose build it is stands in a header. The
/// cluster's version is what all its members know: level 1 of entries is what etcd 3.5 can do, and until the members have
/// told theirs nothing is decided.
async fn version(api: &Api, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    let cluster = if api.member.cluster_level() == 0 { "not_decided" } else { CLUSTER_VERSION };
    let body = format!(r#"{{"etcdserver":"{SERVER_VERSION}","etcdcluster":"{cluster}"}}"#);
    let headers = &[("Solder-Version", env!("CARGO_PKG_VERSION"))];
    let head = Head { status: status::OK, content_type: "application/json", headers };
    exchange.reply(head, body.as_bytes()).await
}

/// As etcd's: alarms, then the leader, then a read.
async fn health(api: &Api, query: &Query, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    let serializable = query.first("serializable") == Some("true");
    let excluded: Vec<&str> = query.all("exclude").collect();
    match sickness(api, &excluded, serializable).await {
        None => {
            let head = Head { status: status::OK, content_type: "text/plain; charset=utf-8", headers: &[] };
            exchange.reply(head, br#"{"health":"true","reason":""}"#).await
        }
        Some(reason) => unhealthy(exchange, &reason).await,
    }
}

pub(super) async fn unhealthy(exchange: &mut Exchange<'_>, reason: &str) -> Result<(), Closed> {
    let mut body = br#"{"health":"false","reason":"#.to_vec();
    rpc::text(&mut body, reason);
    body.extend_from_slice(b"}\n");
    exchange.reply(text_head(status::UNAVAILABLE), &body).await
}

async fn sickness(api: &Api, excluded: &[&str], serializable: bool) -> Option<String> {
    let status = match api.member.status().await {
        Ok(status) => status,
        Err(error) => return Some(format!("RANGE ERROR:{error}")),
    };
    let alarm = status.alarms.iter().map(|&(_, kind)| alarm_name(kind)).find(|name| !excluded.contains(name));
    if let Some(name) = alarm {
        return Some(format!("ALARM {name}"));
    }
    if !serializable && status.leader.is_none() {
        return Some("RAFT NO LEADER".to_owned());
    }
    let error = read(api, serializable).await.err()?;
    Some(format!("RANGE ERROR:{error}"))
}

fn alarm_name(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::NoSpace => "NOSPACE",
        AlarmKind::Corrupt => "CORRUPT",
    }
}

/// A read of nothing much.
async fn read(api: &Api, serializable: bool) -> Result<(), Error> {
    let request = RangeRequest { range: KeyRange::single(b"health"), limit: 1, ..RangeRequest::default() };
    let mut reader = api.member.range(request, serializable).await?;
    reader.next().await.map(drop)
}

/// /livez or /readyz, or one check of theirs.
async fn checks(
    api: &Api,
    only: Option<Check>,
    all: &[Check],
    query: &Query,
    exchange: &mut Exchange<'_>,
) -> Result<(), Closed> {
    let excluded: Vec<&str> = query.all("exclude").collect();
    let asked = all.iter().copied().filter(|check| match only {
        Some(only) => *check == only,
        None => !excluded.contains(&check.name()),
    });
    let (mut list, mut good) = (String::new(), true);
    for check in asked {
        let name = check.name();
        match passes(api, check).await {
            Ok(()) => list += &format!("[+]{name} ok\n"),
            Err(Fault::Refused(Refusal { message, .. })) => {
                good = false;
                list += &format!("[-]{name} failed: {message}\n");
            }
            Err(Fault::Closed) => return Err(Closed),
        }
    }
    if !good {
        list.push('\n');
        return exchange.reply(text_head(status::UNAVAILABLE), list.as_bytes()).await;
    }
    let verbose = query.first("verbose").is_some();
    let text = if verbose { list + "ok\n" } else { "ok\n".to_owned() };
    exchange.reply(text_head(status::OK), text.as_bytes()).await
}

async fn passes(api: &Api, check: Check) -> Result<(), Fault> {
    let corrupt = |status: &Status| status.alarms.iter().any(|&(_, kind)| kind == AlarmKind::Corrupt);
    match check {
        Check::SerializableRead => Ok(read(api, true).await?),
        Check::LinearizableRead => Ok(read(api, false).await?),
        Check::DataCorruption if corrupt(&api.member.status().await?) => {
            Err(Refusal::unknown("alarm activated: CORRUPT".to_owned()).into())
        }
        Check::NonLearner if api.member.status().await?.is_learner => {
            Err(Refusal::unknown("not supported for learner".to_owned()).into())
        }
        Check::DataCorruption | Check::NonLearner => Ok(()),
    }
}
