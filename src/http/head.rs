//! The head of a request: which bytes are it, and what they mean for the connection. Pure.
//!
//! ```text
//!   POST /v3/kv/range?a=b HTTP/1.1\r\n     method, path, query, version
//!   Host: board:2379\r\n                   headers
//!   Content-Length: 2\r\n
//!   \r\n
//!   {}                                     body, not part of it
//! ```
//!
//! What two readers could understand differently is refused (RFC 9112 section 11.2), never repaired: a line end that is
//! not CR LF, a folded line, a length that is signed, repeated or beside a transfer coding, a coding other than `chunked`,
//! no Host or two.

use std::mem::MaybeUninit;

use httparse::{Error, Header, ParserConfig, Status};

use super::limits::HEADERS_MAX;

/// Where in the head something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

/// How long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

/// What is known of a request. It holds no bytes: those that it was parsed from are given to it where they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    method: Span,
    path: Span,
    query: Option<Span>,
    headers: Span,
    pub framing: Framing,
    /// The older protocol, whose clients know no chunks.
    pub is_http_1_0: bool,
    /// The peer wants the connection to stay open.
    pub keep_alive: bool,
    /// The peer sends the body only after `100 Continue`.
    pub expects_continue: bool,
}

/// Why a head is not served. The connection is closed after the answer, because where the next request begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    Malformed(&'static str),
    TooLarge,
    Version,
    Expectation,
}

/// Parses what came so far. `None`: more must come. Whatever the pieces in which the bytes come, the answer is the same.
pub fn parse_head(bytes: &[u8], head_bytes_max: usize) -> Result<Option<RequestHead>, HeadError> {
    let bytes = &bytes[..bytes.len().min(head_bytes_max)];
    let mut headers = [MaybeUninit::uninit(); HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut request, bytes, &mut headers);
    match parsed.map_err(explain)? {
        Status::Complete(length) => understand(&bytes[..length], &request).map(Some),
        Status::Partial if bytes.len() == head_bytes_max => Err(HeadError::TooLarge),
        Status::Partial => Ok(None),
    }
}

fn explain(error: Error) -> HeadError {
    match error {
        Error::TooManyHeaders => HeadError::TooLarge,
        Error::Version => HeadError::Version,
        Error::HeaderName => HeadError::Malformed("a header's name is malformed"),
        Error::HeaderValue => HeadError::Malformed("a header's value is malformed"),
        Error::NewLine => HeadError::Malformed("a line does not end with CR LF"),
        Error::Status | Error::Token => HeadError::Malformed("the request line is malformed"),
    }
}

fn understand(head: &[u8], request: &httparse::Request<'_, '_>) -> Result<RequestHead, HeadError> {
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(HeadError::Malformed("the request line is malformed"));
    };
    if !lines_end_with_cr_lf(head) {
        return Err(HeadError::Malformed("a line does not end with CR LF"));
    }
    let is_http_1_0 = version == 0;
    let meaning = Meaning::of(request.headers, is_http_1_0)?;
    let target = Target::of(method, target, meaning.host)?;
    // The request line ends with the version, which is behind the target.
    let line_end = head.iter().skip(target.end_in(head)).position(|&byte| byte == b'\n');
    let headers_start = target.end_in(head) + line_end.map_or(0, |end| end + 1);
    Ok(RequestHead {
        method: span(head, method),
        path: span(head, target.path),
        query: target.query.map(|query| span(head, query)),
        headers: Span { start: offset(headers_start), end: offset(head.len()) },
        framing: meaning.framing()?,
        is_http_1_0,
        keep_alive: if is_http_1_0 { meaning.keep_alive && !meaning.close } else { !meaning.close },
        expects_continue: meaning.expects_continue && !is_http_1_0,
    })
}

/// The parser takes a bare LF for a line end. It takes a CR only before an LF.
fn lines_end_with_cr_lf(head: &[u8]) -> bool {
    let mut before = 0;
    head.iter().all(|&byte| std::mem::replace(&mut before, byte) == b'\r' || byte != b'\n')
}

/// A part of the head by its place in it.
fn span(head: &[u8], part: &str) -> Span {
    let start = part.as_ptr() as usize - head.as_ptr() as usize;
    Span { start: offset(start), end: offset(start + part.len()) }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a head is bounded far below 4 GiB")
}

/// Where the request goes.
struct Target<'a> {
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn of(method: &str, target: &'a str, host: Option<&[u8]>) -> Result<Target<'a>, HeadError> {
        let local = match strip_scheme(target) {
            Some(absolute) => {
                let end = absolute.find(['/', '?']).unwrap_or(absolute.len());
                let (authority, local) = absolute.split_at(end);
                // RFC 9112 section 3.2.2: the target's authority counts, and a Host that differs is for nobody's good.
                if !host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_bytes())) {
                    return Err(HeadError::Malformed("the target names another host than the Host header"));
                }
                local
            }
            None if target.starts_with('/') || (target == "*" && method == "OPTIONS") => target,
            None => return Err(HeadError::Malformed("the target is not a path")),
        };
        Ok(match local.split_once('?') {
            Some((path, query)) => Target { path, query: Some(query) },
            None => Target { path: local, query: None },
        })
    }

    fn end_in(&self, head: &[u8]) -> usize {
        span(head, self.query.unwrap_or(self.path)).end as usize
    }
}

fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

/// What the headers mean for the connection.
#[derive(Default)]
struct Meaning<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    has_origin: bool,
}

impl<'a> Meaning<'a> {
    fn of(headers: &[Header<'a>], is_http_1_0: bool) -> Result<Meaning<'a>, HeadError> {
        let mut meaning = Meaning::default();
        for header in headers {
            meaning.take(header)?;
        }
        if meaning.host.is_none() && !is_http_1_0 {
            return Err(HeadError::Malformed("there is no Host header"));
        }
        if meaning.chunked && is_http_1_0 {
            return Err(HeadError::Malformed("HTTP/1.0 knows no Transfer-Encoding"));
        }
        Ok(meaning)
    }

    fn take(&mut self, header: &Header<'a>) -> Result<(), HeadError> {
        // Their lengths tell most names apart before any letter is looked at.
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let refuse = |reason| Err(HeadError::Malformed(reason));
        match header.name.len() {
            4 if is("host") => {
                if self.host.replace(header.value).is_some() {
                    return refuse("there are two Host headers");
                }
                if !is_host(header.value) {
                    return refuse("the Host header is malformed");
                }
            }
            6 if is("expect") => {
                if !header.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(HeadError::Expectation);
                }
                self.expects_continue = true;
            }
            6 if is("origin") && std::mem::replace(&mut self.has_origin, true) => {
                return refuse("there are two Origin headers");
            }
            10 if is("connection") => {
                self.close |= has_token(header.value, "close");
                self.keep_alive |= has_token(header.value, "keep-alive");
            }
            14 if is("content-length") => {
                let Some(length) = decimal(header.value) else {
                    return refuse("the Content-Length is not a number");
                };
                if self.length.replace(length).is_some() {
                    return refuse("there are two Content-Length headers");
                }
            }
            17 if is("transfer-encoding") => {
                let again = std::mem::replace(&mut self.chunked, true);
                if again || !header.value.eq_ignore_ascii_case(b"chunked") {
                    return refuse("the Transfer-Encoding is not chunked");
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn framing(&self) -> Result<Framing, HeadError> {
        match (self.length, self.chunked) {
            (Some(_), true) => {
                Err(HeadError::Malformed("both Content-Length and Transfer-Encoding are there"))
            }
            (None, true) => Ok(Framing::Chunked),
            (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// A name or address with or without a port. Nothing that a reader could split in another way.
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(byte))
}

/// Digits and nothing else, and not too many.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Whether a list of words, as in `Connection: keep-alive, Upgrade`, holds this one.
pub(super) fn has_token(list: &[u8], token: &str) -> bool {
    list.split(|&byte| byte == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Asked with the bytes that the head was parsed from.
impl RequestHead {
    /// Bytes of the head, with the empty lines that may stand before it.
    pub fn length(&self) -> usize {
        self.headers.end as usize
    }

    pub fn method<'b>(&self, head: &'b [u8]) -> &'b str {
        text(head, self.method)
    }

    /// As it came, percent-encoded, without the query.
    pub fn path<'b>(&self, head: &'b [u8]) -> &'b str {
        match text(head, self.path) {
            "" => "/",
            path => path,
        }
    }

    /// As it came, behind the question mark.
    pub fn query<'b>(&self, head: &'b [u8]) -> Option<&'b str> {
        self.query.map(|query| text(head, query))
    }

    /// The only or first header of that name, whatever its case.
    pub fn header<'b>(&self, head: &'b [u8], name: &str) -> Option<&'b [u8]> {
        self.headers(head)
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Names and values, in order.
    pub fn headers<'b>(&self, head: &'b [u8]) -> impl Iterator<Item = (&'b [u8], &'b [u8])> {
        let lines = bytes(head, self.headers).split(|&byte| byte == b'\n');
        lines.filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }
}

fn bytes(head: &[u8], span: Span) -> &[u8] {
    &head[span.start as usize..span.end as usize]
}

fn text(head: &[u8], span: Span) -> &str {
    str::from_utf8(bytes(head, span)).expect("the parser took it for text")
}
