//! `solder demo`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    house::{command, until},
    support::client::Client,
};

struct Demo {
    child: Child,
    lines: BufReader<ChildStdout>,
    temporary: tempfile::TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Demo {
        let temporary = tempfile::tempdir().expect("a directory");
        let mut command = command();
        command.arg("demo").args(arguments).env("TMPDIR", temporary.path()).env("SOLDER_NAME", "another");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("an output"));
        Demo { child, lines, temporary }
    }

    /// What it prints from here up to a line with `what` in it, which is the last.
    fn until(&mut self, what: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        while !seen.last().is_some_and(|line| line.contains(what)) {
            let mut line = String::new();
            let bytes = self.lines.read_line(&mut line).expect("lines");
            assert!(bytes > 0, "it ended without {what:?}: {seen:#?}");
            seen.push(line.trim_end().to_owned());
        }
        seen
    }

    fn endpoints(&mut self) -> Vec<SocketAddr> {
        let lines = self.until("export SOLDER_ENDPOINTS=");
        let (_, urls) = lines.last().and_then(|line| line.split_once('=')).expect("endpoints");
        urls.split(',').map(|url| url.trim_start_matches("http://").parse().expect("an address")).collect()
    }

    fn end(mut self, signal: Signal) -> usize {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
        let rest = self.lines.lines().count();
        assert!(self.child.wait().expect("it ends").success(), "after {rest} lines");
        let left = std::fs::read_dir(self.temporary.path()).expect("a directory");
        left.count()
    }
}

#[test]
fn three_serve_one_dies_and_all_end_with_ctrl_c() {
    let mut demo = Demo::start(&["--size", "3"]);
    let endpoints = demo.endpoints();
    assert_eq!(endpoints.len(), 3);
    let patience = Duration::from_secs(30);
    Client::new(endpoints[0]).until(patience, |client| client.put(b"greeting", b"hello"));
    let last = demo.until("is killed").pop().expect("a line");
    let pid = last.split_once("processes ").and_then(|(_, rest)| rest.split([',', ' ']).next());
    let pid = pid.and_then(|pid| Pid::from_raw(pid.parse().ok()?)).expect("a process");
    kill_process(pid, Signal::KILL).expect("n1 runs");
    let told = demo.until("n1 has ended").pop().expect("a line");
    assert!(told.contains("SIGKILL") && told.contains("serve --name=n1 "), "{told}");
    let rows = Client::new(endpoints[1]).until(patience, |client| client.get(b"greeting"));
    assert_eq!(rows.rows[0].value, b"hello");
    assert_eq!(demo.end(Signal::INT), 0, "its directory is gone");
    let gone = Client::new(endpoints[1]).get(b"greeting");
    assert!(gone.is_err(), "a member still serves");
}

#[test]
fn what_is_kept_is_gone_on_from() {
    let kept = tempfile::tempdir().expect("a directory");
    let dir = kept.path().join("kept");
    let arguments = ["--size=1", "--dir", dir.to_str().expect("text")];
    let patience = Duration::from_secs(30);
    let mut demo = Demo::start(&arguments);
    let endpoint = demo.endpoints()[0];
    Client::new(endpoint).until(patience, |client| client.put(b"k", b"v"));
    demo.end(Signal::TERM);
    let mut demo = Demo::start(&arguments);
    assert_eq!(demo.endpoints(), [endpoint]);
    let rows = Client::new(endpoint).until(patience, |client| client.get(b"k"));
    assert_eq!(rows.rows[0].value, b"v");
    demo.end(Signal::TERM);
    for (arguments, complaint) in [
        (["--size=2", "--dir", arguments[2]], "give --size 1"),
        (["--size=1", "--dir", kept.path().to_str().expect("text")], "is not empty"),
    ] {
        let ended = command().arg("demo").args(arguments).output().expect("it runs");
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && errors.contains(complaint), "{errors}");
    }
}

#[test]
fn members_end_with_a_demo_that_is_killed() {
    let mut demo = Demo::start(&["--size", "2"]);
    let endpoints = demo.endpoints();
    kill_process(Pid::from_child(&demo.child), Signal::KILL).expect("it runs");
    demo.child.wait().expect("it is our child");
    until("nobody serves any more", || {
        endpoints.iter().all(|endpoint| TcpStream::connect(endpoint).is_err())
    });
}

/// It was killed before its member could ask to be told.
#[test]
fn a_member_of_a_demo_that_is_gone_does_not_begin() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut member = command();
    member.args(["serve", "--data-dir", dir.path().to_str().expect("text")]).env("SOLDER_DEMO_PROCESS", "1");
    let mut member = member.stderr(Stdio::piped()).spawn().expect("it runs");
    let mut status = None;
    until("it ends", || {
        status = member.try_wait().expect("it is our child");
        status.is_some()
    });
    let ended = member.wait_with_output().expect("it has ended");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(
        !ended.status.success() && errors.contains("process 1, which started this one, has ended"),
        "{errors}"
    );
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0);
}
