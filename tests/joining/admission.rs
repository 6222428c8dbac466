//! Who is let in where several ask at one moment, and who can let in when boards are lost.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    house::{House, PATIENCE, name},
    invited::first_board,
    judge::{Book, is_one_cluster},
    losses::is_voter,
    refused::how_it_ended,
    runner::{Scene, scenes},
};

pub(crate) const SCENES: &[Scene] = scenes![
    names_are_given_once,
    boards_that_nothing_tells_apart,
    as_many_learners_as_may,
    who_votes_can_let_in_from_before,
    a_new_cluster_of_a_board_that_could_let_nobody_in
];

/// Of boards with these that still run, and the last words of the others.
fn what_became(house: &mut House, who: &[usize]) -> (Vec<usize>, Vec<String>) {
    let (mut serve, mut words) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + PATIENCE;
    for place in who {
        loop {
            if house.boards[*place].ended().is_some() {
                words.push(house.boards[*place].log_text().lines().last().unwrap_or_default().to_owned());
                break;
            }
            if house.serves(*place) {
                serve.push(*place);
                break;
            }
            assert!(Instant::now() < deadline, "{}\n{}", name(*place), house.last_words());
            thread::sleep(Duration::from_millis(20));
        }
    }
    (serve, words)
}

/// So long they knock before anybody opens.
const CROWDED: Duration = Duration::from_millis(700);

/// Boards whose cards are one image: all ask while nobody can commit anything, and are let in together.
fn names_are_given_once() {
    let host = |place| if place < 3 { name(place) } else { "same".to_owned() };
    let Some(mut house) = House::with_hosts(9, host) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &["--voters=3"], &mut book);
    (1..3).for_each(|place| house.join(place, &url));
    is_one_cluster(&house, &[0, 1, 2], 3, &book);
    // All three are asked by somebody.
    let urls = [0, 1, 2].map(|place| house.invite(place, &[]));
    let leader = house.leader(&[0, 1, 2]);
    let others: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    others.iter().for_each(|place| house.boards[*place].signal(Signal::STOP));
    for place in 3..7 {
        house.serve(place, &["--discovery", &urls[place % 3]]);
    }
    for place in 7..9 {
        house.serve(place, &["--discovery", &urls[place % 3], "--name=chosen"]);
    }
    thread::sleep(CROWDED);
    others.iter().for_each(|place| house.boards[*place].signal(Signal::CONT));
    (3..7).for_each(|place| house.wait_until_serving(place));
    let (chosen, refused) = what_became(&mut house, &[7, 8]);
    assert_eq!(chosen.len(), 1, "{refused:?}\n{}", house.last_words());
    assert!(refused[0].contains("\"chosen\" already"), "{refused:?}");
    let members = house.members(0);
    let names: BTreeSet<&str> = members.iter().filter_map(|member| member["name"].as_str()).collect();
    assert!(members.len() == 8 && names.len() == 8, "{members:?}");
    assert!(["same", "chosen"].iter().all(|name| names.contains(name)), "{names:?}");
    is_one_cluster(&house, &[0, 1, 2, 3, 4, 5, 6, chosen[0]], 3, &book);
}

/// One image, and cards of one address: they found a cluster together, and none is taken for another that has lost its data.
fn boards_that_nothing_tells_apart() {
    let Some(mut house) = House::with_hosts(3, |_| "same".to_owned()) else { return };
    house.all().iter().for_each(|place| house.net.add_card(*place, "00:11:22:33:44:55"));
    house.start_service();
    let url = house.new_token(3);
    house.all().iter().for_each(|place| house.serve(*place, &["--discovery", &url]));
    is_one_cluster(&house, &house.all(), 3, &Book::new());
    let members = house.members(0);
    let names: BTreeSet<&str> = members.iter().filter_map(|member| member["name"].as_str()).collect();
    assert!(members.len() == 3 && names.len() == 3, "{members:?}");
}

/// And who is one too many has used nothing.
fn as_many_learners_as_may() {
    let Some(mut house) = House::build(5) else { return };
    let mut book = Book::new();
    first_board(&mut house, &["--voters=1", "--max-learners=2"], &mut book);
    let url = house.invite(0, &["--uses=4"]);
    house.boards[0].signal(Signal::STOP);
    (1..5).for_each(|place| house.serve(place, &["--discovery", &url]));
    thread::sleep(CROWDED);
    house.boards[0].signal(Signal::CONT);
    let (mut serve, refused) = what_became(&mut house, &[1, 2, 3, 4]);
    assert_eq!((serve.len(), refused.len()), (2, 2), "{refused:?}\n{}", house.last_words());
    assert!(refused.iter().all(|line| line.contains("as many learners as it may")), "{refused:?}");
    let said = house.command(0, &["invite", "--list"]);
    assert!(said.output.contains("2 of 4"), "{said:?}");
    serve.insert(0, 0);
    is_one_cluster(&house, &serve, 1, &book);
}

/// So that the loss of the first board, a moment after others have come to vote, does not end joining.
fn who_votes_can_let_in_from_before() {
    let Some(mut house) = House::build(4) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &["--voters=3"], &mut book);
    (1..3).for_each(|place| house.serve(place, &["--discovery", &url]));
    let place_of = |member: &serde_json::Value| {
        (0..4).find(|place| member["name"] == name(*place).as_str()).expect("it has a name")
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let voters: Vec<usize> = house.members(0).iter().filter(|one| is_voter(one)).map(place_of).collect();
        for place in &voters {
            let key = house.boards[*place].data_dir().join("tls/ca.key");
            assert!(key.exists(), "{} votes, and lets nobody in\n{}", name(*place), house.last_words());
        }
        if voters.len() == 3 {
            break;
        }
        assert!(Instant::now() < deadline, "{voters:?} vote\n{}", house.last_words());
    }
    house.boards[0].kill();
    house.wait_until_serving(1);
    let url = house.invite(1, &[]);
    house.join(3, &url);
    let told = ["n2", "n3"].map(|name| name.to_owned());
    let members = house.members(3);
    assert!(told.iter().all(|name| members.iter().any(|one| one["name"] == name.as_str())), "{members:?}");
}

/// A cluster of two boards has one voter, and with it goes what lets boards in.
fn a_new_cluster_of_a_board_that_could_let_nobody_in() {
    let Some(mut house) = House::build(4) else { return };
    let mut book = Book::new();
    let old = first_board(&mut house, &[], &mut book);
    house.join(1, &old);
    is_one_cluster(&house, &[0, 1], 1, &book);
    // An id without a key would be anybody's.
    let said = house.command(0, &["member", "add", "x", "--peer-urls=https://10.77.0.9:2380"]);
    assert!(said.status != 0 && said.errors.contains("solder invite"), "{said:?}");
    assert_eq!(house.members(0).len(), 2);
    let was = house.status(1).expect("it serves").cluster;
    house.boards[0].kill();
    house.boards[1].kill();
    house.serve(1, &["--force-new-cluster"]);
    house.wait_until_serving(1);
    house.wait_for_word(1, "a new authority is made");
    assert_ne!(house.status(1).expect("it serves").cluster, was);
    let url = house.invite(1, &[]);
    house.join(2, &url);
    // What the old one has printed leads into the old one only.
    let elsewhere =
        old.replace(&house.net.address(0, 2380).to_string(), &house.net.address(1, 2380).to_string());
    house.serve(3, &["--discovery", &elsewhere]);
    let line = how_it_ended(&mut house, 3);
    assert!(line.contains("is not of the cluster that the URL is for"), "{line}");
    house.lose_disk(3);
    is_one_cluster(&house, &[1, 2], 1, &book);
    // By a restart as at first.
    house.boards[1].kill();
    house.serve(1, &[]);
    house.join(3, &url);
    is_one_cluster(&house, &[1, 2, 3], 3, &book);
    // The token itself is the old one's as well, should the authority be the same.
    for place in [1, 2, 3] {
        house.boards[place].kill();
    }
    house.serve(2, &["--force-new-cluster"]);
    house.wait_until_serving(2);
    let again = url.replace(&house.net.address(1, 2380).to_string(), &house.net.address(2, 2380).to_string());
    house.lose_disk(0);
    house.serve(0, &["--discovery", &again]);
    let line = how_it_ended(&mut house, 0);
    assert!(line.contains("knows no token"), "{line}");
    house.lose_disk(0);
    let url = house.invite(2, &[]);
    house.join(0, &url);
    is_one_cluster(&house, &[0, 2], 1, &book);
    // Who lets nobody in prints no URL.
    house.boards[2].kill();
    fs::remove_file(house.boards[2].data_dir().join("tls/ca.key")).expect("it votes");
    house.serve(2, &[]);
    house.wait_until_serving(2);
    for place in [0, 2] {
        let said = house.command(place, &["invite"]);
        assert!(said.status != 0 && said.errors.contains("no voter that is reached has the key"), "{said:?}");
        assert_eq!(said.errors.lines().count(), 1, "{said:?}");
    }
}
