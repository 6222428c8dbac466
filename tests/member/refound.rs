//! `--force-new-cluster`: what is left of a cluster whose majority is lost.

use std::{fs, path::Path, time::Duration};

use solder::{
    member::{self, Members, Options, Start},
    types::{ClusterId, Command, NodeId},
};
use tempfile::TempDir;

use super::support::{get, options, put, put_of, with};

fn forced(dir: &Path) -> Options {
    Options { force_new_cluster: true, ..options(dir) }
}

/// A member with data, a key that the database has and one that it has not, and a second voter whom it waits for: a put that
/// it took is in its log only.
fn lost() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, _| async move {
        put(&member, "flushed", "1").await.unwrap();
        member.stop().await;
    });
    with(options(dir.path()), |member, executor| async move {
        put(&member, "logged", "1").await.unwrap();
        let grant = Command::LeaseGrant { id: solder::types::LeaseId(7), ttl_s: 600 };
        member.propose(grant).await.unwrap();
        member.member_add(vec!["http://10.0.0.2:2380".into()], false).await.unwrap();
        let late = member.clone();
        let never = executor.spawn(async move { late.propose(put_of("never committed", "1")).await.is_ok() });
        smol::Timer::after(Duration::from_millis(200)).await;
        assert!(!never.is_finished(), "nobody has agreed");
    });
    dir
}

struct Seen {
    cluster: ClusterId,
    members: Vec<NodeId>,
}

/// It serves all that it had, and writes.
fn serves(options: Options) -> Seen {
    with(options, |member, _| async move {
        for key in ["flushed", "logged", "never committed"] {
            assert_eq!(get(&member, key).await.as_deref(), Some("1"), "{key}");
        }
        put(&member, "new", "1").await.unwrap();
        assert_eq!(member.leases().await.unwrap().len(), 1);
        let members = member.members(true).await.unwrap();
        let members = members.into_iter().map(|info| info.id).collect();
        Seen { cluster: member.header().cluster, members }
    })
}

#[test]
fn a_survivor_becomes_a_cluster_of_its_own_once() {
    let dir = lost();
    let (old, me) = member::open(options(dir.path())).map(|opened| (opened.ids().0, opened.ids().1)).unwrap();
    let seen = serves(forced(dir.path()));
    assert_eq!(seen.members, [me]);
    assert_ne!(seen.cluster, old, "old peers are refused");
    // The flag may stay where it is.
    assert_eq!(serves(forced(dir.path())).cluster, seen.cluster);
    assert_eq!(serves(options(dir.path())).cluster, seen.cluster);
}

#[test]
fn a_board_that_is_alone_stays_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = with(options(dir.path()), |member, _| async move { member.header().cluster });
    let after = with(forced(dir.path()), |member, _| async move { member.header().cluster });
    assert_eq!(after, cluster);
}

#[test]
fn where_there_is_nothing_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let error = member::open(forced(dir.path())).err().unwrap().to_string();
    assert!(error.contains("there is no data here"), "{error}");
    assert!(!dir.path().join("member.toml").exists());
    // Nor of a board that joins and knows nothing yet.
    let start = Start::Join { cluster: ClusterId(5), member: NodeId(6) };
    drop(member::open(Options { start, ..options(dir.path()) }).unwrap());
    let error = member::open(forced(dir.path())).err().unwrap().to_string();
    assert!(error.contains("has never been told of its cluster"), "{error}");
}

/// One of three that has never heard of the others.
#[test]
fn a_founder_without_a_leader() {
    let dir = tempfile::tempdir().unwrap();
    let url = |port: u16| vec![format!("http://127.0.0.1:{port}")];
    let members: Members = [("a".into(), url(1)), ("b".into(), url(2)), ("c".into(), url(3))].into();
    let me = Options {
        name: "a".into(),
        peer_urls: url(1),
        start: Start::Together(members),
        ..options(dir.path())
    };
    drop(member::open(me.clone()).unwrap());
    let members = with(Options { force_new_cluster: true, ..me }, |member, _| async move {
        put(&member, "a", "1").await.unwrap();
        member.members(true).await.unwrap()
    });
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].peer_urls, url(1));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(file.file_name());
        match file.file_type().unwrap().is_dir() {
            true => copy(&file.path(), &to),
            false => drop(fs::copy(file.path(), to).unwrap()),
        }
    }
}

/// The power goes behind each of the steps; the next start, with the flag or without it, goes on.
#[test]
fn each_step_can_be_the_last_before_the_power_goes() {
    let before = lost();
    let after = tempfile::tempdir().unwrap();
    copy(before.path(), after.path());
    let cluster = member::open(forced(after.path())).unwrap().ids().0;
    let begun = format!(
        "{}becomes = \"{cluster}\"\n",
        fs::read_to_string(before.path().join("member.toml")).unwrap()
    );
    for (step, db, wal) in [
        ("begun", &before, Some(before.path())),
        ("the database is the new cluster's", &after, Some(before.path())),
        ("the log is gone", &after, None),
        ("the log is new", &after, Some(after.path())),
    ] {
        for force in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            copy(&db.path().join("db"), &dir.path().join("db"));
            if let Some(wal) = wal {
                copy(&wal.join("wal"), &dir.path().join("wal"));
            }
            fs::write(dir.path().join("member.toml"), &begun).unwrap();
            let options = Options { force_new_cluster: force, ..options(dir.path()) };
            let seen = serves(options);
            assert_eq!((seen.cluster, seen.members.len()), (cluster, 1), "{step}, {force}");
            let written = fs::read_to_string(dir.path().join("member.toml")).unwrap();
            assert!(!written.contains("becomes"), "{step}: {written}");
        }
    }
}
