//! Watches of doors: the hub, and who waits for what it has to say.

use std::{
    cell::OnceCell,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{
    store::RevRecord,
    types::{Bytes, Error, KeyRev, Revision},
    watch::{Event, Hub, Message, News as HubNews, Options, Scan, Slice, StreamId},
};

use super::{
    Member,
    engine::Engine,
    inbox::StoreState,
    news::{Found, News, Scanned},
};

pub use crate::watch::{WatchId, WatchRequest};

/// One change, shared by all who are told of it.
pub struct WatchEvent {
    pub record: RevRecord,
    /// The value before, if some watcher of this event asked for it and there was one.
    pub prev: Option<RevRecord>,
    /// Free for the door: an event is given its outer form once. [without prev_kv, with prev_kv]
    pub encoded: [OnceCell<Box<[u8]>>; 2],
}

impl Event for Rc<WatchEvent> {
    fn rev(&self) -> KeyRev {
        self.record.rev
    }

    fn key(&self) -> &Bytes {
        &self.record.key
    }

    fn is_delete(&self) -> bool {
        self.record.tombstone
    }

    /// Without what the door makes of it, which is about as much again.
    fn weight_bytes(&self) -> u64 {
        self.record.weight_bytes() + self.prev.as_ref().map_or(0, RevRecord::weight_bytes)
    }
}

/// What a stream of watches has to say next.
pub type WatchMessage = Message<Rc<WatchEvent>>;
pub type WatchNews = HubNews<Rc<WatchEvent>>;

/// The hub, with the tasks that wait.
pub(super) struct Watches {
    hub: Hub<Rc<WatchEvent>>,
    /// By stream.
    wakers: Vec<Option<Waker>>,
}

impl Watches {
    pub(super) fn new(revision: Revision, compacted: Revision) -> Watches {
        Watches { hub: Hub::new(Options::default(), revision, compacted), wakers: Vec::new() }
    }

    pub(super) fn hub(&self) -> &Hub<Rc<WatchEvent>> {
        &self.hub
    }

    pub(super) fn applied(&mut self, news: News, state: &StoreState) {
        self.hub.publish(shared(news.events), news.told, state.revision);
        if state.compacted > self.hub.compacted() {
            self.hub.compact(state.compacted);
        }
    }

    pub(super) fn scanned(&mut self, scanned: Scanned) {
        let slice = scanned.map(|(events, next)| Slice { events: shared(events), next });
        self.hub.scanned(slice);
    }

    /// At the end of a turn: who has something to take is woken; what the store is to do next.
    pub(super) fn turn(&mut self, now: Duration) -> Option<Scan> {
        self.hub.advance(now);
        for stream in self.hub.woken() {
            let waker = self.wakers.get_mut(stream.0 as usize).and_then(Option::take);
            waker.into_iter().for_each(Waker::wake);
        }
        self.hub.scan()
    }

    /// Who waits is to look again: there may be a reason to wait no more.
    pub(super) fn wake_all(&mut self) {
        self.wakers.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }

    fn poll(&mut self, stream: StreamId, context: &mut Context<'_>) -> Poll<()> {
        if self.hub.is_ready(stream) {
            return Poll::Ready(());
        }
        let place = stream.0 as usize;
        if self.wakers.len() <= place {
            self.wakers.resize(place + 1, None);
        }
        match &mut self.wakers[place] {
            Some(known) => known.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    fn rest(&mut self, stream: StreamId) {
        self.hub.rest(stream);
        if let Some(waker) = self.wakers.get_mut(stream.0 as usize) {
            *waker = None;
        }
    }
}

fn shared(events: Vec<Found>) -> Vec<Rc<WatchEvent>> {
    let share = |Found { record, prev }| Rc::new(WatchEvent { record, prev, encoded: Default::default() });
    events.into_iter().map(share).collect()
}

impl Member {
    /// The watches of one connection.
    pub fn watch_stream(&self) -> WatchStream {
        let stream = self.engine.look(|core| core.watches.hub.open());
        WatchStream { engine: self.engine.clone(), stream }
    }
}

/// Dropping it ends its watches.
pub struct WatchStream {
    engine: Rc<Engine>,
    stream: StreamId,
}

impl WatchStream {
    /// The id must be free on this stream: not in use, nor its end yet to be told. From the next revision on if `start` is
    /// 0.
    pub fn create(&mut self, id: WatchId, request: WatchRequest) {
        let has_timer = request.progress_notify.is_some();
        self.engine.look(|core| core.watches.hub.create(self.stream, id, request));
        if has_timer {
            self.engine.nudge();
        }
    }

    /// Was there such a watch?
    pub fn cancel(&mut self, id: WatchId) -> bool {
        let (found, has_scan) = self.engine.look(|core| {
            let hub = &mut core.watches.hub;
            (hub.cancel(self.stream, id), hub.has_scan())
        });
        self.nudge_if(has_scan);
        found
    }

    /// A message without events, in the name of `watch`, which is none of this stream, will tell when all its watches have been
    /// told everything.
    pub fn request_progress(&mut self, watch: WatchId) {
        self.engine.look(|core| core.watches.hub.request_progress(self.stream, watch));
    }

    /// If all watches have been told everything up to the newest revision, and no message of it waits: the revision. While
    /// there are messages to take it is `None`; ask again after each.
    pub fn synced(&self) -> Option<Revision> {
        self.engine.look(|core| core.watches.hub.synced(self.stream))
    }

    /// Returns once there may be something to take. Cancel-safe. What is behind is read for who waits here only; so who has
    /// other things to do should not keep the future meanwhile.
    ///
    /// Errors: `Corrupt`, as for all requests: what this member would tell is not to be believed.
    pub async fn ready(&mut self) -> Result<(), Error> {
        let waits = Waits(self);
        poll_fn(|context| waits.poll(context)).await
    }

    /// What comes next, if there is something now.
    pub fn take(&mut self) -> Option<WatchMessage> {
        let (message, has_scan) = self.engine.look(|core| {
            let hub = &mut core.watches.hub;
            (hub.take(self.stream), hub.has_scan())
        });
        self.nudge_if(has_scan);
        message
    }

    /// What comes next. Cancel-safe: nothing is lost if the future is dropped. Errors: as `ready`.
    pub async fn next(&mut self) -> Result<WatchMessage, Error> {
        loop {
            self.ready().await?;
            if let Some(message) = self.take() {
                return Ok(message);
            }
        }
    }

    fn nudge_if(&self, has_scan: bool) {
        if has_scan {
            self.engine.nudge();
        }
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        let has_scan = self.engine.look(|core| {
            core.watches.rest(self.stream);
            core.watches.hub.close(self.stream);
            core.watches.hub.has_scan()
        });
        self.nudge_if(has_scan);
    }
}

/// Somebody waits for the next message, until this is dropped.
struct Waits<'a>(&'a WatchStream);

impl Waits<'_> {
    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let WatchStream { engine, stream } = self.0;
        let (ready, has_scan) = engine.look(|core| {
            if core.is_corrupt {
                return (Poll::Ready(Err(Error::Corrupt)), false);
            }
            let ready = core.watches.poll(*stream, context);
            (ready.map(Ok), core.watches.hub.has_scan())
        });
        self.0.nudge_if(has_scan);
        ready
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.engine.look(|core| core.watches.rest(self.0.stream));
    }
}
