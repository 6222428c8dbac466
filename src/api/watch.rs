//! Watches: several on one stream, each told of its own changes.
//!
//! Over HTTP all requests come before the first answer; over a WebSocket at any time. A stream without watches stays open.
//! An event is given its JSON form once for all who are told of it. While a stream waits, it holds its watches' names and
//! flags, and nothing else.

use std::{cell::OnceCell, collections::BTreeMap, rc::Rc, time::Duration};

use futures_lite::future;

use super::{Api, convert, errors::Refusal, lines::Lines};
use crate::{
    http::{Closed, Room},
    member::{self, WatchEvent, WatchId, WatchMessage, WatchNews, WatchStream},
    rpc::{self, Documents, FilterType, WatchCreateRequest, WatchRequest, WatchResponse, member},
    types::{Bytes, Error, KeyRange, Revision, limits},
};

/// Watches of one stream. A client that has more to watch opens another one.
const STREAM_WATCHES_MAX: usize = 4096;

/// What a message may weigh before `fragment` cuts it: etcd's request limit and 512 KiB.
const FRAGMENT_BYTES: usize = (1536 + 512) << 10;

/// What concerns no watch, or one that never was, has this id.
const NO_WATCH: i64 = -1;

struct Session {
    stream: WatchStream,
    watches: BTreeMap<i64, Flags>,
    next_id: i64,
    progress_interval: Duration,
    /// Progress was asked for, and there was something to be told first.
    owes_progress: bool,
}

#[derive(Clone, Copy)]
struct Flags {
    prev_kv: bool,
    fragment: bool,
}

enum Turn {
    Said(Result<Option<Vec<u8>>, Closed>),
    News(WatchMessage),
}

pub(super) async fn watch(api: &Api, first: Vec<u8>, mut lines: Lines<'_, '_>) -> Result<(), Closed> {
    let room = lines.room();
    let mut session = Session {
        stream: api.member.watch_stream(),
        watches: BTreeMap::new(),
        next_id: 0,
        progress_interval: api.options.watch_progress_interval,
        owes_progress: false,
    };
    if let Err(refusal) = session.requests(api, first, &mut lines).await? {
        return lines.fail(&refusal).await;
    }
    loop {
        let said = async { Turn::Said(lines.receive().await) };
        let turn = future::or(said, async { Turn::News(next(&mut session.stream, &room).await) }).await;
        match turn {
            Turn::Said(said) => match said? {
                Some(body) => {
                    if let Err(refusal) = session.requests(api, body, &mut lines).await? {
                        return lines.fail(&refusal).await;
                    }
                }
                None => return lines.end().await,
            },
            Turn::News(message) => {
                session.tell(api, message, &mut lines).await?;
                if let Some(progress) = session.progress_owed(api) {
                    lines.send(line(progress)).await?;
                }
            }
        }
    }
}

/// The next message, taken only while there is memory to send it. Cancel-safe.
pub(super) async fn next(stream: &mut WatchStream, room: &Room) -> WatchMessage {
    loop {
        stream.ready().await;
        room.wait().await;
        if let Some(message) = stream.take() {
            return message;
        }
    }
}

impl Session {
    /// Does what a body asks. Refused if its first document is none; what is broken behind a good one is ignored with all
    /// that follows, as etcd does.
    async fn requests(
        &mut self,
        api: &Api,
        body: Vec<u8>,
        lines: &mut Lines<'_, '_>,
    ) -> Result<Result<(), Refusal>, Closed> {
        for (index, request) in Documents::<WatchRequest>::new(&body).enumerate() {
            match request {
                Ok(request) => {
                    if let Some(response) = self.request(api, request) {
                        lines.send(line(response)).await?;
                    }
                }
                Err(error) if index == 0 => return Ok(Err(error.into())),
                Err(_) => break,
            }
        }
        Ok(Ok(()))
    }

    /// The answer, if there is one.
    fn request(&mut self, api: &Api, request: WatchRequest) -> Option<WatchResponse> {
        let header = Some(api.header());
        match request {
            WatchRequest::None => None,
            WatchRequest::Create(create) => Some(match self.create(create) {
                Ok(watch_id) => WatchResponse { header, watch_id, created: true, ..Default::default() },
                Err(cancel_reason) => WatchResponse {
                    header,
                    watch_id: NO_WATCH,
                    created: true,
                    canceled: true,
                    cancel_reason,
                    ..Default::default()
                },
            }),
            WatchRequest::Cancel(cancel) => {
                let watch_id = cancel.watch_id;
                self.watches.remove(&watch_id)?;
                self.stream.cancel(WatchId(watch_id));
                Some(WatchResponse { header, watch_id, canceled: true, ..Default::default() })
            }
            WatchRequest::Progress(_) => {
                self.owes_progress = true;
                self.progress_owed(api)
            }
        }
    }

    /// Where the whole stream is, if that was asked for and all watches have got there.
    fn progress_owed(&mut self, api: &Api) -> Option<WatchResponse> {
        if !self.owes_progress {
            return None;
        }
        let revision = self.stream.synced()?;
        self.owes_progress = false;
        let header = Some(api.header_at(revision));
        Some(WatchResponse { header, watch_id: NO_WATCH, ..Default::default() })
    }

    /// The id, or why not.
    fn create(&mut self, create: WatchCreateRequest) -> Result<i64, String> {
        let range = watch_range(create.key, create.range_end);
        if range.is_empty() {
            return Err("mvcc: watcher range is empty".to_owned());
        }
        if let Some(bytes) =
            [range.key.len(), range.range_end.len()].into_iter().find(|&len| len > limits::KEY_BYTES_MAX)
        {
            return Err(Error::KeyTooLong { bytes }.to_string());
        }
        if self.watches.len() >= STREAM_WATCHES_MAX {
            return Err(format!("etcdserver: too many watches on one stream (limit {STREAM_WATCHES_MAX})"));
        }
        if create.start_revision < 0 {
            return Err(Error::Compacted(Revision(0)).to_string());
        }
        let id = self.pick_id(create.watch_id)?;
        self.watches.insert(id, Flags { prev_kv: create.prev_kv, fragment: create.fragment });
        let request = member::WatchRequest {
            range,
            start: Revision(create.start_revision),
            prev_kv: create.prev_kv,
            no_put: create.filters.contains(&FilterType::NoPut),
            no_delete: create.filters.contains(&FilterType::NoDelete),
            progress_notify: create.progress_notify.then_some(self.progress_interval),
        };
        self.stream.create(WatchId(id), request);
        Ok(id)
    }

    fn pick_id(&mut self, wanted: i64) -> Result<i64, String> {
        if wanted != 0 {
            let taken = self.watches.contains_key(&wanted);
            return if taken {
                Err("mvcc: duplicate watch ID provided on the WatchStream".to_owned())
            } else {
                Ok(wanted)
            };
        }
        while self.watches.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }

    async fn tell(
        &mut self,
        api: &Api,
        message: WatchMessage,
        lines: &mut Lines<'_, '_>,
    ) -> Result<(), Closed> {
        let WatchMessage { watch: WatchId(watch_id), revision, what } = message;
        let header = api.header_at(revision);
        match what {
            WatchNews::Progress => {
                lines.send(line(WatchResponse { header: Some(header), watch_id, ..Default::default() })).await
            }
            WatchNews::Compacted(compacted) => {
                self.watches.remove(&watch_id);
                let response = WatchResponse {
                    header: Some(api.header_at(Revision(0))),
                    watch_id,
                    canceled: true,
                    compact_revision: compacted.0,
                    ..Default::default()
                };
                lines.send(line(response)).await
            }
            WatchNews::Events(events) => {
                let Some(&flags) = self.watches.get(&watch_id) else { return Ok(()) };
                let line = |part: &[_], more| events_line(&header, watch_id, more, part, flags.prev_kv);
                let mut pieces = fragments(&events, flags);
                let last = pieces.pop().map(|(part, more)| line(part, more));
                for (part, more) in pieces {
                    lines.send(line(part, more)).await?;
                }
                // A peer that does not take it holds its line, but not the events.
                drop(events);
                lines.send(last.unwrap_or_default()).await
            }
        }
    }
}

/// No key is the key of one zero byte.
fn watch_range(key: Bytes, range_end: Bytes) -> KeyRange {
    KeyRange { key: if key.is_empty() { b"\0".into() } else { key }, range_end }
}

fn line(result: WatchResponse) -> Vec<u8> {
    rpc::encode(&rpc::StreamMessage { result: Some(result), error: None })
}

/// The pieces of a message, and for each whether more follow. One that is not to be cut is one piece.
fn fragments(events: &[Rc<WatchEvent>], flags: Flags) -> Vec<(&[Rc<WatchEvent>], bool)> {
    if !flags.fragment {
        return vec![(events, false)];
    }
    let mut bytes = events.first().map_or(0, |first| weight_bytes(first, flags.prev_kv));
    // A piece ends before the event that would make it too heavy; one event alone is never too heavy.
    let pieces: Vec<_> = events
        .chunk_by(|_, next| {
            let weight = weight_bytes(next, flags.prev_kv);
            let fits = bytes + weight < FRAGMENT_BYTES;
            bytes = if fits { bytes + weight } else { weight };
            fits
        })
        .collect();
    let last = pieces.len().saturating_sub(1);
    pieces.into_iter().enumerate().map(|(index, piece)| (piece, index < last)).collect()
}

fn weight_bytes(event: &WatchEvent, prev_kv: bool) -> usize {
    const NUMBERS_BYTES: usize = 40;
    let of = |record: &crate::store::RevRecord| NUMBERS_BYTES + record.key.len() + record.value.len();
    of(&event.record) + event.prev.as_ref().filter(|_| prev_kv).map_or(0, of)
}

/// A WatchResponse with events, written with their shared forms.
fn events_line(
    header: &rpc::ResponseHeader,
    watch_id: i64,
    fragment: bool,
    events: &[Rc<WatchEvent>],
    prev_kv: bool,
) -> Vec<u8> {
    const ENVELOPE_BYTES: usize = 256;
    let forms = || events.iter().map(|event| encoded(event, prev_kv));
    let mut out = Vec::with_capacity(ENVELOPE_BYTES + forms().map(|form| form.len() + 1).sum::<usize>());
    out.extend_from_slice(b"{\"result\":{");
    member(&mut out, "\"header\":", header);
    member(&mut out, "\"watch_id\":", &watch_id);
    member(&mut out, "\"fragment\":", &fragment);
    rpc::key(&mut out, "\"events\":");
    for (index, form) in forms().enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        out.extend_from_slice(form);
    }
    out.extend_from_slice(b"]}}");
    out
}

/// The event's JSON, made by whoever needs it first.
fn encoded(event: &WatchEvent, prev_kv: bool) -> &[u8] {
    let form: &OnceCell<Box<[u8]>> = &event.encoded[usize::from(prev_kv)];
    form.get_or_init(|| {
        let prev = event.prev.as_ref().filter(|_| prev_kv);
        let kind = if event.record.tombstone { rpc::EventType::Delete } else { rpc::EventType::Put };
        let kv = Some(convert::key_value(event.record.clone()));
        let event = rpc::Event { kind, kv, prev_kv: prev.cloned().map(convert::key_value) };
        rpc::encode(&event).into_boxed_slice()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::RevRecord,
        types::{KeyRev, LeaseId},
    };

    fn event(value_bytes: usize) -> Rc<WatchEvent> {
        let record = RevRecord {
            rev: KeyRev::new(2, 0),
            key: b"a".into(),
            value: vec![b'v'; value_bytes].into(),
            create: Revision(2),
            version: 1,
            lease: LeaseId::NONE,
            tombstone: false,
        };
        Rc::new(WatchEvent { record: record.clone(), prev: Some(record), encoded: Default::default() })
    }

    fn pieces(weights_kib: &[usize], flags: Flags) -> Vec<(usize, bool)> {
        let events: Vec<_> = weights_kib.iter().map(|kib| event(kib << 10)).collect();
        fragments(&events, flags).into_iter().map(|(piece, more)| (piece.len(), more)).collect()
    }

    #[test]
    fn messages_are_cut_where_they_get_too_heavy() {
        let cut = Flags { prev_kv: false, fragment: true };
        assert_eq!(pieces(&[1000, 1000, 1000], cut), [(2, true), (1, false)]);
        assert_eq!(pieces(&[1000, 1000], cut), [(2, false)]);
        assert_eq!(pieces(&[3000, 10, 3000], cut), [(1, true), (1, true), (1, false)]);
        assert_eq!(pieces(&[3000], cut), [(1, false)]);
        assert_eq!(pieces(&[], cut), []);
        // The values before weigh too, if they are told.
        assert_eq!(pieces(&[600, 600], Flags { prev_kv: true, fragment: true }), [(1, true), (1, false)]);
        assert_eq!(pieces(&[3000, 3000], Flags { prev_kv: true, fragment: false }), [(2, false)]);
    }

    #[test]
    fn an_event_is_given_its_form_once() {
        let event = event(1);
        let first = encoded(&event, false).as_ptr();
        assert_eq!(first, encoded(&event, false).as_ptr());
        let text = |prev_kv| std::str::from_utf8(encoded(&event, prev_kv)).unwrap().to_owned();
        let kv = r#"{"key":"YQ==","create_revision":"2","mod_revision":"2","version":"1","value":"dg=="}"#;
        assert_eq!(text(false), format!(r#"{{"kv":{kv}}}"#));
        assert_eq!(text(true), format!(r#"{{"kv":{kv},"prev_kv":{kv}}}"#));
    }
}
