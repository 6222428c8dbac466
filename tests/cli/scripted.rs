//! A server that follows a script: requests that must come, with the bytes that answer them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
    vec,
};

/// What is done with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A whole answer, in which `127.0.0.1:PORT` is this very server.
    Whole(u16, String),
    /// The pieces of a chunked body, as they are cut; `end`: then the connection is closed in its middle.
    Pieces { pieces: Vec<String>, end: bool },
    /// The pieces of a chunked body, with a pause before each; then its end.
    Slowly(Vec<String>),
    /// Nothing: the connection is closed.
    Nothing,
}

const PAUSE: Duration = Duration::from_millis(300);

/// Path and body.
pub(crate) type Asked = (String, String);

pub(crate) struct Scripted {
    pub address: SocketAddr,
    asked: Receiver<Asked>,
}

impl Scripted {
    /// Answers one request after the other; what comes behind the last is only told.
    pub(crate) fn new(replies: Vec<Reply>) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (told, asked) = channel();
        let here = |body: String| body.replace("127.0.0.1:PORT", &address.to_string());
        let replies = replies.into_iter().map(|reply| match reply {
            Reply::Whole(status, body) => Reply::Whole(status, here(body)),
            reply => reply,
        });
        let replies = replies.collect();
        thread::spawn(move || serve(&listener, replies, &told));
        Scripted { address, asked }
    }

    /// What was asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.try_iter().collect()
    }
}

/// A client may leave a connection idle and open the next one: who asks first is answered first.
fn serve(listener: &TcpListener, replies: Vec<Reply>, told: &Sender<Asked>) {
    let replies = Arc::new(Mutex::new(replies.into_iter()));
    for stream in listener.incoming() {
        let (mut stream, replies, told) = (stream.expect("a connection"), replies.clone(), told.clone());
        thread::spawn(move || {
            if talk(&mut stream, &replies, &told) {
                loop {
                    thread::park();
                }
            }
        });
    }
}

/// Is the connection to stay as it is?
fn talk(stream: &mut TcpStream, replies: &Mutex<vec::IntoIter<Reply>>, told: &Sender<Asked>) -> bool {
    while let Some(asked) = request(stream) {
        if told.send(asked).is_err() {
            return false;
        }
        let reply = replies.lock().expect("nobody panics with it").next().unwrap_or(Reply::Nothing);
        let stays = matches!(reply, Reply::Whole(..));
        let held_open = matches!(reply, Reply::Pieces { end: false, .. });
        // A client that has seen enough may be gone.
        let _ = answer(stream, reply);
        if !stays {
            return held_open;
        }
    }
    false
}

fn request(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        more(stream, &mut bytes)?;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in ASCII");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
    let length: usize = length.parse().expect("a number");
    while bytes.len() < end + length {
        more(stream, &mut bytes)?;
    }
    let path = head.split(' ').nth(1).expect("a path").to_string();
    Some((path, String::from_utf8(bytes[end..].to_vec()).expect("a body of text")))
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut room = [0; 4096];
    let read = stream.read(&mut room).ok().filter(|read| *read > 0)?;
    bytes.extend_from_slice(&room[..read]);
    Some(())
}

fn answer(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Whole(status, body) => {
            let length = body.len();
            write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}")
        }
        Reply::Pieces { pieces, .. } => {
            write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for piece in pieces {
                write!(stream, "{:x}\r\n{piece}\r\n", piece.len())?;
            }
            stream.flush()
        }
        Reply::Slowly(pieces) => {
            write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for piece in pieces {
                thread::sleep(PAUSE);
                write!(stream, "{:x}\r\n{piece}\r\n", piece.len())?;
                stream.flush()?;
            }
            write!(stream, "0\r\n\r\n")
        }
        Reply::Nothing => Ok(()),
    }
}
