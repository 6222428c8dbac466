//! Faults that are to have a certain end, one by one.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    QUICK, asked,
    boards::{Cluster, PATIENCE, until_written},
    knobs::Knobs,
    pauses::{longest_pause, median},
    slow_disk::SlowDisk,
    story::Story,
    support::{
        client::{Client, b64},
        disk::SmallDisk,
        net::loudly,
    },
};

/// It is dead, and its kernel says so: nobody has to wait for a time-out.
#[test]
fn writes_go_on_soon_after_the_leader_is_killed() {
    writes_go_on("kill -9 of the leader", Duration::from_secs(3), |cluster, leader| {
        cluster.boards[leader].kill();
    });
}

/// Its board vanishes: nothing is heard of it any more.
#[test]
fn writes_go_on_soon_after_the_leader_vanishes() {
    writes_go_on("the leader's wire pulled", Duration::from_secs(4), |cluster, leader| {
        cluster.net.unplug(leader);
    });
}

/// With etcd's time-outs, as they are used. `ROUNDS=9` for a median worth the name.
fn writes_go_on(what: &str, time_max: Duration, lose: impl Fn(&mut Cluster, usize)) {
    let Some(mut cluster) = Cluster::start(3, Knobs::plain(&[])) else { return };
    let mut times = Vec::new();
    for _ in 0..asked("ROUNDS").unwrap_or(3) {
        let leader = cluster.leader();
        let others = cluster.addresses_but(leader);
        lose(&mut cluster, leader);
        let time = until_written(&others, PATIENCE);
        times.push(time.unwrap_or_else(|why| panic!("{why}\n{}", cluster.last_words())));
        cluster.heal();
        // All are in step again, and have heard of the leader.
        until_written(&cluster.addresses(), PATIENCE).expect("it serves");
        thread::sleep(Duration::from_millis(1500));
    }
    let worst = times.iter().max().copied().expect("some");
    loudly(&format!("{what}: written again after {:?} (median), {worst:?} (worst)", median(times)));
    assert!(worst < time_max, "{worst:?}\n{}", cluster.last_words());
}

#[test]
fn a_rolling_restart_hardly_stops_writes() {
    let Some(mut cluster) = Cluster::start(3, Knobs::plain(&[])) else { return };
    let pause = longest_pause(&mut cluster, |cluster| {
        thread::sleep(Duration::from_millis(500));
        cluster.restart_each();
        thread::sleep(Duration::from_millis(500));
    });
    loudly(&format!("rolling restart: nothing was written for {pause:?}"));
    assert!(pause < Duration::from_secs(1), "{pause:?}\n{}", cluster.last_words());
}

/// The log that it would need is gone: it gets the leader's store, under load, and its watchers miss nothing.
#[test]
fn a_member_far_behind_catches_up() {
    let Some(mut cluster) = Cluster::start(3, Knobs::plain(&QUICK)) else { return };
    let story = Story::begin(&cluster, 1);
    story.under_load(&mut cluster, |cluster| {
        for round in 0..3 {
            let one = cluster.all_but(cluster.leader())[0];
            cluster.leave_behind(one);
            cluster.launch_all();
            // In the last round it is killed while it catches up.
            if round == 2 {
                cluster.boards[one].kill();
                cluster.launch_all();
            }
        }
    });
    story.judge(&cluster);
}

/// Whoever has no room left: the others go on, and so does it when it has room again.
#[test]
fn a_full_disk_on_one_member_is_survived() {
    let hungry = ["--flush-interval=50ms", "--pending-bytes-max=262144", "--wal-segment-bytes=2097152"];
    let Some(mut cluster) = Cluster::lay(3, Knobs::plain(&[&QUICK[..], &hungry].concat())) else { return };
    let Some(disk) = SmallDisk::mount(64 << 20) else { return };
    cluster.keep_data_on(0, disk.path());
    cluster.launch_all();
    let story = Story::begin(&cluster, 2);
    story.under_load(&mut cluster, |cluster| {
        for leads in [false, true] {
            cluster.lead(if leads { 0 } else { 1 });
            let pause = longest_pause(cluster, |cluster| {
                disk.fill(0);
                grow(&mut cluster.boards[1].client().patient_for(Duration::from_millis(500)), leads);
                thread::sleep(Duration::from_secs(1));
            });
            disk.free();
            let alarms = cluster.disarm();
            loudly(&format!(
                "no room at one, which leads: {leads}: nothing was written for {pause:?}, {alarms} alarms"
            ));
            until_written(&cluster.addresses(), PATIENCE)
                .unwrap_or_else(|why| panic!("leads {leads}: {why}\n{}", cluster.last_words()));
        }
    });
    story.judge(&cluster);
    drop(cluster);
}

/// Keys that were not there before: the database needs more room.
fn grow(client: &mut Client, leads: bool) {
    let began = Instant::now();
    for number in 0..300 {
        if began.elapsed() > Duration::from_secs(3) {
            return;
        }
        // Refused or not.
        let _ = client.put(format!("grow/{leads}/{number}").as_bytes(), &[b'.'; 16 << 10]);
    }
}

#[test]
fn a_slow_disk_at_the_leader_loses_nothing() {
    let Some(mut cluster) = Cluster::lay(3, Knobs::plain(&QUICK)) else { return };
    let Some(disk) = SlowDisk::mount() else { return };
    cluster.keep_data_on(0, &disk.path());
    cluster.launch_all();
    let story = Story::begin(&cluster, 3);
    story.under_load(&mut cluster, |cluster| {
        // Around the election time-out, and far longer.
        for still in [50, 400, 2000] {
            cluster.lead(0);
            let stutter = disk.stutter(Duration::from_millis(still));
            thread::sleep(Duration::from_secs(2));
            let others = &cluster.addresses()[1..];
            until_written(others, PATIENCE).unwrap_or_else(|why| panic!("{why}\n{}", cluster.last_words()));
            drop(stutter);
        }
    });
    story.judge(&cluster);
    drop(cluster);
}

/// One pair does not reach each other: nobody may take that for a lost leader, over and over.
#[test]
fn a_pair_that_is_cut_costs_no_more_than_one_election() {
    for members in [3, 5] {
        let Some(mut cluster) = Cluster::start(members, Knobs::plain(&QUICK)) else { return };
        let leader = cluster.leader();
        let other = cluster.all_but(leader)[0];
        let before = cluster.status(leader).expect("it serves").term;
        let pause = longest_pause(&mut cluster, |cluster| {
            cluster.net.cut_both(leader, other);
            thread::sleep(Duration::from_secs(3));
            cluster.net.cut(cluster.all_but(leader)[1], other);
            thread::sleep(Duration::from_secs(2));
            cluster.net.mend_all();
            thread::sleep(Duration::from_millis(500));
        });
        let after = cluster.status(cluster.leader()).expect("it serves").term;
        loudly(&format!("{members} members, a pair cut: no write for {pause:?}, terms {before} to {after}"));
        assert!(after <= before + 2, "terms {before} to {after}\n{}", cluster.last_words());
        assert!(pause < Duration::from_secs(4), "{pause:?}\n{}", cluster.last_words());
    }
}

#[test]
fn a_cut_off_leader_serves_only_what_may_be_stale() {
    let Some(mut cluster) = Cluster::start(3, Knobs::plain(&QUICK)) else { return };
    let leader = cluster.leader();
    let others = cluster.addresses_but(leader);
    let patient = |time| cluster.boards[leader].client().patient_for(Duration::from_millis(time));
    patient(5000).put(b"k", b"old").expect("it leads");
    cluster.all_but(leader).into_iter().for_each(|other| cluster.net.cut_both(leader, other));
    let may_be_stale = json!({"key": b64(b"k"), "serializable": true});
    // Before it knows, and when it does.
    for _ in 0..10 {
        let rows = patient(2000).range(&may_be_stale).expect("it needs nobody");
        assert_eq!(rows.rows[0].value, b"old");
        assert!(patient(100).put(b"k", b"nobody is told").is_err(), "acknowledged by a minority");
        assert!(patient(100).get(b"k").is_err(), "read at a minority");
    }
    until_written(&others, PATIENCE).expect("there is a majority");
    let status = cluster.status(leader).expect("it answers");
    assert_eq!(status.leader, 0, "it still thinks that somebody leads");
    let rows = patient(2000).range(&may_be_stale).expect("it needs nobody");
    assert_eq!(rows.rows[0].value, b"old");
    cluster.heal();
    let revision = cluster.boards[leader].client().get(b"k").expect("it serves").revision;
    cluster.assert_equal_at(revision);
}

/// It has forgotten its votes: it may not come back as who it was.
#[test]
fn a_member_that_lost_its_disk_is_refused_under_its_old_id() {
    let Some(mut cluster) = Cluster::start(3, Knobs::plain(&QUICK)) else { return };
    let lost = cluster.all_but(cluster.leader())[0];
    cluster.boards[lost].kill();
    fs::remove_dir_all(cluster.boards[lost].data_dir()).expect("it is there");
    cluster.boards[lost].launch();
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = cluster.boards[lost].ended() {
            break status;
        }
        assert!(Instant::now() < deadline, "it runs\n{}", cluster.last_words());
        thread::sleep(Duration::from_millis(20));
    };
    assert!(!status.success(), "{status}");
    let words = cluster.boards[lost].log_tail();
    assert!(words.contains("has already been bootstrapped"), "{words}");
    until_written(&cluster.addresses_but(lost), PATIENCE).expect("there is a majority");
}

/// The board comes back under a new id, as an operator would do it.
#[test]
fn a_member_that_lost_its_disk_is_replaced() {
    let Some(mut cluster) = Cluster::start(3, Knobs::plain(&QUICK)) else { return };
    let story = Story::begin(&cluster, 4);
    story.under_load(&mut cluster, |cluster| {
        for lost in cluster.members() {
            cluster.replace(lost, lost == 1);
        }
    });
    story.judge(&cluster);
}
