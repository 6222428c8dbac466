//! The bytes of a connection, plain or encrypted.

use std::{
    io,
    net::{Shutdown, TcpStream},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_io::Async;
use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsStream;
use rustix::net::sockopt;

use crate::types::NodeId;

use super::{
    handshake::Secured,
    identity::{self, Shown},
    limits::SEND_BUFFER_BYTES,
};

pub(super) enum Stream {
    Plain(Async<TcpStream>),
    Tls(Box<Secured>),
}

impl Stream {
    /// The key that the other side has proven to hold, and those that it has followed.
    pub(super) fn shown(&self) -> Option<&Shown> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(secured) => secured.shown.as_ref(),
        }
    }

    /// Does that certificate say that its holder was let in as this member?
    pub(super) fn is_of(&self, member: NodeId) -> bool {
        let chain = match self {
            Stream::Plain(_) => None,
            Stream::Tls(secured) => secured.session.get_ref().1.peer_certificates(),
        };
        chain.and_then(|chain| chain.first()).is_some_and(|certificate| identity::is_of(certificate, member))
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// Bytes that both ends of this connection know, and nobody else; others for each label.
    pub(super) fn exporter(&self, label: &[u8]) -> io::Result<[u8; 32]> {
        let exported = match self {
            Stream::Plain(_) => return Err(io::Error::other("a plain connection has no keys")),
            Stream::Tls(secured) => match &secured.session {
                TlsStream::Client(session) => {
                    session.get_ref().1.export_keying_material([0; 32], label, None)
                }
                TlsStream::Server(session) => {
                    session.get_ref().1.export_keying_material([0; 32], label, None)
                }
            },
        };
        exported.map_err(io::Error::other)
    }
}

/// See `limits`. Frames are gathered before they are written, so nothing is gained by waiting for more.
pub(super) fn tune(socket: &Async<TcpStream>, silence: Duration) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_tcp_user_timeout(socket, u32::try_from(silence.as_millis()).unwrap_or(u32::MAX))?;
    Ok(sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER_BYTES)?)
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Stream::Tls(secured) => Pin::new(&mut secured.session).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Stream::Tls(secured) => Pin::new(&mut secured.session).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Tls(secured) => Pin::new(&mut secured.session).poll_flush(cx),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            // The socket's own only flushes. With TLS the other side is told by the session.
            Stream::Plain(socket) => Poll::Ready(socket.get_ref().shutdown(Shutdown::Write)),
            Stream::Tls(secured) => Pin::new(&mut secured.session).poll_close(cx),
        }
    }
}
