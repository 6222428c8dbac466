//! A watch that outlives its connections.
//!
//! It knows the revision it needs next, and asks the next endpoint for just that. A revision of many events comes in
//! fragments, so that none has to be held whole; if the connection breaks between two, what has been told of that revision is
//! passed over when it comes again: its events have one order everywhere.

use std::time::Duration;

use async_io::Timer;

use super::{Client, ClientError, Stream};
use crate::rpc::{self, Event, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};

const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// What etcd says when it ends a watch that wants a leader.
const NO_LEADER: &str = "no leader";

pub struct Watch<'a> {
    client: &'a Client,
    /// `start_revision` is the first revision that is still needed; 0 until that is known.
    request: WatchCreateRequest,
    /// Of that revision so many events were told.
    told: usize,
    stream: Option<Stream>,
    /// The next events of the stream, so many, were told before.
    repeats: usize,
    /// Was there ever an answer? Until then an endpoint that cannot be reached is an error.
    begun: bool,
    /// Ask how far the watch is, when its stream opens.
    progress: bool,
    pause: Duration,
}

impl<'a> Watch<'a> {
    pub(super) fn new(client: &'a Client, request: WatchCreateRequest) -> Watch<'a> {
        let request = WatchCreateRequest { fragment: true, watch_id: 0, ..request };
        Watch {
            client,
            request,
            told: 0,
            stream: None,
            repeats: 0,
            begun: false,
            progress: false,
            pause: PAUSE,
        }
    }

    /// The next message: events, progress, or (`canceled`) the last one. What says that the watch was created comes once.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Result<WatchResponse, ClientError> {
        loop {
            match self.attempt().await {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => {}
                Err(error) if self.begun && error.is_transient() => {
                    log::debug!("watch: {error}: going on at revision {}", self.request.start_revision);
                    self.stream = None;
                    self.client.move_on();
                    Timer::after(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks how far the watch is: a message without events will tell, unless an event comes first. HTTP/1.1 has no way to
    /// ask on a stream that is open, so another is opened where this one was.
    pub fn request_progress(&mut self) {
        self.progress = true;
        self.stream = None;
    }

    /// `None`: nothing that the caller has not had.
    async fn attempt(&mut self) -> Result<Option<WatchResponse>, ClientError> {
        if self.stream.is_none() {
            let mut body = rpc::encode(&WatchRequest::Create(self.request.clone()));
            if self.progress {
                rpc::encode_into(&WatchRequest::Progress(WatchProgressRequest {}), &mut body);
            }
            self.stream = Some(self.client.led_stream("/v3/watch", &body).await?);
            self.progress = false;
            self.repeats = self.told;
        }
        let stream = self.stream.as_mut().expect("it was just opened");
        let Some(mut response) = stream.next::<WatchResponse>().await? else {
            let endpoint = stream.endpoint().to_string();
            return Err(ClientError::Broken { endpoint, what: "the watch ended".into(), unknown: false });
        };
        self.pause = PAUSE;
        let again = response.created && std::mem::replace(&mut self.begun, true);
        if response.canceled && response.cancel_reason.ends_with(NO_LEADER) {
            let message = response.cancel_reason;
            return Err(ClientError::Refused { code: ClientError::UNAVAILABLE, message });
        }
        if self.pass_over(&mut response) {
            return Ok(None);
        }
        self.advance(&response);
        Ok(if again && !response.canceled { None } else { Some(response) })
    }

    /// Takes out events that were told before. True: there were no others.
    fn pass_over(&mut self, response: &mut WatchResponse) -> bool {
        let known = self.repeats.min(response.events.len());
        self.repeats -= known;
        response.events.drain(..known);
        if known == 0 || !response.events.is_empty() {
            return false;
        }
        if !response.fragment {
            (self.request.start_revision, self.told) = (self.request.start_revision + 1, 0);
        }
        true
    }

    /// Notes how far a message has come.
    fn advance(&mut self, response: &WatchResponse) {
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        let last = response.events.last().map(revision_of);
        if let Some(last) = last.filter(|_| response.fragment) {
            let told = response.events.iter().rev().take_while(|event| revision_of(event) == last).count();
            let before = if last == self.request.start_revision { self.told } else { 0 };
            (self.request.start_revision, self.told) = (last, before + told);
            return;
        }
        let needed = match last {
            // The header may be ahead of history that is still to come.
            Some(last) => last + 1,
            None if response.created && self.request.start_revision == 0 => revision + 1,
            // Progress: all up to the header's revision has been told.
            None if !response.created && !response.canceled => revision + 1,
            None => return,
        };
        if needed > self.request.start_revision {
            (self.request.start_revision, self.told) = (needed, 0);
        }
    }
}

fn revision_of(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}
