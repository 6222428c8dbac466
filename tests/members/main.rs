//! The API and the commands on three members, each a process of its own: what followers answer, what a learner answers, how
//! members change, what is answered without a majority.
//!
//! `SOLDER_UNDER_TEST=/usr/bin/etcd` runs what etcd has, too, against etcd.

mod autopilot;
mod changes;
mod commands;
mod corruption;
mod followers;
mod learners;
mod lonely;
mod rooms;
#[path = "../support/mod.rs"]
pub mod support;
mod upgrade;

use std::{net::SocketAddr, thread, time::Duration};

use serde_json::Value;

use crate::support::http::{Connection, Request};

/// Longer than a call without a majority takes to fail.
const PATIENCE: Duration = Duration::from_secs(20);

/// Status and body, JSON or not.
fn post(address: SocketAddr, path: &str, body: &str) -> (u16, Value) {
    ask(address, &Request::post(path, body.as_bytes()))
}

fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    ask(address, &Request::get(path))
}

fn ask(address: SocketAddr, request: &Request<'_>) -> (u16, Value) {
    let mut connection = Connection::open(address).expect("it listens");
    connection.set_patience(PATIENCE).expect("a socket");
    let answer = connection.call(request).expect("an answer");
    let text = answer.text();
    (answer.status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Code and text of a refusal, without what else stands there.
fn refusal(answer: (u16, Value)) -> (u16, i64, String) {
    let (status, body) = answer;
    // That of a stream stands a level deeper.
    let body = body.get("error").filter(|error| error.is_object()).unwrap_or(&body);
    let message = body["message"].as_str().unwrap_or_default().to_owned();
    (status, body["code"].as_i64().unwrap_or(-1), message)
}

/// Asks until it is as it should be.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("not within half a minute: {what}");
}
