//! Does Solder answer as etcd does? `cases/*.json` hold requests and the answers that etcd 3.5.30 gave to them over its
//! HTTP/JSON gateway; they are sent to the running binary, and what comes back is compared.
//!
//! | file | |
//! |---|---|
//! | `values` | a case's variables; what `{{rev+1}}` or `{"$b64": ..}` stands for |
//! | `compare` | which differences count |
//! | `play` | the steps of a case |
//!
//! The cases of a group (`kv_*`, `lease_*`, ..) are one test, on one server; a case that says `needs_fresh` has an empty one
//! of its own. `CASE=kv_put_basic` plays that one alone, `ALL=1` also what is left out.

#[path = "../support/mod.rs"]
pub mod support;

mod compare;
mod play;
mod values;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::support::{
    client::b64,
    http::{Connection, Request, Stream},
    server::{Server, is_etcd},
};

/// Groups and single cases that do not count, and why.
const LEFT_OUT: [(&str, &str); 3] = [
    ("auth", "there are no users and roles yet"),
    ("lock", "there is no lock service yet"),
    ("election", "there is no election service yet"),
];

/// What is asked of these services in other cases does not count either.
const SERVICES_LEFT_OUT: [&str; 3] = ["/v3/auth/", "/v3/lock/", "/v3/election/"];

struct Case {
    name: String,
    steps: Vec<Value>,
    needs_fresh: bool,
}

impl Case {
    fn group(&self) -> &str {
        self.name.split('_').next().unwrap_or_default()
    }

    /// Why it does not count.
    fn left_out(&self) -> Option<&'static str> {
        if plays_all() {
            return None;
        }
        let left_out = |name: &str| name == self.name || name == self.group();
        LEFT_OUT.iter().find(|(name, _)| left_out(name)).map(|(_, why)| *why)
    }
}

fn plays_all() -> bool {
    env::var_os("ALL").is_some()
}

/// Does this step of a case that counts not count?
fn is_left_out(step: &Value) -> bool {
    let path = step["path"].as_str().unwrap_or_default();
    !plays_all() && SERVICES_LEFT_OUT.iter().any(|service| path.starts_with(service))
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder).expect("the cases").map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Case {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let case: Value =
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Case {
        name: path.file_stem().expect("a file has a name").to_string_lossy().into_owned(),
        steps: case["steps"].as_array().expect("a case has steps").clone(),
        needs_fresh: case["needs_fresh"] == Value::Bool(true),
    }
}

/// Plays all cases of a group and tells every failure in one message.
fn group(group: &str) {
    let only = env::var("CASE").ok();
    let mut shared = None;
    let (mut passed, mut failures) = (0, Vec::new());
    for case in cases().iter().filter(|case| case.group() == group) {
        if only.as_ref().is_some_and(|only| *only != case.name) {
            continue;
        }
        if let Some(why) = case.left_out() {
            println!("LEFT OUT: {}: {why}", case.name);
            continue;
        }
        let report = if case.needs_fresh {
            play::case(&Server::fresh(), &case.name, &case.steps)
        } else {
            play::case(shared.get_or_insert_with(Server::fresh), &case.name, &case.steps)
        };
        passed += report.passed;
        failures.extend(report.failures);
    }
    println!("{group}: {passed} steps as they must be, {} not", failures.len());
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}

/// Makes a test of every group.
macro_rules! groups {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            group(stringify!($name));
        })*

        const GROUPS: &[&str] = &[$(stringify!($name)),*];
    };
}

groups! { auth cluster compaction election http json kv lease lock maintenance watch }

#[test]
fn every_case_is_played_or_left_out_by_name() {
    let cases = cases();
    assert!(cases.len() >= 78, "only {} cases are there", cases.len());
    let found: BTreeSet<&str> = cases.iter().map(Case::group).collect();
    assert_eq!(found, GROUPS.iter().copied().collect(), "a group without a test, or a test without cases");
    for (name, _) in LEFT_OUT {
        assert!(cases.iter().any(|case| case.name == name || case.group() == name), "{name} is no case");
    }
}

/// Beyond etcd, which may send a newline in a chunk of its own: clients decode a chunk, not a line.
#[test]
fn a_message_is_one_chunk_with_its_newline() {
    let server = Server::fresh();
    let create = json!({"create_request": {"key": b64(b"k")}}).to_string();
    let connection = Connection::open(server.address()).expect("it serves");
    let mut stream =
        Stream::open(connection, &Request::post("/v3/watch", create.as_bytes())).expect("an answer");
    let mut client = server.client();
    for bytes in [0, 10, 3000, 100_000] {
        stream.message().expect("a message").expect("the watch goes on");
        client.put(b"k", &vec![b'v'; bytes]).expect("a put");
    }
    stream.message().expect("a message").expect("the watch goes on");
    if is_etcd() {
        println!("one message a chunk: {}", stream.one_message_a_chunk());
    } else {
        assert!(stream.one_message_a_chunk(), "messages and chunks do not agree");
    }
}
