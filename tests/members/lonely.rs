//! One member of three, whose others are gone.

use serde_json::Value;

use super::{
    ask, get, post, refusal,
    support::{
        cluster::Cluster,
        http::{Connection, Request, Stream},
    },
    until,
};

#[test]
fn what_a_member_without_a_majority_answers() {
    let mut cluster = Cluster::of(3);
    cluster.client(0).put(b"a", b"1").expect("a put");
    let create = br#"{"create_request":{"key":"YQ=="}}"#;
    let headers = &[("Grpc-Metadata-hasleader".to_owned(), "true".to_owned())];
    let [mut patient, mut choosy] = [&[][..], &headers[..]].map(|headers| {
        let connection = Connection::open(cluster.address(0)).expect("it serves");
        let request = Request { headers, ..Request::post("/v3/watch", create) };
        let mut stream = Stream::open(connection, &request).expect("an answer");
        assert!(stream.message().expect("a message").is_some(), "it is created");
        stream
    });
    cluster.kill(1);
    cluster.kill(2);
    let address = cluster.address(0);
    until("it knows that nobody leads", || {
        post(address, "/v3/maintenance/status", "{}").1["leader"] == Value::Null
    });
    let (_, status) = post(address, "/v3/maintenance/status", "{}");
    assert_eq!(status["errors"][0], "etcdserver: no leader");
    let text = |answer: (u16, Value)| match answer {
        (status, Value::String(text)) => (status, text),
        (status, json) => (status, json.to_string()),
    };
    assert_eq!(
        text(get(address, "/health")),
        (503, r#"{"health":"false","reason":"RAFT NO LEADER"}"#.to_owned())
    );
    assert_eq!(get(address, "/health?serializable=true").0, 200);
    assert_eq!(text(get(address, "/livez")), (200, "ok\n".to_owned()));
    let (status, ready) = text(get(address, "/readyz"));
    assert!(status == 503 && ready.contains("[-]linearizable_read failed: etcdserver: "), "{status} {ready}");
    assert!(ready.ends_with("\n\n") && ready.contains("[+]serializable_read ok\n"), "{ready}");
    assert_eq!(get(address, "/version").0, 200);

    let read = |body| post(address, "/v3/kv/range", body);
    assert_eq!(read(r#"{"key":"YQ==","serializable":true}"#).1["kvs"][0]["value"], "MQ==");
    // etcd says so after seven seconds, and that the time is out; what is certain may be said at once.
    let late = |(status, code, text): (u16, i64, String)| {
        let known = ["etcdserver: request timed out", "etcdserver: no leader"].contains(&&*text);
        assert!(status == 503 && code == 14 && known, "{status} {code} {text}");
    };
    late(refusal(read(r#"{"key":"YQ=="}"#)));
    late(refusal(post(address, "/v3/cluster/member/list", r#"{"linearizable":true}"#)));
    let put = refusal(post(address, "/v3/kv/put", r#"{"key":"YQ=="}"#));
    assert_eq!(put, (504, 4, "context deadline exceeded".to_owned()));
    let (status, list) = post(address, "/v3/cluster/member/list", "{}");
    assert_eq!((status, list["members"].as_array().map(Vec::len)), (200, Some(3)));
    for (path, body, expected) in [
        ("/v3/cluster/member/add", r#"{"peerURLs":["http://127.0.0.1:9"]}"#, "etcdserver: unhealthy cluster"),
        ("/v3/cluster/member/promote", r#"{"ID":"1"}"#, "etcdserver: no leader"),
    ] {
        assert_eq!(refusal(post(address, path, body)), (503, 14, expected.to_owned()), "{path}");
    }
    let transfer = refusal(post(address, "/v3/maintenance/transfer-leadership", "{}"));
    assert_eq!(transfer, (400, 9, "etcdserver: not leader".to_owned()));

    // Who wants a leader is told that there is none, and goes elsewhere; others wait.
    let last = choosy.message().expect("a message").expect("a last one");
    let last: Value = serde_json::from_slice(&last).expect("JSON");
    assert_eq!(
        (&last["error"]["code"], &last["error"]["message"]),
        (&14.into(), &"etcdserver: no leader".into())
    );
    let again = Connection::open(address).expect("it listens");
    let refused = Stream::open(again, &Request { headers, ..Request::post("/v3/watch", create) });
    assert_eq!(refused.expect("an answer").status(), 503);
    let unary = ask(
        address,
        &Request { headers, ..Request::post("/v3/kv/range", br#"{"key":"YQ==","serializable":true}"#) },
    );
    assert_eq!(refusal(unary), (503, 14, "etcdserver: no leader".to_owned()));

    cluster.start(1);
    cluster.leader();
    cluster.client(0).put(b"a", b"2").expect("a put, now that there are two");
    let told = patient.message().expect("a message").expect("the watch goes on");
    assert!(String::from_utf8_lossy(&told).contains("\"Mg==\""), "the watch that waited tells of it");
}
