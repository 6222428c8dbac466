//! A cluster that chooses its voters by itself.

use std::{thread, time::Duration};

use serde_json::Value;

use super::{
    commands::ok,
    post,
    support::{cluster::Cluster, server::is_etcd},
    until,
};

/// How many vote, as the member at this place knows.
fn voters(cluster: &Cluster, place: usize) -> usize {
    let members = post(cluster.address(place), "/v3/cluster/member/list", "{}").1;
    let members = members["members"].as_array().expect("members").iter();
    members.filter(|member| member.get("isLearner").is_none()).count()
}

fn is_learner(cluster: &Cluster, place: usize) -> bool {
    post(cluster.address(place), "/v3/maintenance/status", "{}").1["isLearner"] == true
}

/// The sentence about the member at `place`, asked at the first.
fn why(cluster: &Cluster, id: u64) -> String {
    let roles = post(cluster.address(0), "/v3/cluster/roles", "{}").1;
    let roles = roles["roles"].as_array().cloned().unwrap_or_default();
    let id = id.to_string();
    let role = roles.iter().find(|role| role["ID"] == *id);
    role.map_or_else(String::new, |role| role["why"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn an_odd_number_votes_and_the_dead_are_replaced() {
    if is_etcd() {
        return;
    }
    let mut cluster = Cluster::of_one(&["--voters=3", "--replace-after=5s"]);
    let (second, second_id) = cluster.join_learner();
    until("it is told why", || {
        why(&cluster, second_id) == "learner: an even number of voters would stop with one more failure"
    });
    assert_eq!(voters(&cluster, 0), 1);
    let (third, _) = cluster.join_learner();
    until("three vote", || voters(&cluster, 0) == 3);
    let (fourth, fourth_id) = cluster.join_learner();
    until("it is told why", || why(&cluster, fourth_id) == "learner: as many vote as may (3)");
    commands_tell(&cluster);
    // Any voter can be asked.
    let follower = if cluster.leader() == third { second } else { third };
    let roles = post(cluster.address(follower), "/v3/cluster/roles", "{}").1;
    let roles = roles["roles"].as_array().cloned().unwrap_or_default();
    let dated = roles.iter().filter(|role| role["since"].is_string()).count();
    assert_eq!((roles.len(), dated), (4, 4), "{roles:?}");

    let lost = if cluster.leader() == second { third } else { second };
    cluster.kill(lost);
    until("it is replaced", || {
        cluster.client(0).put(b"meanwhile", b"1").expect("the cluster is writable throughout");
        !is_learner(&cluster, fourth)
    });
    assert_eq!(voters(&cluster, 0), 3);
    cluster.start(lost);
    until("it is told", || {
        cluster.log_tail(lost).contains("this board is a learner now: it was not reached for")
    });
    assert!(is_learner(&cluster, lost));

    ok(&cluster, &["cluster", "set", "--voters", "1"]);
    until("one votes", || voters(&cluster, 0) == 1);
    ok(&cluster, &["cluster", "set", "--voters", "0"]);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(post(cluster.address(0), "/v3/cluster/roles", "{}").1.get("roles"), None::<&Value>);
    let list = ok(&cluster, &["member", "list"]);
    assert!(list.lines().all(|line| line.split(", ").count() == 6), "{list}");
}

fn commands_tell(cluster: &Cluster) {
    let settings =
        "heartbeat-interval 100 ms\nelection-timeout 1000 ms\nvoters 3\nreplace-after 5s\nmax-learners 100\n";
    assert_eq!(ok(cluster, &["cluster", "get"]), settings);
    let list = ok(cluster, &["member", "list"]);
    let ends = |end: &str| list.lines().filter(|line| line.ends_with(end)).count();
    assert_eq!((ends(", voter: one of 3"), ends("Z, learner: as many vote as may (3)")), (3, 1), "{list}");
    // The founder, too, though nobody made it what it is.
    assert_eq!((ends("Z, voter: one of 3"), ends(", , voter: one of 3")), (3, 0), "{list}");
    let table = ok(cluster, &["member", "list", "-w", "table"]);
    assert!(table.contains("│ IS LEARNER │") && table.contains("WHY"), "{table}");
    let json: Value = serde_json::from_str(&ok(cluster, &["member", "list", "-w", "json"])).expect("JSON");
    let whys = json["members"].as_array().expect("members").iter().filter(|member| member["why"].is_string());
    assert_eq!(whys.count(), 4, "{json}");
    let fields = ok(cluster, &["member", "list", "-w", "fields"]);
    assert_eq!(fields.matches("\"Why\" : \"voter: one of 3\"").count(), 3, "{fields}");
}
