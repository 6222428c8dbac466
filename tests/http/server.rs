//! A server to talk to, with a handler that does a little of everything, and clients that send raw bytes.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    rc::Rc,
    sync::mpsc::{Receiver, Sender, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use futures_lite::future::{block_on, or};
use smol::{LocalExecutor, channel as messages};
use solder::http::*;

/// Longer than anything takes on a slow machine; what waits for it has failed.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// A server in a thread of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: messages::Sender<()>,
    thread: Option<JoinHandle<()>>,
    /// One message for each `/watch` whose peer went.
    pub(crate) gone: Receiver<()>,
}

impl Server {
    pub(crate) fn start(options: Options) -> Server {
        Server::listen("http://127.0.0.1:0", options)
    }

    pub(crate) fn listen(url: &str, options: Options) -> Server {
        let listener = Listener::bind(url).expect("a free port");
        let address = listener.address();
        let (stop, stopped) = messages::bounded::<()>(1);
        let (told, gone) = channel();
        let thread = std::thread::spawn(move || {
            let executor = Rc::new(LocalExecutor::new());
            let stop = async move { _ = stopped.recv().await };
            let handler = Rc::new(Little { told });
            let serving = serve(vec![listener], options, handler, executor.clone(), stop);
            async_io::block_on(executor.run(serving));
        });
        Server { address, stop, thread: Some(thread), gone }
    }

    pub(crate) fn with_limits(limits: Limits) -> Server {
        Server::start(Options { limits, ..Options::default() })
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        stream.set_write_timeout(Some(LONG)).expect("a timeout");
        Client { stream }
    }

    /// Sends all, says that nothing more comes, and returns all that comes back.
    pub(crate) fn ask(&self, request: &[u8]) -> String {
        let mut client = self.connect();
        client.send(request);
        client.stream.shutdown(Shutdown::Write).expect("open");
        client.rest()
    }

    pub(crate) fn wish_to_stop(&self) {
        self.stop.try_send(()).expect("it is told once");
    }

    pub(crate) fn wait(&mut self) {
        self.thread.take().expect("it is waited for once").join().expect("no panic");
    }

    /// How long it takes to stop.
    pub(crate) fn stop(&mut self) -> Duration {
        let start = Instant::now();
        self.wish_to_stop();
        self.wait();
        start.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() && !std::thread::panicking() {
            self.stop();
        }
    }
}

/// One connection to a server.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Exactly so many bytes.
    pub(crate) fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut answer = vec![0; bytes];
        self.stream.read_exact(&mut answer).expect("an answer");
        answer
    }

    /// Up to and with `end`.
    pub(crate) fn read_to(&mut self, end: &str) -> String {
        let mut answer = String::new();
        while !answer.ends_with(end) {
            let byte = self.read(1)[0];
            answer.push(char::from(byte));
        }
        answer
    }

    /// An answer with a Content-Length, head and body.
    pub(crate) fn answer(&mut self) -> String {
        let head = self.read_to("\r\n\r\n");
        let length = header(&head, "Content-Length").map_or(0, |length| length.parse().expect("a number"));
        head + &String::from_utf8_lossy(&self.read(length))
    }

    /// All that comes up to the end. A reset is an end, too.
    pub(crate) fn rest(&mut self) -> String {
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => break,
                Ok(bytes) => answer.extend_from_slice(&piece[..bytes]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&answer)),
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(found, _)| *found == name))
        .map(|(_, value)| value)
}

/// Without what stands in every head.
pub(crate) fn without_cors(answer: &str) -> String {
    let standing = "Access-Control-Allow-Headers: accept, content-type, authorization\r\n\
        Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE\r\n\
        Access-Control-Allow-Origin: *\r\n";
    answer.replace(standing, "")
}

/// Does a little of everything.
struct Little {
    told: Sender<()>,
}

const TEXT: Head<'static> = Head { status: 200, content_type: "text/plain", headers: &[] };

impl Handler for Little {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
        match exchange.path() {
            "/echo" => echo(exchange).await,
            "/ignore" => exchange.reply(TEXT, b"ignored\n").await,
            "/big" => exchange.reply(TEXT, &vec![b'x'; 1 << 20]).await,
            "/empty" => exchange.reply(Head { status: 204, ..TEXT }, b"").await,
            "/chunks" => chunks(exchange).await,
            "/unfinished" => exchange.start(TEXT).await,
            "/silent" => Ok(()),
            "/watch" => self.watch(exchange).await,
            "/flood" => flood(exchange).await,
            "/slow" => slow(exchange).await,
            "/websocket" => websocket(exchange).await,
            "/split" => {
                let headers = &[("Location", "/\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK")];
                exchange.reply(Head { status: 301, content_type: "", headers }, b"").await
            }
            _ => describe(exchange).await,
        }
    }
}

impl Little {
    /// Tells something every time that the peer says so, until it goes.
    async fn watch(&self, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
        exchange.start(TEXT).await?;
        exchange.chunk(b"watching\n").await?;
        // It is asked for in turns with something else, and cancelled every time.
        for _ in 0..3 {
            or(exchange.closed(), pause(1)).await;
        }
        exchange.closed().await;
        let _ = self.told.send(());
        exchange.chunk(b"gone\n").await?;
        exchange.finish().await
    }
}

async fn echo(exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    match exchange.body(BODY_BYTES_MAX).await {
        Ok(body) => exchange.reply(TEXT, &body).await,
        Err(BodyError::Closed) => Err(Closed),
        Err(error) => {
            let status = match error {
                BodyError::TooLarge { .. } => 413,
                BodyError::Busy => 503,
                _ => 400,
            };
            exchange.reply(Head { status, ..TEXT }, format!("{error}\n").as_bytes()).await
        }
    }
}

async fn chunks(exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    exchange.start(TEXT).await?;
    for piece in ["one\n", "", "two\n", &"x".repeat(5000)] {
        exchange.chunk(piece.as_bytes()).await?;
    }
    exchange.finish().await
}

/// Never ends by itself.
async fn flood(exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    exchange.start(TEXT).await?;
    let piece = vec![b'x'; 64 * 1024];
    loop {
        exchange.chunk(&piece).await?;
    }
}

async fn pause(time_ms: u64) {
    async_io::Timer::after(Duration::from_millis(time_ms)).await;
}

async fn slow(exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    pause(300).await;
    exchange.reply(TEXT, b"slow\n").await
}

async fn websocket(exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    if !exchange.wants_websocket() {
        return exchange.reply(Head { status: 400, ..TEXT }, b"no websocket\n").await;
    }
    let mut socket = exchange.websocket(64 * 1024).await?;
    while let Some(message) = socket.receive().await? {
        let text = String::from_utf8_lossy(&message).into_owned();
        if text == "close" {
            break;
        }
        socket.send(&text).await?;
    }
    socket.close().await
}

async fn describe(exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    let text = format!(
        "{} {} {:?} {:?}\n",
        exchange.method(),
        exchange.path(),
        exchange.query(),
        exchange.header("X-Test").map(String::from_utf8_lossy)
    );
    exchange.reply(TEXT, text.as_bytes()).await
}

/// Waits for what must become true.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// For the clients of WebSockets.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    block_on(or(async { Some(future.await) }, async {
        async_io::Timer::after(LONG).await;
        None
    }))
    .expect("it took too long")
}
