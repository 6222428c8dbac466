//! Clients that mean no good, or are only slow: the server's memory stays within its bound, and who behaves is served.
//!
//! The bounds are on anonymous memory of the whole process (`RssAnon`), as a board would have to give it.

#[path = "../support/mod.rs"]
pub mod support;

mod witness;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::{
    support::{
        client::{b64, prefix_end},
        follower::Follower,
        http::{Connection, PATIENCE, Request},
        server::{Server, is_etcd},
    },
    witness::Witness,
};

/// What a server at work needs for itself and a few clients, with what the allocator keeps.
const ITSELF_BYTES: u64 = 12 << 20;

/// A head is at most 16 KiB and its buffer no more; a connection that only exists costs far less.
const CONNECTION_BYTES: u64 = 16 << 10;

/// `--max-request-bytes` (1.5 MiB) and some more, once as bytes and once as what they mean.
const BODY_BYTES: u64 = 2 * (2 << 20);

/// A connection with a watch on it, and the small rest of a message that its client does not take.
const WATCHER_BYTES: u64 = (6 + 4) << 10;

/// What all clients together may leave untaken: 8 MiB, and what the allocator keeps of it.
const ANSWERS_BYTES: u64 = 24 << 20;

/// Two slices of a range: one that is sent, and one that is read.
const RANGE_BYTES: u64 = 512 << 10;

fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.address()).expect("it accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
    socket
}

#[test]
fn half_open_connections_and_a_byte_a_second() {
    const HALF_OPEN: usize = 500;
    const SLOW: usize = 100;
    const REQUEST: &[u8] =
        b"POST /v3/kv/put HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n\r\n{\"key\":";
    let server = Server::fresh();
    let witness = Witness::new(&server);
    let mut sockets = Vec::new();
    for number in 0..HALF_OPEN {
        let mut socket = connect(&server);
        // Nothing, a part of the head, or a part of the body.
        let sent = [0, 20, 55, REQUEST.len()][number % 4];
        socket.write_all(&REQUEST[..sent]).expect("room in the socket");
        sockets.push(socket);
    }
    let mut slow: Vec<TcpStream> = (0..SLOW).map(|_| connect(&server)).collect();
    for byte in REQUEST.iter().take(6) {
        for socket in &mut slow {
            // Whom the server has cut off is cut off.
            let _ = socket.write_all(&[*byte]);
        }
        thread::sleep(Duration::from_secs(1));
    }
    let bound = ITSELF_BYTES + (HALF_OPEN + SLOW) as u64 * CONNECTION_BYTES;
    witness.finish("500 half-open connections, 100 that send a byte a second", bound);
}

/// Sends pieces until the server has had enough or all is sent. What it answered, as far as it can be had.
fn pour(socket: &mut TcpStream, piece: &[u8], times: usize) -> (usize, String) {
    let mut sent = 0;
    for _ in 0..times {
        match socket.write_all(piece) {
            Ok(()) => sent += piece.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it neither takes nor refuses"),
            Err(_) => break,
        }
    }
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    // The connection may be reset before the answer could be read.
    while let Ok(read) = socket.read(&mut bytes) {
        answer.extend_from_slice(&bytes[..read]);
        if read == 0
            || answer.len() > 64 * 1024
            || answer.windows(2).any(|pair| pair == b"}\n" || pair == b"\"}")
        {
            break;
        }
    }
    (sent, String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

#[test]
fn bodies_of_a_gigabyte() {
    const GIGABYTE: usize = 1 << 30;
    const PIECE: usize = 1 << 20;
    let server = Server::fresh();
    let witness = Witness::new(&server);
    let piece = vec![b' '; PIECE];
    let chunk = [format!("{PIECE:x}\r\n").as_bytes(), &piece, b"\r\n"].concat();
    // etcd waits for the end of a stream's requests, however long they are.
    let paths = ["/v3/kv/put", "/v3/watch", "/v3/lease/keepalive", "/kv/large", "/nope"];
    for path in &paths[..if is_etcd() { 1 } else { paths.len() }] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\n", server.address());
        let mut socket = connect(&server);
        write!(socket, "{head}Content-Length: {GIGABYTE}\r\n\r\n").expect("room in the socket");
        let (sent, declared) = pour(&mut socket, &piece, GIGABYTE / PIECE);
        assert!(!declared.contains(" 200 "), "{path}: {declared}");
        let mut socket = connect(&server);
        write!(socket, "{head}Transfer-Encoding: chunked\r\n\r\n").expect("room in the socket");
        let (chunked_sent, chunked) = pour(&mut socket, &chunk, GIGABYTE / PIECE);
        assert!(!chunked.contains(" 200 "), "{path}: {chunked}");
        println!(
            "{path}: declared: {declared:?} after {} MB; chunked: {chunked:?} after {} MB",
            sent >> 20,
            chunked_sent >> 20
        );
    }
    witness.finish("bodies of 1 GB", ITSELF_BYTES + 2 * BODY_BYTES);
}

#[test]
fn json_nested_100_000_deep() {
    const DEPTH: usize = 100_000;
    /// As deep as fits into a request.
    const DEPTH_TXN: usize = 30_000;
    if is_etcd() {
        return eprintln!("SKIPPED: etcd ends itself at such a document");
    }
    let server = Server::fresh();
    let witness = Witness::new(&server);
    let nest = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let broken = [
        nest("[", "", "]", DEPTH),
        nest("[", "", "", DEPTH),
        nest("{\"a\":", "1", "", DEPTH),
        format!("{{\"key\":\"aw==\",\"x\":{}}}", nest("[", "", "", DEPTH)),
    ];
    let too_deep = [
        nest("{\"success\":[{\"request_txn\":", "{}", "}]}", DEPTH_TXN),
        nest("{\"success\":[{\"requestTxn\":", "", "", DEPTH_TXN),
        nest("{\"success\":[{\"request_txn\":", "{\"compare\":[{\"key\":[", "]}]}}]}", DEPTH_TXN),
    ];
    // What nobody knows is skipped, if it is well-formed.
    let unknown = [
        format!("{{\"key\":\"aw==\",\"x\":{}}}", nest("[", "", "]", DEPTH)),
        format!("{{\"key\":\"aw==\",\"x\":{}}}", nest("{\"x\":", "{}", "}", DEPTH)),
    ];
    let everywhere = ["/v3/kv/range", "/v3/kv/txn", "/v3/lease/grant", "/v3/watch", "/v3/lease/keepalive"];
    let everywhere = everywhere.iter().flat_map(|path| broken.iter().map(move |body| (*path, body, true)));
    let asked = everywhere
        .chain(too_deep.iter().map(|body| ("/v3/kv/txn", body, true)))
        .chain(unknown.iter().map(|body| ("/v3/kv/range", body, false)));
    for (path, body, is_wrong) in asked {
        // Whom the server does not believe any more it may cut off: each has a connection of its own.
        let mut connection = Connection::open(server.address()).expect("it accepts");
        let answer = connection.call(&Request::post(path, body.as_bytes()));
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {:?}...: {error}", &body[..40]));
        let is_fine = answer.status == 400 || !is_wrong && answer.status == 200;
        assert!(is_fine, "{path}: {:?}...: {} {}", &body[..40], answer.status, answer.text());
    }
    witness.finish("JSON nested 100 000 deep", ITSELF_BYTES + BODY_BYTES);
}

/// As many as are wanted, or as this process may have open.
fn descriptors(wanted: u64) -> u64 {
    const OTHERS: u64 = 500;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("as many as are allowed");
    let allowed = limit.current.map_or(wanted, |current| current.saturating_sub(OTHERS));
    if allowed < wanted {
        eprintln!("FEWER: {allowed} connections instead of {wanted}, by the limit of open files");
    }
    wanted.min(allowed)
}

#[test]
fn watchers_who_do_not_read() {
    stuck_watchers(if is_etcd() { 1_000 } else { 10_000 }, 40, 4 << 10);
}

#[test]
fn watchers_of_large_values_who_do_not_read() {
    stuck_watchers(100, 20, 1 << 20);
}

fn stuck_watchers(watchers: u64, puts: usize, value_bytes: usize) {
    let watchers = descriptors(watchers);
    let many = format!("--max-connections={}", watchers + 100);
    let server = if is_etcd() { Server::fresh() } else { Server::with(&[&many]) };
    let mut client = server.client();
    let start = client.put(b"w/0", b"").expect("a put");
    let create =
        json!({"create_request": {"key": b64(b"w/"), "range_end": b64(&prefix_end(b"w/"))}}).to_string();
    let mut sockets = Vec::new();
    for _ in 0..watchers {
        let mut connection = Connection::open_narrow(server.address()).expect("it accepts");
        connection.send(&Request::post("/v3/watch", create.as_bytes())).expect("room in the socket");
        sockets.push(connection);
    }
    // That of the last is created: all are. (The others' answers are left where they are.)
    let last = sockets.pop().expect("there are some");
    drop(last);
    let mut reader = Follower::new(server.address(), b"w/", start + 1);
    let witness = Witness::new(&server);
    let value = vec![b'v'; value_bytes];
    let mut told = start;
    let began = Instant::now();
    for number in 0..puts {
        told = client.put(format!("w/{number}").as_bytes(), &value).expect("writes go on");
    }
    println!("{puts} puts of {value_bytes} bytes for {watchers} watchers in {:?}", began.elapsed());
    let changes = reader.reach(told);
    assert_eq!(changes.len(), puts, "one who reads is told everything");
    // One value on its way through log, store, hub and answer, in bytes and in base64.
    let values = 12 * value_bytes as u64;
    witness.finish(
        &format!("{watchers} watchers of {value_bytes} bytes, none reads"),
        ITSELF_BYTES + ANSWERS_BYTES + values + watchers * WATCHER_BYTES,
    );
}

#[test]
fn slow_readers_of_a_big_range() {
    const KEYS: usize = 20_000;
    const READERS: usize = 50;
    let server = Server::fresh();
    let mut client = server.client();
    for batch in (0..KEYS).collect::<Vec<_>>().chunks(100) {
        let put = |number: &usize| {
            let value = b64(&[b'v'; 1000]);
            json!({"request_put": {"key": b64(format!("r/{number:06}").as_bytes()), "value": value}})
        };
        let puts: Vec<Value> = batch.iter().map(put).collect();
        client.call("/v3/kv/txn", &json!({"success": puts})).expect("a transaction");
    }
    let request = json!({"key": b64(b"r/"), "range_end": b64(&prefix_end(b"r/"))}).to_string();
    let witness = Witness::new(&server);
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut connection = Connection::open_narrow(server.address()).expect("it accepts");
        connection.send(&Request::post("/v3/kv/range", request.as_bytes())).expect("room in the socket");
        readers.push(connection);
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        for reader in &mut readers {
            let mut few = [0; 100];
            // Whom the server has cut off is cut off.
            let _ = reader.socket().read(&mut few);
        }
        thread::sleep(Duration::from_millis(100));
    }
    let all = client.prefix(b"r/").expect("one who reads is given everything");
    assert_eq!((all.count, all.rows.len()), (KEYS as i64, KEYS));
    let bound = ITSELF_BYTES + READERS as u64 * RANGE_BYTES;
    witness.finish("50 slow readers of a range of 20 MB", bound);
}
