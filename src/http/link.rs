//! A peer's socket, and what its connection is doing, so that `sweeper` knows when it has been doing it for too long.
//!
//! TLS will come between the two halves of this file: the reads and writes go through its session then, the waiting stays.

use std::{
    cell::Cell,
    future::poll_fn,
    io::{self, IoSlice},
    net::TcpStream,
    task::{Context, Poll},
    time::Duration,
};

use async_io::Async;
use rustix::{
    buffer::spare_capacity,
    io::{read, retry_on_intr},
    net::{self, SendAncillaryBuffer, SendFlags, Shutdown},
};

use super::limits::{LINGER_TIMEOUT, Limits, PROGRESS_BYTES_MIN};

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The rest of a head.
    Head,
    /// A next request.
    Idle,
    /// The rest of a body.
    Body,
    /// A peer that takes what it is sent.
    Write,
    /// The peer's reaction to the end.
    Linger,
    /// The handler thinks.
    Busy,
    /// The handler waits for something to tell, or for the peer to go.
    Waiting,
}

impl Phase {
    /// How long the peer may take. `None`: it is not the peer's turn.
    pub(super) fn timeout(self, limits: &Limits) -> Option<Duration> {
        match self {
            Phase::Head => Some(limits.head_timeout),
            Phase::Idle => Some(limits.idle_timeout),
            Phase::Body | Phase::Write => Some(limits.body_timeout),
            Phase::Linger => Some(LINGER_TIMEOUT),
            Phase::Busy | Phase::Waiting => None,
        }
    }

    /// Nothing is lost if the peer hears nothing more but the end.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Phase::Head | Phase::Idle | Phase::Waiting)
    }
}

/// See the module.
pub(super) struct Link {
    socket: Async<TcpStream>,
    phase: Cell<Phase>,
    /// When the sweeper first saw it in this phase. No clock is read for a request.
    since_ms: Cell<Option<u64>>,
    /// Bytes since then, of a phase in which they count.
    moved: Cell<usize>,
    /// What is held for the peer, who is too slow to take it.
    pub(super) held: Cell<Option<Held>>,
}

/// See `held`.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) bytes: usize,
    /// The older, the smaller.
    pub(super) since: u64,
    /// It will be let go as soon as its task sees that the connection was cut.
    pub(super) is_cut: bool,
}

impl Link {
    pub(super) fn new(socket: Async<TcpStream>) -> Link {
        Link {
            socket,
            phase: Cell::new(Phase::Head),
            since_ms: Cell::new(None),
            moved: Cell::new(0),
            held: Cell::new(None),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(super) fn enter(&self, phase: Phase) {
        if self.phase.replace(phase) != phase {
            self.since_ms.set(None);
            self.moved.set(0);
        }
    }

    /// The peer does something for its time, where that counts: a head must come as a whole.
    fn progress(&self, bytes: usize) {
        if !matches!(self.phase(), Phase::Body | Phase::Write) {
            return;
        }
        let moved = self.moved.get() + bytes;
        let enough = moved >= PROGRESS_BYTES_MIN;
        self.moved.set(if enough { 0 } else { moved });
        if enough {
            self.since_ms.set(None);
        }
    }

    /// How long it has been in this phase, as far as the sweeper has seen.
    pub(super) fn waited_ms(&self, now_ms: u64) -> u64 {
        let since_ms = self.since_ms.get().unwrap_or(now_ms);
        self.since_ms.set(Some(since_ms));
        now_ms.saturating_sub(since_ms)
    }

    /// Both directions end; whoever waits on it is woken and sees that.
    pub(super) fn cut(&self) {
        self.shut_down(Shutdown::Both);
    }

    /// Whoever waits for the peer is woken as if it had closed its side. Answers still go out.
    pub(super) fn end_input(&self) {
        self.shut_down(Shutdown::Read);
    }

    /// The peer sees the end of what it was sent.
    pub(super) fn end_output(&self) {
        self.shut_down(Shutdown::Write);
    }

    /// Fails only if the peer was faster.
    fn shut_down(&self, how: Shutdown) {
        let _ = net::shutdown(&self.socket, how);
    }

    /// Returns once there may be something to read.
    pub(super) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_writable(cx)).await
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_readable(cx)
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_writable(cx)
    }

    /// Appends what has come, as much as there is room for. 0: the peer has closed its side.
    pub(super) fn try_read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        assert!(buffer.len() < buffer.capacity(), "no room in {} bytes", buffer.capacity());
        let bytes = retry_on_intr(|| read(&self.socket, spare_capacity(buffer)))?;
        self.progress(bytes);
        Ok(bytes)
    }

    /// The same into a slice.
    pub(super) fn try_read_slice(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = retry_on_intr(|| read(&self.socket, &mut *buffer))?;
        self.progress(bytes);
        Ok(bytes)
    }

    pub(super) fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        // Without a signal, whatever the process has set up for SIGPIPE.
        let bytes = retry_on_intr(|| match parts {
            [part] => net::send(&self.socket, part, SendFlags::NOSIGNAL),
            _ => {
                let mut control = SendAncillaryBuffer::default();
                net::sendmsg(&self.socket, parts, &mut control, SendFlags::NOSIGNAL)
            }
        })?;
        self.progress(bytes);
        Ok(bytes)
    }
}
