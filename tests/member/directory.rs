//! Data directories: made, locked, refused.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use futures_lite::future;
use solder::{
    member::{self, OpenError, Options, Start},
    types::{ClusterId, NodeId},
};

use super::support::{get, options, put, with};

fn refusal(dir: &Path) -> String {
    match member::open(options(dir)) {
        Ok(_) => panic!("{} is opened", dir.display()),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n'), "one line: {text:?}");
            text
        }
    }
}

#[test]
fn is_ours_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/here");
    let opened = member::open(options(&path)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let text = refusal(&path);
    assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
    drop(opened);
    assert!(member::open(options(&path)).is_ok());
}

#[test]
fn what_is_somebody_elses_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter.txt"), "dear board").unwrap();
    let text = refusal(dir.path());
    assert!(text.contains("\"letter.txt\" and no member.toml"), "{text}");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["letter.txt"]);
    let text = refusal(&dir.path().join("letter.txt"));
    assert!(text.contains("is no directory"), "{text}");
}

/// The power went once a board that joins was somebody, and by then its settings are those of a founder.
#[test]
fn who_was_to_join_founds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, member) = (ClusterId(7), NodeId(8));
    let start = Start::Join { cluster, member };
    drop(member::open(Options { start, ..options(dir.path()) }).unwrap());
    ["db", "wal"].iter().for_each(|name| fs::remove_dir_all(dir.path().join(name)).unwrap());

    let opened = member::open(options(dir.path())).unwrap();
    let (is_cluster, is_member, _) = opened.ids();
    assert_eq!((is_cluster, is_member), (cluster, member));
    let (member, life) = opened.start(None);
    let members = async { member.members(false).await };
    let never = async { panic!("it ended by itself: {:?}", life.await) };
    let members = async_io::block_on(future::or(members, never)).unwrap();
    assert!(members.is_empty(), "it knows {members:?} before anybody told it");
}

#[test]
fn a_first_start_that_was_cut_short_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("LOCK"), "").unwrap();
    fs::write(dir.path().join("member.toml.new"), "form").unwrap();
    with(options(dir.path()), |member, _| async move { put(&member, "a", "1").await.unwrap() });
    let written = fs::read_to_string(dir.path().join("member.toml")).unwrap();
    assert!(written.contains("format = 1\n"), "{written}");

    // The power went after member.toml was there.
    let half = tempfile::tempdir().unwrap();
    fs::write(half.path().join("member.toml"), &written).unwrap();
    with(options(half.path()), |member, _| async move { put(&member, "a", "1").await.unwrap() });
    assert_eq!(fs::read_to_string(half.path().join("member.toml")).unwrap(), written);

    // And after the database was, before the log.
    fs::remove_dir_all(half.path().join("wal")).unwrap();
    fs::remove_dir_all(half.path().join("db")).unwrap();
    drop(member::open(options(half.path())).unwrap());
    fs::remove_dir_all(half.path().join("wal")).unwrap();
    with(options(half.path()), |member, _| async move { put(&member, "a", "1").await.unwrap() });
}

fn with_member_toml(change: impl FnOnce(String) -> String) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    drop(member::open(options(dir.path())).unwrap());
    let path = dir.path().join("member.toml");
    let text = change(fs::read_to_string(&path).unwrap());
    fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn a_member_toml_that_is_not_ours_is_refused() {
    let (dir, path) = with_member_toml(|text| text.replace("format = 1", "format = 2"));
    let text = refusal(dir.path());
    assert!(text.contains(path.to_str().unwrap()) && text.contains("is of format 2"), "{text}");

    for bad in
        ["", "format = ", "format = 1\n", "format = 1\ncluster_id = \"0\"\nmember_id = \"1\"\nname = \"\"\n"]
    {
        let (dir, _) = with_member_toml(|_| bad.into());
        let text = refusal(dir.path());
        assert!(text.contains("member.toml is damaged"), "{bad:?}: {text}");
    }

    let (dir, _) = with_member_toml(|text| {
        let line = text.lines().find(|line| line.starts_with("cluster_id")).unwrap();
        text.replace(line, "cluster_id = \"abc\"")
    });
    let text = refusal(dir.path());
    assert!(text.contains("mixed up"), "{text}");
}

#[test]
fn what_cannot_be_written_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = member::open(options(&file.join("below"))).err().unwrap();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    assert!(error.to_string().contains("file/below"), "{error}");
}

#[test]
fn ids_are_of_urls_and_token_and_stay() {
    let ids = |change: fn(&mut member::Options), dir: &Path| {
        let mut options = options(dir);
        change(&mut options);
        with(options, |member, _| async move { (member.header().cluster, member.header().member) })
    };
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = ids(|_| {}, dirs[0].path());
    assert_eq!(ids(|_| {}, dirs[1].path()), first);
    assert_ne!(ids(|options| options.cluster_token = "another".into(), dirs[2].path()), first);
    let moved = ids(|options| options.peer_urls = vec!["http://elsewhere:2380".into()], dirs[0].path());
    assert_eq!(moved, first, "given once");
    with(options(dirs[0].path()), |member, _| async move { assert_eq!(get(&member, "a").await, None) });
}
