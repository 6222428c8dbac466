//! The side that wants in.

use std::{
    io,
    net::{IpAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use async_io::{Async, Timer};
use futures_lite::{
    future::{self, or},
    io::AsyncWriteExt,
};
use rustls::ClientConfig;
use smol::lock::Semaphore;

use super::{
    JoinAnswer, JoinError, JoinFrame, JoinRequest, NoProof, Pass,
    proof::{self, Role},
};
use crate::peer::{
    Frame, PeerUrl, Purpose, dial,
    handshake::{Thread, no_thread},
    identity, judge,
    limits::{JOIN_BYTES_MAX, LOOKUPS_MAX, ROLL_BYTES_MAX},
    shared::{nobody, read_frame, read_greeting, write_frame, write_greeting},
    stream::Stream,
    trust,
};

/// Until somebody is there, the look-up of a name included. Another host of the URL may be.
const REACH_MAX: Duration = Duration::from_secs(3);

/// Until there is a connection that can be trusted with the question.
const SECURE_MAX: Duration = Duration::from_secs(5);

/// Joins. It is needed for a few moments only, and costs a thread.
pub struct Joiner {
    thread: Thread,
    lookups: Arc<Semaphore>,
}

/// Somebody who is there. Nothing was said yet.
pub struct Reached {
    url: PeerUrl,
    socket: Async<TcpStream>,
}

impl Reached {
    /// This board's address, as it is seen from there.
    pub fn seen_as(&self) -> Option<IpAddr> {
        self.socket.get_ref().local_addr().ok().map(|address| address.ip().to_canonical())
    }
}

impl Joiner {
    /// Errors: one line; the system gives no thread.
    pub fn new() -> Result<Joiner, String> {
        let thread = Thread::start(future::pending()).map_err(no_thread)?;
        Ok(Joiner { thread, lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) })
    }

    /// Connects, in a few seconds or not at all.
    pub async fn reach(&self, url: &PeerUrl) -> Result<Reached, JoinError> {
        if !url.is_tls {
            return Err(JoinError::Refused(format!(
                "{url}: joining needs https://: use a URL that `solder invite` has printed"
            )));
        }
        let reached = dial::reach(&self.lookups, SECURE_MAX, url);
        match in_time(REACH_MAX, reached).await {
            Ok(socket) => Ok(Reached { url: url.clone(), socket }),
            Err(error) => Err(JoinError::Unreachable(format!("{url}: {error}"))),
        }
    }

    /// Asks whom it has reached, once. A member may take as long as `limits::JOIN_TIMEOUT`: `timeout` should not be less.
    pub async fn join(
        &self,
        reached: Reached,
        pass: &Pass,
        request: &JoinRequest,
        timeout: Duration,
    ) -> Result<JoinAnswer, JoinError> {
        let Reached { url, socket } = reached;
        let late = async {
            Timer::after(timeout).await;
            Err(JoinError::Unreachable(format!("{url}: no answer in {timeout:?}")))
        };
        or(Attempt { url: &url, pass }.run(self, socket, request), late).await
    }

    async fn secure(&self, socket: Async<TcpStream>, config: ClientConfig) -> io::Result<Stream> {
        let secured = async { self.thread.connect(socket, Arc::new(config)).await };
        Ok(Stream::Tls(Box::new(in_time(SECURE_MAX, secured).await?)))
    }
}

async fn in_time<T>(most: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        Timer::after(most).await;
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection in {most:?}")))
    };
    or(work, late).await
}

/// What is asked where, for the messages.
struct Attempt<'a> {
    url: &'a PeerUrl,
    pass: &'a Pass,
}

impl Attempt<'_> {
    async fn run(
        &self,
        joiner: &Joiner,
        socket: Async<TcpStream>,
        request: &JoinRequest,
    ) -> Result<JoinAnswer, JoinError> {
        let config = trust::of_newcomer(self.pass.pin.clone());
        let mut stream = joiner.secure(socket, config).await.map_err(|error| self.not_connected(&error))?;
        self.greet(&mut stream).await?;
        if let Some(answer) = self.prove(&mut stream).await? {
            return Ok(answer);
        }
        let request = JoinFrame::Request(request.clone());
        self.say(&mut stream, request, JOIN_BYTES_MAX).await?;
        let answer = match self.hear(&mut stream, ROLL_BYTES_MAX).await? {
            JoinFrame::Answer(answer) => self.check(answer)?,
            other => return Err(self.nonsense(&other)),
        };
        // Its answer is here: how the connection ends is of no interest.
        let _ = stream.close().await;
        Ok(answer)
    }

    async fn greet(&self, stream: &mut Stream) -> Result<(), JoinError> {
        let mine = nobody(Purpose::Join, ROLL_BYTES_MAX);
        write_greeting(stream, &mine).await.map_err(|error| self.link(&error))?;
        let theirs = read_greeting(stream).await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => JoinError::Unreachable(format!(
                "{}: the connection was closed without an answer: is its build older than this?",
                self.url
            )),
            _ => self.link(&error),
        })?;
        match judge::of_asking(&mine, &theirs) {
            None => Ok(()),
            Some(reason) => {
                Err(JoinError::Refused(format!("{}: {}", self.url, reason.explain(&mine, &theirs))))
            }
        }
    }

    /// Both prove themselves. An answer: the member cannot let anybody in now.
    async fn prove(&self, stream: &mut Stream) -> Result<Option<JoinAnswer>, JoinError> {
        let Pass { token, secret, .. } = self.pass;
        let exporter = stream.exporter(proof::EXPORTER_LABEL).map_err(|error| self.link(&error))?;
        let mac = proof::prove(secret, Role::Newcomer, token, &exporter);
        self.say(stream, JoinFrame::Proof { token: token.clone(), mac }, JOIN_BYTES_MAX).await?;
        match self.hear(stream, JOIN_BYTES_MAX).await? {
            JoinFrame::Proof { mac, .. }
                if proof::is_proven(secret, Role::Member, token, &exporter, &mac) =>
            {
                Ok(None)
            }
            JoinFrame::Proof { .. } => Err(JoinError::NotProven(format!(
                "{}: the board there does not know the URL's secret, or somebody stands between: take a new URL from \
                 `solder invite`, and see that its host is the right one",
                self.url
            ))),
            JoinFrame::Refused { reason, why } => self.refused(reason, &why),
            other => Err(self.nonsense(&other)),
        }
    }

    fn refused(&self, reason: NoProof, why: &str) -> Result<Option<JoinAnswer>, JoinError> {
        let text = format!("{}: {}", self.url, one_line(why));
        match reason {
            NoProof::Later => Ok(Some(JoinAnswer::Later { why: one_line(why) })),
            NoProof::Token => Err(JoinError::Refused(text)),
            NoProof::Secret => Err(JoinError::NotProven(text)),
        }
    }

    /// What was told by who has proven that it knows the secret must still fit the pin.
    fn check(&self, answer: JoinAnswer) -> Result<JoinAnswer, JoinError> {
        match (&answer, &self.pass.pin) {
            (JoinAnswer::Welcome { ca, .. }, Some(pin)) if **pin != identity::key_hash(ca) => {
                Err(self.wrong_pin())
            }
            _ => Ok(answer),
        }
    }

    async fn say(&self, stream: &mut Stream, frame: JoinFrame, bytes_max: u32) -> Result<(), JoinError> {
        let written = write_frame(stream, &Frame::Join(Box::new(frame)), bytes_max).await;
        written.map_err(|error| self.link(&error))
    }

    async fn hear(&self, stream: &mut Stream, bytes_max: u32) -> Result<JoinFrame, JoinError> {
        match read_frame(stream, bytes_max).await.map_err(|error| self.link(&error))? {
            Frame::Join(frame) => Ok(*frame),
            _ => Err(JoinError::Unreachable(format!("{}: its answer is not about joining", self.url))),
        }
    }

    fn nonsense(&self, frame: &JoinFrame) -> JoinError {
        log::debug!("{}: out of turn: {frame:?}", self.url);
        JoinError::Unreachable(format!("{}: it answers out of turn: is its build another?", self.url))
    }

    fn not_connected(&self, error: &io::Error) -> JoinError {
        match trust::is_distrust(error) {
            true => self.wrong_pin(),
            false => self.link(error),
        }
    }

    fn wrong_pin(&self) -> JoinError {
        JoinError::WrongPin(format!(
            "{}: the board there is not of the cluster that the URL is for: take a new URL from `solder invite` there, or \
             correct its host",
            self.url
        ))
    }

    fn link(&self, error: &io::Error) -> JoinError {
        JoinError::Unreachable(format!("{}: {}", self.url, dial::words(error)))
    }
}

/// Of somebody whom nobody has proven to be anybody.
fn one_line(text: &str) -> String {
    text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
