//! TLS handshakes, on a thread of their own: a signature takes a small board hundreds of milliseconds, and heartbeats must
//! go on meanwhile.
//!
//! A handshake is a task of the thread's own executor. Who awaits it on the main thread gets the stream when it is
//! done; who drops it ends it. How many there are at a time is bounded by those who ask: `limits::STRANGERS_MAX`, and one
//! for each connection that is dialled. The bytes of a stream are encrypted by whoever writes them: that is cheap.
//!
//! The thread also reads the certificates' files, which may lie on a slow card.

use std::{
    io,
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use async_io::{Async, Timer};
use futures_lite::future::or;
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use rustls::pki_types::ServerName;
use smol::{
    Executor, Task,
    channel::{Receiver, Sender, bounded},
};

use super::credentials::{Configs, Credentials, LOOK_EVERY};

/// A handshake holds little on the stack; what it keeps is on the heap.
const STACK_BYTES: usize = 512 << 10;

/// What a session keeps of what it was given and could not send: one record.
const SEND_BUFFER_BYTES: usize = 32 << 10;

pub(super) type Secured = TlsStream<Async<TcpStream>>;

/// See the module. The thread ends with it.
pub(super) struct Handshaker {
    executor: Arc<Executor<'static>>,
    credentials: Arc<Mutex<Credentials>>,
    _running: Sender<()>,
}

impl Handshaker {
    pub(super) fn start(credentials: Credentials) -> io::Result<Handshaker> {
        let executor = Arc::new(Executor::new());
        let credentials = Arc::new(Mutex::new(credentials));
        let (running, stopped) = bounded(1);
        let run = {
            let (executor, credentials) = (executor.clone(), credentials.clone());
            move || async_io::block_on(executor.run(or(look(&credentials), end(stopped))))
        };
        thread::Builder::new().name("tls".into()).stack_size(STACK_BYTES).spawn(run)?;
        Ok(Handshaker { executor, credentials, _running: running })
    }

    pub(super) fn accept(&self, socket: Async<TcpStream>) -> Task<io::Result<Secured>> {
        let credentials = self.credentials.clone();
        self.executor.spawn(async move {
            let acceptor = TlsAcceptor::from(current(&credentials).server);
            let mut stream = acceptor.accept(socket).await?;
            stream.get_mut().1.set_buffer_limit(Some(SEND_BUFFER_BYTES));
            Ok(TlsStream::Server(stream))
        })
    }

    /// The certificate must be for `host`, a name or an address.
    pub(super) fn connect(&self, socket: Async<TcpStream>, host: &str) -> Task<io::Result<Secured>> {
        let (credentials, host) = (self.credentials.clone(), host.to_owned());
        self.executor.spawn(async move {
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            let connector = TlsConnector::from(current(&credentials).client);
            let mut stream = connector.connect(name, socket).await?;
            stream.get_mut().1.set_buffer_limit(Some(SEND_BUFFER_BYTES));
            Ok(TlsStream::Client(stream))
        })
    }
}

fn current(credentials: &Mutex<Credentials>) -> Configs {
    credentials.lock().unwrap_or_else(PoisonError::into_inner).current()
}

async fn look(credentials: &Mutex<Credentials>) {
    loop {
        Timer::after(LOOK_EVERY).await;
        current(credentials);
        credentials.lock().unwrap_or_else(PoisonError::into_inner).warn_of_the_end();
    }
}

async fn end(stopped: Receiver<()>) {
    // Nothing is ever sent: the other side is dropped.
    let _ = stopped.recv().await;
}
