//! How boards begin: together, as one more, from what is left, from a snapshot; and who is refused, with what words.

#[path = "../support/mod.rs"]
pub mod support;

mod demo;
mod house;

use std::{
    fs,
    time::{Duration, Instant},
};

use house::{House, solder, until};
use serde_json::json;

const EXISTING: &str = "--initial-cluster-state=existing";

/// The same, as it is told.
const EXISTING_WORDS: &str = "--initial-cluster-state existing";

#[test]
fn a_fourth_joins_learns_votes_and_goes() {
    let mut house = House::new(&["a", "b", "c", "d"]);
    let (three, all) = (["a", "b", "c"], ["a", "b", "c", "d"]);
    three.iter().for_each(|name| house.launch(name, &three, &[]));
    house.put("a", "before", "1");

    house.launch("d", &all, &[EXISTING]);
    let text = house.refused("d");
    let advice = format!("`solder member add d --peer-urls={}` first", house.peer_url("d"));
    assert!(text.contains("error validating peerURLs") && text.contains(&advice), "{text}");

    let id = house.add("a", "d", true);
    house.launch("d", &three[1..], &[EXISTING]);
    let text = house.refused("d");
    assert!(text.contains("couldn't find local name \"d\""), "{text}");
    house.launch("d", &["a", "d"], &[EXISTING]);
    let text = house.refused("d");
    assert!(text.contains("member count is unequal: it has 4, --initial-cluster names 2"), "{text}");

    house.launch("d", &all, &[EXISTING]);
    let serializable = json!({"key": "YmVmb3Jl", "serializable": true});
    until("the learner has it", || house.ask("d", "/v3/kv/range", &serializable)["count"] == "1");
    let answer = house.client("d").put(b"k", b"v");
    assert!(format!("{answer:?}").contains("rpc not supported for learner"), "{answer:?}");
    let file = house.home("d").join("snapshot");
    let endpoint = format!("--endpoints={}", house.client("d").address());
    solder(&["snapshot", "save", file.to_str().expect("text"), &endpoint]);

    house.ask("b", "/v3/cluster/member/promote", &json!({"ID": id.to_string()}));
    house.put("d", "after", "2");
    until("d has said who it is", || house.members("d").get("d") == Some(&id));

    // Restarts need none of the flags.
    house.stop("d");
    house.launch_with("d", &[]);
    assert_eq!(house.get("d", "after").as_deref(), Some("2"));
    until("it has its name", || house.members("a").get("d") == Some(&id));

    house.ask("a", "/v3/cluster/member/remove", &json!({"ID": id.to_string()}));
    let text = house.refused("d");
    assert!(text.contains("was removed from the cluster") && text.contains(EXISTING_WORDS), "{text}");
    house.launch("d", &all, &[]);
    let text = house.refused("d");
    assert!(text.contains("was removed from the cluster"), "{text}");
    house.put("a", "without", "3");
}

/// Where a time-out would take most of a minute: the first leader of a cluster, and of one that was without power, is there
/// as soon as a majority is.
#[test]
fn the_first_leader_waits_for_no_time_out() {
    let all = ["a", "b", "c"];
    let slow = ["--heartbeat-interval=500", "--election-timeout=50000"];
    let mut house = House::new(&all);
    for round in 0..2 {
        let begun = Instant::now();
        all.iter().for_each(|name| house.launch(name, &all, &slow));
        all.iter().for_each(|name| house.serves(name));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(30), "round {round}: after {took:?}\n{}", house.log("a"));
        all.iter().for_each(|name| house.kill(name));
    }
}

/// From one to three: each is added and then started, as etcd's guide has it.
#[test]
fn one_becomes_three() {
    let mut house = House::new(&["a", "b", "c"]);
    house.launch("a", &["a"], &[]);
    house.put("a", "k", "v");
    house.add("a", "b", false);
    // What is written now waits for the second.
    house.launch("b", &["a", "b"], &[EXISTING]);
    house.put("b", "two", "1");
    // Once the second has been there for a while.
    house.add("a", "c", false);
    house.put("a", "two of three", "1");
    house.launch("c", &["a", "b", "c"], &[EXISTING]);
    assert_eq!(house.get("c", "k").as_deref(), Some("v"));
    until("all have said who they are", || house.members("c").len() == 3);
    house.kill("a");
    house.put("c", "without the first", "1");
}

#[test]
fn a_wiped_disk_is_refused_by_who_is_asked() {
    let all = ["a", "b", "c"];
    let mut house = House::founded(&all);
    house.put("a", "k", "v");
    let id = house.members("a")["c"];
    house.kill("c");
    house.wipe("c");
    for state in ["--initial-cluster-state=new", EXISTING] {
        house.launch("c", &all, &[state]);
        let text = house.refused("c");
        let wanted = format!("member {id:x} has already been bootstrapped");
        assert!(text.contains(&wanted) && text.contains("`solder member remove"), "{text}");
        assert!(!house.data_dir("c").exists(), "nothing is left behind");
    }
    house.ask("a", "/v3/cluster/member/remove", &json!({"ID": id.to_string()}));
    house.launch("c", &all, &[]);
    let text = house.refused("c");
    assert!(text.contains("was removed from the cluster"), "{text}");
    house.add("a", "c", true);
    house.launch("c", &all, &[EXISTING]);
    until("c serves", || house.members("a").contains_key("c"));
}

/// It starts first, so nobody can be asked: its peers know all the same that it is not whom they knew.
#[test]
fn a_wiped_disk_is_refused_by_its_peers() {
    let all = ["a", "b", "c"];
    let mut house = House::founded(&all);
    house.put("a", "k", "v");
    until("all have said who they are", || house.members("b").keys().eq(all.iter()));
    all.iter().for_each(|name| house.kill(name));
    house.wipe("c");
    house.launch("c", &all, &[]);
    // It listens, and has founded what it was told to.
    until("begun", || house.data_dir("c").join("member.toml").exists());
    house.launch("a", &all, &[]);
    house.launch("b", &all, &[]);
    let text = house.refused("c");
    assert!(text.contains("has already been bootstrapped, with other data than this board has"), "{text}");
    assert_eq!(house.get("b", "k").as_deref(), Some("v"));
}

/// It asked nobody when it founded its cluster, and asks nobody now: the others tell it, whom it does not know any more.
#[test]
fn a_first_board_that_lost_its_disk_does_not_found_its_cluster_again() {
    let all = ["a", "b", "c"];
    let mut house = House::new(&all);
    house.launch("a", &["a"], &[]);
    house.put("a", "k", "v");
    house.add("a", "b", false);
    house.launch("b", &["a", "b"], &[EXISTING]);
    house.put("b", "two", "1");
    house.add("a", "c", false);
    house.launch("c", &all, &[EXISTING]);
    until("all have said who they are", || house.members("c").keys().eq(all.iter()));
    house.kill("a");
    house.wipe("a");
    let refused = |house: &mut House| {
        let text = house.refused("a");
        assert!(
            text.contains("has already been bootstrapped, with other data than this board has"),
            "{text}"
        );
        assert!(text.contains("`solder member remove") && text.contains(EXISTING_WORDS), "{text}");
    };
    // At each start.
    for _ in 0..2 {
        house.launch("a", &["a"], &[]);
        refused(&mut house);
    }
    // Who was away comes when it has taken in something.
    house.stop("b");
    house.stop("c");
    house.wipe("a");
    house.launch("a", &["a"], &[]);
    house.put("a", "k", "anew");
    house.launch("b", &all, &[]);
    house.launch("c", &all, &[]);
    refused(&mut house);
    assert_eq!(house.get("b", "k").as_deref(), Some("v"));
    house.put("c", "without the first", "1");
    // As it is told.
    let id = house.members("b")["a"];
    house.ask("b", "/v3/cluster/member/remove", &json!({"ID": id.to_string()}));
    house.wipe("a");
    house.add("b", "a", false);
    house.launch("a", &all, &[EXISTING]);
    assert_eq!(house.get("a", "k").as_deref(), Some("v"));
}

/// One board alone may be wrong, about an address or about what the cluster is: it ends nobody who has something to lose.
#[test]
fn a_first_board_is_not_ended_by_one_that_has_no_majority() {
    let mut house = House::new(&["a", "b"]);
    house.launch("a", &["a"], &[]);
    house.put("a", "k", "v");
    house.add("a", "b", false);
    house.launch("b", &["a", "b"], &[EXISTING]);
    until("both have said who they are", || house.members("b").keys().eq(["a", "b"]));
    // Who is killed does not know what of its log is committed, until there is a majority again.
    house.stop("b");
    house.kill("a");
    house.wipe("a");
    house.launch("a", &["a"], &[]);
    house.put("a", "k", "anew");
    house.launch("b", &["a", "b"], &[EXISTING]);
    until("it was called", || house.log("a").contains("It is not believed"));
    house.put("a", "more", "1");
    assert_eq!(house.get("a", "k").as_deref(), Some("anew"));
    // While there is nothing to lose, it goes.
    house.kill("a");
    house.wipe("a");
    house.launch("a", &["a"], &[]);
    let text = house.refused("a");
    assert!(text.contains("has already been bootstrapped, with other data than this board has"), "{text}");
}

#[test]
fn who_joins_asks_over_tls() {
    let (three, all) = (["a", "b", "c"], ["a", "b", "c", "d"]);
    let mut house = House::secured(&all);
    three.iter().for_each(|name| house.launch(name, &three, &[]));
    house.put("a", "k", "v");
    house.add("b", "d", false);
    // With a certificate of another authority nobody is believed, and nobody answers.
    let flags = house.flags();
    house.certify();
    house.launch("d", &all, &[EXISTING]);
    until("it says why", || house.log("d").contains("need certificates of one authority"));
    assert!(!house.data_dir("d").exists(), "it has begun without having been told who it is");
    house.kill("d");
    house.set_flags(flags);
    house.launch("d", &all, &[EXISTING]);
    assert_eq!(house.get("d", "k").as_deref(), Some("v"));
    until("all have said who they are", || house.members("d").keys().eq(all.iter()));

    // Founders ask too.
    house.kill("d");
    house.wipe("d");
    house.launch("d", &all, &["--initial-cluster-state=new"]);
    let text = house.refused("d");
    assert!(text.contains("cluster ID mismatch") || text.contains("already been bootstrapped"), "{text}");
}

#[test]
fn who_founds_otherwise_than_the_others_is_refused() {
    let mut house = House::new(&["a", "b"]);
    house.launch("a", &["a"], &[]);
    house.put("a", "k", "v");
    house.launch("b", &["a", "b"], &[]);
    let text = house.refused("b");
    assert!(text.contains("cluster ID mismatch") && text.contains(EXISTING_WORDS), "{text}");
    house.launch("b", &["b"], &[EXISTING]);
    let text = house.refused("b");
    assert!(text.contains("names no other member"), "{text}");
}

#[test]
fn flags_that_differ_are_told_and_ignored() {
    let mut house = House::founded(&["a"]);
    house.put("a", "k", "v");
    house.stop("a");
    let url = "http://127.0.0.1:1";
    house.launch_with("a", &["--name=b", &format!("--initial-advertise-peer-urls={url}"), EXISTING]);
    assert_eq!(house.get("a", "k").as_deref(), Some("v"));
    assert!(house.members("a").contains_key("a"));
    let log = house.log("a");
    assert!(log.contains("--name=b is ignored: this data directory is of member a"), "{log}");
    assert!(log.contains(&format!("--initial-advertise-peer-urls={url} is ignored")), "{log}");
}

#[test]
fn a_lost_majority() {
    let all = ["a", "b", "c"];
    let mut house = House::founded(&all);
    house.put("a", "k", "v");
    assert_eq!(house.get("b", "k").as_deref(), Some("v"));
    let old = house.cluster_id("b");
    all.iter().for_each(|name| house.kill(name));
    house.wipe("c");

    // Cut off, it can still be saved.
    house.launch("b", &all, &[]);
    let file = house.home("b").join("snapshot");
    let endpoint = format!("--endpoints={}", house.client("b").address());
    until("b answers", || house.client("b").call("/v3/cluster/member/list", &json!({})).is_ok());
    let saved = solder(&["snapshot", "save", file.to_str().expect("text"), &endpoint]);
    assert!(saved.contains("Snapshot saved"), "{saved}");
    house.stop("b");

    house.launch("b", &all, &["--force-new-cluster"]);
    assert_eq!(house.get("b", "k").as_deref(), Some("v"));
    house.put("b", "alone", "1");
    assert_ne!(house.cluster_id("b"), old);
    assert_eq!(house.members("b").keys().collect::<Vec<_>>(), ["b"]);
    let log = house.log("b");
    assert!(log.contains("--force-new-cluster: this board's data ends at term"), "{log}");

    // The flag was left in a unit file, and the second of the old members comes back.
    house.stop("b");
    house.launch("b", &all, &["--force-new-cluster"]);
    house.launch("a", &all, &[]);
    assert_eq!(house.get("b", "alone").as_deref(), Some("1"));
    until("refused", || house.log("a").contains("belongs to cluster"));
    assert!(house.client("a").put(b"k", b"old").is_err(), "it has no majority");
    house.kill("a");
    house.wipe("a");
    house.add("b", "a", true);
    house.launch("a", &["a", "b"], &[EXISTING]);
    until("a serves", || house.members("b").contains_key("a"));
}

#[test]
fn one_snapshot_makes_three_members() {
    let mut house = House::founded(&["a"]);
    house.put("a", "k", "v");
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("snapshot");
    let file = file.to_str().expect("text");
    solder(&["snapshot", "save", file, &format!("--endpoints={}", house.client("a").address())]);
    house.kill("a");

    let all = ["x", "y", "z"];
    let mut house = House::new(&all);
    for name in all {
        fs::create_dir(house.home(name)).expect("a directory");
        let data_dir = format!("--data-dir={}", house.data_dir(name).display());
        let cluster = format!("--initial-cluster={}", house.cluster(&all));
        let url = format!("--initial-advertise-peer-urls={}", house.peer_url(name));
        let (name, token) = (format!("--name={name}"), "--initial-cluster-token=again");
        solder(&["snapshot", "restore", file, &data_dir, &name, &cluster, &url, token]);
    }
    all.iter().for_each(|name| house.launch(name, &all, &[]));
    assert_eq!(house.get("z", "k").as_deref(), Some("v"));
    house.put("x", "new", "1");
    assert_eq!(house.get("y", "new").as_deref(), Some("1"));
    until("all have said who they are", || house.members("z").keys().eq(all.iter()));
}
