//! The maker's way: `solder serve` on the first board, `solder invite` there, and the URL on all others.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    thread,
    time::{Duration, Instant},
};

use crate::{
    house::{House, PATIENCE, name, unsigned},
    judge::{Book, is_one_cluster, voters_of},
    losses::is_voter,
    runner::{Scene, scenes},
    together::VOTERS_MAX,
};

pub(crate) const SCENES: &[Scene] =
    scenes![two_boards_one_after_the_other, three_boards_at_once, six_boards_at_once];

/// A board that runs alone, with what it was given to keep.
pub(crate) fn alone(house: &mut House, flags: &[&str], book: &mut Book) {
    house.serve(0, flags);
    house.wait_until_serving(0);
    let said = house.command(0, &["put", "book/alone", "1"]);
    assert_eq!(said.status, 0, "{said:?}");
    book.insert("book/alone".to_owned(), "1".to_owned());
}

/// The same, and it invites without a restart. The URL.
pub(crate) fn first_board(house: &mut House, flags: &[&str], book: &mut Book) -> String {
    alone(house, flags, book);
    house.invite(0, &[])
}

fn boards_come(boards: usize, together: bool) {
    let Some(mut house) = House::build(boards) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    let host = house.net.address(0, 2380);
    assert!(url.starts_with(&format!("https://{host}/join/")), "{url} is not how others reach {host}");
    for place in 1..boards {
        house.serve(place, &["--discovery", &url]);
        if !together {
            house.wait_until_serving(place);
        }
    }
    is_one_cluster(&house, &house.all(), voters_of(boards, VOTERS_MAX), &book);
    assert_keys_are_where_they_belong(&house);
    // The same at every boot: with data the URL is a hint; and the first board never had one.
    for board in &mut house.boards {
        board.kill();
        board.launch();
    }
    is_one_cluster(&house, &house.all(), voters_of(boards, VOTERS_MAX), &book);
    // Any of them invites, whether it votes or not.
    for place in house.all() {
        let url = house.invite(place, &["--ttl=1h"]);
        let host = house.net.address(place, 2380);
        assert!(url.starts_with(&format!("https://{host}")), "{url} begins elsewhere than at {host}");
    }
    let why = match boards {
        2 => "learner: an even number of voters would stop with one more failure",
        3 => "voter: one of 3",
        _ => "learner: as many vote as may (5)",
    };
    let listed = listed_with(&house, boards - 1, why);
    assert!(house.all().iter().all(|place| listed.contains(&name(*place))), "{listed}");
    assert!(!listed.contains("127.0.0.1:2380"), "{listed}");
    // The first, too, which nobody made what it is.
    let is_dated = |line: &str| line.contains("Z, voter: ") || line.contains("Z, learner: ");
    assert!(listed.lines().all(is_dated), "not all say since when: {listed}");
}

/// Who votes can let others in, and nobody else; and no key is for others to read.
fn assert_keys_are_where_they_belong(house: &House) {
    let deadline = Instant::now() + PATIENCE;
    for place in house.all() {
        let id = house.status(place).expect("it serves").id;
        let members = house.members(place);
        let votes = members.iter().any(|member| unsigned(&member["ID"]) == id && is_voter(member));
        let folder = house.boards[place].data_dir().join("tls");
        while votes && !folder.join("ca.key").exists() {
            assert!(Instant::now() < deadline, "{} votes, and lets nobody in", name(place));
            thread::sleep(Duration::from_millis(20));
        }
        for entry in fs::read_dir(&folder).expect("it has keys") {
            let entry = entry.expect("it can be read");
            let mode = entry.metadata().expect("it is there").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?} is for others to read: {mode:o}", entry.path());
            assert!(votes || entry.file_name() != "ca.key", "{} does not vote, and has it", name(place));
        }
    }
}

/// Why they are what they are, once the one that leads has looked for a while.
pub(crate) fn listed_with(house: &House, place: usize, why: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = house.command(place, &["member", "list"]);
        if said.output.contains(why) {
            return said.output;
        }
        assert!(Instant::now() < deadline, "{said:?} lacks {why:?}");
        thread::sleep(Duration::from_millis(200));
    }
}

fn two_boards_one_after_the_other() {
    boards_come(2, false);
}

fn three_boards_at_once() {
    boards_come(3, true);
}

fn six_boards_at_once() {
    boards_come(6, true);
}
