//! One member of three, whose others are gone.

use serde_json::Value;

use super::{get, post, refusal, support::cluster::Cluster, until};

#[test]
fn what_a_member_without_a_majority_answers() {
    let mut cluster = Cluster::of(3);
    cluster.client(0).put(b"a", b"1").expect("a put");
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
    let (status, ready) =
        text(get(address, "/readyz?exclude=data_corruption&exclude=non_learner&exclude=serializable_read"));
    let failed = "[-]linearizable_read failed: etcdserver: request timed out\n\n";
    assert_eq!((status, &*ready), (503, failed));
    assert_eq!(get(address, "/version").0, 200);

    let read = |body| post(address, "/v3/kv/range", body);
    assert_eq!(read(r#"{"key":"YQ==","serializable":true}"#).1["kvs"][0]["value"], "MQ==");
    assert_eq!(refusal(read(r#"{"key":"YQ=="}"#)), (503, 14, "etcdserver: request timed out".to_owned()));
    let put = refusal(post(address, "/v3/kv/put", r#"{"key":"YQ=="}"#));
    assert_eq!(put, (504, 4, "context deadline exceeded".to_owned()));
    let (status, list) = post(address, "/v3/cluster/member/list", "{}");
    assert_eq!((status, list["members"].as_array().map(Vec::len)), (200, Some(3)));
    for (path, body, expected) in [
        ("/v3/cluster/member/list", r#"{"linearizable":true}"#, "etcdserver: request timed out"),
        ("/v3/cluster/member/add", r#"{"peerURLs":["http://127.0.0.1:9"]}"#, "etcdserver: unhealthy cluster"),
        ("/v3/cluster/member/promote", r#"{"ID":"1"}"#, "etcdserver: no leader"),
    ] {
        assert_eq!(refusal(post(address, path, body)), (503, 14, expected.to_owned()), "{path}");
    }
    let transfer = refusal(post(address, "/v3/maintenance/transfer-leadership", "{}"));
    assert_eq!(transfer, (400, 9, "etcdserver: not leader".to_owned()));

    cluster.start(1);
    cluster.leader();
    cluster.client(0).put(b"a", b"2").expect("a put, now that there are two");
}
