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
use futures_lite::{
    future::or,
    io::{AsyncReadExt, AsyncWriteExt},
};
use serde::{Deserialize, Serialize};
use smol::lock::Semaphore;

use crate::types::{Bytes, ClusterId, NodeId};

use super::{
    FRAME_HEADER_BYTES, Frame, Greeting, PeerUrl, Purpose, TlsFiles, VERSIONS, accept,
    clock::Clock,
    credentials::Credentials,
    dial,
    handshake::Handshaker,
    judge,
    limits::{LOOKUPS_MAX, ROLL_BYTES_MAX},
    shared::{Shared, read_greeting, write_greeting},
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
    pub fn new(tls: Option<TlsFiles>, wall_clock: fn() -> SystemTime) -> Result<Asker, String> {
        let tls = tls.map(|files| Credentials::load(files, Clock(wall_clock))).transpose()?;
        let tls = tls.map(Handshaker::start).transpose();
        let tls = tls.map_err(|error| format!("the thread for handshakes cannot be started: {error}"))?;
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
        let mine = greeting();
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
        read_answer(&mut stream).await.map_err(link)
    }

    async fn connect(&self, url: &PeerUrl, timeout: Duration) -> io::Result<Stream> {
        let socket = dial::reach(&self.lookups, timeout, url).await?;
        match &self.tls {
            _ if !url.is_tls => Ok(Stream::Plain(socket)),
            Some(tls) => Ok(Stream::Tls(Box::new(tls.connect(socket, &url.host).await?))),
            None => Err(io::Error::other(
                "https:// peer URLs need --peer-cert-file, --peer-key-file and --peer-trusted-ca-file",
            )),
        }
    }
}

fn greeting() -> Greeting {
    Greeting {
        lowest: *VERSIONS.start(),
        highest: *VERSIONS.end(),
        purpose: Purpose::Ask,
        verdict: None,
        cluster: ClusterId(0),
        from: NodeId(0),
        to: NodeId(0),
        frame_bytes_max: ROLL_BYTES_MAX,
        incarnation: 0,
        known_as: 0,
        is_led: false,
    }
}

async fn read_answer(stream: &mut Stream) -> io::Result<RollCall> {
    let bad = |what: &str| io::Error::other(format!("its answer cannot be read: {what}"));
    let mut bytes = vec![0; FRAME_HEADER_BYTES];
    stream.read_exact(&mut bytes).await?;
    let length = Frame::length(&bytes, ROLL_BYTES_MAX).map_err(|error| bad(&error.to_string()))?;
    bytes.resize(length.unwrap_or(FRAME_HEADER_BYTES), 0);
    stream.read_exact(&mut bytes[FRAME_HEADER_BYTES..]).await?;
    match Frame::decode(&bytes, ROLL_BYTES_MAX) {
        Ok(Some((Frame::RollCall(told), _))) => Ok(told),
        Ok(_) => Err(bad("it is no list of members")),
        Err(error) => Err(bad(&error.to_string())),
    }
}

/// The other side. Takes as long as the asker takes it to listen: whoever calls this bounds it.
pub(super) async fn answer(shared: &Shared, mut stream: Stream, theirs: &Greeting) {
    let verdict = judge::of_asking(&shared.greeting(theirs.from, Purpose::Ask, None), theirs);
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
