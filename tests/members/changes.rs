//! Members are added, changed and removed.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use super::{
    post, refusal,
    support::{
        cluster::{Cluster, id},
        server::is_etcd,
    },
    until,
};

/// Who has not been connected for so long does not count as being there, as with etcd.
const STEADY: Duration = Duration::from_secs(6);

fn change(cluster: &Cluster, place: usize, what: &str, request: &Value) -> (u16, Value) {
    post(cluster.address(place), &format!("/v3/cluster/member/{what}"), &request.to_string())
}

fn members(answer: &Value) -> &Vec<Value> {
    answer["members"].as_array().expect("members")
}

#[test]
fn members_change_at_any_member() {
    let cluster = Cluster::of(3);
    thread::sleep(STEADY);
    for place in 0..3 {
        let url = format!("http://127.0.0.1:{}", 9 + place);
        let request = json!({"peerURLs": [url], "isLearner": true});
        let (status, added) = change(&cluster, place, "add", &request);
        assert_eq!(status, 200, "{added}");
        let learner = json!({"ID": added["member"]["ID"], "peerURLs": [url], "isLearner": true});
        assert_eq!(added["member"], learner);
        assert!(members(&added).contains(&learner) && members(&added).len() == 4, "{added}");
        let ids: Vec<u64> = members(&added).iter().map(|member| id(&member["ID"])).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(added["header"].get("revision").is_none(), "{added}");

        if is_etcd() {
            // Its ids are of the second.
            thread::sleep(Duration::from_millis(1100));
        }
        let taken = refusal(change(&cluster, place, "add", &request));
        assert_eq!(taken, (400, 9, "etcdserver: Peer URLs already exists".to_owned()));
        let second = refusal(change(
            &cluster,
            place,
            "add",
            &json!({"peerURLs": ["http://127.0.0.1:8"], "isLearner": true}),
        ));
        assert_eq!(second, (400, 9, "etcdserver: too many learner members in cluster".to_owned()));

        let named = json!({"ID": added["member"]["ID"]});
        let early = refusal(change(&cluster, place, "promote", &named));
        let text = "etcdserver: can only promote a learner member which is in sync with leader";
        assert_eq!(early, (400, 9, text.to_owned()));
        let voter = json!({"ID": cluster.id(place).to_string()});
        let no_learner = refusal(change(&cluster, place, "promote", &voter));
        assert_eq!(no_learner, (400, 9, "etcdserver: can only promote a learner member".to_owned()));

        let update = json!({"ID": added["member"]["ID"], "peerURLs": ["http://b:1", "http://a:1"]});
        if !is_etcd() {
            let (status, updated) = change(&cluster, place, "update", &update);
            // etcd forgets that it is a learner.
            let learner = json!({"ID": added["member"]["ID"], "peerURLs": ["http://a:1", "http://b:1"], "isLearner": true});
            assert!(status == 200 && members(&updated).contains(&learner), "{updated}");
            let bad = json!({"ID": added["member"]["ID"], "peerURLs": ["nonsense"]});
            let bad = refusal(change(&cluster, place, "update", &bad));
            assert_eq!(bad, (400, 3, "etcdserver: given member URLs are invalid".to_owned()));
        }
        let (status, left) = change(&cluster, (place + 1) % 3, "remove", &named);
        assert!(status == 200 && members(&left).len() == 3, "{left}");
        let gone = (404, 5, "etcdserver: member not found".to_owned());
        assert_eq!(refusal(change(&cluster, place, "remove", &named)), gone);
        assert_eq!(refusal(change(&cluster, place, "promote", &named)), gone);
        assert_eq!(refusal(change(&cluster, place, "update", &update)), gone);
    }
    cluster.client(0).put(b"a", b"1").expect("a put");
}

#[test]
fn a_cluster_is_kept_from_losing_its_majority() {
    let mut cluster = Cluster::of(3);
    let leader = cluster.leader();
    let young = refusal(change(&cluster, leader, "add", &json!({"peerURLs": ["http://127.0.0.1:9"]})));
    assert_eq!(young, (503, 14, "etcdserver: unhealthy cluster".to_owned()), "nobody is steady yet");
    thread::sleep(STEADY);
    let gone = (0..3).find(|place| *place != leader).expect("a follower");
    let here = (0..3).find(|place| ![leader, gone].contains(place)).expect("another one");
    let ids = [gone, here].map(|place| json!({"ID": cluster.id(place).to_string()}));
    cluster.kill(gone);
    until("it is missed", || {
        let refused = refusal(change(&cluster, leader, "remove", &ids[1]));
        refused == (503, 14, "etcdserver: unhealthy cluster".to_owned())
    });
    // Who is away anyway is no loss.
    let (status, left) = change(&cluster, leader, "remove", &ids[0]);
    assert!(status == 200 && members(&left).len() == 2, "{left}");
    cluster.client(leader).put(b"a", b"1").expect("a put");
}

#[test]
fn the_leader_itself_is_removed() {
    if is_etcd() {
        // It may stop before it has answered.
        return;
    }
    let mut cluster = Cluster::of(3);
    cluster.client(0).put(b"a", b"1").expect("a put");
    thread::sleep(STEADY);
    let leader = cluster.leader();
    let request = json!({"ID": cluster.id(leader).to_string()});
    let (status, left) = change(&cluster, leader, "remove", &request);
    assert!(status == 200 && members(&left).len() == 2, "{left}");
    let other = (leader + 1) % 3;
    let mut client = cluster.client(other);
    // What was on its way to the one that went may be lost, and nobody knows.
    client.until(3 * STEADY, |client| client.put(b"a", b"2"));
    assert!(cluster.ends(leader), "it goes on without being a member");
}
