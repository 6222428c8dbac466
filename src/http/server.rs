//! Accepts connections, and stops in order.

use std::{
    future::Future,
    io::{self, Write},
    net::{IpAddr, TcpStream},
    rc::Rc,
    time::{Duration, Instant},
};

use async_io::{Async, Timer};
use futures_lite::future::{or, yield_now};
use smol::{LocalExecutor, Task};

use crate::logging::Seldom;

use super::{
    Handler, Listener,
    answer::{self, Afterwards, Extent},
    connection::{self, Connection, Ends},
    limits::Options,
    link::Link,
    shared::Shared,
    sweeper,
};

/// Accepted in a row before others get their turn.
const ACCEPTED_MAX: usize = 16;

/// When the system has no more descriptors or memory, some may come back within this time.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stop` is there; then answers what is under way and returns, after `stop_timeout` at the latest.
pub async fn serve<H: Handler>(
    listeners: Vec<Listener>,
    options: Options,
    handler: Rc<H>,
    executor: Rc<LocalExecutor<'static>>,
    stop: impl Future<Output = ()>,
) {
    let shared = Rc::new(Shared::new(options));
    let accept = |listener| {
        let accepting = accept(listener, shared.clone(), handler.clone(), executor.clone());
        executor.spawn(accepting)
    };
    let accepting: Vec<Task<()>> = listeners.into_iter().map(accept).collect();
    or(stop, sweep(&shared)).await;
    drop(accepting);
    shared.stop();
    or(all_gone(&shared), or(pause(shared.limits.stop_timeout), sweep(&shared))).await;
    for link in shared.links.borrow().values() {
        link.cut();
    }
}

async fn sweep(shared: &Shared) {
    sweeper::sweep(shared).await;
}

async fn pause(time: Duration) {
    Timer::after(time).await;
}

async fn all_gone(shared: &Shared) {
    while !shared.links.borrow().is_empty() {
        shared.all_gone.raised().await;
    }
}

async fn accept<H: Handler>(
    listener: Listener,
    shared: Rc<Shared>,
    handler: Rc<H>,
    executor: Rc<LocalExecutor<'static>>,
) {
    let mut told = Seldom::default();
    loop {
        for _ in 0..ACCEPTED_MAX {
            match listener.socket.accept().await {
                Ok((socket, from)) => welcome(socket, from.ip().to_canonical(), &shared, &handler, &executor),
                Err(error) => recover(&listener, &error, &mut told).await,
            }
        }
        yield_now().await;
    }
}

/// A peer that went before it was accepted is nobody's trouble. What the system lacks it lacks for a while: trying again at
/// once would only burn the processor.
async fn recover(listener: &Listener, error: &io::Error, told: &mut Seldom) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
        if let Some(left_out) = told.may(Instant::now()) {
            log::warn!("accepting on {}: {error}; trying again in {PAUSE:?}{left_out}", listener.address());
        }
        pause(PAUSE).await;
    }
}

fn welcome<H: Handler>(
    socket: Async<TcpStream>,
    from: IpAddr,
    shared: &Rc<Shared>,
    handler: &Rc<H>,
    executor: &LocalExecutor<'static>,
) {
    if shared.links.borrow().len() >= shared.limits.connections_max {
        return turn_away(&socket);
    }
    let to_loopback = socket.get_ref().local_addr().is_ok_and(|local| is_loopback(local.ip()));
    let ends = Ends { to_loopback, from };
    let connection = Connection::new(shared.clone(), Link::new(socket), ends);
    executor.spawn(connection::run(connection, handler.clone())).detach();
}

/// Says why if that costs nothing.
fn turn_away(socket: &Async<TcpStream>) {
    let head = super::Head { status: 503, content_type: "text/plain; charset=utf-8", headers: &[] };
    let text = b"too many connections\n";
    let mut out = Vec::new();
    answer::write_head(&mut out, &head, Extent::Length(text.len()), Afterwards::Close);
    out.extend_from_slice(text);
    let _ = (&mut socket.get_ref()).write(&out);
    let _ = socket.get_ref().shutdown(std::net::Shutdown::Write);
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
