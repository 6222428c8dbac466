//! What is done with files, where there is room and where there is none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    board::Board,
    support::{disk::SmallDisk, server::Server},
};

const MIB: u64 = 1 << 20;

/// About 4 MiB of values.
fn fill(board: &Board) {
    let value = "v".repeat(100_000);
    for n in 0..40 {
        board.ok(&["put", &format!("k{n:02}"), &value]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn names(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).expect("it can be listed");
    let mut names: Vec<String> =
        files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn file_bytes(server: &Server) -> u64 {
    fs::metadata(server.data_dir().join("db/data.mdb")).expect("it is there").len()
}

#[test]
fn a_data_directory_is_defragmented_without_a_server() {
    let mut board = Board::new();
    fill(&board);
    board.ok(&["put", "stays", "1"]);
    board.ok(&["del", "k", "--prefix"]);
    board.ok(&["compaction", "--physical", &board.revision().to_string()]);
    let dir = board.0.data_dir();
    let refused = board.refused(&["defrag", "--data-dir", text(&dir)]);
    assert!(refused.contains("is in use by process"), "{refused}");
    board.0.terminate();
    let before = file_bytes(&board.0);
    let done = board.ok(&["defrag", "--data-dir", text(&dir)]);
    assert!(done.starts_with(&format!("Finished defragmenting etcd data[{}]: ", dir.display())), "{done}");
    let after = file_bytes(&board.0);
    assert!(before > 3 * MIB && after < MIB, "{before} -> {after}");
    assert_eq!(names(&dir.join("db")), ["LOCK", "data.mdb", "lock.mdb"]);
    board.0.start();
    assert_eq!(board.ok(&["get", "", "--prefix"]), "stays\n1\n");
}

#[test]
fn what_is_no_data_directory_is_left_alone() {
    let board = Board::new();
    let home = tempfile::tempdir().expect("a directory");
    let nowhere = home.path().join("nowhere");
    for dir in [&nowhere, home.path()] {
        let refused = board.refused(&["defrag", "--data-dir", text(dir)]);
        assert!(refused.contains("is it a data directory?"), "{refused}");
    }
    assert_eq!(names(home.path()), Vec::<String>::new());
}

/// The disk fills up in the middle of what is written.
#[test]
fn half_a_snapshot_leaves_nothing_behind() {
    let Some(disk) = SmallDisk::mount(2 * MIB) else { return };
    let mut board = Board::new();
    fill(&board);
    let file = disk.path().join("snapshot");
    let refused = board.refused(&["snapshot", "save", text(&file)]);
    assert!(refused.contains("snapshot.part: no space left on device"), "{refused}");
    assert_eq!(names(disk.path()), Vec::<String>::new());
    assert_eq!(board.ok(&["get", "k00", "--keys-only"]), "k00\n\n", "the server goes on");
    let dir = board.0.data_dir();
    board.0.terminate();
    let offline = ["snapshot", "save", text(&file), "--data-dir", text(&dir)];
    let refused = board.refused(&offline);
    assert!(refused.contains("snapshot.partial cannot be written: No space left on device"), "{refused}");
    assert_eq!(names(disk.path()), Vec::<String>::new());
}

#[test]
fn a_snapshot_that_does_not_fit_makes_no_directory() {
    let Some(disk) = SmallDisk::mount(12 * MIB) else { return };
    let board = Board::new();
    fill(&board);
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("snapshot");
    board.ok(&["snapshot", "save", text(&file)]);
    let dir = disk.path().join("data");
    let restore = ["snapshot", "restore", text(&file), "--data-dir", text(&dir)];
    // It fills up soon, or later on.
    for spare_bytes in [2 * MIB, 7 * MIB] {
        disk.fill(spare_bytes);
        let refused = board.refused(&restore);
        assert!(refused.to_lowercase().contains("no space left") || refused.contains("no room"), "{refused}");
        assert!(refused.contains(text(disk.path())), "which disk it is: {refused}");
        assert_eq!(names(disk.path()), ["ballast"]);
        disk.free();
    }
    let Some(larger) = SmallDisk::mount(40 * MIB) else { return };
    let dir = larger.path().join("data");
    board.ok(&["snapshot", "restore", text(&file), "--data-dir", text(&dir)]);
}

#[test]
fn defragmenting_a_full_disk_is_refused_and_changes_nothing() {
    let Some(disk) = SmallDisk::mount(64 * MIB) else { return };
    let mut board = Board(Server::stopped(disk.path(), &["--wal-segment-bytes=2MiB"]));
    board.0.start();
    fill(&board);
    // What is pending goes into the database.
    board.0.terminate();
    board.0.start();
    disk.fill(MIB);
    let (status, _, errors) = board.run(&["defrag"]);
    assert!(status == 1 && errors.contains("are free: free some space"), "{errors}");
    let copy: PathBuf = board.0.data_dir().join("db/data.mdb.copy");
    assert!(!copy.exists());
    assert_eq!(board.ok(&["get", "k39", "--keys-only"]), "k39\n\n", "reads go on");
    board.0.terminate();
    let dir = board.0.data_dir();
    let refused = board.refused(&["defrag", "--data-dir", text(&dir)]);
    assert!(refused.contains("are free: free some space") && !copy.exists(), "{refused}");
    disk.free();
    board.ok(&["defrag", "--data-dir", text(&dir)]);
    board.0.start();
    assert_eq!(board.ok(&["defrag"]), format!("Finished defragmenting etcd member[{}]\n", board.0.address()));
    assert_eq!(board.ok(&["get", "k", "--prefix", "--keys-only"]).matches('k').count(), 40);
}
