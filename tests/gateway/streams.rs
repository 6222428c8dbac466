//! Streams over plain HTTP.

use serde_json::json;

use crate::server::{Client, Server};

fn watch(server: &Server, body: &str) -> Client {
    let mut client = server.connect();
    client.request("POST", "/v3/watch", &[], body.as_bytes());
    let (status, headers) = client.head();
    assert_eq!(status, 200);
    assert!(headers.contains(&("transfer-encoding".to_owned(), "chunked".to_owned())));
    client
}

#[test]
fn one_message_is_one_chunk() {
    let server = Server::start();
    let mut client = watch(
        &server,
        r#"{"create_request":{"key":"YQ=="}}{"create_request":{"key":"YQ==","prev_kv":true}}"#,
    );
    assert_eq!(client.message()["result"].get("watch_id"), None);
    assert_eq!(client.message()["result"]["watch_id"], "1");
    for value in ["MQ==", "Mg=="] {
        server.post("/v3/kv/put", &format!(r#"{{"key":"YQ==","value":"{value}"}}"#));
    }
    let mut seen = [Vec::new(), Vec::new()];
    while seen.iter().map(Vec::len).sum::<usize>() < 4 {
        let message = client.message();
        let watch = usize::from(message["result"].get("watch_id").is_some());
        seen[watch].extend(message["result"]["events"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(seen[0][1].get("prev_kv"), None);
    assert_eq!(seen[1][0].get("prev_kv"), None);
    assert_eq!(seen[1][1]["prev_kv"]["value"], "MQ==");
    assert_eq!(seen[1][1]["kv"], seen[0][1]["kv"]);
}

#[test]
fn a_first_document_that_is_none_is_refused_at_once() {
    let server = Server::start();
    for path in ["/v3/watch", "/v3/lease/keepalive", "/v3/maintenance/snapshot"] {
        let (status, body) = server.post(path, "junk");
        assert_eq!((status, &body["error"]["code"]), (400, &json!(3)), "{path}");
    }
}

/// Even if the way there has nothing for it.
#[test]
fn progress_is_told_when_a_watch_has_caught_up() {
    let server = Server::start();
    server.post("/v3/kv/put", r#"{"key":"YQ=="}"#);
    let body = r#"{"create_request":{"key":"Yg==","start_revision":1}}{"progress_request":{}}"#;
    let mut client = watch(&server, body);
    assert_eq!(client.message()["result"]["created"], true);
    let progress = client.message();
    assert_eq!(progress["result"]["watch_id"], "-1");
    assert_eq!(progress["result"]["header"]["revision"], "2");
    assert!(client.is_quiet());
}

#[test]
fn a_stream_without_watches_waits() {
    let server = Server::start();
    let mut client = server.connect();
    client.request("POST", "/v3/watch", &[], b"{}");
    assert!(client.is_quiet());
    // When the server stops, it ends in order.
    let stopping = std::thread::spawn(move || drop(server));
    assert_eq!(client.head().0, 200);
    assert_eq!(client.chunk(), None);
    stopping.join().unwrap();
}

#[test]
fn events_larger_than_a_fragment_are_cut_if_the_client_wants_it() {
    let server = Server::start();
    let value = "A".repeat(1 << 20);
    let body = r#"{"create_request":{"key":"YQ==","range_end":"ZQ==","start_revision":2,"fragment":true}}"#;
    for key in ["YQ==", "Yg==", "Yw==", "ZA=="] {
        let (status, _) = server.post("/v3/kv/put", &format!(r#"{{"key":"{key}","value":"{value}"}}"#));
        assert_eq!(status, 200);
    }
    let mut client = watch(&server, body);
    assert_eq!(client.message()["result"]["created"], true);
    let mut count = 0;
    while count < 4 {
        let message = client.message();
        count += message["result"]["events"].as_array().unwrap().len();
        assert!(message.to_string().len() < 3 << 20);
    }
}

#[test]
fn server_sent_events() {
    let server = Server::start();
    server.send("PUT", "/kv/p/a", &[], b"1");
    let mut client = server.connect();
    client.request("GET", "/kv/p/?watch&prefix&rev=2", &[], b"");
    let (status, headers) = client.head();
    assert_eq!(status, 200);
    assert!(headers.contains(&("content-type".to_owned(), "text/event-stream".to_owned())));
    let mut text = |count: usize| {
        let mut text = String::new();
        while text.matches("\n\n").count() < count {
            text += std::str::from_utf8(&client.chunk().unwrap()).unwrap();
        }
        text
    };
    let first = "event: put\ndata: {\"key\":\"p/a\",\"value\":\"1\",\"rev\":2}\nid: 2\n\n";
    assert_eq!(text(2), format!(": watching from revision 2\n\n{first}"));
    server.send("DELETE", "/kv/p/?prefix", &[], b"");
    assert_eq!(text(1), "event: delete\ndata: {\"key\":\"p/a\",\"rev\":3}\nid: 3\n\n");
    // Who comes back goes on behind what it has seen, whatever the address says.
    let mut client = server.connect();
    client.request("GET", "/kv/p/?watch&prefix&rev=1", &["Last-Event-ID: 2"], b"");
    client.head();
    assert_eq!(client.chunk().unwrap(), b": watching from revision 3\n\n");
    assert_eq!(client.chunk().unwrap(), b"event: delete\ndata: {\"key\":\"p/a\",\"rev\":3}\nid: 3\n\n");
}

#[test]
fn a_snapshot_ends_with_its_digest() {
    use sha2::{Digest, Sha256};
    use solder::rpc::{SnapshotResponse, StreamMessage, decode};

    let server = Server::start();
    server.send("PUT", "/kv/a", &[], &vec![7; 100_000]);
    let answer = server.send("POST", "/v3/maintenance/snapshot", &[], b"{}");
    assert_eq!(answer.status, 200);
    let lines = answer.body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let mut pieces: Vec<SnapshotResponse> =
        lines.map(|line| decode::<StreamMessage<SnapshotResponse>>(line).unwrap().result.unwrap()).collect();
    let last = pieces.pop().unwrap();
    let mut digest = Sha256::new();
    for piece in &pieces {
        assert!(piece.blob.len() <= 32 << 10);
        digest.update(&piece.blob[..]);
    }
    assert_eq!((last.remaining_bytes, &last.blob[..]), (0, &digest.finalize()[..]));
}
