//! Answers that are larger than a slice.

use serde_json::{Value, json};

use crate::server::Server;

const KEYS: usize = 3000;

/// `{"request_put":..}` for keys `k0000`.. with values of 100 bytes, in transactions of 100.
fn fill(server: &Server) {
    let mut client = server.connect();
    for first in (0..KEYS).step_by(100) {
        let puts: Vec<Value> = (first..first + 100)
            .map(|index| json!({"request_put": {"key": base64(&format!("k{index:04}")), "value": base64(&"v".repeat(100))}}))
            .collect();
        let answer = client.send("POST", "/v3/kv/txn", &[], json!({"success": puts}).to_string().as_bytes());
        assert_eq!(answer.status, 200);
    }
}

/// Of text whose length is no matter: padded as need be.
fn base64(text: &str) -> String {
    let encoded = solder::rpc::encode(&solder::types::Bytes::from(text));
    String::from_utf8(encoded).unwrap().trim_matches('"').to_owned()
}

fn all() -> String {
    json!({"key": base64("k"), "range_end": base64("l")}).to_string()
}

fn check_rows(rows: &Value) {
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), KEYS);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row["key"], json!(base64(&format!("k{index:04}"))));
        assert_eq!(row["value"], json!(base64(&"v".repeat(100))));
    }
}

#[test]
fn a_large_range_comes_in_chunks_and_a_small_one_with_its_length() {
    let server = Server::start();
    fill(&server);
    let mut client = server.connect();
    let answer = client.send("POST", "/v3/kv/range", &[], all().as_bytes());
    assert!(answer.chunks.len() > 3, "{:?}", answer.chunks);
    assert!(answer.chunks.iter().all(|&chunk| chunk < 300_000), "{:?}", answer.chunks);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    check_rows(&body["kvs"]);
    assert_eq!(body["count"], json!(KEYS.to_string()));
    // The connection is still of use.
    let limited = json!({"key": base64("k"), "range_end": base64("l"), "limit": 2}).to_string();
    let answer = client.send("POST", "/v3/kv/range", &[], limited.as_bytes());
    assert!(answer.header("content-length").is_some());
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&body["more"], body["kvs"].as_array().unwrap().len()), (&json!(true), 2));
}

#[test]
fn what_a_transaction_reads_and_deletes_comes_in_chunks_too() {
    let server = Server::start();
    fill(&server);
    let range = json!({"key": base64("k"), "range_end": base64("l")});
    let delete = json!({"key": base64("k"), "range_end": base64("l"), "prev_kv": true});
    let txn = json!({"success": [{"request_range": range}, {"request_delete_range": delete}, {"request_range": range}]});
    let answer = server.send("POST", "/v3/kv/txn", &[], txn.to_string().as_bytes());
    assert!(answer.chunks.len() > 3, "{:?}", answer.chunks);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    check_rows(&body["responses"][0]["response_range"]["kvs"]);
    let deleted = &body["responses"][1]["response_delete_range"];
    check_rows(&deleted["prev_kvs"]);
    assert_eq!(deleted["deleted"], json!(KEYS.to_string()));
    assert_eq!(body["responses"][2]["response_range"].get("kvs"), None);
}

#[test]
fn deleted_values_come_in_chunks() {
    let server = Server::start();
    fill(&server);
    let delete = json!({"key": base64("k"), "range_end": base64("l"), "prev_kv": true}).to_string();
    let answer = server.send("POST", "/v3/kv/deleterange", &[], delete.as_bytes());
    assert!(answer.chunks.len() > 3);
    check_rows(&serde_json::from_slice::<Value>(&answer.body).unwrap()["prev_kvs"]);
}

#[test]
fn a_prefix_of_raw_values_comes_in_chunks() {
    let server = Server::start();
    fill(&server);
    let answer = server.send("GET", "/kv/k?prefix", &[], b"");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert!(answer.chunks.len() > 3, "{:?}", answer.chunks);
    let lines: Vec<&str> = answer.text().lines().collect();
    assert_eq!(lines.len(), KEYS);
    let value = "v".repeat(100);
    assert_eq!(lines[7], format!(r#"{{"key":"k0007","value":"{value}","rev":2}}"#));
}
