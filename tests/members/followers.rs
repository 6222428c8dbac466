//! A follower answers as the leader does.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{
    ask, get, post, refusal,
    support::{
        client::b64,
        cluster::Cluster,
        http::{Connection, Request, Stream},
        server::is_etcd,
    },
    until,
};

/// Asked in this order of an empty store; `a`, `b`, `c` are YQ==, Yg==, Yw==.
const CALLS: &[(&str, &str)] = &[
    ("/v3/kv/put", r#"{"key":"YQ==","value":"MQ=="}"#),
    ("/v3/kv/put", r#"{"key":"YQ==","value":"Mg==","prev_kv":true}"#),
    ("/v3/kv/put", "{}"),
    ("/v3/kv/put", r#"{"key":"Yg==","ignore_value":true}"#),
    ("/v3/kv/put", r#"{"key":"Yg==","lease":"77"}"#),
    ("/v3/kv/range", r#"{"key":"YQ=="}"#),
    ("/v3/kv/range", r#"{"key":"YQ==","serializable":true}"#),
    ("/v3/kv/range", r#"{"key":"YQ==","revision":"2"}"#),
    ("/v3/kv/range", r#"{"key":"YQ==","revision":"99"}"#),
    ("/v3/kv/range", r#"{"key":"AA==","range_end":"AA==","keys_only":true}"#),
    (
        "/v3/kv/txn",
        r#"{"compare":[{"key":"YQ==","target":"VALUE","value":"Mg=="}],"success":[{"request_put":{"key":"Yg==","value":"eA=="}},{"request_range":{"key":"AA==","range_end":"AA=="}}]}"#,
    ),
    (
        "/v3/kv/txn",
        r#"{"compare":[{"key":"YQ==","target":"VALUE","value":"MQ=="}],"failure":[{"request_delete_range":{"key":"Yg==","prev_kv":true}}]}"#,
    ),
    ("/v3/kv/txn", r#"{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}"#),
    ("/v3/lease/grant", r#"{"TTL":"1000","ID":"77"}"#),
    ("/v3/lease/grant", r#"{"TTL":"1000","ID":"77"}"#),
    ("/v3/lease/grant", r#"{"TTL":"9000000001"}"#),
    ("/v3/kv/put", r#"{"key":"Yw==","value":"MQ==","lease":"77"}"#),
    ("/v3/lease/leases", "{}"),
    ("/v3/lease/revoke", r#"{"ID":"77"}"#),
    ("/v3/lease/revoke", r#"{"ID":"77"}"#),
    ("/v3/kv/range", r#"{"key":"Yw=="}"#),
    ("/v3/kv/compaction", r#"{"revision":"3"}"#),
    ("/v3/kv/compaction", r#"{"revision":"3","physical":true}"#),
    ("/v3/kv/compaction", r#"{"revision":"4","physical":true}"#),
    ("/v3/kv/range", r#"{"key":"YQ==","revision":"2"}"#),
    ("/v3/kv/deleterange", r#"{"key":"YQ==","prev_kv":true}"#),
    ("/v3/kv/deleterange", r#"{"key":"YQ=="}"#),
    ("/v3/maintenance/hashkv", "{}"),
    ("/v3/maintenance/hash", "{}"),
    ("/v3/maintenance/alarm", "{}"),
    ("/v3/maintenance/alarm", r#"{"action":"ACTIVATE","memberID":"7","alarm":"NOSPACE"}"#),
    ("/v3/kv/put", r#"{"key":"YQ=="}"#),
    ("/v3/maintenance/alarm", "{}"),
    ("/v3/maintenance/alarm", r#"{"action":"DEACTIVATE","memberID":"7","alarm":"NOSPACE"}"#),
    ("/v3/maintenance/defragment", "{}"),
    ("/v3/maintenance/status", "{}"),
    ("/v3/maintenance/downgrade", r#"{"action":"VALIDATE","version":"3.4.0"}"#),
    ("/v3/maintenance/transfer-leadership", r#"{"targetID":"1"}"#),
    ("/v3/cluster/member/list", "{}"),
    ("/v3/cluster/member/list", r#"{"linearizable":true}"#),
    ("/v3/cluster/member/add", "{}"),
    ("/v3/cluster/member/add", r#"{"peerURLs":["http://127.0.0.1:9/"]}"#),
    ("/v3/cluster/member/promote", r#"{"ID":"1"}"#),
    ("/v3/cluster/member/remove", r#"{"ID":"1"}"#),
    ("/v3/cluster/member/update", r#"{"ID":"1","peerURLs":["http://127.0.0.1:9"]}"#),
    ("/v3/auth/status", "{}"),
    ("/v3/kv/nothing", "{}"),
];

/// What may differ: ids, numbers of Raft and of the disk, and who leads.
fn said(address: SocketAddr, path: &str, body: &str) -> (u16, Value) {
    let (status, mut answer) = post(address, path, body);
    if let Some(fields) = answer.as_object_mut() {
        let varying =
            ["leader", "raftIndex", "raftTerm", "raftAppliedIndex", "dbSize", "dbSizeInUse", "hash"];
        for name in varying.into_iter().chain(["error"]) {
            fields.remove(name);
        }
    }
    if let Some(header) = answer.get_mut("header").and_then(Value::as_object_mut) {
        let ids = ["cluster_id", "member_id", "raft_term"];
        assert!(
            ids.iter().all(|name| header.remove(*name).is_some()),
            "{path}: an id is missing: {header:?}"
        );
    }
    for member in answer.get_mut("members").and_then(Value::as_array_mut).into_iter().flatten() {
        *member = json!(member.as_object().expect("a member").keys().collect::<Vec<_>>());
    }
    (status, answer)
}

#[test]
fn every_call_works_at_a_follower_as_at_the_leader() {
    let mut clusters = [Cluster::of(3), Cluster::of(3)];
    let asked = [clusters[0].leader(), clusters[1].follower()];
    let [leader, follower] = [0, 1].map(|which| clusters[which].address(asked[which]));
    // Without a member that is connected for five seconds there are other answers.
    std::thread::sleep(std::time::Duration::from_secs(6));
    for (path, body) in CALLS {
        if is_etcd() && *path == "/v3/kv/nothing" {
            continue;
        }
        let (there, here) = (said(leader, path, body), said(follower, path, body));
        if *path == "/v3/maintenance/transfer-leadership" {
            assert_eq!(there.1["message"], "etcdserver: bad leader transferee");
            assert_eq!(here, (400, json!({"code": 9, "message": "etcdserver: not leader"})));
            continue;
        }
        assert_eq!(there, here, "{path} {body}");
        assert!(here.0 != 503 && here.0 != 504, "{path} {body}: {here:?}");
    }
}

#[test]
fn a_write_at_one_member_is_read_at_the_others() {
    let cluster = Cluster::of(3);
    for round in 0..30_u32 {
        let (writer, reader) = (round as usize % 3, (round as usize + 1) % 3);
        let value = round.to_string();
        let revision = cluster.client(writer).put(b"k", value.as_bytes()).expect("a put");
        let read = cluster.client(reader).get(b"k").expect("a read");
        assert_eq!(read.rows[0].value, value.as_bytes());
        assert!(read.revision >= revision, "{} after {revision}", read.revision);
    }
}

#[test]
fn a_watch_at_a_follower_goes_on_at_another_member() {
    let mut cluster = Cluster::of(3);
    let follower = cluster.follower();
    let watch = |place: usize, start: i64| {
        let create = json!({"create_request": {"key": b64(b"k"), "start_revision": start.to_string()}});
        let connection = Connection::open(cluster.address(place)).expect("it serves");
        let mut stream = Stream::open(connection, &Request::post("/v3/watch", create.to_string().as_bytes()))
            .expect("an answer");
        let created = stream.message().expect("a message").expect("the watch begins");
        assert!(String::from_utf8_lossy(&created).contains("created"));
        stream
    };
    let value = |stream: &mut Stream| -> Vec<(i64, String)> {
        let message = stream.message().expect("a message").expect("the watch goes on");
        let message: Value = serde_json::from_slice(&message).expect("JSON");
        let events = message["result"]["events"].as_array().expect("events").clone();
        let event = |event: &Value| {
            let revision: i64 =
                event["kv"]["mod_revision"].as_str().expect("a revision").parse().expect("a number");
            (revision, event["kv"]["value"].as_str().unwrap_or_default().to_owned())
        };
        events.iter().map(event).collect()
    };
    let mut stream = watch(follower, 0);
    let mut writer = cluster.client((follower + 1) % 3);
    let first = writer.put(b"k", b"1").expect("a put");
    assert_eq!(value(&mut stream), [(first, b64(b"1"))]);
    drop(stream);
    let second = writer.put(b"k", b"2").expect("a put");
    let mut stream = watch((follower + 2) % 3, first + 1);
    assert_eq!(value(&mut stream), [(second, b64(b"2"))]);
    let third = cluster.client(follower).put(b"k", b"3").expect("a put");
    assert_eq!(value(&mut stream), [(third, b64(b"3"))]);
}

#[test]
fn the_leader_is_moved() {
    let mut cluster = Cluster::of(3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let (id, to) = (cluster.id(leader), cluster.id(follower));
    let transfer = |place: usize, to: u64| {
        post(
            cluster.address(place),
            "/v3/maintenance/transfer-leadership",
            &json!({"targetID": to.to_string()}).to_string(),
        )
    };
    for to in [id, to, 1] {
        assert_eq!(refusal(transfer(follower, to)), (400, 9, "etcdserver: not leader".to_owned()));
    }
    assert_eq!(refusal(transfer(leader, 1)), (400, 9, "etcdserver: bad leader transferee".to_owned()));
    assert_eq!(transfer(leader, id), (200, json!({})));
    assert_eq!(transfer(leader, to), (200, json!({})));
    let (_, status) = post(cluster.address(leader), "/v3/maintenance/status", "{}");
    assert_eq!(status["leader"], to.to_string(), "it is known where it was asked for");
    assert_eq!(cluster.leader(), follower);
    cluster.client(leader).put(b"k", b"v").expect("a put at the one that led");
}

#[test]
fn pages_of_a_follower() {
    let mut cluster = Cluster::of(3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let address = cluster.address(follower);
    until("the cluster's version", || get(address, "/version").1["etcdcluster"] == "3.5.0");
    assert_eq!(get(address, "/health").0, 200);
    let (status, text) = get(address, "/readyz?verbose");
    assert_eq!(status, 200);
    let text = text.as_str().expect("text");
    for check in ["data_corruption", "serializable_read", "linearizable_read", "non_learner"] {
        assert!(text.contains(&format!("[+]{check} ok\n")), "{text}");
    }
    let page = |address| match ask(address, &Request::get("/metrics")) {
        (200, Value::String(text)) => text,
        other => panic!("{other:?}"),
    };
    let (me, id) = (cluster.id(follower), cluster.id(leader));
    let other = (0..3).find(|place| ![leader, follower].contains(place)).expect("a third");
    let other = cluster.id(other);
    let text = page(address);
    for line in [
        "\netcd_server_has_leader 1\n".to_owned(),
        "\netcd_server_is_leader 0\n".to_owned(),
        "\netcd_server_is_learner 0\n".to_owned(),
        format!("\netcd_server_id{{server_id=\"{me:x}\"}} 1\n"),
        format!("\netcd_network_active_peers{{Local=\"{me:x}\",Remote=\"{id:x}\"}} 1\n"),
        format!("\netcd_network_active_peers{{Local=\"{me:x}\",Remote=\"{other:x}\"}} 1\n"),
        "\netcd_cluster_version{cluster_version=\"3.5\"} 1\n".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} in\n{text}");
    }
    for name in [
        format!("etcd_network_peer_sent_bytes_total{{To=\"{id:x}\"}}"),
        format!("etcd_network_peer_received_bytes_total{{From=\"{id:x}\"}}"),
    ] {
        let line =
            text.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{name} in\n{text}"));
        assert!(line[name.len()..].trim().parse::<f64>().expect("a number") > 0.0, "{line}");
    }
    assert!(page(cluster.address(leader)).contains("\netcd_server_is_leader 1\n"));
    until("a round trip is measured", || {
        let name = format!("etcd_network_peer_round_trip_time_seconds_count{{To=\"{id:x}\"}} ");
        page(address).lines().any(|line| line.strip_prefix(&name).is_some_and(|count| count != "0"))
    });
}
