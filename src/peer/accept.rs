//! Takes connections: strangers first, who must secure the line and greet, then peers.
//!
//! A stranger that cannot be understood is cut without a word; one that has greeted is told why it is not wanted.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    rc::Rc,
    time::Duration,
};

use async_io::{Async, Timer};
use futures_lite::{
    future::{or, yield_now},
    io::{AsyncReadExt, AsyncWriteExt},
};

use super::{
    Greeting, PeerListener, Purpose, ask, authority, certifying,
    join::Joining,
    judge,
    limits::BYE_TIMEOUT,
    session,
    shared::{Shared, read_greeting, write_greeting},
    stream::{Stream, tune},
};

/// When the system has no more descriptors or memory, some may come back within this time.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) async fn accept(shared: Rc<Shared>, listener: PeerListener) {
    loop {
        match listener.socket.accept().await {
            Ok((socket, address)) => take_in(&shared, socket, plain(address), listener.is_tls),
            // It was gone before it was taken: nobody's trouble.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log::warn!("accepting peers on {}: {error}; trying again in {PAUSE:?}", listener.address());
                Timer::after(PAUSE).await;
            }
        }
        yield_now().await;
    }
}

/// On `[::]` those of IPv4 come in disguise.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn take_in(shared: &Rc<Shared>, socket: Async<TcpStream>, address: SocketAddr, is_tls: bool) {
    shared.counts.accepted.add(1);
    let mut strangers = shared.strangers.borrow_mut();
    let number = strangers.next();
    let task = shared.executor.spawn(serve(shared.clone(), number, socket, address, is_tls));
    let goes = strangers.add(address.ip(), task);
    if goes.is_some() {
        shared.counts.strangers_pushed_out.add(1);
    }
    // Dropped, it is cancelled, and its socket closed.
    drop(goes);
}

async fn serve(shared: Rc<Shared>, number: u64, socket: Async<TcpStream>, address: SocketAddr, is_tls: bool) {
    let met = or(meet(&shared, socket, is_tls), late(&shared)).await;
    let leave = || no_stranger(&shared, number);
    match met {
        Err(error) => {
            leave();
            shared.counts.strangers_failed.add(1);
            let text = format!("a connection from {address} did not become a peer's: {error}");
            // Who goes without a word has seen that this is not whom it was looking for.
            match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => log::debug!("{text}"),
                _ => shared.warn(&text),
            }
        }
        // From here on it may stay without being one of the strangers.
        Ok((stream, theirs)) if Purpose::LANES.contains(&theirs.purpose) => {
            leave();
            greeted(&shared, stream, theirs, address).await;
        }
        // All others are strangers to the end, or until they say that they are not.
        Ok((stream, theirs)) => {
            match theirs.purpose {
                Purpose::Join => {
                    let joining = Joining { shared: &shared, theirs: &theirs, address };
                    joining.run(stream, leave).await;
                }
                Purpose::Authority => {
                    or(authority::answer(&shared, stream, &theirs), too_long(&shared)).await
                }
                Purpose::Certificate => {
                    or(certifying::answer(&shared, stream, &theirs), too_long(&shared)).await
                }
                _ => or(ask::answer(&shared, stream, &theirs), pause()).await,
            }
            leave();
        }
    }
}

fn no_stranger(shared: &Shared, number: u64) {
    if let Some(task) = shared.strangers.borrow_mut().remove(number) {
        task.detach();
    }
}

async fn too_long(shared: &Shared) {
    Timer::after(shared.limits.greeting_timeout).await;
}

async fn late(shared: &Shared) -> io::Result<(Stream, Greeting)> {
    too_long(shared).await;
    Err(io::Error::new(io::ErrorKind::TimedOut, "no greeting in time"))
}

async fn meet(shared: &Shared, socket: Async<TcpStream>, is_tls: bool) -> io::Result<(Stream, Greeting)> {
    tune(&socket, shared.limits.silence_timeout)?;
    let mut stream = if is_tls { shared.accept_tls(socket).await? } else { Stream::Plain(socket) };
    let theirs = read_greeting(&mut stream).await?;
    Ok((stream, theirs))
}

async fn greeted(shared: &Rc<Shared>, mut stream: Stream, theirs: Greeting, address: SocketAddr) {
    let verdict = shared.judge(&theirs, &stream);
    let mine = shared.greeting(theirs.from, theirs.purpose, verdict);
    if judge::is_disowned(&mine, &theirs) && shared.is_word_of(theirs.from, &stream) {
        shared.disowned_by(&theirs);
    }
    if let Some(reason) = verdict {
        shared.counts.refused.add(1);
        shared.warn(&format!("refused a peer at {address}: {}", reason.explain(&theirs, &mine)));
        or(refuse(stream, &mine), pause()).await;
        return;
    }
    let answered = or(write_greeting(&mut stream, &mine), async {
        pause().await;
        Err(io::ErrorKind::TimedOut.into())
    });
    match answered.await {
        Ok(()) => session::run(shared.clone(), shared.welcome(theirs.from), stream, false, theirs).await,
        Err(error) => log::debug!("member {} at {address} went before it was welcomed: {error}", theirs.from),
    }
}

async fn pause() {
    Timer::after(BYE_TIMEOUT).await;
}

async fn refuse(mut stream: Stream, mine: &Greeting) {
    if write_greeting(&mut stream, mine).await.is_ok() {
        close(stream).await;
    }
}

/// Without a word, but properly: who is left has nothing to warn of.
pub(super) async fn leave(mut stream: Stream) {
    let closed = async {
        // How it ends is of no interest.
        let _ = stream.close().await;
    };
    or(closed, pause()).await;
}

/// Waits for the other side's end, so that what was said is not lost in a reset.
pub(super) async fn close(mut stream: Stream) {
    if stream.close().await.is_err() {
        return;
    }
    let mut rest = [0; 256];
    while stream.read(&mut rest).await.is_ok_and(|bytes| bytes > 0) {
        yield_now().await;
    }
}
