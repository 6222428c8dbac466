//! Boards renew their keys: while clients write, killed at each step, and while others are away.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    house::{House, PATIENCE, name},
    invited::first_board,
    judge::{Book, is_one_cluster},
    runner::{Scene, scenes},
    support::net::loudly,
    writer::{FOR_ALL, meanwhile},
};

pub(crate) const SCENES: &[Scene] = scenes![
    keys_are_renewed_while_clients_write,
    a_renewal_that_is_killed_at_each_step,
    who_was_away_knows_the_newest_key,
    one_board_and_a_learner
];

const DIE_AT: &str = "SOLDER_TEST_DIE_AT";

/// A board whose leader has gone finds another sooner.
const PAUSE_MAX: Duration = Duration::from_millis(900);

fn three(flags: &[&str], book: &mut Book) -> Option<House> {
    let mut house = House::build(3)?;
    let url = first_board(&mut house, flags, book);
    for place in [1, 2] {
        let all = [&["--discovery", &url], flags].concat();
        house.serve(place, &all);
    }
    is_one_cluster(&house, &house.all(), 3, book);
    Some(house)
}

/// The file of a board's key, as it is now.
fn key(house: &House, place: usize) -> Vec<u8> {
    fs::read(house.boards[place].data_dir().join("tls/member.key")).expect("a board has a key")
}

/// What the command says.
fn renew(house: &House, place: usize) -> String {
    let before = key(house, place);
    let said = house.command(place, &["member", "renew-key"]);
    assert_eq!(said.status, 0, "{said:?}\n{}", house.last_words());
    assert_ne!(key(house, place), before, "it has the same key");
    said.output.trim().to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("room");
    for file in fs::read_dir(from).expect("a folder") {
        let file = file.expect("a file");
        fs::copy(file.path(), to.join(file.file_name())).expect("room");
    }
}

fn restart(house: &mut House, place: usize) {
    house.boards[place].kill();
    house.boards[place].launch();
    house.wait_until_serving(place);
}

fn keys_are_renewed_while_clients_write() {
    let mut book = Book::new();
    let Some(mut house) = three(&[FOR_ALL], &mut book) else { return };
    let stolen = house.boards[1].data_dir().with_file_name("stolen");
    copy(&house.boards[1].data_dir().join("tls"), &stolen);
    let all = house.all();
    let (written, pause) = meanwhile(&mut house, &all, |house| {
        // Each once, the leader among them; then that one once more.
        let leader = house.leader(&house.all());
        for place in [0, 1, 2, leader] {
            let status = house.status(place).expect("it serves");
            let said = renew(house, place);
            let (id, told) = (format!("{:x}", status.id), "has a new key: SHA-256 ");
            assert!(said.contains(&id) && said.contains(told), "{said}");
            let digits = said.rsplit(' ').next().unwrap_or_default();
            assert_eq!(digits.len(), 64, "{said}");
            house.wait_for_word(place, &format!("the old one is nobody's from now on: SHA-256 {digits}"));
        }
        assert_eq!(house.leader(&house.all()), leader, "somebody had to be elected");
    });
    loudly(&format!("{} writes, none for {pause:?}", written.len()));
    assert!(pause < PAUSE_MAX, "nobody took a write for {pause:?}\n{}", house.last_words());
    book.extend(written);
    is_one_cluster(&house, &house.all(), 3, &book);
    for place in house.all() {
        restart(&mut house, place);
    }
    is_one_cluster(&house, &house.all(), 3, &book);
    // Whoever has stolen an old key is let in by nobody: here on the very board that it was of.
    house.boards[1].kill();
    let tls = house.boards[1].data_dir().join("tls");
    let good = tls.with_file_name("good");
    fs::rename(&tls, &good).expect("room");
    copy(&stolen, &tls);
    house.boards[1].launch();
    let refused = "has not shown the key that the list of members has for it";
    house.wait_for_word(1, refused);
    assert!(!house.serves(1));
    house.boards[1].kill();
    fs::remove_dir_all(&tls).expect("it is there");
    fs::rename(&good, &tls).expect("room");
    house.boards[1].launch();
    is_one_cluster(&house, &house.all(), 3, &book);
}

/// The board dies at this step of its renewal, and comes back by itself.
fn dies_at(house: &mut House, place: usize, step: &str, is_renewed: bool) {
    house.boards[place].set_environment(DIE_AT, step);
    restart(house, place);
    let before = key(house, place);
    let said = house.command(place, &["member", "renew-key"]);
    assert_ne!(said.status, 0, "{step}: {said:?}");
    let deadline = Instant::now() + PATIENCE;
    while house.boards[place].ended().is_none() {
        assert!(Instant::now() < deadline, "{} goes on at {step}", name(place));
        thread::sleep(Duration::from_millis(10));
    }
    house.boards[place].set_environment(DIE_AT, "");
    house.boards[place].launch();
    house.wait_until_serving(place);
    assert_eq!(key(house, place) != before, is_renewed, "{step}");
    let tls = house.boards[place].data_dir().join("tls");
    assert!(!tls.join("next.key").exists() && !tls.join("next.crt").exists(), "{step}");
}

fn a_renewal_that_is_killed_at_each_step() {
    let mut book = Book::new();
    let Some(mut house) = three(&[], &mut book) else { return };
    let new_key = "the old one is nobody's from now on";
    for (number, step) in ["made", "certified", "half", "kept", "told"].into_iter().enumerate() {
        let others = house.all_but(house.leader(&house.all()));
        // Whoever it is, and at the steps in the middle the leader, too.
        let who = match step {
            "half" | "kept" => vec![house.leader(&house.all()), others[0]],
            _ => vec![others[number % 2]],
        };
        for place in who {
            let is_renewed = !matches!(step, "made" | "certified");
            dies_at(&mut house, place, &format!("renewal: {step}"), is_renewed);
            if is_renewed {
                // By itself, and so that all know it: they have only the list to go by when they begin.
                house.wait_for_word(place, new_key);
                house.all_but(place).into_iter().for_each(|other| restart(&mut house, other));
            }
            is_one_cluster(&house, &house.all(), 3, &book);
            renew(&house, place);
        }
    }
    is_one_cluster(&house, &house.all(), 3, &book);
}

/// Its list has a key of the leader's that nobody has any more, and only the leader can tell it the newer ones.
fn who_was_away_knows_the_newest_key() {
    let mut book = Book::new();
    let Some(mut house) = three(&[], &mut book) else { return };
    let leader = house.leader(&house.all());
    let others = house.all_but(leader);
    let (away, other) = (others[0], others[1]);
    house.boards[away].kill();
    renew(&house, leader);
    renew(&house, leader);
    renew(&house, other);
    assert_eq!(house.leader(&[leader, other]), leader);
    house.boards[away].launch();
    house.wait_until_serving(away);
    assert_eq!(house.leader(&house.all()), leader, "who led had to go for it");
    is_one_cluster(&house, &house.all(), 3, &book);
    // And the one that renews may be cut off from all who would have to hear of it.
    house.boards[other].set_environment(DIE_AT, "renewal: kept");
    restart(&mut house, other);
    let said = house.command(other, &["member", "renew-key"]);
    assert_ne!(said.status, 0, "{said:?}");
    house.boards[other].kill();
    house.boards[other].set_environment(DIE_AT, "");
    [leader, away].into_iter().for_each(|place| restart(&mut house, place));
    house.boards[leader].kill();
    // Two are left of which one has never heard of the other's key: they are a majority.
    house.boards[other].launch();
    house.wait_until_serving(other);
    house.wait_for_word(other, "the old one is nobody's from now on");
    house.boards[leader].launch();
    is_one_cluster(&house, &house.all(), 3, &book);
}

fn one_board_and_a_learner() {
    let Some(mut house) = House::build(2) else { return };
    let mut book = Book::new();
    house.serve(0, &[]);
    house.wait_until_serving(0);
    let said = house.command(0, &["member", "renew-key"]);
    assert!(said.status != 0 && said.errors.contains("no key of its own to renew"), "{said:?}");
    house.boards[0].kill();
    let url = first_board(&mut house, &[], &mut book);
    renew(&house, 0);
    restart(&mut house, 0);
    house.join(1, &url);
    is_one_cluster(&house, &house.all(), 1, &book);
    assert!(!house.boards[1].data_dir().join("tls/ca.key").exists(), "a learner");
    renew(&house, 1);
    renew(&house, 0);
    is_one_cluster(&house, &house.all(), 1, &book);
    house.all().into_iter().for_each(|place| restart(&mut house, place));
    is_one_cluster(&house, &house.all(), 1, &book);
    // Nobody who could certify a learner's key is there: nothing is done.
    house.boards[0].kill();
    let before = key(&house, 1);
    let said = house.command(1, &["member", "renew-key"]);
    assert!(said.status != 0 && key(&house, 1) == before, "{said:?}");
    house.boards[0].launch();
    is_one_cluster(&house, &house.all(), 1, &book);
}
