//! A server on a port of its own, and a client that shows every byte.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    rc::Rc,
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;
use smol::LocalExecutor;
use solder::{
    api::{self, Api},
    http::{self, Listener},
    member,
};
use tempfile::TempDir;

/// Longer than anything here takes; shorter than anybody waits for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    address: SocketAddr,
    /// Dropped to stop it.
    stop: Option<smol::channel::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _dir: TempDir,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with(api::Options::default())
    }

    pub(crate) fn with(options: api::Options) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let (stop, stopped) = smol::channel::bounded(1);
        let (told, tells) = mpsc::channel();
        let member_options = member::Options::new(dir.path().join("data"));
        let thread = std::thread::spawn(move || {
            let opened = member::open(member_options).unwrap();
            let (member, engine) = opened.start(None);
            let listener = Listener::bind("127.0.0.1:0").unwrap();
            let address = listener.address();
            let executor = Rc::new(LocalExecutor::new());
            let inner = executor.clone();
            let serving = executor.spawn(async move {
                while member.read_barrier().await.is_err() {
                    smol::Timer::after(Duration::from_millis(5)).await;
                }
                told.send(address).unwrap();
                let api = Rc::new(Api::new(member.clone(), options));
                let until = async move {
                    let _ = stopped.recv().await;
                };
                http::serve(vec![listener], http::Options::default(), api, inner, until).await;
                member.stop().await;
            });
            smol::block_on(executor.run(engine)).unwrap();
            drop(serving);
        });
        let address = tells.recv_timeout(PATIENCE).unwrap();
        Server { address, stop: Some(stop), thread: Some(thread), _dir: dir }
    }

    pub(crate) fn connect(&self) -> Client {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { reader: BufReader::new(socket) }
    }

    /// One call on a connection of its own.
    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let answer = self.connect().send("POST", path, &[], body.as_bytes());
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.connect().send(method, path, headers, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `name: value`, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The sizes of its chunks, if it came in chunks.
    pub(crate) chunks: Vec<usize>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) fn request(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for header in headers {
            head += &format!("{header}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        let socket = self.reader.get_mut();
        socket.write_all(head.as_bytes()).unwrap();
        // A server that refuses a large body does not wait for all of it.
        let _ = socket.write_all(body);
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.request(method, path, headers, body);
        self.receive_of(method)
    }

    /// What is answered to a request that was sent before.
    pub(crate) fn receive(&mut self) -> Answer {
        self.receive_of("GET")
    }

    fn receive_of(&mut self, method: &str) -> Answer {
        let (status, headers) = self.head();
        let mut answer = Answer { status, headers, body: Vec::new(), chunks: Vec::new() };
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                answer.chunks.push(chunk.len());
                answer.body.extend(chunk);
            }
        } else if method != "HEAD" {
            let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
            answer.body.resize(length, 0);
            self.reader.read_exact(&mut answer.body).unwrap();
        }
        answer
    }

    pub(crate) fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let status = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return (status, headers);
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }

    /// `None`: the last one.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).unwrap();
        assert_eq!(chunk.split_off(size), b"\r\n");
        (size > 0).then_some(chunk)
    }

    /// One message of a stream that may come in several chunks: its line, and how many those were.
    pub(crate) fn long_message(&mut self) -> (Value, usize) {
        let (mut line, mut chunks) = (Vec::new(), 0);
        while line.last() != Some(&b'\n') {
            line.extend(self.chunk().expect("the stream goes on"));
            chunks += 1;
        }
        assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1), "one line a message");
        (serde_json::from_slice(&line).unwrap(), chunks)
    }

    /// One message of a stream: one chunk, one line.
    pub(crate) fn message(&mut self) -> Value {
        let chunk = self.chunk().expect("the stream goes on");
        assert_eq!(chunk.iter().position(|&byte| byte == b'\n'), Some(chunk.len() - 1), "one line a chunk");
        serde_json::from_slice(&chunk).unwrap()
    }

    /// Nothing comes for a while.
    pub(crate) fn is_quiet(&mut self) -> bool {
        assert!(self.reader.buffer().is_empty());
        let socket = self.reader.get_mut();
        socket.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
        let quiet = socket.peek(&mut [0]).is_err();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        quiet
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }

    pub(crate) fn read_exact(&mut self, bytes: &mut [u8]) {
        self.reader.read_exact(bytes).unwrap();
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }
}
