//! Leases over the life of a server's process.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde_json::json;

use super::{board::Board, support::server::Server};

/// Every file with its size, and when it was written last.
fn state(dir: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let mut found = Vec::new();
    for file in fs::read_dir(dir).expect("it can be listed") {
        let path = file.expect("a file").path();
        let about = fs::metadata(&path).expect("it is there");
        match about.is_dir() {
            true => found.extend(state(&path)),
            false => found.push((path, about.len(), about.modified().expect("a time"))),
        }
    }
    found.sort();
    found
}

/// Until nothing is written any more.
fn settled(server: &Server) -> Vec<(PathBuf, u64, SystemTime)> {
    let begun = Instant::now();
    let mut before = state(&server.data_dir());
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = state(&server.data_dir());
        if now == before {
            return now;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it writes and writes");
        before = now;
    }
}

fn left_s(board: &Board, id: &str) -> i64 {
    let told = board.ok(&["lease", "timetolive", id]);
    let left = told.split("remaining(").nth(1).and_then(|rest| rest.split("s)").next());
    left.and_then(|left| left.parse().ok()).unwrap_or_else(|| panic!("{told}"))
}

/// Nor are short leases ever recorded.
#[test]
fn keep_alives_write_nothing() {
    let board = Board(Server::with(&["--flush-interval=1s"]));
    let mut client = board.0.client();
    for (id, ttl) in [("1", "400"), ("2", "100")] {
        client.call("/v3/lease/grant", &json!({"ID": id, "TTL": ttl})).expect("a lease");
    }
    thread::sleep(Duration::from_millis(1100));
    let before = settled(&board.0);
    for _ in 0..100 {
        for (id, ttl) in [("1", "400"), ("2", "100")] {
            let renewed = client.call("/v3/lease/keepalive", &json!({"ID": id})).expect("an answer");
            assert_eq!(renewed["result"]["TTL"], ttl, "{renewed}");
        }
    }
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(state(&board.0.data_dir()), before);
    client.put(b"k", b"v").expect("a put");
    assert_ne!(state(&board.0.data_dir()), before, "a put is seen in it");
}

#[test]
fn a_lease_of_a_server_that_was_killed_has_its_time_again() {
    let mut board = Board::new();
    let mut client = board.0.client();
    for (id, ttl) in [("1", "400"), ("2", "3")] {
        client.call("/v3/lease/grant", &json!({"ID": id, "TTL": ttl})).expect("a lease");
    }
    board.ok(&["put", "brief", "v", "--lease", "2"]);
    thread::sleep(Duration::from_millis(1500));
    board.0.kill();
    // Time switched off does not count.
    thread::sleep(Duration::from_millis(2000));
    let begun = Instant::now();
    board.0.start();
    let (long, brief) = (left_s(&board, "1"), left_s(&board, "2"));
    let since = begun.elapsed().as_secs() as i64 + 1;
    assert!((400 - since..=400).contains(&long) && (3 - since..=3).contains(&brief), "{long} and {brief}");
    assert_eq!(board.ok(&["get", "brief"]), "brief\nv\n");
    while !board.ok(&["get", "brief"]).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not run out");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(begun.elapsed() > Duration::from_millis(2900), "early: after {:?}", begun.elapsed());
}
