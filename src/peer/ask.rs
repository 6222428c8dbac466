//! A question that a board can ask before it is anybody: who are the members?
//!
//! ```text
//!   asker   | greeting: purpose ask; cluster, from, to are 0 |
//!   asked   | greeting | frame: RollCall |                       both close
//! ```
//!
//! It needs no cluster and no id, only what every connection needs: with TLS, a certificate that the asked trusts. What is
//! told is what the asked knows, which may be old, or nothing if it is about to join itself.

use std::{
    collections::BTreeSet,
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_io::Timer;
use futures_lite::{future::or, io::AsyncWriteExt};
use serde::{Deserialize, Serialize};
use smol::lock::Semaphore;

use crate::types::{Bytes, ClusterId, NodeId};

use super::{
    Frame, Greeting, PeerUrl, Purpose, Refusal, Tls, accept,
    clock::Clock,
    dial,
    handshake::{self, Handshaker},
    judge,
    limits::{LOOKUPS_MAX, ROLL_BYTES_MAX},
    shared::{Shared, nobody, read_frame, read_greeting, write_greeting},
    stream::Stream,
};

/// Who the members are, as the asked knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollCall {
    pub cluster: ClusterId,
    /// Who was asked.
    pub member: NodeId,
    /// In the order of their ids. None: the asked has not been told yet.
    pub members: Vec<RollEntry>,
    pub removed: BTreeSet<NodeId>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollEntry {
    pub id: NodeId,
    pub is_learner: bool,
    /// `MemberRow`, encoded.
    pub row: Bytes,
}

/// Asks. It may be needed for a few moments only, and costs a thread where peers use TLS.
pub struct Asker {
    tls: Option<Handshaker>,
    lookups: Arc<Semaphore>,
}

impl Asker {
    /// Errors: one line that names the certificate's file and what is wrong with it.
    pub fn new(tls: Option<Tls>, wall_clock: fn() -> SystemTime) -> Result<Asker, String> {
        let tls = tls.map(|tls| Handshaker::start(tls, Clock(wall_clock))).transpose()?;
        Ok(Asker { tls, lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) })
    }

    /// One board, at the first of its URLs that answers, each within `timeout`. Errors: one line for each URL.
    pub async fn ask(&self, urls: &[PeerUrl], timeout: Duration) -> Result<RollCall, String> {
        let mut troubles = Vec::new();
        for url in urls {
            let late = async {
                Timer::after(timeout).await;
                Err(format!("{url}: no answer in {timeout:?}"))
            };
            match or(self.ask_at(url, timeout), late).await {
                Ok(told) => return Ok(told),
                Err(trouble) => troubles.push(trouble),
            }
        }
        Err(troubles.join("; "))
    }

    async fn ask_at(&self, url: &PeerUrl, timeout: Duration) -> Result<RollCall, String> {
        let link = |error: io::Error| dial::explain(url, &error);
        let mut stream = self.connect(url, timeout).await.map_err(link)?;
        let mine = nobody(Purpose::Ask, ROLL_BYTES_MAX);
        write_greeting(&mut stream, &mine).await.map_err(link)?;
        let theirs = read_greeting(&mut stream).await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!("{url}: the connection was closed without an answer: is its build older than this?")
            }
            _ => link(error),
        })?;
        if let Some(reason) = judge::of_asking(&mine, &theirs) {
            return Err(format!("{url}: {}", reason.explain(&mine, &theirs)));
        }
        match read_frame(&mut stream, ROLL_BYTES_MAX).await.map_err(link)? {
            Frame::RollCall(told) => Ok(told),
            _ => Err(format!("{url}: its answer cannot be read: it is no list of members")),
        }
    }

    async fn connect(&self, url: &PeerUrl, timeout: Duration) -> io::Result<Stream> {
        let socket = dial::reach(&self.lookups, timeout, url).await?;
        handshake::secure(self.tls.as_ref(), socket, url).await
    }
}

/// The other side. Takes as long as the asker takes it to listen: whoever calls this bounds it.
pub(super) async fn answer(shared: &Shared, mut stream: Stream, theirs: &Greeting) {
    let verdict = match shared.is_certified(&stream) {
        true => judge::of_asking(&shared.greeting(theirs.from, Purpose::Ask, None), theirs),
        false => Some(Refusal::NoCertificate),
    };
    let mut bytes = shared.greeting(theirs.from, Purpose::Ask, verdict).encode().to_vec();
    if verdict.is_none() {
        let told = Frame::RollCall(shared.roll_call());
        if let Err(error) = told.encode(&mut bytes, theirs.frame_bytes_max.min(ROLL_BYTES_MAX)) {
            shared.warn(&format!("a board that asked for the members was not told: {error}"));
            return;
        }
    }
    if stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok() {
        accept::close(stream).await;
    }
}
