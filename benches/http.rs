//! What a request costs the server: a constant answer, over loopback, to 1, 16 and 64 clients that keep their connections.
//!
//! And what a connection costs that waits: an idle one, and a watcher.
//!
//! `cargo bench --bench http`. The clients are one thread that polls; only the server's thread is counted.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
    rc::Rc,
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    time::{ClockId, clock_gettime},
};
use smol::{LocalExecutor, channel as messages};
use solder::http::*;

const REQUEST: &[u8] =
    b"POST /v3/kv/range HTTP/1.1\r\nHost: 127.0.0.1:2379\r\nUser-Agent: bench\r\nAccept: */*\r\n\
    Content-Type: application/json\r\nContent-Length: 22\r\n\r\n{\"key\":\"Ym9hcmRzL2E=\"}";
const ANSWER: &[u8] = &[b'x'; 200];
const WATCH: &[u8] =
    b"GET /v3/watch HTTP/1.1\r\nHost: 127.0.0.1:2379\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
const HEAD: Head<'static> = Head { status: 200, content_type: "application/json", headers: &[] };
const WAITING: usize = 400;
const TIME: Duration = Duration::from_secs(2);

struct Constant;

impl Handler for Constant {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
        if exchange.method() == "GET" {
            exchange.start(HEAD).await?;
            exchange.chunk(ANSWER).await?;
            exchange.closed().await;
            return exchange.finish().await;
        }
        let body = exchange.body(1 << 20).await.map_err(|_| Closed)?;
        assert_eq!(body.len(), 22, "the body of the bench");
        exchange.reply(HEAD, ANSWER).await
    }
}

fn main() {
    // First, while the allocator has nothing left over from before.
    println!("what waits      bytes of anonymous memory a connection");
    for (name, request) in [("idle", REQUEST), ("watchers", WATCH)] {
        let (bytes, _) = with_server(|address| waiting(address, request));
        println!("{WAITING} {name:10} {bytes:6}");
    }
    println!("clients  requests/s  CPU of the server, us a request");
    for clients in [1, 16, 64] {
        let (requests, cpu) = with_server(|address| ask(address, clients));
        let rate = requests as f64 / TIME.as_secs_f64();
        println!("{clients:7}  {rate:10.0}  {:6.2}", cpu.as_secs_f64() * 1e6 / requests as f64);
    }
}

/// Returns what `clients` returns, and the time of the processor that the server took.
fn with_server<T>(clients: impl FnOnce(SocketAddr) -> T) -> (T, Duration) {
    let (stop, stopped) = messages::bounded::<()>(1);
    let (tell, told) = channel();
    let server = thread::spawn(move || {
        let listener = Listener::bind("http://127.0.0.1:0").expect("a free port");
        tell.send(listener.address()).expect("it is waited for");
        let executor = Rc::new(LocalExecutor::new());
        let stop = async move { _ = stopped.recv().await };
        let start = cpu();
        let serving = serve(vec![listener], Options::default(), Rc::new(Constant), executor.clone(), stop);
        async_io::block_on(executor.run(serving));
        cpu() - start
    });
    let result = clients(told.recv().expect("an address"));
    stop.try_send(()).expect("it is told once");
    (result, server.join().expect("no panic"))
}

/// The memory that connections take once each has been answered and waits.
fn waiting(address: SocketAddr, request: &[u8]) -> usize {
    let mut streams: Vec<TcpStream> = Vec::with_capacity(WAITING);
    let before = anonymous_bytes();
    for _ in 0..WAITING {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(request).expect("it reads");
        let bytes = stream.read(&mut [0; 4096]).expect("it answers");
        assert!(bytes > 0, "it closed");
        streams.push(stream);
    }
    (anonymous_bytes() - before) / WAITING
}

fn anonymous_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

/// Each client has one request under way. Returns how many were answered.
fn ask(address: SocketAddr, clients: usize) -> u64 {
    let mut streams: Vec<TcpStream> =
        (0..clients).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    streams.iter().for_each(|stream| stream.set_nodelay(true).expect("a socket"));
    streams.iter_mut().for_each(|stream| stream.write_all(REQUEST).expect("it reads"));
    let start = Instant::now();
    let mut answered = 0;
    let mut answer = [0; 4096];
    while start.elapsed() < TIME {
        for place in ready(&streams) {
            let stream = &mut streams[place];
            let bytes = stream.read(&mut answer).expect("it answers");
            assert!(answer[..bytes].ends_with(ANSWER), "the answer in one piece");
            stream.write_all(REQUEST).expect("it reads");
            answered += 1;
        }
    }
    answered
}

fn ready(streams: &[TcpStream]) -> Vec<usize> {
    let mut fds: Vec<PollFd<'_>> =
        streams.iter().map(|stream| PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN)).collect();
    poll(&mut fds, None).expect("sockets");
    (0..fds.len()).filter(|&place| !fds[place].revents().is_empty()).collect()
}

/// Of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).expect("below a second"))
}
