//! A member whose store was tampered with, while it was off, in a way that no checksum of a row tells.

use std::{net::TcpStream, path::Path};

use serde_json::Value;
use solder::store::{Backend, Lmdb, LmdbOptions, Table};

use super::{
    get, post, refusal,
    support::{
        cluster::Cluster,
        http::{Connection, Request, Stream},
    },
    until,
};

const CORRUPT: &str = "etcdserver: corrupt cluster";

/// A stream that goes on, and what it says first.
fn open(cluster: &Cluster, place: usize, request: &Request<'_>) -> (Stream, String) {
    let connection = Connection::open(cluster.address(place)).expect("it serves");
    let mut stream = Stream::open(connection, request).expect("an answer");
    assert_eq!(stream.status(), 200);
    let first = stream.message().expect("a message").expect("it begins");
    (stream, String::from_utf8(first).expect("text"))
}

/// What a stream that is at its end has yet to say.
fn rest(stream: &mut Stream) -> Vec<String> {
    let text = |line| String::from_utf8(line).expect("text");
    std::iter::from_fn(|| stream.message().expect("it ends in order").map(text)).collect()
}

/// One change that happened did not.
fn forget_a_record(db: &Path) {
    let backend = Lmdb::open(db, &LmdbOptions::default()).expect("nobody has it open");
    let row = {
        let snapshot = backend.read().expect("readable");
        let mut rows = snapshot.scan(Table::Revs, &[]).expect("readable");
        let (row, _) = rows.next().expect("readable").expect("something was put");
        row.to_vec()
    };
    backend.write(&mut |txn| txn.delete(Table::Revs, &row)).expect("written");
}

#[test]
fn a_member_that_differs_says_so_and_answers_nobody() {
    let mut cluster = Cluster::of(3);
    for n in 0..20 {
        cluster.client(0).put(format!("k{n}").as_bytes(), b"1").expect("a put");
    }
    let odd = cluster.follower();
    let even = (odd + 1) % 3;
    cluster.stop(odd);
    forget_a_record(&cluster.home(odd).join("data/db"));
    cluster.start(odd);
    let listens = |cluster: &Cluster| TcpStream::connect(cluster.address(odd)).is_ok();
    until("it listens", || listens(&cluster));
    let range = |cluster: &Cluster, place| {
        let body = r#"{"key":"azE=","serializable":true}"#;
        post(cluster.address(place), "/v3/kv/range", body)
    };
    until("it serves", || range(&cluster, odd).0 == 200);
    let (status, grant) = post(cluster.address(odd), "/v3/lease/grant", r#"{"ID":"7","TTL":"600"}"#);
    assert_eq!(status, 200, "{grant}");
    let create = Request::post("/v3/watch", br#"{"create_request":{"key":"YQ=="}}"#);
    let (mut watch, _) = open(&cluster, odd, &create);
    let (mut other, _) = open(&cluster, even, &create);
    let (mut events, _) = open(&cluster, odd, &Request::get("/kv/a?watch"));
    let (status, body) = post(cluster.address(even), "/v3/kv/compaction", r#"{"revision":"10"}"#);
    assert_eq!(status, 200, "{body}");

    until("it is found out", || range(&cluster, odd).0 != 200);
    assert_eq!(refusal(range(&cluster, odd)), (500, 15, CORRUPT.to_owned()));
    assert_eq!(range(&cluster, even).0, 200, "reads go on at the others");
    let last = rest(&mut watch);
    let error: Value = serde_json::from_str(last.last().expect("a last word")).expect("JSON");
    assert_eq!((last.len(), refusal((500, error))), (1, (500, 15, CORRUPT.to_owned())));
    assert_eq!(rest(&mut events), [format!(": {CORRUPT}")]);
    let again = Connection::open(cluster.address(odd)).expect("it listens");
    assert_eq!(Stream::open(again, &create).expect("an answer").status(), 500);
    for (path, body) in [("/v3/lease/keepalive", r#"{"ID":"7"}"#), ("/v3/lease/timetolive", r#"{"ID":"7"}"#)]
    {
        let refused = refusal(post(cluster.address(odd), path, body));
        assert_eq!(refused, (500, 15, CORRUPT.to_owned()), "{path}");
        assert_eq!(post(cluster.address(even), path, body).0, 200, "{path}");
    }
    let alarms = post(cluster.address(even), "/v3/maintenance/alarm", "{}").1;
    assert_eq!(alarms["alarms"][0]["alarm"], "CORRUPT");
    assert_eq!(alarms["alarms"][0]["memberID"], cluster.id(odd).to_string());
    assert_eq!(alarms["alarms"].as_array().map(Vec::len), Some(1));
    assert_eq!(get(cluster.address(odd), "/health").0, 503);

    other.set_patience(std::time::Duration::from_millis(300)).expect("a socket");
    assert!(other.message().is_err(), "nothing has ended, and nothing happened");

    cluster.kill(odd);
    cluster.start(odd);
    until("it listens", || listens(&cluster));
    // Once it has applied again what its log holds.
    until("it is silent after a restart", || range(&cluster, odd).0 == 500);
}

#[test]
fn members_that_hold_the_same_raise_no_alarm() {
    let mut cluster = Cluster::of(3);
    let leader = cluster.leader();
    for revision in 2..12 {
        cluster.client(leader).put(b"k", b"1").expect("a put");
        let body = format!(r#"{{"revision":"{revision}"}}"#);
        let (status, body) = post(cluster.address((leader + 1) % 3), "/v3/kv/compaction", &body);
        assert_eq!(status, 200, "{body}");
    }
    let alarms = post(cluster.address(leader), "/v3/maintenance/alarm", "{}").1;
    assert_eq!(alarms["alarms"], serde_json::Value::Null);
}
