//! Settings that show on a server that runs.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    board::Board,
    support::{
        http::{Connection, Request},
        server::Server,
    },
};

fn metric(board: &Board, name: &str) -> f64 {
    let mut connection = Connection::open(board.0.address()).expect("it accepts");
    let answer = connection.call(&Request::get("/metrics")).expect("an answer").text();
    let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {answer}"))
}

#[test]
fn history_goes_by_itself() {
    let flags = ["--auto-compaction-mode=periodic", "--auto-compaction-retention=1s"];
    let board = Board(Server::with(&flags));
    board.ok(&["put", "k", "1"]);
    let begun = Instant::now();
    board.ok(&["put", "k", "2"]);
    let (mut status, mut errors) = (0, String::new());
    while status == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "revision 2 is still there");
        thread::sleep(Duration::from_millis(50));
        (status, _, errors) = board.run(&["get", "k", "--rev", "2"]);
    }
    assert_eq!(errors, "Error: etcdserver: mvcc: required revision has been compacted\n");
    assert!(begun.elapsed() > Duration::from_millis(900), "too early: after {:?}", begun.elapsed());
    assert_eq!(board.ok(&["get", "k", "--rev", "3"]), "k\n2\n");
}

/// The log lies on the card that is slow.
#[test]
fn slow_requests_are_named_now_and_then() {
    let board = Board(Server::with(&["--warning-unary-request-duration=1us"]));
    let mut client = board.0.client();
    let begun = Instant::now();
    for n in 0..100 {
        client.put(b"k", format!("{n}").as_bytes()).expect("a put");
        client.get(b"k").expect("a get");
    }
    let lines = board.0.log_tail().lines().filter(|line| line.contains("slow request: ")).count() as u64;
    let at_most = 1 + begun.elapsed().as_secs().div_ceil(10);
    assert!((1..=at_most).contains(&lines), "{lines} lines, {}", board.0.log_tail());
    assert!(metric(&board, "solder_slow_requests_total") >= 200.0);
}

#[test]
fn a_board_has_its_profile() {
    let board = Board(Server::with(&["--board=rpi-zero-w"]));
    board.ok(&["put", "k", "1"]);
    assert_eq!(metric(&board, "etcd_server_quota_backend_bytes"), 128.0 * 1024.0 * 1024.0);
    let checked = board.ok(&["check-config", "--board=rpi-zero-w"]);
    for line in
        ["quota-backend-bytes = 134217728 ", "auto-compaction-retention = \"1h\" ", "max-connections = 256 "]
    {
        let found =
            checked.lines().find(|found| found.starts_with(line)).unwrap_or_else(|| panic!("{checked}"));
        assert!(found.ends_with("# board rpi-zero-w"), "{found}");
    }
    let (status, _, errors) = board.run(&["serve", "--board=rpi-zero2w"]);
    assert_eq!(status, 1);
    assert!(errors.contains("did you mean `rpi-zero-2w`? (known: rpi-zero-w, "), "{errors}");
}

/// etcdutl's flags.
#[test]
fn a_snapshot_is_restored_under_another_name() {
    let board = Board::new();
    board.ok(&["put", "k", "v"]);
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("snapshot");
    let (file, home) = (file.to_str().expect("text"), scratch.path().join("home"));
    board.ok(&["snapshot", "save", file]);
    std::fs::create_dir(&home).expect("a directory");
    let restore = |more: &[&str]| {
        let mut command = board.command(&["snapshot", "restore", file, "--name=m1"]);
        command.args(more).current_dir(&home);
        let ended = command.output().expect("it runs");
        (ended.status.success(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let one = "--initial-cluster=m1=http://10.0.0.1:2380";
    for (flags, complaint) in [
        (&["--initial-cluster=m2=http://a:1"][..], "couldn't find local name \"m1\""),
        (&[one, "--initial-advertise-peer-urls=http://10.0.0.2:2380"], "its URLs are not those of"),
        (&["--initial-advertise-peer-urls=ten"], "--initial-advertise-peer-urls"),
        (&["--board=rpi-zero2w"], "did you mean `rpi-zero-2w`"),
        (&["--wal-dir=x"], "the log is in the data directory"),
    ] {
        let (success, errors) = restore(flags);
        assert!(!success && errors.contains(complaint), "{flags:?}: {errors}");
    }
    let (success, errors) = restore(&[one, "--initial-cluster-token=t", "--board=rpi-zero-w"]);
    assert!(success, "{errors}");
    let dir = home.join("m1.solder");
    let segment = std::fs::metadata(dir.join("wal/00.seg")).expect("a log").len();
    assert_eq!(segment, 2 << 20, "as the board's profile says");
    std::fs::rename(dir, home.join("data")).expect("the name that the server expects");
    let mut other = Board(Server::stopped(&home, &["--name=m1", "--board=rpi-zero-w"]));
    other.0.start();
    assert_eq!(other.ok(&["get", "k"]), "k\nv\n");
    assert!(other.ok(&["member", "list"]).contains(", started, m1, "));
}
