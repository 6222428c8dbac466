//! A revision of very many events: one message, however it is sent, and nothing in the middle of it.

use serde_json::{Value, json};

use crate::{
    server::{Client, Server},
    sockets::Socket,
};

const KEYS: usize = 3000;

/// Some keys, all of them deleted at once; the revision of that.
fn wiped(server: &Server) -> i64 {
    for hundred in 0..KEYS / 100 {
        let put = |number: usize| {
            let key = solder_base64(&format!("k/{number:05}"));
            json!({"request_put": {"key": key, "value": "dmFsdWU="}})
        };
        let puts: Vec<Value> = (hundred * 100..(hundred + 1) * 100).map(put).collect();
        assert_eq!(server.post("/v3/kv/txn", &json!({"success": puts}).to_string()).0, 200);
    }
    let (_, deleted) = server.post("/v3/kv/deleterange", r#"{"key":"ay8=","range_end":"azA="}"#);
    assert_eq!(deleted["deleted"], KEYS.to_string());
    deleted["header"]["revision"].as_str().unwrap().parse().unwrap()
}

fn solder_base64(text: &str) -> String {
    let mut out = Vec::new();
    solder::rpc::base64(&mut out, text.as_bytes());
    String::from_utf8(out).unwrap().trim_matches('"').to_owned()
}

fn watch(start: i64, more: &Value) -> Value {
    let mut create = json!({"key": "ay8=", "range_end": "azA=", "start_revision": start});
    create.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"create_request": create})
}

fn begin(server: &Server, requests: &[Value]) -> Client {
    let mut client = server.connect();
    let body: String = requests.iter().map(Value::to_string).collect();
    client.request("POST", "/v3/watch", &[], body.as_bytes());
    assert_eq!(client.head().0, 200);
    for _ in requests.iter().filter(|request| request.get("create_request").is_some()) {
        assert_eq!(client.message()["result"]["created"], true);
    }
    client
}

/// All of it, each key once, in order.
fn check_all(events: &[Value], revision: i64) {
    assert_eq!(events.len(), KEYS);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["type"], "DELETE");
        assert_eq!(event["kv"]["key"], solder_base64(&format!("k/{number:05}")), "{number}");
        assert_eq!(event["kv"]["mod_revision"], revision.to_string());
    }
}

fn events(message: &Value) -> &[Value] {
    message["result"]["events"].as_array().unwrap()
}

#[test]
fn one_message_in_many_chunks() {
    let server = Server::start();
    let revision = wiped(&server);
    let more = json!({"prev_kv": true, "watch_id": 7});
    let requests = [
        watch(revision, &more),
        watch(revision, &json!({"watch_id": 8})),
        watch(revision, &json!({"watch_id": 9, "filters": ["NODELETE"]})),
        json!({"progress_request": {}}),
    ];
    let mut client = begin(&server, &requests);
    server.post("/v3/kv/put", r#"{"key":"ay8="}"#);
    let mut last = std::collections::BTreeMap::new();
    while last.len() < 3 {
        let (message, chunks) = client.long_message();
        let id = message["result"]["watch_id"].as_str().unwrap().to_owned();
        let is_put = events(&message).iter().all(|event| event.get("type").is_none());
        if is_put {
            assert_eq!(events(&message).len(), 1);
            last.insert(id, message);
            continue;
        }
        assert!(chunks > 2, "{chunks} chunks");
        assert_eq!(message["result"]["header"]["revision"], revision.to_string());
        assert!(message["result"].get("fragment").is_none());
        check_all(events(&message), revision);
        let has_prev = events(&message).iter().all(|event| event["prev_kv"]["value"] == "dmFsdWU=");
        assert_eq!(has_prev, id == "7");
    }
    let (progress, _) = client.long_message();
    assert_eq!(progress["result"]["watch_id"], "-1");
    assert_eq!(progress["result"]["header"]["revision"], (revision + 1).to_string());
}

#[test]
fn live_watchers_are_told_the_same() {
    let server = Server::start();
    let mut live = begin(&server, &[watch(0, &json!({"filters": ["NOPUT"]}))]);
    let revision = wiped(&server);
    check_all(events(&live.long_message().0), revision);
}

#[test]
fn fragments_for_who_wants_them() {
    let server = Server::start();
    let revision = wiped(&server);
    let mut client = begin(&server, &[watch(revision, &json!({"fragment": true}))]);
    let (mut all, mut more) = (Vec::new(), true);
    while more {
        let message = client.message();
        assert!(!events(&message).is_empty());
        all.extend_from_slice(events(&message));
        more = message["result"].get("fragment") == Some(&json!(true));
    }
    check_all(&all, revision);
    server.post("/v3/kv/put", r#"{"key":"ay8="}"#);
    assert_eq!(events(&client.message()).len(), 1);
}

#[test]
fn one_message_in_many_frames() {
    let server = Server::start();
    let revision = wiped(&server);
    let mut socket = Socket::open(&server, "/v3/watch");
    socket.say(watch(revision, &json!({})));
    assert_eq!(socket.hear()["result"]["created"], true);
    // Said in the midst of it, or before: answered behind it.
    let (mut text, mut frames, mut is_last) = (Vec::new(), 0, false);
    while !is_last {
        let (last, opcode, part) = socket.part();
        assert_eq!(opcode, u8::from(frames == 0), "a text frame, then those that continue it");
        if frames == 0 {
            socket.say(json!({"cancel_request": {}}));
        }
        (is_last, frames) = (last, frames + 1);
        text.extend(part);
    }
    assert!(frames > 2, "{frames} frames");
    check_all(events(&serde_json::from_slice(&text).unwrap()), revision);
    assert_eq!(socket.hear()["result"]["canceled"], true);
}

#[test]
fn as_server_sent_events_the_revision_has_its_id_at_its_end() {
    let server = Server::start();
    let revision = wiped(&server);
    let read = |id: i64, until: &str| {
        let mut client = server.connect();
        let header = format!("Last-Event-ID: {id}");
        client.request("GET", "/kv/k/?watch&prefix", &[&header], b"");
        assert_eq!(client.head().0, 200);
        let mut text = String::new();
        while !text.contains(until) {
            text += std::str::from_utf8(&client.chunk().unwrap()).unwrap();
        }
        text
    };
    let text = read(revision - 1, &format!("\nid: {revision}\n"));
    assert_eq!(text.matches("event: delete").count(), KEYS);
    assert_eq!(text.matches("id: ").count(), 1, "who comes back in the midst of it gets all of it again");
    server.send("PUT", "/kv/k/a", &[], b"1");
    let text = read(revision, &format!("\nid: {}\n", revision + 1));
    assert_eq!((text.matches("event: delete").count(), text.matches("event: put").count()), (0, 1));
}
