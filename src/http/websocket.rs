//! WebSocket (RFC 6455): the handshake from our own request, the frames by tungstenite.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use async_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};
use futures_lite::{AsyncRead, AsyncWrite, Stream};

use super::{
    Closed, Exchange, Head,
    connection::Connection,
    head::{Framing, has_token},
    link::Phase,
    shared::Room,
};

/// Allocated for as long as the socket is open, so it is small.
const READ_BUFFER_BYTES: usize = 1024;

/// 16 bytes in base64.
const KEY_BYTES: usize = 24;

/// An open WebSocket. Pings are answered below.
pub struct WebSocket<'a> {
    stream: Box<WebSocketStream<Wire<'a>>>,
}

/// Why a handshake is refused.
struct Refused {
    status: u16,
    text: &'static [u8],
}

impl Exchange<'_> {
    /// The peer asks for a WebSocket, well or badly.
    pub fn wants_websocket(&self) -> bool {
        self.method() == "GET" && self.header("upgrade").is_some_and(|list| has_token(list, "websocket"))
    }

    /// Shakes hands; the exchange is over afterwards. A handshake that is none is answered here.
    pub async fn websocket(&mut self, message_bytes_max: usize) -> Result<WebSocket<'_>, Closed> {
        match self.accept_key() {
            Ok(key) => self.switch(&key).await?,
            Err(refused) => {
                let headers = &[("Sec-WebSocket-Version", "13")];
                let head =
                    Head { status: refused.status, content_type: "text/plain; charset=utf-8", headers };
                self.reply_and_close(head, refused.text).await?;
                return Err(Closed);
            }
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let (wire, ahead) = Wire::of(self.connection());
        let stream = WebSocketStream::from_partially_read(wire, ahead, Role::Server, Some(config)).await;
        Ok(WebSocket { stream: Box::new(stream) })
    }

    fn accept_key(&self) -> Result<String, Refused> {
        let refuse = |status, text| Err(Refused { status, text });
        if !self.header("connection").is_some_and(|list| has_token(list, "upgrade")) {
            return refuse(400, b"a WebSocket needs the header Connection: Upgrade\n");
        }
        if self.header("sec-websocket-version") != Some(b"13") {
            return refuse(426, b"this is WebSocket of version 13\n");
        }
        if self.head().framing != Framing::Length(0) || self.head().is_http_1_0 {
            return refuse(400, b"a WebSocket begins with HTTP/1.1 and without a body\n");
        }
        match self.header("sec-websocket-key") {
            Some(key) if key.len() == KEY_BYTES && key.ends_with(b"==") => Ok(derive_accept_key(key)),
            _ => refuse(400, b"the Sec-WebSocket-Key is not 16 bytes in base64\n"),
        }
    }
}

impl WebSocket<'_> {
    /// The next text or binary message; `None`: closed in order, or the server stops. Cancel-safe.
    pub async fn receive(&mut self) -> Result<Option<Vec<u8>>, Closed> {
        poll_fn(|cx| {
            loop {
                match pin!(&mut *self.stream).poll_next(cx) {
                    Poll::Ready(Some(Ok(message))) => {
                        self.stream.get_mut().begin_message();
                        if message.is_text() || message.is_binary() {
                            return Poll::Ready(Ok(Some(message.into_data().into())));
                        }
                    }
                    Poll::Ready(Some(Err(Error::ConnectionClosed)) | None) => return Poll::Ready(Ok(None)),
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Closed)),
                    Poll::Pending if self.stream.get_ref().is_stopping() => return Poll::Ready(Ok(None)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    pub async fn send(&mut self, text: &str) -> Result<(), Closed> {
        let connection = &self.stream.get_ref().connection;
        let _rest = connection.shared.hold_rest(&connection.link, text.len());
        self.stream.send(Message::text(text)).await.map_err(|_| Closed)
    }

    /// Sends a fragment of a text message (RFC 6455 section 5.4). Nothing else may be sent before its last one.
    pub async fn send_part(&mut self, text: Vec<u8>, is_first: bool, is_last: bool) -> Result<(), Closed> {
        let connection = &self.stream.get_ref().connection;
        let _rest = connection.shared.hold_rest(&connection.link, text.len());
        let kind = OpCode::Data(if is_first { Data::Text } else { Data::Continue });
        self.stream.send(Message::Frame(Frame::message(text, kind, is_last))).await.map_err(|_| Closed)
    }

    /// To be asked before a large message is made.
    pub fn room(&self) -> Room {
        Room(self.stream.get_ref().connection.shared.clone())
    }

    /// Says that this is the end, and hears the peer out for a moment.
    pub async fn close(&mut self) -> Result<(), Closed> {
        let stopping = self.stream.get_ref().is_stopping();
        let code = if stopping { CloseCode::Away } else { CloseCode::Normal };
        let frame = CloseFrame { code, reason: Default::default() };
        let sent = self.stream.close(Some(frame)).await;
        self.stream.get_mut().last_words();
        // The peer may have closed first: then everything is said.
        if sent.is_ok() {
            while let Ok(Some(_)) = self.receive().await {}
        }
        Ok(())
    }
}

/// The connection as tungstenite wants it.
struct Wire<'a> {
    connection: &'a mut Connection,
    /// What to wait in while there is nothing to read.
    waiting: Phase,
    /// Bytes since the last message.
    come: usize,
}

impl<'a> Wire<'a> {
    /// And what the peer has already sent.
    fn of(connection: &'a mut Connection) -> (Wire<'a>, Vec<u8>) {
        let ahead = connection.take_input();
        (Wire { connection, waiting: Phase::Waiting, come: 0 }, ahead)
    }

    fn is_stopping(&self) -> bool {
        self.connection.shared.is_stopping()
    }

    /// A message came whole: its bytes are the handler's now.
    fn begin_message(&mut self) {
        self.come = 0;
        self.connection.release_body();
        self.connection.enter(self.waiting);
    }

    fn last_words(&mut self) {
        self.waiting = Phase::Linger;
        self.connection.enter(Phase::Linger);
    }

    /// Part of a message must be followed by the rest as any body's.
    fn phase(&self) -> Phase {
        if self.come > 0 && self.waiting == Phase::Waiting { Phase::Body } else { self.waiting }
    }
}

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.is_stopping() {
                return Poll::Pending;
            }
            match self.connection.link.try_read_slice(buffer) {
                Ok(bytes) => {
                    self.come += bytes;
                    self.connection.hold(bytes).map_err(io::Error::other)?;
                    return Poll::Ready(Ok(bytes));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.connection.enter(self.phase());
                    ready!(self.connection.link.poll_readable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.connection.link.try_write(&[IoSlice::new(bytes)]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.connection.enter(Phase::Write);
                    ready!(self.connection.link.poll_writable(cx))?;
                }
                written => {
                    self.connection.enter(self.phase());
                    return Poll::Ready(written);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.link.end_output();
        Poll::Ready(Ok(()))
    }
}
