//! The commands, with three endpoints.

use std::{process::Stdio, thread, time::Duration};

use super::{
    post,
    support::{cluster::Cluster, runner, server::is_etcd},
    until,
};

/// Status, standard output, standard error of a command that is told where all are.
fn run(cluster: &Cluster, arguments: &[&str]) -> (i32, String, String) {
    let endpoints: Vec<String> =
        (0..cluster.size().min(3)).map(|place| cluster.address(place).to_string()).collect();
    let mut command = runner::command(env!("CARGO_BIN_EXE_solder"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("SOLDER_ENDPOINTS", endpoints.join(",")).args(arguments).stdin(Stdio::null());
    let ended = command.output().expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ended.status.code().expect("a status"), text(&ended.stdout), text(&ended.stderr))
}

pub(crate) fn ok(cluster: &Cluster, arguments: &[&str]) -> String {
    let (status, output, errors) = run(cluster, arguments);
    assert_eq!(status, 0, "{arguments:?}: {errors}");
    output
}

#[test]
fn all_members_are_asked() {
    let mut cluster = Cluster::of(3);
    let addresses: Vec<String> = (0..3).map(|place| format!("http://{}", cluster.address(place))).collect();
    let list = ok(&cluster, &["member", "list"]);
    let mut named: Vec<&str> = list.lines().map(|line| line.split(", ").nth(4).expect("a URL")).collect();
    named.sort_unstable();
    let mut sorted = addresses.clone();
    sorted.sort();
    assert_eq!(named, sorted, "{list}");
    let health = ok(&cluster, &["endpoint", "health", "--cluster", "--endpoints", &addresses[0][7..]]);
    assert_eq!(health.matches("is healthy: successfully committed proposal").count(), 3, "{health}");
    let status = ok(&cluster, &["endpoint", "status", "--cluster"]);
    let leaders = status.lines().filter(|line| line.split(", ").nth(4) == Some("true")).count();
    assert_eq!((status.lines().count(), leaders), (3, 1), "{status}");
    if !is_etcd() {
        let hashes = ok(&cluster, &["endpoint", "hashkv", "--cluster"]);
        let hash = |line: &str| line.split(", ").nth(1).map(str::to_owned);
        let hashes: Vec<_> = hashes.lines().map(hash).collect();
        assert!(hashes.len() == 3 && hashes.iter().all(|hash| hash == &hashes[0]), "{hashes:?}");
    }
    if !is_etcd() {
        // Members that were named to each other have no keys that a new board could trust.
        let (status, output, errors) = run(&cluster, &["invite"]);
        assert!(
            status != 0 && output.is_empty() && errors.contains("solder member add"),
            "{status} {errors}"
        );
    }
    // The leader is found among the endpoints.
    let follower = cluster.follower();
    let (from, to) = {
        let leader = cluster.leader();
        (cluster.id(leader), cluster.id(follower))
    };
    let moved = ok(&cluster, &["move-leader", &format!("{to:x}")]);
    assert_eq!(moved, format!("Leadership transferred from {from:x} to {to:x}\n"));
    assert_eq!(cluster.leader(), follower);
    cluster.kill((follower + 1) % 3);
    let (status, output, errors) = run(&cluster, &["endpoint", "health"]);
    assert_eq!((status, output.lines().count()), (1, 2), "{output}{errors}");
    assert!(errors.contains("is unhealthy") && errors.ends_with("Error: unhealthy cluster\n"), "{errors}");
    assert_eq!(ok(&cluster, &["put", "a", "1"]), "OK\n", "the next endpoint is tried");
}

#[test]
fn a_member_comes_and_goes() {
    let cluster = Cluster::of(3);
    thread::sleep(Duration::from_secs(6));
    let added = ok(&cluster, &["member", "add", "m3", "--peer-urls=http://127.0.0.1:9", "--learner"]);
    let lines: Vec<&str> = added.lines().collect();
    assert!(lines[0].starts_with("Member ") && lines[0].contains(" added to cluster "), "{added}");
    assert_eq!((lines[1], lines[2]), ("", "SOLDER_NAME=\"m3\""));
    let named = lines[3].strip_prefix("SOLDER_INITIAL_CLUSTER=\"").expect(lines[3]).trim_end_matches('"');
    let mut names: Vec<&str> = named.split(',').map(|part| part.split('=').next().expect("a name")).collect();
    names.sort_unstable();
    assert_eq!(names, ["m0", "m1", "m2", "m3"], "{added}");
    assert_eq!(lines[4], "SOLDER_INITIAL_ADVERTISE_PEER_URLS=\"http://127.0.0.1:9\"");
    assert_eq!(lines[5..], ["SOLDER_INITIAL_CLUSTER_STATE=\"existing\""]);
    let id = lines[0].split_whitespace().nth(1).expect("an id");
    let list = ok(&cluster, &["member", "list"]);
    assert!(list.contains(&format!("{id}, unstarted, , http://127.0.0.1:9, , true\n")), "{list}");
    let updated = ok(&cluster, &["member", "update", id, "--peer-urls=http://127.0.0.1:10"]);
    assert!(updated.contains(" updated in cluster "), "{updated}");
    let removed = ok(&cluster, &["member", "remove", id]);
    assert!(removed.contains(" removed from cluster "), "{removed}");
    let (status, _, errors) = run(&cluster, &["member", "remove", id]);
    assert_eq!((status, errors.as_str()), (1, "Error: etcdserver: member not found\n"));
}

#[test]
fn timeouts_are_set_for_all() {
    if is_etcd() {
        return;
    }
    let mut cluster = Cluster::of(3);
    assert_eq!(ok(&cluster, &["cluster", "get"]), "heartbeat-interval 100 ms\nelection-timeout 1000 ms\n");
    let set = ok(&cluster, &["cluster", "set", "--heartbeat-interval", "40", "--election-timeout", "400"]);
    assert_eq!(set, "heartbeat-interval 40 ms\nelection-timeout 400 ms\n");
    // What is not given stays.
    ok(&cluster, &["cluster", "set", "--election-timeout", "500"]);
    for place in 0..3 {
        let (status, body) = post(cluster.address(place), "/v3/cluster/settings", "{}");
        assert_eq!(
            (status, &body["heartbeatInterval"], &body["electionTimeout"]),
            (200, &40.into(), &500.into())
        );
        assert!(body["header"]["cluster_id"].is_string(), "{body}");
    }
    let (status, _, errors) = run(&cluster, &["cluster", "set", "--heartbeat-interval", "101"]);
    let words =
        "Error: --election-timeout[500ms] should be at least as 5 times as --heartbeat-interval[101ms]\n";
    assert_eq!((status, errors.as_str()), (1, words));
    let (status, body) = post(cluster.address(0), "/v3/cluster/settings/set", "{}");
    assert_eq!((status, &body["code"]), (400, &3.into()), "{body}");
    // They are the cluster's: one that starts anew has them, whatever its flags say.
    let follower = cluster.follower();
    cluster.kill(follower);
    cluster.start(follower);
    cluster.leader();
    until("it says so", || {
        post(cluster.address(follower), "/v3/cluster/settings", "{}").1["electionTimeout"] == 500
    });
    // A leader that is lost is missed so much sooner.
    let leader = cluster.leader();
    cluster.kill(leader);
    let next = (0..3).find(|place| *place != leader).expect("three");
    let mut client = cluster.client(next);
    client.until(Duration::from_secs(10), |client| client.put(b"a", b"1"));
}
