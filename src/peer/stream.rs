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
use rustix::net::sockopt;

use super::{handshake::Secured, limits::SEND_BUFFER_BYTES};

pub(super) enum Stream {
    Plain(Async<TcpStream>),
    Tls(Box<Secured>),
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
            Stream::Tls(session) => Pin::new(session).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Stream::Tls(session) => Pin::new(session).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Tls(session) => Pin::new(session).poll_flush(cx),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            // The socket's own only flushes. With TLS the other side is told by the session.
            Stream::Plain(socket) => Poll::Ready(socket.get_ref().shutdown(Shutdown::Write)),
            Stream::Tls(session) => Pin::new(session).poll_close(cx),
        }
    }
}
