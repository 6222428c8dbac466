//! TLS handshakes, on a thread of their own: a signature takes a small board hundreds of milliseconds, and heartbeats must
//! go on meanwhile.
//!
//! A handshake is a task of the thread's own executor. Who awaits it on the main thread gets the stream when it is
//! done; who drops it ends it. How many there are at a time is bounded by those who ask: `limits::STRANGERS_MAX`, and one
//! for each connection that is dialled. The bytes of a stream are encrypted by whoever writes them: that is cheap.
//!
//! The thread also reads the certificates' files, which may lie on a slow card.

use std::{
    future::Future,
    io,
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use async_io::{Async, Timer};
use futures_lite::future::or;
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, ServerName},
};
use smol::{
    Executor, Task,
    channel::{Receiver, Sender, bounded},
};

use super::{
    PeerUrl, Tls,
    clock::Clock,
    credentials::{Configs, Credentials, LOOK_EVERY},
    identity::{NAME, Shown},
    stream::Stream,
};

/// A handshake holds little on the stack; what it keeps is on the heap.
const STACK_BYTES: usize = 512 << 10;

/// What a session keeps of what it was given and could not send: one record.
const SEND_BUFFER_BYTES: usize = 32 << 10;

/// A session whose handshake is done.
pub(super) struct Secured {
    pub(super) session: TlsStream<Async<TcpStream>>,
    /// By the certificates that the other side has shown, if it has.
    pub(super) shown: Option<Shown>,
}

/// A thread with an executor. It ends with it.
pub(super) struct Thread {
    executor: Arc<Executor<'static>>,
    _running: Sender<()>,
}

impl Thread {
    /// `beside` is done there, too.
    pub(super) fn start(beside: impl Future<Output = ()> + Send + 'static) -> io::Result<Thread> {
        let executor = Arc::new(Executor::new());
        let (running, stopped) = bounded(1);
        let run = {
            let executor = executor.clone();
            move || async_io::block_on(executor.run(or(beside, end(stopped))))
        };
        thread::Builder::new().name("tls".into()).stack_size(STACK_BYTES).spawn(run)?;
        Ok(Thread { executor, _running: running })
    }

    /// With what is not known before the thread has looked.
    fn connect_with(
        &self,
        socket: Async<TcpStream>,
        prepare: impl FnOnce() -> io::Result<(Arc<ClientConfig>, ServerName<'static>)> + Send + 'static,
    ) -> Task<io::Result<Secured>> {
        self.executor.spawn(async move {
            let (config, name) = prepare()?;
            let mut stream = TlsConnector::from(config).connect(name, socket).await?;
            stream.get_mut().1.set_buffer_limit(Some(SEND_BUFFER_BYTES));
            let shown = shown(stream.get_ref().1.peer_certificates())?;
            Ok(Secured { session: TlsStream::Client(stream), shown })
        })
    }

    /// Whom `config` believes, under the name that all boards have.
    pub(super) fn connect(
        &self,
        socket: Async<TcpStream>,
        config: Arc<ClientConfig>,
    ) -> Task<io::Result<Secured>> {
        self.connect_with(socket, move || Ok((config, name(NAME)?)))
    }
}

/// See the module.
pub(super) struct Handshaker {
    thread: Thread,
    credentials: Arc<Mutex<Credentials>>,
    board: Option<PathBuf>,
}

impl Handshaker {
    /// Reads files. Errors: one line that names the file and what is wrong with it.
    pub(super) fn start(tls: Tls, clock: Clock) -> Result<Handshaker, String> {
        let board = match &tls {
            Tls::Board(folder) => Some(folder.clone()),
            Tls::Files(_) => None,
        };
        let credentials = Arc::new(Mutex::new(Credentials::load(tls, clock)?));
        let thread = Thread::start(look(credentials.clone())).map_err(no_thread)?;
        Ok(Handshaker { thread, credentials, board })
    }

    /// The folder of the board's identity, where it goes by that.
    pub(super) fn board(&self) -> Option<&Path> {
        self.board.as_deref()
    }

    pub(super) fn accept(&self, socket: Async<TcpStream>) -> Task<io::Result<Secured>> {
        let credentials = self.credentials.clone();
        self.thread.executor.spawn(async move {
            let acceptor = TlsAcceptor::from(current(&credentials).server);
            let mut stream = acceptor.accept(socket).await?;
            stream.get_mut().1.set_buffer_limit(Some(SEND_BUFFER_BYTES));
            let shown = shown(stream.get_ref().1.peer_certificates())?;
            Ok(Secured { session: TlsStream::Server(stream), shown })
        })
    }

    /// With certificates of files, the other's must be for `host`, a name or an address.
    pub(super) fn connect(&self, socket: Async<TcpStream>, host: &str) -> Task<io::Result<Secured>> {
        let (credentials, host) = (self.credentials.clone(), host.to_owned());
        self.thread.connect_with(socket, move || {
            let configs = current(&credentials);
            let name = name(if configs.is_board { NAME } else { &host })?;
            Ok((configs.client, name))
        })
    }
}

/// To a peer, as its URL says. Who goes by keys talks to nobody who shows none.
pub(super) async fn secure(
    tls: Option<&Handshaker>,
    socket: Async<TcpStream>,
    url: &PeerUrl,
) -> io::Result<Stream> {
    match tls {
        Some(tls) if url.is_tls => Ok(Stream::Tls(Box::new(tls.connect(socket, &url.host).await?))),
        None if url.is_tls => Err(no_tls()),
        Some(tls) if tls.board.is_some() => Err(io::Error::other(
            "this board goes by its key, and reaches others at https:// peer URLs only: correct it with `solder member update`",
        )),
        _ => Ok(Stream::Plain(socket)),
    }
}

pub(super) fn no_tls() -> io::Error {
    let advice = "https:// peer URLs need --peer-cert-file, --peer-key-file and --peer-trusted-ca-file";
    io::Error::other(advice)
}

pub(super) fn no_thread(error: io::Error) -> String {
    format!("the thread for handshakes cannot be started: {error}")
}

fn name(name: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).map_err(io::Error::other)
}

fn shown(chain: Option<&[CertificateDer<'_>]>) -> io::Result<Option<Shown>> {
    Shown::of(chain.unwrap_or_default()).map_err(io::Error::other)
}

fn current(credentials: &Mutex<Credentials>) -> Configs {
    credentials.lock().unwrap_or_else(PoisonError::into_inner).current()
}

async fn look(credentials: Arc<Mutex<Credentials>>) {
    loop {
        Timer::after(LOOK_EVERY).await;
        current(&credentials);
        credentials.lock().unwrap_or_else(PoisonError::into_inner).warn_of_the_end();
    }
}

async fn end(stopped: Receiver<()>) {
    // Nothing is ever sent: the other side is dropped.
    let _ = stopped.recv().await;
}
