//! Watches: several on one stream, each told of its own changes.
//!
//! Over HTTP all requests come before the first answer; over a WebSocket at any time. A stream without watches stays open.
//! An event is given its JSON form once for all who are told of it. While a stream waits, it holds its watches' names and
//! flags, and nothing else; and one request at the most that came in the midst of a message.

mod telling;

use std::{collections::BTreeMap, time::Duration};

use futures_lite::future;

use self::telling::{Flags, Frame, Telling};
use super::{Api, errors::Refusal, lines::Lines};
use crate::{
    http::{Closed, Room},
    member::{self, WatchId, WatchMessage, WatchNews, WatchStream},
    rpc::{self, Documents, FilterType, WatchCreateRequest, WatchRequest, WatchResponse},
    types::{Bytes, Error, KeyRange, Revision, limits},
};

/// Watches of one stream. A client that has more to watch opens another one.
const STREAM_WATCHES_MAX: usize = 4096;

/// What concerns no watch, or one that never was, has this id.
const NO_WATCH: i64 = -1;

struct Session {
    stream: WatchStream,
    watches: BTreeMap<i64, Flags>,
    next_id: i64,
    progress_interval: Duration,
    telling: Telling,
    /// What the client has said in the midst of a message. It says no more before that is at its end.
    said: Option<Vec<u8>>,
}

enum Turn {
    Said(Result<Option<Vec<u8>>, Closed>),
    News(Result<WatchMessage, Error>),
    /// Nobody leads, and the client had rather watch elsewhere.
    Lost,
}

pub(super) async fn watch(
    api: &Api,
    first: Vec<u8>,
    mut lines: Lines<'_, '_>,
    wants_leader: bool,
) -> Result<(), Closed> {
    if api.member.is_corrupt() {
        return lines.fail(&Error::Corrupt.into()).await;
    }
    let room = lines.room();
    let mut session = Session {
        stream: api.member.watch_stream(),
        watches: BTreeMap::new(),
        next_id: 0,
        progress_interval: api.options.watch_progress_interval,
        telling: Telling::default(),
        said: None,
    };
    if let Err(refusal) = session.requests(api, first, &mut lines).await? {
        return lines.fail(&refusal).await;
    }
    // In a box, so that who does not want it does not pay for it; and one for the whole stream, so that its patience does not
    // begin anew with each message.
    let mut lost = wants_leader.then(|| Box::pin(api.member.leader_lost()));
    loop {
        let message_open = session.telling.is_open();
        if !message_open && let Some(body) = session.said.take() {
            if let Err(refusal) = session.requests(api, body, &mut lines).await? {
                return lines.fail(&refusal).await;
            }
            continue;
        }
        let may_hear = session.said.is_none();
        let said = async {
            match may_hear {
                true => Turn::Said(lines.receive().await),
                false => future::pending().await,
            }
        };
        let news = async { Turn::News(next(&mut session.stream, &room).await) };
        let gone = async {
            match &mut lost {
                Some(lost) => lost.as_mut().await,
                None => future::pending().await,
            }
            Turn::Lost
        };
        let turn = future::or(said, future::or(news, gone)).await;
        match turn {
            Turn::Said(said) => match said? {
                Some(body) => session.said = Some(body),
                // Nobody takes half a message for a whole one.
                None if message_open => return Err(Closed),
                None => return lines.end().await,
            },
            Turn::Lost if message_open => return Err(Closed),
            Turn::Lost => return lines.fail(&Error::NoLeader.into()).await,
            Turn::News(Err(_)) if message_open => return Err(Closed),
            Turn::News(Err(error)) => return lines.fail(&error.into()).await,
            Turn::News(Ok(message)) => {
                session.tell(api, message, &mut lines).await?;
            }
        }
    }
}

/// The next message, taken only while there is memory to send it. Cancel-safe. Errors: this member has nothing more to say.
pub(super) async fn next(stream: &mut WatchStream, room: &Room) -> Result<WatchMessage, Error> {
    loop {
        stream.ready().await?;
        room.wait().await;
        if let Some(message) = stream.take() {
            return Ok(message);
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
                self.stream.request_progress(WatchId(NO_WATCH));
                None
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
            WatchNews::Compacted(_) if self.telling.is_open() => {
                log::warn!(
                    "the rest of revision {revision} is compacted: cut a watch in the middle of a message"
                );
                Err(Closed)
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
            WatchNews::Part(events) => {
                let Some(&flags) = self.watches.get(&watch_id) else { return Ok(()) };
                self.telling.part(&Frame { header, watch_id, flags }, events, lines).await
            }
            WatchNews::Events(events) => {
                let Some(&flags) = self.watches.get(&watch_id) else { return Ok(()) };
                self.telling.last(&Frame { header, watch_id, flags }, events, lines).await
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
