//! What happens when an endpoint is not there, or goes away.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use super::{
    scripted::{Reply, Scripted},
    support::runner,
};

pub(crate) fn solder(endpoints: &[String], arguments: &[&str]) -> Command {
    let mut command = runner::command(env!("CARGO_BIN_EXE_solder"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("SOLDER_ENDPOINTS", endpoints.join(",")).args(arguments).stdin(Stdio::null());
    command
}

fn run(endpoints: &[String], arguments: &[&str]) -> Output {
    solder(endpoints, arguments).output().expect("the command runs")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into()
}

/// Nobody listens there.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

fn got() -> Reply {
    let body = r#"{"header":{"revision":"5"},"kvs":[{"key":"aw==","value":"dg=="}],"count":"1"}"#;
    Reply::Whole(200, body.into())
}

#[test]
fn who_refuses_is_named_with_what_helps() {
    let (one, other) = (nobody(), nobody());
    let output = run(&[one.clone(), other.clone()], &["put", "k", "v"]);
    let expected = format!(
        "Error: cannot connect to {one} (connection refused), {other} (connection refused): is a server running there? \
         `solder serve` starts one\n"
    );
    assert_eq!((errors(&output), output.status.code()), (expected, Some(1)));
}

#[test]
fn the_next_endpoint_takes_what_the_first_refuses() {
    let there = Scripted::new(vec![got()]);
    let output = run(&[nobody(), there.address.to_string()], &["get", "k"]);
    assert_eq!(output.stdout, b"k\nv\n", "{}", errors(&output));
}

#[test]
fn a_read_is_asked_again_elsewhere() {
    let (breaks, there) = (Scripted::new(vec![Reply::Nothing]), Scripted::new(vec![got()]));
    let output = run(&[breaks.address.to_string(), there.address.to_string()], &["get", "k"]);
    assert_eq!(output.stdout, b"k\nv\n", "{}", errors(&output));
    assert_eq!(breaks.asked().len(), 1);
    let unavailable = Reply::Whole(503, r#"{"code":14,"message":"etcdserver: no leader"}"#.into());
    let (lost, there) = (Scripted::new(vec![unavailable]), Scripted::new(vec![got()]));
    let output = run(&[lost.address.to_string(), there.address.to_string()], &["get", "k"]);
    assert_eq!(output.stdout, b"k\nv\n", "{}", errors(&output));
}

#[test]
fn a_write_whose_outcome_is_unknown_is_not_repeated() {
    let (breaks, other) = (Scripted::new(vec![Reply::Nothing]), Scripted::new(vec![]));
    let output = run(&[breaks.address.to_string(), other.address.to_string()], &["put", "k", "v"]);
    assert!(
        errors(&output).ends_with("whether the request took effect is not known\n"),
        "{}",
        errors(&output)
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((breaks.asked().len(), other.asked().len()), (1, 0));
}

fn event(revision: u64) -> String {
    format!(
        r#"{{"result":{{"header":{{"revision":"9"}},"events":[{{"kv":{{"key":"aw==","mod_revision":"{revision}"}}}}]}}}}"#
    )
}

const CREATED: &str = r#"{"result":{"header":{"revision":"4"},"created":true}}"#;

/// Lines are cut in their middle, and two come at once. The header of history is ahead of its events.
#[test]
fn a_watch_goes_on_where_it_was() {
    let lines = format!("{CREATED}\n{}\n{}\n", event(5), event(6));
    let (begin, rest) = lines.split_at(70);
    let (middle, end) = rest.split_at(50);
    let pieces = vec![begin.to_string(), middle.to_string(), end.to_string()];
    let first = Scripted::new(vec![Reply::Pieces { pieces, end: true }]);
    let pieces = vec![format!("{CREATED}\n"), format!("{}\n", event(7))];
    let second = Scripted::new(vec![Reply::Pieces { pieces, end: false }]);
    let endpoints = [first.address.to_string(), nobody(), second.address.to_string()];
    let mut child = solder(&endpoints, &["watch", "k", "-w", "fields"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let output = BufReader::new(child.stdout.take().expect("an output"));
    let revisions = output.lines().map_while(Result::ok).filter(|line| line.starts_with("\"ModRevision\""));
    let revisions: Vec<String> = revisions.take(3).collect();
    child.kill().and_then(|()| child.wait()).expect("it can be ended");
    assert_eq!(revisions, ["\"ModRevision\" : 5", "\"ModRevision\" : 6", "\"ModRevision\" : 7"]);
    let body = |asked: Vec<(String, String)>| asked.into_iter().map(|(_, body)| body).collect::<Vec<_>>();
    assert_eq!(body(first.asked()), [r#"{"create_request":{"key":"aw==","fragment":true}}"#]);
    assert_eq!(
        body(second.asked()),
        [r#"{"create_request":{"key":"aw==","start_revision":"7","fragment":true}}"#]
    );
}

/// Some events of one revision; `more` of it are to come.
fn fragment(revision: u64, keys: &[&str], more: bool) -> String {
    let event = |key: &&str| format!(r#"{{"kv":{{"key":"{key}","mod_revision":"{revision}"}}}}"#);
    let events: Vec<String> = keys.iter().map(event).collect();
    let (events, header) = (events.join(","), r#""header":{"revision":"9"}"#);
    format!("{{\"result\":{{{header},\"fragment\":{more},\"events\":[{events}]}}}}\n")
}

/// The first endpoint breaks off within a revision; the others begin with it again, and cut it elsewhere.
#[test]
fn a_watch_goes_on_within_a_revision() {
    const A: &str = "YQ==";
    const B: &str = "Yg==";
    const C: &str = "Yw==";
    const D: &str = "ZA==";
    const E: &str = "ZQ==";
    let created = format!("{CREATED}\n");
    let pieces = vec![created.clone(), fragment(5, &[A], false), fragment(6, &[A, B, C], true)];
    let first = Scripted::new(vec![Reply::Pieces { pieces, end: true }]);
    let pieces = vec![created.clone(), fragment(6, &[A, B], true), fragment(6, &[C, D], true)];
    let second = Scripted::new(vec![Reply::Pieces { pieces, end: true }]);
    let pieces =
        vec![created, fragment(6, &[A, B, C, D], true), fragment(6, &[E], false), fragment(7, &[A], false)];
    let third = Scripted::new(vec![Reply::Pieces { pieces, end: false }]);
    let endpoints = [&first, &second, &third].map(|server| server.address.to_string());
    let mut child = solder(&endpoints, &["watch", "a", "--prefix", "-w", "fields"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let output = BufReader::new(child.stdout.take().expect("an output"));
    let keys = output.lines().map_while(Result::ok).filter(|line| line.starts_with("\"Key\""));
    let keys: Vec<String> = keys.take(7).collect();
    child.kill().and_then(|()| child.wait()).expect("it can be ended");
    let wanted = ["a", "a", "b", "c", "d", "e", "a"].map(|key| format!("\"Key\" : \"{key}\""));
    assert_eq!(keys, wanted);
    for server in [second, third] {
        let asked: Vec<String> = server.asked().into_iter().map(|(_, body)| body).collect();
        assert!(asked[0].contains(r#""start_revision":"6""#), "{asked:?}");
    }
}

#[test]
fn keep_alive_goes_on_elsewhere_until_the_lease_is_over() {
    let renewed = |ttl: &str| {
        let line = format!("{{\"result\":{{\"ID\":\"7\"{ttl}}}}}\n");
        Reply::Pieces { pieces: vec![line], end: true }
    };
    let first = Scripted::new(vec![renewed(r#","TTL":"3""#), Reply::Nothing]);
    let second = Scripted::new(vec![renewed(r#","TTL":"3""#), renewed("")]);
    let endpoints = [first.address.to_string(), second.address.to_string()];
    let output = run(&endpoints, &["lease", "keep-alive", "7"]);
    let renewed = "lease 0000000000000007 keepalived with TTL(3)\n";
    let expected = format!("{renewed}{renewed}lease 0000000000000007 expired or revoked.\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", errors(&output));
}

#[test]
fn flags_of_what_is_not_here_say_so() {
    let complaint = |arguments: &[&str]| {
        let output = run(&[nobody()], arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        errors(&output)
    };
    assert!(complaint(&["get", "k", "--cacert=x"]).contains("comes with TLS"));
    assert!(complaint(&["--user", "root", "get", "k"]).contains("comes with authentication"));
    assert!(complaint(&["get", "k", "--endpoints", "https://a:1"]).contains("comes with TLS"));
    assert!(complaint(&["get", "k", "--bogus"]).contains("--bogus"));
}
