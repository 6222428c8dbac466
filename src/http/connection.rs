//! A connection: one request after the other, from the bytes that have come.
//!
//! ```text
//!   input:   done with | head | read of the body | not read: of the body, then next requests
//!                      ^head  ^      at: --------^
//! ```
//!
//! While nothing of a request has come there is no buffer at all. While one is under way its head stays in the input, so
//! that the handler can ask for its parts.

use std::{
    io::{self, IoSlice},
    net::IpAddr,
    ops::Range,
    rc::Rc,
};

use super::{
    BodyError, Closed, Handler, Head,
    answer::{self, Afterwards, Extent},
    exchange::Exchange,
    guard::Refusal,
    head::{HeadError, RequestHead, parse_head},
    limits::{AHEAD_BYTES_MAX, BUFFER_BYTES, LINGER_BYTES_MAX},
    link::{Link, Phase},
    shared::{Room, Shared},
};

/// See the module.
pub(super) struct Connection {
    pub shared: Rc<Shared>,
    pub link: Rc<Link>,
    id: u64,
    input: Vec<u8>,
    head: Range<usize>,
    at: usize,
    /// Of the body that is read, or of the message of a WebSocket.
    held: usize,
    /// The peer will send nothing more.
    pub ended: bool,
    ends: Ends,
}

/// Where a connection's ends are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// The socket's own address is one that only this board can reach.
    pub to_loopback: bool,
    /// Where the peer is.
    pub from: IpAddr,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.release_body();
        self.shared.remove(self.id);
    }
}

const EMPTY: Head<'static> = Head { status: 200, content_type: "", headers: &[] };

/// Serves a connection to its end.
pub(super) async fn run<H: Handler>(mut connection: Connection, handler: Rc<H>) {
    while let Some(head) = connection.next_request().await {
        if !serve(&mut connection, head, &*handler).await {
            break;
        }
        connection.release_body();
    }
}

/// Returns whether another request may follow.
async fn serve<H: Handler>(connection: &mut Connection, head: RequestHead, handler: &H) -> bool {
    if let Err(refusal) = connection.check(&head) {
        Box::pin(connection.refuse(refusal.status(), &refusal.text())).await;
        return false;
    }
    Room(connection.shared.clone()).wait().await;
    let mut exchange = Exchange::new(connection, head);
    let outcome = match exchange.method() {
        // In boxes of their own: what waits for a request does not pay for what the largest answer needs.
        "OPTIONS" => Box::pin(exchange.reply(EMPTY, b"")).await,
        _ => Box::pin(handler.handle(&mut exchange)).await,
    };
    match outcome {
        Ok(()) => exchange.end().await,
        Err(Closed) => false,
    }
}

impl Connection {
    pub(super) fn new(shared: Rc<Shared>, link: Link, ends: Ends) -> Connection {
        let link = Rc::new(link);
        let id = shared.add(&link);
        shared.enter(&link, Phase::Head);
        let (input, head) = (Vec::new(), 0..0);
        Connection { shared, link, id, input, head, at: 0, held: 0, ended: false, ends }
    }

    pub(super) fn is_from_loopback(&self) -> bool {
        self.ends.from.to_canonical().is_loopback()
    }

    pub(super) fn peer(&self) -> IpAddr {
        self.ends.from
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.shared.enter(&self.link, phase);
    }

    /// The bytes of the head of the request that is under way.
    pub(super) fn head_bytes(&self) -> &[u8] {
        &self.input[self.head.clone()]
    }

    /// What came and is not read yet.
    pub(super) fn unread(&self) -> &[u8] {
        &self.input[self.at..]
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.at += bytes;
        assert!(self.at <= self.input.len(), "consumed {} bytes of {}", self.at, self.input.len());
    }

    /// Bytes that were read past a body belong to what follows.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// For another protocol: gives away what came and is not read, and all buffers.
    pub(super) fn take_input(&mut self) -> Vec<u8> {
        let ahead = self.unread().to_vec();
        self.shared.pool.give(std::mem::take(&mut self.input));
        (self.head, self.at) = (0..0, 0);
        ahead
    }

    async fn next_request(&mut self) -> Option<RequestHead> {
        self.head = self.at..self.at;
        let mut parsed_at = 0;
        loop {
            if self.unread().is_empty() {
                self.wait_for_more().await?;
            } else if self.is_worth_parsing(parsed_at) {
                parsed_at = self.unread().len();
                match parse_head(self.unread(), self.shared.limits.head_bytes_max) {
                    Ok(Some(head)) => return Some(self.begin(head)),
                    Ok(None) => {}
                    Err(error) => {
                        let (status, text) = explain(error);
                        Box::pin(self.refuse(status, text)).await;
                        return None;
                    }
                }
            }
            if !self.unread().is_empty() {
                self.enter(Phase::Head);
            }
            self.fill().await.ok().filter(|&bytes| bytes > 0)?;
        }
    }

    fn begin(&mut self, head: RequestHead) -> RequestHead {
        self.enter(Phase::Busy);
        self.head = self.at..self.at + head.length();
        self.at = self.head.end;
        head
    }

    /// A head that comes byte by byte is not parsed for each: only once an empty line has come, and each time the bytes
    /// have doubled, so that what is hopeless is refused early.
    fn is_worth_parsing(&self, parsed_at: usize) -> bool {
        let unread = self.unread();
        let new = &unread[parsed_at.saturating_sub(2)..];
        unread.len() >= 2 * parsed_at || new.windows(2).any(|pair| pair == b"\n\n" || pair == b"\n\r")
    }

    /// Waits without a buffer.
    async fn wait_for_more(&mut self) -> Option<()> {
        if self.ended || self.shared.is_stopping() {
            return None;
        }
        self.shared.pool.give(std::mem::take(&mut self.input));
        (self.head, self.at) = (0..0, 0);
        if self.link.phase() != Phase::Head {
            self.enter(Phase::Idle);
        }
        self.link.readable().await.ok()
    }

    /// Reads what there is, or waits for it in the phase that was entered. 0: the peer has closed its side.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        loop {
            match self.try_fill() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.link.readable().await?,
                other => return other,
            }
        }
    }

    fn try_fill(&mut self) -> io::Result<usize> {
        if self.input.len() == self.input.capacity() {
            self.make_room();
        }
        let bytes = self.link.try_read(&mut self.input)?;
        self.ended |= bytes == 0;
        Ok(bytes)
    }

    fn make_room(&mut self) {
        self.compact();
        if self.input.capacity() == 0 {
            self.input = self.shared.pool.take();
        } else if self.input.len() == self.input.capacity() {
            self.input.reserve(BUFFER_BYTES);
        }
    }

    /// Drops what is done with. A head stays until its request is answered.
    fn compact(&mut self) {
        self.input.drain(self.head.end..self.at);
        self.input.drain(..self.head.start);
        self.head = 0..self.head.len();
        self.at = self.head.end;
    }

    /// For a long wait: the head and what came ahead are kept, the buffer is not.
    fn keep_little(&mut self) {
        if self.input.capacity() >= BUFFER_BYTES {
            self.compact();
            let little = self.input.as_slice().into();
            self.shared.pool.give(std::mem::replace(&mut self.input, little));
        }
    }

    /// Returns when the peer is gone, has closed its side, or sends more ahead than is kept, or the server stops.
    pub(super) async fn closed(&mut self) {
        self.enter(Phase::Waiting);
        loop {
            self.keep_little();
            if self.ended || self.shared.is_stopping() || self.link.readable().await.is_err() {
                return;
            }
            match self.try_fill() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(1..) if self.unread().len() <= AHEAD_BYTES_MAX => {}
                _ => return,
            }
        }
    }

    /// Takes room for so many bytes of the body.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), BodyError> {
        let (before, after) = (shared_part(self.held), shared_part(self.held + bytes));
        if after > before && !self.shared.hold(after - before, before) {
            return Err(BodyError::Busy);
        }
        self.held += bytes;
        Ok(())
    }

    pub(super) fn release_body(&mut self) {
        self.shared.release(shared_part(std::mem::take(&mut self.held)));
    }

    /// Sends all of it. Returns once the system has it.
    pub(super) async fn send(&self, mut parts: &mut [IoSlice<'_>]) -> Result<(), Closed> {
        let phase = self.link.phase();
        let mut rest = None;
        while !parts.is_empty() {
            match self.link.try_write(parts) {
                Ok(bytes) => IoSlice::advance_slices(&mut parts, bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.enter(Phase::Write);
                    let bytes = || parts.iter().map(|part| part.len()).sum();
                    rest.get_or_insert_with(|| self.shared.hold_rest(&self.link, bytes()));
                    self.link.writable().await.map_err(|_| Closed)?;
                }
                Err(_) => return Err(Closed),
            }
        }
        self.enter(phase);
        Ok(())
    }

    fn check(&self, head: &RequestHead) -> Result<(), Refusal> {
        let header = |name| head.header(self.head_bytes(), name);
        self.shared.guard.check(self.ends.to_loopback, header("host"), header("origin"))
    }

    /// Tells why, and ends the connection.
    async fn refuse(&self, status: u16, text: &str) {
        let headers = &[("X-Content-Type-Options", "nosniff")];
        let head = Head { status, content_type: "text/plain; charset=utf-8", headers };
        let mut out = self.shared.pool.take();
        answer::write_head(&mut out, &head, Extent::Length(text.len() + 1), Afterwards::Close);
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
        let sent = self.send(&mut [IoSlice::new(&out)]).await;
        self.shared.pool.give(out);
        if sent.is_ok() {
            self.linger().await;
        }
    }

    /// A socket that is closed with bytes unread resets the connection, and the answer may be lost with it. So the peer
    /// gets a little time to stop sending.
    pub(super) async fn linger(&self) {
        self.link.end_output();
        self.enter(Phase::Linger);
        let mut rest = LINGER_BYTES_MAX;
        let mut buffer = self.shared.pool.take();
        while rest > 0 && !self.shared.is_stopping() {
            buffer.clear();
            match self.link.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(bytes) => rest = rest.saturating_sub(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.link.readable().await.is_err() {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        self.shared.pool.give(buffer);
    }
}

/// Small bodies are bounded by the number of connections, and never have to wait for large ones.
fn shared_part(held: usize) -> usize {
    held.saturating_sub(BUFFER_BYTES)
}

fn explain(error: HeadError) -> (u16, &'static str) {
    match error {
        HeadError::Malformed(reason) => (400, reason),
        HeadError::TooLarge => (431, "the request's head is too large"),
        HeadError::Version => {
            (505, "this is HTTP/1.1 with JSON: gRPC clients such as etcdctl are not served")
        }
        HeadError::Expectation => (417, "nothing but 100-continue can be expected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Options;
    use async_io::Async;
    use std::net::{TcpListener, TcpStream};

    struct Nothing;

    impl Handler for Nothing {
        async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
            exchange.reply(Head { status: 200, content_type: "", headers: &[] }, b"").await
        }
    }

    /// What waits, waits in thousands: this is most of what an idle connection costs beside the system's own share.
    #[test]
    fn a_waiting_connection_is_small() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let socket = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let link = Link::new(Async::new(socket).expect("a socket"));
        let shared = Rc::new(Shared::new(Options::default()));
        let connection = Connection::new(
            shared,
            link,
            Ends { to_loopback: true, from: std::net::Ipv4Addr::LOCALHOST.into() },
        );
        assert_eq!(connection.input.capacity(), 0);
        let (link_bytes, future) = (size_of::<Link>(), run(connection, Rc::new(Nothing)));
        let bytes = link_bytes + size_of_val(&future);
        assert!(
            bytes <= 1024,
            "a link has {link_bytes} bytes, the future of a connection {}",
            size_of_val(&future)
        );
        println!("{bytes} bytes a connection, {link_bytes} of them its link");
    }
}
