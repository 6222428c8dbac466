//! Voters that die, and boards that come back: as they were, without their data, after a long time.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    house::{House, PATIENCE, name, unsigned},
    invited::first_board,
    judge::{Book, is_one_cluster},
    refused::how_it_ended,
    runner::{Scene, scenes},
    seeds,
    support::net::loudly,
    writer::{FOR_ALL, meanwhile},
};

pub(crate) const SCENES: &[Scene] = scenes![
    a_voter_killed_for_good_is_replaced,
    a_board_that_lost_its_disk_comes_back_by_itself,
    the_leader_that_lost_its_disk_is_removed_as_soon,
    two_boards_of_one_serial_number,
    a_board_that_was_off_while_others_changed,
    the_founder_that_lost_its_disk_comes_back_by_the_same_url,
    a_board_that_was_removed,
    a_board_that_moved_before_anybody_called_it,
    a_board_that_nobody_answers,
    a_board_that_was_removed_before_anybody_called_it
];

pub(crate) const REPLACE_AFTER: &str = "--replace-after=5s";

/// An election, and a client that goes elsewhere; far less than what a person would take for a failure.
const PAUSE_MAX: Duration = Duration::from_secs(6);

/// Three vote, the others are spare.
fn with_spares(boards: usize, book: &mut Book) -> Option<House> {
    let mut house = House::build(boards)?;
    let url = first_board(&mut house, &["--voters=3", REPLACE_AFTER, FOR_ALL], book);
    (1..boards).for_each(|place| house.serve(place, &["--discovery", &url, FOR_ALL]));
    is_one_cluster(&house, &house.all(), 3, book);
    Some(house)
}

pub(crate) fn is_voter(member: &Value) -> bool {
    member["isLearner"] != Value::Bool(true)
}

pub(crate) fn id_of(house: &House, place: usize) -> u64 {
    house
        .status(place)
        .unwrap_or_else(|| panic!("{} does not answer\n{}", name(place), house.last_words()))
        .id
}

fn votes(house: &House, at: usize, id: u64) -> bool {
    house.members(at).iter().any(|member| unsigned(&member["ID"]) == id && is_voter(member))
}

fn wait(house: &House, what: &str, is_so: impl Fn(&House) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so(house) {
        assert!(Instant::now() < deadline, "never: {what}\n{}", house.last_words());
        thread::sleep(Duration::from_millis(50));
    }
}

/// Whoever it is: another takes its place, and it comes back as a learner that is told so.
fn is_replaced(house: &mut House, lost: usize) {
    let (id, others) = (id_of(house, lost), house.all_but(lost));
    let began = Instant::now();
    house.boards[lost].kill();
    let at = others[0];
    let is_replaced = |house: &House| {
        let members = house.members(at);
        members.iter().filter(|member| is_voter(member)).count() == 3 && !votes(house, at, id)
    };
    wait(house, "three vote again, without the dead", is_replaced);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(5), "replaced after {took:?} already: that may have been a restart");
    house.boards[lost].launch();
    house.wait_until_serving(lost);
    house.wait_for_word(lost, "this board is a learner now");
    assert_eq!(id_of(house, lost), id, "it has its data, and is another");
    loudly(&format!("{} was replaced after {took:?}", name(lost)));
}

fn a_voter_killed_for_good_is_replaced() {
    for seed in seeds("a_voter_killed_for_good_is_replaced", 1) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut book = Book::new();
        let Some(mut house) = with_spares(5, &mut book) else { return };
        let all = house.all();
        let (written, pause) = meanwhile(&mut house, &all, |house| {
            // The leader, or one that only votes.
            let leader = house.leader(&house.all());
            let voters =
                house.all_but(leader).into_iter().filter(|place| votes(house, leader, id_of(house, *place)));
            let voter = rng.choice(voters.collect::<Vec<_>>()).expect("three vote");
            let lost = if rng.bool() { leader } else { voter };
            is_replaced(house, lost);
        });
        loudly(&format!("{} writes, none for {pause:?}", written.len()));
        assert!(pause < PAUSE_MAX, "nobody took a write for {pause:?}\n{}", house.last_words());
        book.extend(written);
        is_one_cluster(&house, &house.all(), 3, &book);
    }
}

/// A new card in a board: by the same URL it is a member again, and who it was is gone.
fn a_board_that_lost_its_disk_comes_back_by_itself() {
    let mut book = Book::new();
    let Some(mut house) = with_spares(4, &mut book) else { return };
    let all = house.all();
    let (written, _) = meanwhile(&mut house, &all, |house| {
        for place in [2, 3] {
            let id = id_of(house, place);
            house.boards[place].kill();
            house.lose_disk(place);
            house.boards[place].launch();
            house.wait_until_serving(place);
            let new = id_of(house, place);
            assert_ne!(new, id, "it has forgotten its votes, and is the same member");
            let is_gone =
                |house: &House| !house.members(0).iter().any(|member| unsigned(&member["ID"]) == id);
            wait(house, "who it was is removed", is_gone);
            // With two that vote, one more that has lost its data would be one too many.
            let are_three =
                |house: &House| house.members(0).iter().filter(|member| is_voter(member)).count() == 3;
            wait(house, "three vote again", are_three);
        }
    });
    book.extend(written);
    is_one_cluster(&house, &house.all(), 3, &book);
    // Who was called by its old name is none the worse for it.
    for place in [2, 3] {
        let said = house.boards[place].log_text();
        assert!(!said.contains("did not become a peer's"), "{said}");
    }
}

/// Who leads next has not led while the old one was there; but it was there itself, and remembers. Nobody waits for ten minutes.
fn the_leader_that_lost_its_disk_is_removed_as_soon() {
    let Some(mut house) = House::build(3) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &["--voters=3", FOR_ALL], &mut book);
    [1, 2].into_iter().for_each(|place| house.serve(place, &["--discovery", &url, FOR_ALL]));
    is_one_cluster(&house, &house.all(), 3, &book);
    // By the same command as the others.
    house.boards[0].kill();
    house.serve(0, &["--discovery", &url, FOR_ALL]);
    is_one_cluster(&house, &house.all(), 3, &book);
    let leader = house.leader(&house.all());
    let (id, other) = (id_of(&house, leader), house.all_but(leader)[0]);
    house.boards[leader].kill();
    house.lose_disk(leader);
    house.boards[leader].launch();
    let began = Instant::now();
    wait(&house, "who led is removed", |house| {
        let members = house.members(other);
        !members.is_empty() && !members.iter().any(|member| unsigned(&member["ID"]) == id)
    });
    loudly(&format!("who led was removed after {:?}", began.elapsed()));
    house.wait_until_serving(leader);
    assert_ne!(id_of(&house, leader), id);
    is_one_cluster(&house, &house.all(), 3, &book);
}

/// As some makers sell them. Who is away is not taken for the other, whoever leads, and whatever it remembers.
fn two_boards_of_one_serial_number() {
    let Some(mut house) = House::build(4) else { return };
    let twins = [2, 3];
    twins.iter().for_each(|place| house.net.add_card(*place, "00:11:22:33:44:55"));
    let mut book = Book::new();
    let url = first_board(&mut house, &["--voters=3", REPLACE_AFTER, FOR_ALL], &mut book);
    (1..4).for_each(|place| house.serve(place, &["--discovery", &url, FOR_ALL]));
    is_one_cluster(&house, &house.all(), 3, &book);
    wait(&house, "somebody says that they are two", |house| {
        house.boards.iter().any(|board| board.log_text().contains("and are different boards"))
    });
    let leader = house.leader(&house.all());
    let away = *twins.iter().find(|place| **place != leader).expect("one leads");
    let (id, at) = (id_of(&house, away), house.all_but(away)[0]);
    house.boards[away].kill();
    // Nobody who leads from now on has seen them at one time as a leader, nor one of those that remember.
    for place in house.all_but(away) {
        house.boards[place].kill();
        house.boards[place].launch();
        house.wait_until_serving(place);
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        let members = house.members(at);
        let is_in = members.is_empty() || members.iter().any(|member| unsigned(&member["ID"]) == id);
        assert!(is_in, "it was taken for the other\n{}", house.last_words());
        thread::sleep(Duration::from_millis(200));
    }
    house.boards[away].launch();
    house.wait_until_serving(away);
    assert_eq!(id_of(&house, away), id);
    is_one_cluster(&house, &house.all(), 3, &book);
}

/// Meanwhile its place is another's, a board has come back as somebody else, and the leader is another.
fn a_board_that_was_off_while_others_changed() {
    let mut book = Book::new();
    let Some(mut house) = with_spares(4, &mut book) else { return };
    let leader = house.leader(&house.all());
    let others = house.all_but(leader);
    let off = *others.iter().find(|place| votes(&house, leader, id_of(&house, **place))).expect("three vote");
    let id = id_of(&house, off);
    house.boards[off].kill();
    wait(&house, "three vote without it", |house| {
        !votes(house, leader, id)
            && house.members(leader).iter().filter(|member| is_voter(member)).count() == 3
    });
    let lost = *others.iter().find(|place| **place != off).expect("four boards");
    house.boards[lost].kill();
    house.lose_disk(lost);
    house.boards[lost].launch();
    house.wait_until_serving(lost);
    house.boards[leader].kill();
    house.boards[leader].launch();
    house.wait_until_serving(leader);
    house.boards[off].launch();
    is_one_cluster(&house, &house.all(), 3, &book);
}

/// It made the cluster, its keys and its first token; the others have all of that, too.
fn the_founder_that_lost_its_disk_comes_back_by_the_same_url() {
    let Some(mut house) = House::build(3) else { return };
    house.start_service();
    let url = house.new_token(3);
    house.serve(0, &["--discovery", &url]);
    house.wait_for_word(0, "this board founds the cluster, of 3");
    [1, 2].into_iter().for_each(|place| house.serve(place, &["--discovery", &url]));
    is_one_cluster(&house, &house.all(), 3, &Book::new());
    // Its key is the others' a moment after they vote.
    [1, 2]
        .into_iter()
        .for_each(|place| house.wait_for_word(place, "this board can let others in from now on"));
    house.boards[0].kill();
    house.lose_disk(0);
    house.boards[0].launch();
    is_one_cluster(&house, &house.all(), 3, &Book::new());
    assert_eq!(house.boards[0].log_text().matches("founds the cluster").count(), 1, "it founds another");
}

/// Whom a person removes is out, and says so at each start; cleared, it is a board like any other.
fn a_board_that_was_removed() {
    let Some(mut house) = House::build(2) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    house.join(1, &url);
    let id = id_of(&house, 1);
    let said = house.command(0, &["member", "remove", &format!("{id:x}")]);
    assert_eq!(said.status, 0, "{said:?}");
    let line = how_it_ended(&mut house, 1);
    assert!(line.contains("removed"), "{line}");
    house.boards[1].launch();
    let line = how_it_ended(&mut house, 1);
    assert!(line.contains("removed"), "{line}");
    house.lose_disk(1);
    house.join(1, &url);
    assert_ne!(id_of(&house, 1), id);
    is_one_cluster(&house, &house.all(), 1, &book);
}

const NOWHERE: &str = "--initial-advertise-peer-urls=https://10.77.0.200:2380";

/// One that was let in, and is off before anybody has called it where it said that it is. Its id.
fn let_in_and_off(house: &mut House, url: &str) -> u64 {
    house.serve(1, &["--discovery", url, NOWHERE]);
    house.wait_for_word(1, "serving clients at");
    house.boards[1].kill();
    let own = id_of(house, 0);
    let mut others = house.members(0).into_iter().map(|member| unsigned(&member["ID"]));
    others.find(|id| *id != own).expect("it was let in")
}

/// It has moved since, so that nobody finds it; and it knows nobody.
fn a_board_that_moved_before_anybody_called_it() {
    let Some(mut house) = House::build(2) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    let_in_and_off(&mut house, &url);
    house.serve(1, &["--discovery", &url]);
    is_one_cluster(&house, &house.all(), 1, &book);
}

/// Nobody calls it any more.
fn a_board_that_was_removed_before_anybody_called_it() {
    let Some(mut house) = House::build(2) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    let id = let_in_and_off(&mut house, &url);
    let said = house.command(0, &["member", "remove", &format!("{id:x}")]);
    assert_eq!(said.status, 0, "{said:?}");
    house.serve(1, &["--discovery", &url]);
    let line = how_it_ended(&mut house, 1);
    assert!(line.contains("was removed") && line.contains("solder invite"), "{line}");
    house.lose_disk(1);
    house.join(1, &url);
    is_one_cluster(&house, &house.all(), 1, &book);
}

/// It says so, once it is clear that this is no election.
fn a_board_that_nobody_answers() {
    let Some(mut house) = House::build(2) else { return };
    let url = first_board(&mut house, &[], &mut Book::new());
    let_in_and_off(&mut house, &url);
    house.boards[0].kill();
    house.serve(1, &["--discovery", &url]);
    house.wait_for_word(1, "this board was let into the cluster, and no member has called it since");
    house.boards[0].launch();
    house.wait_until_serving(1);
}
