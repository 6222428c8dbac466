//! A learner says what it has to who knows that it may be old, and sends everybody else on.

use std::{thread, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    get, post, refusal,
    support::{
        cluster::Cluster,
        http::{Connection, Request, Stream},
        server::is_etcd,
    },
    until,
};

const REFUSED: &str = "etcdserver: rpc not supported for learner";

#[test]
fn what_a_learner_answers() {
    let mut cluster = Cluster::of(3);
    cluster.client(0).put(b"a", b"1").expect("a put");
    let (learner, id) = cluster.join_learner();
    let address = cluster.address(learner);
    for (path, body) in [
        ("/v3/kv/put", r#"{"key":"YQ=="}"#),
        ("/v3/kv/range", r#"{"key":"YQ=="}"#),
        ("/v3/kv/deleterange", r#"{"key":"YQ=="}"#),
        ("/v3/kv/txn", "{}"),
        ("/v3/kv/compaction", r#"{"revision":"1"}"#),
        ("/v3/watch", r#"{"create_request":{"key":"YQ=="}}"#),
        ("/v3/lease/grant", r#"{"TTL":"10"}"#),
        ("/v3/lease/revoke", r#"{"ID":"10"}"#),
        ("/v3/lease/timetolive", r#"{"ID":"10"}"#),
        ("/v3/lease/leases", "{}"),
        ("/v3/lease/keepalive", r#"{"ID":"10"}"#),
        ("/v3/cluster/member/list", "{}"),
        ("/v3/cluster/member/add", r#"{"peerURLs":["http://127.0.0.1:9"]}"#),
        ("/v3/cluster/member/remove", r#"{"ID":"1"}"#),
        ("/v3/cluster/member/update", r#"{"ID":"1"}"#),
        ("/v3/cluster/member/promote", r#"{"ID":"1"}"#),
        ("/v3/maintenance/alarm", "{}"),
        ("/v3/maintenance/defragment", "{}"),
        ("/v3/maintenance/hash", "{}"),
        ("/v3/maintenance/hashkv", "{}"),
        ("/v3/maintenance/transfer-leadership", "{}"),
        ("/v3/maintenance/downgrade", "{}"),
        ("/v3/auth/status", "{}"),
    ] {
        assert_eq!(refusal(post(address, path, body)), (503, 14, REFUSED.to_owned()), "{path}");
    }
    until("it has what was put before it came", || {
        let (status, range) = post(address, "/v3/kv/range", r#"{"key":"YQ==","serializable":true}"#);
        status == 200 && range["kvs"][0]["value"] == "MQ=="
    });
    let (status, told) = post(address, "/v3/maintenance/status", "{}");
    assert_eq!((status, &told["isLearner"]), (200, &Value::Bool(true)));
    assert_eq!(told["header"]["member_id"], id.to_string());
    assert_eq!(get(address, "/health").0, 200);
    let failed = "[-]non_learner failed: not supported for learner\n\n";
    assert_eq!(get(address, "/readyz/non_learner"), (503, Value::from(failed)));
    let connection = Connection::open(address).expect("it serves");
    let mut snapshot =
        Stream::open(connection, &Request::post("/v3/maintenance/snapshot", b"{}")).expect("an answer");
    assert_eq!(snapshot.status(), 200);
    assert!(snapshot.message().expect("a piece").is_some());
}

#[test]
fn a_learner_becomes_a_voter() {
    let mut cluster = Cluster::of(3);
    let (learner, id) = cluster.join_learner();
    let leader = cluster.leader();
    let promote = |place: usize| {
        post(cluster.address(place), "/v3/cluster/member/promote", &json!({"ID": id.to_string()}).to_string())
    };
    let transfer = json!({"targetID": id.to_string()}).to_string();
    let transfer = post(cluster.address(leader), "/v3/maintenance/transfer-leadership", &transfer);
    assert_eq!(refusal(transfer), (400, 9, "etcdserver: bad leader transferee".to_owned()));
    let follower = (0..3).find(|place| *place != leader).expect("three");
    until("it keeps up", || promote(follower).0 == 200);
    let (_, list) = post(cluster.address(leader), "/v3/cluster/member/list", r#"{"linearizable":true}"#);
    let members = list["members"].as_array().expect("members");
    assert!(members.len() == 4 && members.iter().all(|member| member.get("isLearner").is_none()), "{list}");
    let again = "etcdserver: can only promote a learner member";
    assert_eq!(refusal(promote(follower)), (400, 9, again.to_owned()));
    until("it knows", || post(cluster.address(learner), "/v3/kv/put", r#"{"key":"YQ=="}"#).0 == 200);
    if is_etcd() {
        // It counts that at the leader.
        return;
    }
    let metrics = get(cluster.address(follower), "/metrics").1;
    let metrics = metrics.as_str().expect("text");
    assert!(metrics.contains("\netcd_server_learner_promote_successes 1\n"), "{metrics}");
    let failure = format!("etcd_server_learner_promote_failures{{Reason=\"{again}\"}} 1\n");
    assert!(metrics.contains(&failure), "{metrics}");
}

/// It has joined, nobody has told it yet what it is: it lets the request in, and has to wait for the leader. That is the only
/// voter, so a second one could not be told of from here.
#[test]
fn a_board_that_does_not_know_yet_that_it_is_a_learner() {
    if is_etcd() {
        return;
    }
    let mut cluster = Cluster::of(1);
    cluster.client(0).put(b"a", b"1").expect("a put");
    let (learner, _) = cluster.launch_learner();
    let joined = cluster.data_dir(learner).join("member.toml");
    while !joined.exists() {
        thread::sleep(Duration::from_millis(1));
    }
    cluster.signal(0, Signal::STOP);
    let address = cluster.address(learner);
    until("it listens", || Connection::open(address).is_ok());
    let adding = thread::spawn(move || {
        post(address, "/v3/cluster/member/add", r#"{"peerURLs":["http://127.0.0.1:9"]}"#)
    });
    thread::sleep(Duration::from_millis(300));
    cluster.signal(0, Signal::CONT);
    assert_eq!(refusal(adding.join().expect("an answer")), (503, 14, REFUSED.to_owned()));
    let (_, list) = post(cluster.address(0), "/v3/cluster/member/list", "{}");
    assert_eq!(list["members"].as_array().map(Vec::len), Some(2), "nobody was added: {list}");
}
