//! One request and its answer, as a handler sees them.

use std::{io::IoSlice, net::IpAddr};

use super::{
    BodyError, Closed, Head,
    answer::{self, Afterwards, Extent},
    connection::Connection,
    head::{Framing, RequestHead},
    limits::{COPIED_BYTES_MAX, DROPPED_BYTES_MAX},
    link::Phase,
    shared::Room,
};

/// How far the answer has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Owed,
    /// Under way, in chunks or, for old clients, up to the end of the connection.
    Streaming {
        in_chunks: bool,
    },
    Given,
}

/// How far the body has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Unread,
    Read,
    /// Where the next request begins will never be known.
    Lost,
}

/// One request and its answer.
pub struct Exchange<'a> {
    connection: &'a mut Connection,
    head: RequestHead,
    body: Body,
    answer: Answer,
    /// The connection ends with this exchange, as the peer was told.
    last: bool,
}

/// The request.
impl<'a> Exchange<'a> {
    pub(super) fn new(connection: &'a mut Connection, head: RequestHead) -> Exchange<'a> {
        let body = if head.framing == Framing::Length(0) { Body::Read } else { Body::Unread };
        Exchange { connection, head, body, answer: Answer::Owed, last: false }
    }

    pub fn method(&self) -> &str {
        self.head.method(self.connection.head_bytes())
    }

    /// As it came, percent-encoded, without the query.
    pub fn path(&self) -> &str {
        self.head.path(self.connection.head_bytes())
    }

    /// As it came, behind the question mark.
    pub fn query(&self) -> Option<&str> {
        self.head.query(self.connection.head_bytes())
    }

    /// The only or first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.header(self.connection.head_bytes(), name)
    }

    /// Does the peer run on this board?
    pub fn is_from_here(&self) -> bool {
        self.connection.is_from_loopback()
    }

    /// Where the peer is.
    pub fn peer(&self) -> IpAddr {
        self.connection.peer()
    }

    /// The whole body, once; empty afterwards. Answers `100 Continue` first if the client waits for it. After an error
    /// the handler answers, and the connection is closed.
    pub async fn body(&mut self, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
        if self.body != Body::Unread {
            return Ok(Vec::new());
        }
        self.body = Body::Lost;
        let body = self.read_body(bytes_max).await?;
        self.body = Body::Read;
        self.connection.enter(Phase::Busy);
        Ok(body)
    }

    async fn read_body(&mut self, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
        let length = match self.head.framing {
            Framing::Length(length) => Some(usize::try_from(length).unwrap_or(usize::MAX)),
            Framing::Chunked => None,
        };
        if length.is_some_and(|length| length > bytes_max) {
            return Err(BodyError::TooLarge { bytes_max });
        }
        if self.head.expects_continue && self.connection.unread().is_empty() {
            let sent = self.connection.send(&mut [IoSlice::new(answer::CONTINUE)]).await;
            sent.map_err(|Closed| BodyError::Closed)?;
        }
        match length {
            Some(length) => self.connection.read_length(length).await,
            None => self.connection.read_chunked(bytes_max).await,
        }
    }

    /// Returns when the peer has closed its side or the server stops. Bytes of a next request wait. To be asked for once
    /// the body is read. Cancel-safe.
    pub async fn closed(&mut self) {
        self.connection.closed().await;
    }

    /// To be asked before something large is made for an answer that has begun.
    pub fn room(&self) -> Room {
        Room(self.connection.shared.clone())
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection
    }

    pub(super) fn head(&self) -> &RequestHead {
        &self.head
    }
}

/// The answer.
impl Exchange<'_> {
    /// A whole answer.
    pub async fn reply(&mut self, head: Head<'_>, body: &[u8]) -> Result<(), Closed> {
        assert!(self.answer == Answer::Owed, "{} {} is answered twice", self.method(), self.path());
        let extent = match head.status {
            204 | 304 => Extent::Untold,
            _ => Extent::Length(body.len()),
        };
        let body = if extent == Extent::Untold || self.method() == "HEAD" { b"" } else { body };
        let mut out = self.connection.shared.pool.take();
        answer::write_head(&mut out, &head, extent, self.afterwards());
        self.answer = Answer::Given;
        let sent = if body.len() <= COPIED_BYTES_MAX {
            out.extend_from_slice(body);
            self.connection.send(&mut [IoSlice::new(&out)]).await
        } else {
            self.connection.send(&mut [IoSlice::new(&out), IoSlice::new(body)]).await
        };
        self.connection.shared.pool.give(out);
        sent
    }

    /// A whole answer, and the connection's last.
    pub(super) async fn reply_and_close(&mut self, head: Head<'_>, body: &[u8]) -> Result<(), Closed> {
        self.last = true;
        self.reply(head, body).await
    }

    /// Answers that the connection speaks another protocol from here on.
    pub(super) async fn switch(&mut self, accept: &str) -> Result<(), Closed> {
        self.last = true;
        self.answer = Answer::Given;
        let headers = &[("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept)];
        let head = Head { status: 101, content_type: "", headers };
        let mut out = self.connection.shared.pool.take();
        answer::write_head(&mut out, &head, Extent::Untold, Afterwards::Upgrade);
        let sent = self.connection.send(&mut [IoSlice::new(&out)]).await;
        self.connection.shared.pool.give(out);
        sent
    }

    /// Begins a chunked answer.
    pub async fn start(&mut self, head: Head<'_>) -> Result<(), Closed> {
        assert!(self.answer == Answer::Owed, "{} {} is answered twice", self.method(), self.path());
        let in_chunks = !self.head.is_http_1_0;
        self.last |= !in_chunks;
        let extent = if in_chunks { Extent::Chunked } else { Extent::Untold };
        let mut out = self.connection.shared.pool.take();
        answer::write_head(&mut out, &head, extent, self.afterwards());
        self.answer = Answer::Streaming { in_chunks };
        let sent = self.connection.send(&mut [IoSlice::new(&out)]).await;
        self.connection.shared.pool.give(out);
        sent
    }

    /// One chunk, sent at once.
    pub async fn chunk(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        let Answer::Streaming { in_chunks } = self.answer else {
            panic!("{} {} sends a chunk of no stream: {:?}", self.method(), self.path(), self.answer);
        };
        // An empty chunk would be the last one.
        if bytes.is_empty() || self.method() == "HEAD" {
            return Ok(());
        }
        if !in_chunks {
            return self.connection.send(&mut [IoSlice::new(bytes)]).await;
        }
        let mut out = self.connection.shared.pool.take();
        answer::write_chunk_size(&mut out, bytes.len());
        let sent = if bytes.len() <= COPIED_BYTES_MAX {
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
            self.connection.send(&mut [IoSlice::new(&out)]).await
        } else {
            let parts = &mut [IoSlice::new(&out), IoSlice::new(bytes), IoSlice::new(b"\r\n")];
            self.connection.send(parts).await
        };
        self.connection.shared.pool.give(out);
        sent
    }

    /// Ends a chunked answer.
    pub async fn finish(&mut self) -> Result<(), Closed> {
        let Answer::Streaming { in_chunks } = self.answer else {
            panic!("{} {} ends no stream: {:?}", self.method(), self.path(), self.answer);
        };
        self.answer = Answer::Given;
        match in_chunks && self.method() != "HEAD" {
            true => self.connection.send(&mut [IoSlice::new(b"0\r\n\r\n")]).await,
            false => Ok(()),
        }
    }

    /// Decides whether this is the connection's last exchange, and how to say so.
    fn afterwards(&mut self) -> Afterwards {
        self.last |= !self.head.keep_alive || self.connection.shared.is_stopping() || !self.can_go_on();
        match self.last {
            true => Afterwards::Close,
            false if self.head.is_http_1_0 => Afterwards::KeepAlive,
            false => Afterwards::Untold,
        }
    }

    /// The next request can be found: the body was read, or its rest is short and surely comes.
    fn can_go_on(&self) -> bool {
        match (self.body, self.head.framing) {
            (Body::Read, _) => true,
            (Body::Lost, _) => false,
            (Body::Unread, _) if self.head.expects_continue => false,
            (Body::Unread, Framing::Length(length)) => length <= DROPPED_BYTES_MAX as u64,
            (Body::Unread, Framing::Chunked) => true,
        }
    }

    /// The handler is done. Returns whether another request may follow. What is rarely needed is boxed.
    pub(super) async fn end(&mut self) -> bool {
        if self.answer == Answer::Owed && Box::pin(self.confess()).await.is_err() {
            return false;
        }
        // What was not finished must not look complete: the connection ends.
        if self.answer != Answer::Given {
            return false;
        }
        if self.body == Body::Unread && !self.last {
            self.last = Box::pin(self.body(DROPPED_BYTES_MAX)).await.is_err();
        }
        if self.last && (self.body != Body::Read || !self.connection.unread().is_empty()) {
            Box::pin(self.connection.linger()).await;
        }
        !self.last && !self.connection.ended
    }

    async fn confess(&mut self) -> Result<(), Closed> {
        log::error!("{} {} was not answered by its handler", self.method(), self.path());
        self.reply_and_close(Head { status: 500, content_type: "", headers: &[] }, b"").await
    }
}
