//! Real etcd members begin by a token of the service, while our boards begin by another.

use std::{
    env,
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    house::{House, PATIENCE},
    judge::{Book, is_one_cluster},
    runner::{Scene, scenes},
    support::net::loudly,
};

pub(crate) const SCENES: &[Scene] = scenes![three_of_etcd_and_three_of_ours];

struct Etcds(Vec<Child>);

impl Drop for Etcds {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An etcd whose flags are those that it needs where several run.
fn etcd(house: &House, place: usize, binary: &PathBuf, url: &str, home: &TempDir) -> Child {
    let (words, host) = (house.net.runner_of_board(place, "etcd"), house.net.address(place, 0).ip());
    let log = File::create(home.path().join(format!("log{place}"))).expect("a file");
    let flags = [
        format!("--name=e{place}"),
        format!("--data-dir={}", home.path().join(place.to_string()).display()),
        "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
        format!("--advertise-client-urls=http://{host}:2379"),
        format!("--listen-peer-urls=http://{host}:2380"),
        format!("--initial-advertise-peer-urls=http://{host}:2380"),
        format!("--discovery={url}"),
        "--discovery-fallback=exit".to_owned(),
    ];
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(binary).args(flags);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("etcd starts")
}

fn three_of_etcd_and_three_of_ours() {
    let Some(binary) = env::var_os("ETCD").map(PathBuf::from) else {
        loudly("SKIPPED: NO ETCD MEMBER HAS BEGUN BESIDE OUR BOARDS: set ETCD=/path/to/etcd, a 3.5 or 3.6");
        return;
    };
    let Some(mut house) = House::build(6) else { return };
    house.start_service();
    let (ours, theirs) = (house.new_token(3), house.new_token(3));
    let home = TempDir::new().expect("a temporary directory");
    let mut etcds = Etcds(Vec::new());
    let (without_secret, _) = theirs.split_once('#').expect("a secret");
    for place in 0..3 {
        house.serve(place, &["--discovery", &ours]);
        etcds.0.push(etcd(&house, 3 + place, &binary, without_secret, &home));
        thread::sleep(Duration::from_millis(200));
    }
    is_one_cluster(&house, &[0, 1, 2], 3, &Book::new());
    let deadline = Instant::now() + PATIENCE;
    for place in 3..6 {
        let put = |house: &House| house.ask(place, "/v3/kv/put", &json!({"key": "YQ==", "value": "YQ=="}));
        while let Err(trouble) = put(&house) {
            assert!(
                Instant::now() < deadline,
                "etcd does not serve: {trouble:?}, see {}",
                home.path().display()
            );
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(house.members(place).len(), 3);
    }
}
