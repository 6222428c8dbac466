//! What a watch of the past delivers.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;

use crate::support::http::{Connection, Request, Stream};

/// Longer than a store needs for the next message of a short history.
const QUIET: Duration = Duration::from_millis(250);

/// All that comes until nothing comes any more: events one by one, since how they are batched is not promised.
pub(crate) fn history(address: SocketAddr, request: &str) -> Vec<String> {
    let connection = Connection::open(address).expect("it serves");
    let mut stream =
        Stream::open(connection, &Request::post("/v3/watch", request.as_bytes())).expect("an answer");
    stream.set_patience(QUIET).expect("a socket");
    let mut seen = vec![stream.status().to_string()];
    while let Ok(Some(message)) = stream.message() {
        let message: Value = serde_json::from_slice(&message).expect("a message is a document");
        let mut result = message["result"].clone();
        let Some(fields) = result.as_object_mut() else {
            seen.push(message.to_string());
            continue;
        };
        let header = fields.remove("header").unwrap_or_default();
        let events = fields.remove("events").unwrap_or_default();
        let at = header.get("revision").cloned().unwrap_or_default();
        if !fields.is_empty() {
            seen.push(format!("{at} {result}"));
        }
        for event in events.as_array().into_iter().flatten() {
            seen.push(format!("{at} {event}"));
        }
    }
    seen
}
