//! Members without room: whose fault it is, who is told, and when it is over.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    post, refusal,
    support::{
        cluster::{Cluster, id},
        disk::SmallDisk,
        server::is_etcd,
    },
    until,
};

const MIB: u64 = 1 << 20;

/// Too little for what a database wants to have ahead.
const SPARE: u64 = MIB;

/// A member that does not run gets another disk under its data.
fn move_to(cluster: &Cluster, place: usize, disk: &Path) {
    let (data, there) = (cluster.data_dir(place), disk.join("data"));
    let copied = Command::new("cp").arg("-a").args([&data, &there]).status().expect("cp runs");
    assert!(copied.success(), "{copied}");
    fs::remove_dir_all(&data).expect("it is there");
    symlink(there, data).expect("nothing is there");
}

/// Gives back what its database has taken ahead: a copy has only what is in the file.
fn take_headroom(cluster: &Cluster, place: usize) {
    let file = cluster.data_dir(place).join("db/data.mdb");
    let copy = file.with_extension("new");
    fs::copy(&file, &copy).expect("room for a copy");
    fs::rename(copy, file).expect("the same directory");
}

/// Kind and member.
fn alarms(cluster: &Cluster, place: usize) -> Vec<(String, u64)> {
    let (status, answer) = post(cluster.address(place), "/v3/maintenance/alarm", "{}");
    assert_eq!(status, 200, "{answer}");
    let alarm = |alarm: &Value| (alarm["alarm"].as_str().expect("a kind").to_owned(), id(&alarm["memberID"]));
    answer["alarms"].as_array().into_iter().flatten().map(alarm).collect()
}

fn notes(cluster: &Cluster, place: usize) -> String {
    post(cluster.address(place), "/v3/maintenance/status", "{}").1["notes"].to_string()
}

fn put(cluster: &Cluster, place: usize) -> (u16, Value) {
    post(cluster.address(place), "/v3/kv/put", r#"{"key":"YQ==","value":"MQ=="}"#)
}

#[test]
fn a_full_disk_on_one_member_is_an_alarm_in_its_name_and_no_longer_than_it_is_full() {
    if is_etcd() {
        return;
    }
    let Some(disk) = SmallDisk::mount(64 * MIB) else { return };
    let mut cluster = Cluster::of(3);
    let full = cluster.follower();
    let (other, full_id) = ((full + 1) % 3, cluster.id(full));
    let raised = [("NOSPACE".to_owned(), full_id)];
    assert_eq!(put(&cluster, other).0, 200);
    cluster.stop(full);
    move_to(&cluster, full, disk.path());
    let fill = |cluster: &mut Cluster| {
        cluster.kill(full);
        take_headroom(cluster, full);
        disk.fill(SPARE);
        cluster.start(full);
        until("the alarm is raised", || alarms(cluster, other) == raised);
    };

    cluster.start(full);
    cluster.leader();
    fill(&mut cluster);
    let exceeded = (429, 8, "etcdserver: mvcc: database space exceeded".to_owned());
    assert_eq!(refusal(put(&cluster, other)), exceeded);
    let (_, status) = post(cluster.address(other), "/v3/maintenance/status", "{}");
    assert_eq!(status["errors"][0], format!("memberID:{full_id} alarm:NOSPACE "));
    let told = notes(&cluster, other);
    assert!(told.contains(&format!("alarm NOSPACE of member {full_id:x} (m{full})")), "{told}");
    assert!(told.contains("free some space") && told.contains("lifted by itself"), "{told}");
    disk.free();
    until("it is lifted", || alarms(&cluster, other).is_empty());
    assert_eq!(put(&cluster, other).0, 200);

    // Its next process knows whose alarm it is.
    fill(&mut cluster);
    cluster.kill(full);
    disk.free();
    cluster.start(full);
    until("it is lifted after a restart", || alarms(&cluster, other).is_empty());

    // Who is gone stops nobody.
    fill(&mut cluster);
    let remove = json!({"ID": full_id.to_string()}).to_string();
    until("it is removed", || post(cluster.address(other), "/v3/cluster/member/remove", &remove).0 == 200);
    let removed = Instant::now();
    until("its alarm is lifted", || alarms(&cluster, other).is_empty());
    assert!(removed.elapsed() < Duration::from_secs(10), "{:?}", removed.elapsed());
    assert_eq!(put(&cluster, other).0, 200);
    assert!(cluster.ends(full));
}

#[test]
fn a_member_without_room_for_the_store_says_so_and_goes_on_when_there_is_some() {
    if is_etcd() {
        return;
    }
    let Some(disk) = SmallDisk::mount(96 * MIB) else { return };
    let mut cluster = Cluster::of(1);
    let value = vec![b'v'; 200_000];
    for number in 0..200 {
        cluster.client(0).put(format!("k{number}").as_bytes(), &value).expect("a put");
    }
    disk.fill(28 * MIB);
    let (learner, _) = cluster.launch_learner_on(Some(disk.path()));
    until("it says so", || cluster.log_tail(learner).contains("this member cannot be filled"));
    let log = cluster.log_tail(learner);
    assert!(log.contains("is full: free some space") && log.contains("--db-map-bytes"), "{log}");
    assert_eq!(log.matches("cannot be filled").count(), 1, "{log}");
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(cluster.log_tail(learner).matches("cannot be filled").count(), 1, "once is enough");
    assert!(notes(&cluster, learner).contains("this member cannot be filled"));
    assert_eq!(put(&cluster, 0).0, 200, "nobody else is concerned");
    disk.free();
    let last = r#"{"key":"azE5OQ==","serializable":true,"count_only":true}"#;
    until("it is filled", || post(cluster.address(learner), "/v3/kv/range", last).1["count"] == "1");
    assert!(!notes(&cluster, learner).contains("cannot be filled"));
}
