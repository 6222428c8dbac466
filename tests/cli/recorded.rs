//! Every command in every format, against what etcd 3.5.30 and its etcdctl answered and printed.
//!
//! `tests/data/cli/*.recorded` (one board; then three, a learner, and changes of the members) has the command, what it asks the gateway (`>`), the answers, and the exit status, standard
//! output (`|`) and standard error (`!`) of etcdctl itself, which was asked the same in the same state.

use std::{io::Write as _, os::unix::fs::symlink, path::Path, process::Stdio};

use super::{
    scripted::{Asked, Reply, Scripted},
    support::runner,
};

#[derive(Default)]
struct Case {
    arguments: Vec<String>,
    input: String,
    asked: Vec<Asked>,
    replies: Vec<Reply>,
    status: i32,
    output: String,
    errors: String,
}

#[test]
fn every_command_prints_what_etcdctl_prints() {
    let recorded =
        [include_str!("../data/cli/etcdctl.recorded"), include_str!("../data/cli/members.recorded")];
    let cases: Vec<Case> = recorded.iter().flat_map(|text| text.split("\n\n$ ").map(parse)).collect();
    assert!(cases.len() > 150, "only {} cases", cases.len());
    let scratch = tempfile::tempdir().expect("a directory");
    let etcdctl = scratch.path().join("etcdctl");
    symlink(env!("CARGO_BIN_EXE_solder"), &etcdctl).expect("a link");
    cases.iter().for_each(|case| check(&etcdctl, case));
}

fn parse(text: &str) -> Case {
    let mut lines = text.strip_prefix("$ ").unwrap_or(text).lines();
    let mut case = Case { arguments: words(lines.next().expect("a command")), ..Case::default() };
    while let Some(line) = lines.next() {
        let rest = line.get(2..).unwrap_or_default();
        match line.as_bytes().first() {
            Some(b'<') => case.input = serde_json::from_str(rest).expect("a JSON string"),
            Some(b'>') => {
                let (path, body) = rest.split_once(' ').expect("a path and a body");
                case.asked.push((path.into(), body.into()));
                let (status, body) = lines.next().and_then(|line| line.split_once(' ')).expect("an answer");
                case.replies.push(Reply::Whole(status.parse().expect("a status"), body.into()));
            }
            Some(b'=') => case.status = rest.parse().expect("an exit status"),
            Some(b'|') => case.output += &format!("{rest}\n"),
            Some(b'!') => case.errors += &format!("{rest}\n"),
            _ => panic!("what is this line? {line:?}"),
        }
    }
    case
}

/// Words, or `'several words'`.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        match place % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_string)),
            _ => words.push(part.to_string()),
        }
    }
    words
}

fn check(etcdctl: &Path, case: &Case) {
    let server = Scripted::new(case.replies.clone());
    let mut child = runner::command(etcdctl)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("ETCDCTL_ENDPOINTS", server.address.to_string())
        .args(&case.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let _ = child.stdin.take().expect("an input").write_all(case.input.as_bytes());
    let ended = child.wait_with_output().expect("the command ends");
    let given = server.address.to_string();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text").replace(&given, "127.0.0.1:PORT");
    let (output, errors) = (text(ended.stdout), text(ended.stderr));
    let named = &case.arguments;
    assert_eq!(server.asked(), case.asked, "{named:?} asked something else; it said {errors}");
    assert_eq!(output, case.output, "{named:?}");
    assert_eq!(errors, case.errors, "{named:?}");
    assert_eq!(ended.status.code(), Some(case.status), "{named:?}");
}
