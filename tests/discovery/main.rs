//! Discovery by processes: clusters that answer for a token, restarts, strangers, the command, and etcd's own members.
//!
//! The rules of the protocol are in `tests/gateway/discovery.rs`. What is done with real etcd members needs one:
//! `ETCD=/usr/bin/etcd cargo test --test discovery`; a 3.5 or 3.6, for 3.7 has no discovery of this kind.

mod command;
mod etcd;
mod etcds;
mod service;
mod strangers;
#[path = "../support/mod.rs"]
pub mod support;

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::{
    cluster::Cluster,
    http::{Answer, Connection, Request},
    server::Server,
};

fn ask(address: SocketAddr, request: &Request<'_>) -> Answer {
    Connection::open(address).and_then(|mut connection| connection.call(request)).expect("an answer")
}

fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &Request::get(path))
}

/// A URL as `/new` answers it, and its path.
fn token(address: SocketAddr, size: u8) -> (String, String) {
    let answer = ask(address, &Request::post(&format!("/new?size={size}"), b""));
    let url = answer.text();
    assert_eq!(answer.status, 200, "{url}");
    let path = url.strip_prefix(&format!("http://{address}")).expect("the address that was asked").to_owned();
    (url, path)
}

fn register(address: SocketAddr, token: &str, id: &str) -> Answer {
    let headers = [("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    let value = format!("value=m{id}%3Dhttp%3A%2F%2F10.0.0.1%3A{id}");
    let path = format!("{token}/{id}?prevExist=false");
    let request = Request { method: "PUT", path: &path, headers: &headers, body: Some(value.as_bytes()) };
    ask(address, &request)
}

/// Who is there, in order, and the index.
fn members(address: SocketAddr, token: &str) -> (Vec<String>, String) {
    let answer = get(address, token);
    let body: Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!(answer.status, 200, "{body}");
    let nodes = body["node"]["nodes"].as_array().cloned().unwrap_or_default();
    let key =
        |node: &Value| node["key"].as_str().expect("a key").rsplit('/').next().unwrap_or_default().to_owned();
    let index = answer.header("x-etcd-index").expect("X-Etcd-Index").to_owned();
    (nodes.iter().map(key).collect(), index)
}

/// A token is everybody's: made here, filled there, waited for at a third.
#[test]
fn any_member_of_a_cluster_answers() {
    let mut cluster = Cluster::of(3);
    let leader = cluster.leader();
    let [first, second] = [(leader + 1) % 3, (leader + 2) % 3].map(|place| cluster.address(place));
    let leader = cluster.address(leader);
    let (_, token) = token(first, 3);
    assert_eq!(register(leader, &token, "1").status, 201);
    let mut waiting = Connection::open(second).expect("it listens");
    waiting.send(&Request::get(&format!("{token}?recursive=true&wait=true&waitIndex=3"))).expect("it reads");
    assert_eq!(register(first, &token, "2").status, 201);
    let told = waiting.receive(false).expect("an answer").text();
    assert!(
        told.contains(&format!("\"key\":\"{token}/2\"")) && told.contains("\"createdIndex\":3"),
        "{told}"
    );
    assert_eq!(register(second, &token, "1").status, 412);
    for address in [leader, first, second] {
        let expected = (vec!["1".to_owned(), "2".to_owned()], "3".to_owned());
        assert_eq!(members(address, &token), expected);
    }
}

#[test]
fn a_restart_forgets_nothing() {
    let home = tempfile::tempdir().expect("a directory");
    let mut server = Server::stopped(home.path(), &[]);
    server.start();
    let (_, token) = token(server.address(), 3);
    assert_eq!(register(server.address(), &token, "2").status, 201);
    assert_eq!(register(server.address(), &token, "1").status, 201);
    let before = members(server.address(), &token);
    server.kill();
    server.start();
    assert_eq!(members(server.address(), &token), before);
    let past = get(server.address(), &format!("{token}?recursive=true&wait=true&waitIndex=2"));
    assert!(past.text().contains(&format!("\"key\":\"{token}/2\"")), "{}", past.text());
    assert_eq!(register(server.address(), &token, "3").status, 201);
    assert_eq!(members(server.address(), &token).1, "4");
}
