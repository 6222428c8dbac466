//! HTTP/1.1 as a client speaks it, blocking, no more than these tests need.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use rustix::net::{self, AddressFamily, SocketType, sockopt::set_socket_recv_buffer_size};

/// Longer than any answer takes that is not meant to wait.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that is kept for the next request.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What is sent. `body: None` of a POST is an empty one.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a [(String, String)],
    pub body: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    pub fn get(path: &'a str) -> Request<'a> {
        Request { method: "GET", path, headers: &[], body: None }
    }

    pub fn post(path: &'a str, body: &'a [u8]) -> Request<'a> {
        Request { method: "POST", path, headers: &[], body: Some(body) }
    }
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        Connection::open_within(address, PATIENCE)
    }

    /// As patient with the connection's making as with its answers.
    pub fn open_within(address: SocketAddr, patience: Duration) -> io::Result<Connection> {
        let mut connection = Connection::over(TcpStream::connect_timeout(&address, patience)?)?;
        connection.set_patience(patience)?;
        Ok(connection)
    }

    /// One of which the kernel keeps next to nothing: who does not read is soon sent nothing more.
    pub fn open_narrow(address: SocketAddr) -> io::Result<Connection> {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        set_socket_recv_buffer_size(&socket, 2048)?;
        net::connect(&socket, &address)?;
        Connection::over(TcpStream::from(socket))
    }

    fn over(socket: TcpStream) -> io::Result<Connection> {
        socket.set_nodelay(true)?;
        let mut connection = Connection { reader: BufReader::new(socket) };
        connection.set_patience(PATIENCE)?;
        Ok(connection)
    }

    /// How long to wait for the next bytes, and until the peer takes what is sent.
    pub fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.socket().set_read_timeout(Some(patience))?;
        self.socket().set_write_timeout(Some(patience))
    }

    pub fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub fn call(&mut self, request: &Request<'_>) -> io::Result<Answer> {
        self.send(request)?;
        self.receive(request.method == "HEAD")
    }

    pub fn send(&mut self, request: &Request<'_>) -> io::Result<()> {
        let address = self.socket().peer_addr()?;
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nHost: {address}\r\n", request.method, request.path).into_bytes();
        for (name, value) in request.headers {
            write!(bytes, "{name}: {value}\r\n")?;
        }
        let named = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if request.body.is_some() && !named {
            bytes.extend_from_slice(b"Content-Type: application/json\r\n");
        }
        if request.body.is_some() || request.method == "POST" {
            write!(bytes, "Content-Length: {}\r\n", request.body.map_or(0, <[u8]>::len))?;
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(request.body.unwrap_or_default());
        self.reader.get_mut().write_all(&bytes)
    }

    /// The whole answer to what was sent last; `headless`: it was a HEAD.
    pub fn receive(&mut self, bodiless: bool) -> io::Result<Answer> {
        let (status, headers) = self.head()?;
        let mut answer = Answer { status, headers, body: Vec::new() };
        let empty = bodiless || status == 204 || status == 304;
        match answer.framing()? {
            _ if empty => (),
            Framing::Length(bytes) => {
                answer.body.resize(bytes, 0);
                self.reader.read_exact(&mut answer.body)?;
            }
            Framing::Chunked => {
                while let Some(chunk) = self.chunk()? {
                    answer.body.extend_from_slice(&chunk);
                }
            }
            Framing::UntilClosed => {
                self.reader.read_to_end(&mut answer.body)?;
            }
        }
        Ok(answer)
    }

    /// Status and headers, with those of a `100 Continue` left out.
    pub fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        loop {
            let first = self.line()?;
            let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
            let status = status.ok_or_else(|| broken(format!("not a status line: {first:?}")))?;
            let mut headers = Vec::new();
            loop {
                let line = self.line()?;
                if line.is_empty() {
                    break;
                }
                let (name, value) =
                    line.split_once(':').ok_or_else(|| broken(format!("not a header: {line:?}")))?;
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            if status != 100 {
                return Ok((status, headers));
            }
        }
    }

    /// The next chunk; `None`: that was the last.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size =
            usize::from_str_radix(size, 16).map_err(|_| broken(format!("not a chunk size: {line:?}")))?;
        let mut chunk = vec![0; size];
        self.reader.read_exact(&mut chunk)?;
        let end = self.line()?;
        if !end.is_empty() {
            return Err(broken(format!("a chunk of {size} bytes goes on with {end:?}")));
        }
        Ok((size > 0).then_some(chunk))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        (&mut self.reader).take(1 << 16).read_until(b'\n', &mut bytes)?;
        let line = bytes.strip_suffix(b"\r\n").ok_or_else(|| match bytes.is_empty() {
            true => io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"),
            false => broken(format!("not a line: {:?}", String::from_utf8_lossy(&bytes))),
        })?;
        String::from_utf8(line.to_vec()).map_err(|_| broken(format!("not text: {line:?}")))
    }
}

enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn framing(&self) -> io::Result<Framing> {
        framing(&self.headers)
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn framing(headers: &[(String, String)]) -> io::Result<Framing> {
    if header(headers, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Ok(Framing::Chunked);
    }
    match header(headers, "content-length") {
        None => Ok(Framing::UntilClosed),
        Some(length) => {
            let bytes = length.parse().map_err(|_| broken(format!("Content-Length: {length:?}")))?;
            Ok(Framing::Length(bytes))
        }
    }
}

fn broken(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// An answer that goes on for ever, message by message; or one that ends, such as an error.
pub struct Stream {
    connection: Connection,
    status: u16,
    chunked: bool,
    /// Of which no newline has been seen yet.
    rest: Vec<u8>,
    ended: bool,
    chunks: u64,
    messages: u64,
}

impl Stream {
    /// Sends and waits for the head of the answer, which etcd sends with the first message only.
    pub fn open(mut connection: Connection, request: &Request<'_>) -> io::Result<Stream> {
        connection.send(request)?;
        let (status, headers) = connection.head()?;
        let chunked = matches!(framing(&headers)?, Framing::Chunked);
        let mut stream =
            Stream { connection, status, chunked, rest: Vec::new(), ended: false, chunks: 0, messages: 0 };
        if let Framing::Length(bytes) = framing(&headers)? {
            stream.rest.resize(bytes, 0);
            stream.connection.reader.read_exact(&mut stream.rest)?;
            stream.ended = true;
        }
        Ok(stream)
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.connection.set_patience(patience)
    }

    /// Have all messages so far come in one chunk each, with their newlines?
    pub fn one_message_a_chunk(&self) -> bool {
        self.rest.is_empty() && self.chunks == self.messages
    }

    /// The next line; `None`: the answer has ended in order.
    pub fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let line = line.trim_ascii();
                if !line.is_empty() {
                    self.messages += 1;
                    return Ok(Some(line.to_vec()));
                }
            } else if self.ended {
                let line = std::mem::take(&mut self.rest);
                return Ok((!line.trim_ascii().is_empty()).then(|| line.trim_ascii().to_vec()));
            } else {
                self.more()?;
            }
        }
    }

    fn more(&mut self) -> io::Result<()> {
        if self.chunked {
            match self.connection.chunk()? {
                Some(chunk) => {
                    self.chunks += 1;
                    self.rest.extend_from_slice(&chunk);
                }
                None => self.ended = true,
            }
            return Ok(());
        }
        let mut bytes = [0; 4096];
        let read = self.connection.reader.read(&mut bytes)?;
        self.ended = read == 0;
        self.rest.extend_from_slice(&bytes[..read]);
        Ok(())
    }
}

/// Ends whatever another thread does with this socket.
pub fn cut(socket: &TcpStream) {
    // It may be cut already.
    let _ = socket.shutdown(Shutdown::Both);
}
