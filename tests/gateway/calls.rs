//! Unary calls and pages, by their bytes.

use serde_json::json;

use crate::{exposition, server::Server};

#[test]
fn an_answer_by_its_bytes() {
    let server = Server::start();
    let answer = server.send("POST", "/v3/kv/put", &[], br#"{"key":"YQ==","value":"MQ=="}"#);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("grpc-metadata-content-type"), Some("application/grpc"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let text = answer.text();
    assert!(text.starts_with(r#"{"header":{"cluster_id":""#), "{text}");
    assert!(text.ends_with(r#""revision":"2","raft_term":"1"}}"#), "{text}");
    let range = server.send("POST", "/v3/kv/range", &[], br#"{"key":"YQ=="}"#);
    let row = r#""kvs":[{"key":"YQ==","create_revision":"2","mod_revision":"2","version":"1","value":"MQ=="}],"count":"1"}"#;
    assert!(range.text().ends_with(row), "{}", range.text());
}

#[test]
fn refusals_serve_clients_of_both_gateways() {
    let server = Server::start();
    let (status, body) = server.post("/v3/kv/range", "{}");
    let text = "etcdserver: key is not provided";
    assert_eq!((status, body), (400, json!({"error": text, "code": 3, "message": text})));
    let (status, body) = server.post("/v3/auth/enable", "{}");
    assert_eq!((status, &body["code"]), (501, &json!(12)));
}

#[test]
fn a_body_that_etcd_would_not_take() {
    let server = Server::start();
    let body = format!(r#"{{"key":"YQ==","value":"{}"}}"#, "A".repeat(3 << 20));
    let answer = server.send("POST", "/v3/kv/put", &[], body.as_bytes());
    assert_eq!(answer.status, 429);
    assert!(answer.text().contains("grpc: received message larger than max (2359"), "{}", answer.text());
    // The largest that it takes, with all its base64.
    let value = "A".repeat(1_572_600 / 3 * 4);
    let answer =
        server.send("POST", "/v3/kv/put", &[], format!(r#"{{"key":"YQ==","value":"{value}"}}"#).as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn documents_that_are_bombs() {
    let server = Server::start();
    let deep = "[".repeat(100_000);
    let (status, _) = server.post("/v3/kv/range", &format!(r#"{{"key":"YQ==","x":{deep}"#));
    assert_eq!(status, 400);
    let nested = r#"{"success":[{"request_txn":"#.repeat(5_000);
    let (status, _) = server.post("/v3/kv/txn", &nested);
    assert_eq!(status, 400);
    let levels = 30;
    let nested = format!("{}{{}}{}", r#"{"success":[{"request_txn":"#.repeat(levels), "}]}".repeat(levels));
    let (status, body) = server.post("/v3/kv/txn", &nested);
    assert_eq!((status, &body["message"]), (400, &json!("etcdserver: too many operations in txn request")));
    assert_eq!(server.post("/v3/kv/range", r#"{"key":"YQ=="}"#).0, 200);
}

#[test]
fn fewer_operations_if_settings_say_so() {
    let options = solder::api::Options { txn_ops_max: 2, ..Default::default() };
    let server = Server::with(options);
    let ops = |count| {
        format!(r#"{{"success":[{}]}}"#, vec![r#"{"request_range":{"key":"YQ=="}}"#; count].join(","))
    };
    assert_eq!(server.post("/v3/kv/txn", &ops(2)).0, 200);
    assert_eq!(server.post("/v3/kv/txn", &ops(3)).0, 400);
}

#[test]
fn moved_pages_keep_their_query() {
    let server = Server::start();
    let answer = server.send("GET", "/v3//kv/range?x=1", &[], b"");
    assert_eq!((answer.status, answer.header("location")), (301, Some("/v3/kv/range?x=1")));
    let answer = server.send("GET", "/v3", &[], b"");
    assert_eq!((answer.status, answer.header("location")), (301, Some("/v3/")));
}

#[test]
fn metrics_count_what_was_done() {
    let server = Server::start();
    server.post("/v3/kv/put", r#"{"key":"YQ=="}"#);
    server.post("/v3/kv/put", "{}");
    server.post("/v3/kv/put", r#"{"key":"Yg=="}"#);
    server.post("/v3/kv/deleterange", r#"{"key":"Yg=="}"#);
    let mut watching = server.connect();
    let watches = r#"{"create_request":{"key":"YQ=="}}{"create_request":{"key":"Yg=="}}"#;
    watching.request("POST", "/v3/watch", &[], watches.as_bytes());
    watching.head();
    watching.message();
    watching.message();
    let page = server.send("GET", "/metrics", &[], b"");
    exposition::check(page.text());
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let put = |code| {
        format!(
            "grpc_server_handled_total{{grpc_code=\"{code}\",grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}} 1\n"
        )
    };
    for line in [
        &put("OK").replace("} 1", "} 2"),
        &put("InvalidArgument"),
        "\netcd_server_has_leader 1\n",
        "\netcd_debugging_mvcc_current_revision 4\n",
        "\netcd_debugging_mvcc_keys_total 1\n",
        "\netcd_debugging_mvcc_watcher_total 2\n",
        "\netcd_debugging_mvcc_watch_stream_total 1\n",
        "\netcd_debugging_mvcc_slow_watcher_total 0\n",
        "\netcd_debugging_mvcc_pending_events_total 0\n",
    ] {
        assert!(page.text().contains(line), "{line} in\n{}", page.text());
    }
    for name in [
        "etcd_mvcc_db_total_size_in_bytes ",
        "etcd_server_quota_backend_bytes ",
        "process_resident_memory_bytes ",
    ] {
        let line = page.text().lines().find(|line| line.starts_with(name)).expect(name);
        assert!(line[name.len()..].parse::<f64>().unwrap() > 0.0, "{line}");
    }
}
