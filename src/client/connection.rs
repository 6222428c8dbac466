//! One connection: a request goes out, an answer comes in, then the next.

use std::{
    io::{self, Read as _},
    net::TcpStream,
    time::Duration,
};

use async_io::{Async, Timer};
use futures_lite::{AsyncWriteExt as _, FutureExt as _};
use rustix::net::sockopt;

use super::{
    Endpoint,
    body::{Framing, Piece},
};

const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;
const READ_BYTES: usize = 16 * 1024;

/// How a silent peer is noticed.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    /// Silence before the first probe, and between two.
    pub time: Duration,
    /// Without an answer for so long the connection is dead.
    pub timeout: Duration,
}

/// Of the v3 API's bodies.
pub(super) const JSON: &str = "application/json";

/// What is asked.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
}

/// What is answered, but for the body.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    framing: Framing,
    keep: bool,
}

pub(super) struct Connection {
    pub(super) endpoint: Endpoint,
    stream: Async<TcpStream>,
    /// What has come and is not used yet.
    input: Vec<u8>,
    /// Of the answer that is being read.
    framing: Framing,
    /// May it serve another request?
    keep: bool,
}

impl Connection {
    /// Tries all addresses of the endpoint's name.
    pub(super) async fn open(
        endpoint: &Endpoint,
        timeout: Duration,
        keepalive: Keepalive,
    ) -> io::Result<Connection> {
        let open = async {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            for address in endpoint.resolve().await? {
                match Async::<TcpStream>::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        let late = async {
            Timer::after(timeout).await;
            Err(io::Error::new(io::ErrorKind::TimedOut, "timed out"))
        };
        let stream = open.or(late).await?;
        configure(&stream, keepalive)?;
        Ok(Connection {
            endpoint: endpoint.clone(),
            stream,
            input: Vec::new(),
            framing: Framing::Done,
            keep: true,
        })
    }

    /// Is it still of use: open, and nothing has come that was not asked for?
    pub(super) fn is_fresh(&self) -> bool {
        let silent = match self.stream.get_ref().peek(&mut [0]) {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        self.keep && self.input.is_empty() && matches!(self.framing, Framing::Done) && silent
    }

    /// Sends a request and reads the head of its answer.
    pub(super) async fn ask(&mut self, request: &Request<'_>) -> io::Result<u16> {
        let mut out =
            format!("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.path, self.endpoint.host());
        for (name, value) in request.headers {
            out += &format!("{name}: {value}\r\n");
        }
        let (kind, bytes) = (request.content_type, request.body.len());
        out += &format!("Content-Type: {kind}\r\nContent-Length: {bytes}\r\n\r\n");
        let mut out = out.into_bytes();
        out.extend_from_slice(request.body);
        self.stream.write_all(&out).await?;
        drop(out);
        let head = self.head().await?;
        (self.framing, self.keep) = (head.framing, head.keep);
        Ok(head.status)
    }

    /// Interim answers (`100 Continue`) are passed over.
    async fn head(&mut self) -> io::Result<Head> {
        loop {
            match parse_head(&self.input).map_err(malformed)? {
                Some((used, head)) => {
                    self.input.drain(..used);
                    if head.status >= 200 {
                        return Ok(head);
                    }
                }
                None if self.input.len() > HEAD_BYTES_MAX => return Err(malformed("the head does not end")),
                None => self.read_some().await?,
            }
        }
    }

    /// The next piece of the body, appended to `out`; false at its end. Cancel-safe.
    pub(super) async fn body(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let mut used = 0;
        let more = loop {
            match self.framing.next(&self.input[used..]).map_err(malformed) {
                Ok(Piece::Skip(bytes)) => used += bytes,
                Ok(Piece::Data(bytes)) => {
                    out.extend_from_slice(&self.input[used..used + bytes]);
                    used += bytes;
                }
                Ok(Piece::End) => break Ok(false),
                Ok(Piece::More) if used > 0 => break Ok(true),
                Ok(Piece::More) => match self.read_some().await {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.framing.may_end() => {
                        self.framing = Framing::Done;
                        self.keep = false;
                    }
                    read => read?,
                },
                Err(error) => break Err(error),
            }
        };
        self.input.drain(..used);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        if let Ok(false) = more {
            self.framing = Framing::Done;
        }
        more
    }

    /// No room is held while waiting: a watch waits nearly always.
    async fn read_some(&mut self) -> io::Result<()> {
        let Connection { stream, input, .. } = self;
        let read = stream.read_with(|mut socket| {
            let mut room = [0; READ_BYTES];
            let bytes = socket.read(&mut room)?;
            input.extend_from_slice(&room[..bytes]);
            Ok(bytes)
        });
        match read.await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed it")),
            _ => Ok(()),
        }
    }
}

/// A request is small and waits for its answer; a dead peer is noticed though nothing is sent.
fn configure(stream: &Async<TcpStream>, keepalive: Keepalive) -> io::Result<()> {
    stream.get_ref().set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    // The kernel counts in whole seconds, from 1.
    let time = keepalive.time.max(Duration::from_secs(1));
    sockopt::set_tcp_keepidle(stream, time)?;
    sockopt::set_tcp_keepintvl(stream, time)?;
    let timeout_ms = keepalive.time.saturating_add(keepalive.timeout).as_millis();
    sockopt::set_tcp_user_timeout(stream, u32::try_from(timeout_ms).unwrap_or(u32::MAX))?;
    Ok(())
}

/// The head at the start of `input`, and its length; `None` while it is incomplete.
fn parse_head(input: &[u8]) -> Result<Option<(usize, Head)>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let used = match response.parse(input) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err("it does not speak HTTP/1.1"),
    };
    let status = response.code.ok_or("an answer without a status")?;
    let close = has_token(response.headers, "connection", "close") || response.version == Some(0);
    let framing = match status {
        100..200 | 204 | 304 => Framing::Done,
        _ if has_token(response.headers, "transfer-encoding", "chunked") => Framing::ChunkSize,
        _ => match value(response.headers, "content-length") {
            Some(length) => {
                Framing::Length(length.parse().map_err(|_| "a Content-Length that is no number")?)
            }
            None => Framing::UntilClosed,
        },
    };
    let keep = !close && !matches!(framing, Framing::UntilClosed);
    Ok(Some((used, Head { status, framing, keep })))
}

fn value<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    str::from_utf8(header.value).ok().map(str::trim)
}

fn has_token(headers: &[httparse::Header<'_>], name: &str, token: &str) -> bool {
    let named = |value: &str| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token));
    value(headers, name).is_some_and(named)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
