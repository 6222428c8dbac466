//! Watches: several on one stream, each told of its own changes.
//!
//! Over HTTP all requests come before the first answer; over a WebSocket at any time. A stream without watches stays open.
//! An event is given its JSON form once for all who are told of it. While a stream waits, it holds its watches' names and
//! flags, and nothing else.

use std::{cell::OnceCell, collections::BTreeMap, rc::Rc, time::Duration};

use futures_lite::future;

use super::{Api, convert, errors::Refusal, lines::Lines};
use crate::{
    http::Closed,
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
    let mut session = Session {
        stream: api.member.watch_stream(),
        watches: BTreeMap::new(),
        next_id: 0,
        progress_interval: api.options.watch_progress_interval,
    };
    if let Err(refusal) = session.requests(api, first, &mut lines).await? {
        return lines.fail(&refusal).await;
    }
    loop {
        let said = async { Turn::Said(lines.receive().await) };
        let turn = future::or(said, async { Turn::News(session.stream.next().await) }).await;
        match turn {
            Turn::Said(said) => match said? {
                Some(body) => {
                    if let Err(refusal) = session.requests(api, body, &mut lines).await? {
                        return lines.fail(&refusal).await;
                    }
                }
                None => return lines.end().await,
            },
            Turn::News(message) => session.tell(api, message, &mut lines).await?,
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
                let revision = self.stream.synced()?;
                let header = Some(api.header_at(revision));
                Some(WatchResponse { header, watch_id: NO_WATCH, ..Default::default() })
            }
        }
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
                for (part, fragment) in fragments(&events, flags) {
                    lines.send(events_line(&header, watch_id, fragment, part, flags.prev_kv)).await?;
                }
                Ok(())
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
    let mut pieces = Vec::new();
    let mut rest = events;
    while flags.fragment {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|event| {
            bytes += weight_bytes(event, flags.prev_kv);
            bytes < FRAGMENT_BYTES
        });
        let count = fits.count().max(1);
        if count >= rest.len() {
            break;
        }
        let (piece, behind) = rest.split_at(count);
        pieces.push((piece, true));
        rest = behind;
    }
    pieces.push((rest, false));
    pieces
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
