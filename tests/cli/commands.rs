//! Commands and a server, end to end.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command},
};

use super::{board::Board, support::server::Server};

#[test]
fn puts_on_conditions() {
    let board = Board::new();
    assert_eq!(board.ok(&["put", "k", "1", "--if-absent"]), "OK\n");
    let revision = board.revision();
    let since = format!("Error: nothing was changed: \"k\" has the value \"1\" since revision {revision}\n");
    assert_eq!(board.refused(&["put", "k", "2", "--if-absent"]), since);
    assert_eq!(board.refused(&["put", "k", "2", "--if-value", "0"]), since);
    assert_eq!(board.refused(&["del", "k", "--if-rev", "1"]), since);
    assert_eq!(board.ok(&["put", "k", "2", "--if-value", "1", "--prev-kv"]), "OK\nk\n1\n");
    assert_eq!(board.ok(&["put", "k", "3", "--if-rev", &(revision + 1).to_string()]), "OK\n");
    assert_eq!(board.ok(&["del", "k", "--if-value", "3", "--prev-kv"]), "1\nk\n3\n");
    assert_eq!(
        board.refused(&["del", "k", "--if-value", "3"]),
        "Error: nothing was changed: there is no key \"k\"\n"
    );
}

#[test]
fn keys_in_order_and_as_a_tree() {
    let board = Board::new();
    let keys: Vec<String> =
        (0..5).map(|_| board.ok(&["put", "--in-order", "/jobs", "x"]).trim().to_string()).collect();
    assert!(keys.is_sorted() && keys.iter().all(|key| key.starts_with("/jobs/0")), "{keys:?}");
    assert_eq!(board.ok(&["ls", "/jobs"]).lines().collect::<Vec<_>>(), keys);
    for key in ["a", "a/b", "/c/d/e", "/c/f", "/c/d"] {
        board.ok(&["put", key, "v"]);
    }
    assert_eq!(board.ok(&["ls"]), "/c/\n/jobs/\na\na/\n");
    assert_eq!(board.ok(&["ls", "/c"]), "/c/d\n/c/d/\n/c/f\n");
    assert_eq!(board.ok(&["ls", "-r", "/c/"]), "/c/d\n/c/d/e\n/c/f\n");
    assert_eq!(board.ok(&["ls", "/none"]), "");
}

/// More than one page, with directories across its end.
#[test]
fn a_large_tree() {
    let board = Board::new();
    for start in (0..1200).step_by(100) {
        let puts: String =
            (start..start + 100).map(|n| format!("put /t/{:02}/{n:04} v\n", n / 400)).collect();
        assert_eq!(board.feed(&["txn"], format!("\n{puts}\n\n").as_bytes()).0, 0);
    }
    assert_eq!(board.ok(&["ls", "/t"]), "/t/00/\n/t/01/\n/t/02/\n");
    let all: Vec<String> = (0..1200).map(|n| format!("/t/{:02}/{n:04}", n / 400)).collect();
    assert_eq!(board.ok(&["ls", "-r"]).lines().collect::<Vec<_>>(), all);
}

#[test]
fn values_may_be_any_bytes_and_live_for_a_time() {
    let board = Board::new();
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(board.feed(&["put", "bytes"], &bytes).0, 0);
    let printed = board.command(&["get", "bytes", "--print-value-only"]).output().expect("it runs").stdout;
    assert_eq!(printed, [&bytes[..], b"\n"].concat());
    board.ok(&["put", "brief", "v", "--ttl", "90s"]);
    let leases = board.ok(&["lease", "list"]);
    let id = leases.lines().nth(1).expect("a lease");
    assert!(board.ok(&["lease", "timetolive", id, "--keys"]).contains("granted with TTL(90s)"), "{leases}");
    board.ok(&["lease", "revoke", id]);
    assert_eq!(board.ok(&["get", "brief"]), "");
    board.refused(&["put", "none", "v", "--ttl", "90s", "--if-value", "x"]);
    assert_eq!(board.ok(&["lease", "list"]), "found 0 leases\n");
}

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn new(mut command: Command) -> (Running, impl Iterator<Item = String>) {
        let mut child = command.spawn().expect("the command starts");
        let output: ChildStdout = child.stdout.take().expect("an output");
        (Running(child), BufReader::new(output).lines().map_while(Result::ok))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_watch_runs_a_command() {
    let board = Board::new();
    board.ok(&["put", "a", "1"]);
    let revision = board.revision();
    board.ok(&["put", "b", "2"]);
    let from = revision.to_string();
    let script = "echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE";
    let watch = ["watch", "", "--prefix", "--rev", &from, "--", "sh", "-c", script];
    let (_running, lines) = Running::new(board.command(&watch));
    let said: Vec<String> = lines.filter(|line| line.starts_with('"')).take(2).collect();
    assert_eq!(said, ["\"PUT\" \"a\" \"1\"", "\"PUT\" \"b\" \"2\""]);
    let once = ["watch", "a", "--rev", &from, "--once", "--splay", "10ms", "--", "echo", "ran"];
    assert_eq!(board.ok(&once), "PUT\na\n1\nran\n");
    let (status, _, errors) = board.run(&["watch", "a", "--rev", &from, "--", "false"]);
    assert_eq!((status, errors.as_str()), (1, "command [\"false\"] error (exit status 1)\n"));
}

#[test]
fn a_watch_survives_a_restart_of_its_server() {
    let mut board = Board::new();
    let (_running, mut lines) = Running::new(board.command(&["watch", "k", "--rev", "1"]));
    let mut value = || lines.by_ref().nth(2).expect("an event has three lines");
    board.ok(&["put", "k", "1"]);
    assert_eq!(value(), "1");
    board.0.kill();
    board.0.start();
    board.ok(&["put", "k", "2"]);
    board.ok(&["put", "k", "3"]);
    assert_eq!([value(), value()], ["2", "3"]);
}

#[test]
fn a_snapshot_is_saved_whole() {
    let board = Board::new();
    board.ok(&["put", "k", "v"]);
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("snapshot");
    let name = file.to_str().expect("text");
    assert_eq!(board.ok(&["snapshot", "save", name]), format!("Snapshot saved at {name}\n"));
    let names: Vec<_> = fs::read_dir(scratch.path()).expect("it can be read").collect();
    assert_eq!(names.len(), 1, "only the file stays: {names:?}");
    let status = board.ok(&["snapshot", "status", name, "-w", "fields"]);
    assert!(status.contains(&format!("\"Revision\" : {}\n", board.revision())), "{status}");
    let home = scratch.path().join("home");
    let mut other = Server::stopped(&home, &[]);
    let data_dir = other.data_dir();
    let data_dir = data_dir.to_str().expect("text");
    fs::create_dir(&home).expect("a directory");
    board.ok(&["snapshot", "restore", name, "--data-dir", data_dir]);
    board.refused(&["snapshot", "restore", name, "--data-dir", data_dir]);
    let offline = scratch.path().join("offline");
    board.ok(&["snapshot", "save", offline.to_str().expect("text"), "--data-dir", data_dir]);
    other.start();
    let endpoint = other.address().to_string();
    assert_eq!(board.ok(&["get", "k", "--endpoints", &endpoint]), "k\nv\n");
    let mut bytes = fs::read(&file).expect("it can be read");
    bytes[20] ^= 1;
    fs::write(&file, bytes).expect("it can be written");
    assert!(board.refused(&["snapshot", "status", name]).contains("is no whole snapshot"));
}

#[test]
fn whoever_stops_listening_has_seen_enough() {
    let board = Board::new();
    for n in 0..60 {
        board.ok(&["put", &format!("k{n}"), &"v".repeat(2000)]);
    }
    let mut child = board.command(&["get", "k", "--prefix"]).spawn().expect("the command starts");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(1), &b""[..]));
}
