//! A server whose process has no descriptors left. The limit is the process's, so this test is alone in it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
    time::{Duration, Instant},
};

use rustix::{
    net::{self, AddressFamily, SocketType},
    process::{Resource, Rlimit, setrlimit},
    time::{ClockId, clock_gettime},
};
use smol::{LocalExecutor, channel};
use solder::http::*;

struct Hello;

impl Handler for Hello {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
        exchange.reply(Head { status: 200, content_type: "", headers: &[] }, b"hello").await
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).expect("below a second"))
}

/// What comes back, if anything does.
fn ask(address: SocketAddr) -> String {
    let mut answer = String::new();
    if let Ok(mut client) = TcpStream::connect(address) {
        client.set_read_timeout(Some(Duration::from_secs(5))).expect("open");
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("open");
        let _ = client.read_to_string(&mut answer);
    }
    answer
}

#[test]
fn it_waits_for_descriptors_without_burning_the_processor() {
    let listener = Listener::bind("http://127.0.0.1:0").expect("a free port");
    let address = listener.address();
    let (stop, stopped) = channel::bounded::<()>(1);
    let server = std::thread::spawn(move || {
        let executor = Rc::new(LocalExecutor::new());
        let stop = async move { _ = stopped.recv().await };
        let serving = serve(vec![listener], Options::default(), Rc::new(Hello), executor.clone(), stop);
        async_io::block_on(executor.run(serving));
    });
    let answer = ask(address);
    assert!(answer.ends_with("hello"), "{answer:?}");

    let socket = || net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a descriptor");
    let clients: Vec<OwnedFd> = (0..20).map(|_| socket()).collect();
    let next = u64::try_from(socket().as_raw_fd()).expect("a descriptor");
    setrlimit(Resource::Nofile, Rlimit { current: Some(next), maximum: Some(next) })
        .expect("less is allowed");
    clients.iter().for_each(|client| net::connect(client, &address).expect("it listens"));
    let before = cpu();
    std::thread::sleep(Duration::from_secs(1));
    let burnt = cpu() - before;
    assert!(burnt < Duration::from_millis(300), "{burnt:?} in a second of waiting");

    drop(clients);
    let start = Instant::now();
    while !ask(address).ends_with("hello") {
        assert!(start.elapsed() < Duration::from_secs(20), "it never recovered");
    }
    stop.try_send(()).expect("it is told once");
    server.join().expect("no panic");
}
