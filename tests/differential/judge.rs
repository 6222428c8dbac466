//! What counts as a difference.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::{caller::Call, support::http::Answer};

/// An answer without what differs from one cluster to another.
pub(crate) struct Said {
    status: u16,
    body: Value,
    /// Ids that must be there stand here for those that are.
    ids: bool,
}

impl Said {
    pub(crate) fn of(answer: &Answer) -> Said {
        let text = answer.text();
        let mut body: Value = serde_json::from_str(&text)
            // A stream's messages; or none.
            .or_else(|_| {
                text.lines().map(serde_json::from_str).collect::<Result<Vec<_>, _>>().map(Value::Array)
            })
            .unwrap_or_else(|error| Value::String(format!("{error}: {text}")));
        let mut ids = true;
        for header in headers(&mut body) {
            ids &= ["cluster_id", "member_id", "raft_term"].map(|name| header.remove(name).is_some())
                == [true; 3];
        }
        if let Some(fields) = body.as_object_mut() {
            // etcd's gateway before 3.6 has it; who reads it must find it.
            if fields.contains_key("code") {
                fields.remove("error");
            }
        }
        Said { status: answer.status, body, ids }
    }

    /// Zero in an answer that tells none.
    pub(crate) fn revision(&self) -> i64 {
        let text = self.body["header"]["revision"].as_str();
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn is_good(&self) -> bool {
        self.status == 200
    }

    /// Did the document not get as far as the store?
    fn is_malformed(&self) -> bool {
        // That of a stream stands a level deeper.
        let body = self.body.get("error").unwrap_or(&self.body);
        let message = body["message"].as_str().unwrap_or_default();
        let store = ["etcdserver: ", "grpc: "].iter().any(|start| message.starts_with(start));
        self.status == 400 && body["code"] == 3 && !store
    }
}

/// The header of an answer, or those of a stream's messages.
fn headers(body: &mut Value) -> Vec<&mut Map<String, Value>> {
    let messages = match body {
        Value::Array(messages) => messages.iter_mut().collect(),
        other => vec![other],
    };
    let headers = messages.into_iter().filter_map(|message| match message.get("result").is_some() {
        true => message.pointer_mut("/result/header"),
        false => message.get_mut("header"),
    });
    headers.filter_map(Value::as_object_mut).collect()
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

const KEEPALIVE: &str = "/v3/lease/keepalive";

pub(crate) fn difference(call: &Call, theirs: &Said, ours: &Said) -> Option<&'static str> {
    if call.path == KEEPALIVE && theirs.is_good() && ours.is_malformed() && theirs.body == json!([]) {
        // etcd says nothing at all to a malformed document.
        return None;
    }
    if theirs.status != ours.status {
        return Some("the status differs");
    }
    if !theirs.is_good() {
        let words = theirs.is_malformed() && ours.is_malformed();
        return (!words && theirs.body != ours.body).then_some("the error differs");
    }
    if theirs.ids != ours.ids {
        return Some("ids are missing in the header");
    }
    (comparable(call, &theirs.body) != comparable(call, &ours.body)).then_some("the body differs")
}

/// Without the order of what has none, and without what the time decides.
fn comparable(call: &Call, body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(list) = body.get_mut("leases") {
        sort(list);
    }
    match call.path {
        "/v3/lease/timetolive" | "/v3/kv/lease/timetolive" => {
            if let Some(left) = body.get_mut("TTL") {
                // The seconds left, of at least 1000.
                *left = Value::Bool(left == "-1");
            }
            if let Some(list) = body.get_mut("keys") {
                sort(list);
            }
        }
        _ => (),
    }
    body
}

fn sort(list: &mut Value) {
    if let Some(list) = list.as_array_mut() {
        list.sort_by_key(Value::to_string);
    }
}
