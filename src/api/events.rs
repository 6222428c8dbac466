//! A watch as server-sent events (`text/event-stream`), for browsers and curl.
//!
//! ```text
//! : watching from revision 8
//!
//! event: put
//! data: {"key":"a","value":"1","rev":8}
//! id: 8
//!
//! event: delete
//! data: {"key":"a","rev":9}
//! id: 9
//! ```
//!
//! - A revision has its id at its last event, or behind it, so that who comes back with it in `Last-Event-ID` misses nothing.
//! - `?rev=8` begins at a revision of the past. `Last-Event-ID` is stronger: a browser repeats the address as it was.
//! - While nothing happens, a comment and an id every quarter of a minute keep the connection alive and the place known.
//! - `event: compacted` is the last one: what came before the revision in its data is gone. To go on from what is left, come
//!   back with its id.

use std::{rc::Rc, time::Duration};

use futures_lite::future;

use super::{
    Api,
    errors::{Fault, Refusal, status},
    line, watch,
};
use crate::{
    http::{Closed, Exchange, Head},
    member::{WatchEvent, WatchId, WatchNews, WatchRequest},
    types::{Error, KeyRange, Revision, limits},
};

const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) async fn watch(
    api: &Api,
    range: KeyRange,
    start: Option<Revision>,
    exchange: &mut Exchange<'_>,
) -> Result<(), Fault> {
    let start = resumed(exchange)?.or(start).unwrap_or(api.member.header().revision.next());
    if range.key.is_empty() {
        return Err(Error::EmptyKey.into());
    }
    if range.key.len() > limits::KEY_BYTES_MAX {
        return Err(Error::KeyTooLong { bytes: range.key.len() }.into());
    }
    if start.0 < 1 {
        return Err(Refusal::REVISION.into());
    }
    if api.member.is_corrupt() {
        return Err(Error::Corrupt.into());
    }
    let mut stream = api.member.watch_stream();
    let progress_notify = Some(KEEP_ALIVE);
    let request =
        WatchRequest { range, start, prev_kv: false, no_put: false, no_delete: false, progress_notify };
    stream.create(WatchId(0), request);
    let headers = &[("Cache-Control", "no-cache"), ("X-Content-Type-Options", "nosniff")];
    exchange.start(Head { status: status::OK, content_type: "text/event-stream", headers }).await?;
    let room = exchange.room();
    exchange.chunk(format!(": watching from revision {start}\n\n").as_bytes()).await?;
    loop {
        let gone = async {
            exchange.closed().await;
            None
        };
        let Some(message) = future::or(gone, async { Some(watch::next(&mut stream, &room).await) }).await
        else {
            return end(exchange).await;
        };
        let message = match message {
            Ok(message) => message,
            // Who comes back is told so by the status.
            Err(error) => {
                exchange.chunk(format!(": {error}\n\n").as_bytes()).await?;
                return end(exchange).await;
            }
        };
        let last = matches!(message.what, WatchNews::Compacted(_));
        let text = text(message.revision, &message.what);
        drop(message);
        exchange.chunk(&text).await?;
        if last {
            return end(exchange).await;
        }
    }
}

async fn end(exchange: &mut Exchange<'_>) -> Result<(), Fault> {
    exchange.finish().await.map_err(|Closed| Fault::Closed)
}

/// The revision after the last one that the client has seen, if it says so.
fn resumed(exchange: &Exchange<'_>) -> Result<Option<Revision>, Refusal> {
    let Some(id) = exchange.header("last-event-id").filter(|id| !id.is_empty()) else { return Ok(None) };
    let id = std::str::from_utf8(id).ok().and_then(|text| text.trim().parse::<i64>().ok());
    match id.and_then(|id| id.checked_add(1)) {
        Some(start) => Ok(Some(Revision(start))),
        None => Err(Refusal::REVISION),
    }
}

fn text(revision: Revision, news: &WatchNews) -> Vec<u8> {
    let mut out = Vec::new();
    match news {
        WatchNews::Progress => out.extend_from_slice(format!(": still here\nid: {revision}\n\n").as_bytes()),
        WatchNews::Compacted(compacted) => {
            let before = compacted.0 - 1;
            let text = format!("event: compacted\ndata: {{\"rev\":{compacted}}}\nid: {before}\n\n");
            out.extend_from_slice(text.as_bytes());
        }
        WatchNews::Part(events) => write_events(events, Some(revision), &mut out),
        // What came before said nothing of this being the end of its revision.
        WatchNews::Events(events) if events.is_empty() => {
            out.extend_from_slice(format!("id: {revision}\n\n").as_bytes());
        }
        WatchNews::Events(events) => write_events(events, None, &mut out),
    }
    out
}

/// `open`: of this revision there may be more.
fn write_events(events: &[Rc<WatchEvent>], open: Option<Revision>, out: &mut Vec<u8>) {
    for (index, event) in events.iter().enumerate() {
        let this = event.record.rev.main;
        let next = events.get(index + 1).map(|next| next.record.rev.main).or(open);
        write_event(event, (next != Some(this)).then_some(this), out);
    }
}

fn write_event(event: &WatchEvent, id: Option<Revision>, out: &mut Vec<u8>) {
    let name: &[u8] = if event.record.tombstone { b"delete" } else { b"put" };
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name);
    out.extend_from_slice(b"\ndata: ");
    line::write(&event.record.as_record(), out);
    if let Some(revision) = id {
        out.extend_from_slice(format!("\nid: {revision}").as_bytes());
    }
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::RevRecord,
        types::{KeyRev, LeaseId},
    };

    fn event(main: i64, sub: u32, tombstone: bool) -> Rc<WatchEvent> {
        let record = RevRecord {
            rev: KeyRev::new(main, sub),
            key: b"a".into(),
            value: b"1".into(),
            create: Revision(main),
            version: 1,
            lease: LeaseId::NONE,
            tombstone,
        };
        Rc::new(WatchEvent { record, prev: None, encoded: Default::default() })
    }

    #[test]
    fn a_revision_has_its_id_at_its_end() {
        let events = WatchNews::Events(vec![event(8, 0, false), event(8, 1, true), event(9, 0, true)]);
        let wanted = concat!(
            "event: put\ndata: {\"key\":\"a\",\"value\":\"1\",\"rev\":8}\n\n",
            "event: delete\ndata: {\"key\":\"a\",\"rev\":8}\nid: 8\n\n",
            "event: delete\ndata: {\"key\":\"a\",\"rev\":9}\nid: 9\n\n",
        );
        assert_eq!(String::from_utf8(text(Revision(9), &events)).unwrap(), wanted);
    }

    #[test]
    fn a_revision_in_parts_has_its_id_behind_its_end() {
        let part = WatchNews::Part(vec![event(7, 0, false), event(8, 0, true), event(8, 1, true)]);
        let wanted = concat!(
            "event: put\ndata: {\"key\":\"a\",\"value\":\"1\",\"rev\":7}\nid: 7\n\n",
            "event: delete\ndata: {\"key\":\"a\",\"rev\":8}\n\n",
            "event: delete\ndata: {\"key\":\"a\",\"rev\":8}\n\n",
        );
        assert_eq!(String::from_utf8(text(Revision(8), &part)).unwrap(), wanted);
        assert_eq!(text(Revision(8), &WatchNews::Events(Vec::new())), b"id: 8\n\n");
        let last = "event: delete\ndata: {\"key\":\"a\",\"rev\":8}\nid: 8\n\n";
        assert_eq!(text(Revision(8), &WatchNews::Events(vec![event(8, 2, true)])), last.as_bytes());
    }

    #[test]
    fn what_is_no_change() {
        assert_eq!(text(Revision(9), &WatchNews::Progress), b": still here\nid: 9\n\n");
        let compacted = b"event: compacted\ndata: {\"rev\":7}\nid: 6\n\n";
        assert_eq!(text(Revision(9), &WatchNews::Compacted(Revision(7))), compacted);
    }
}
