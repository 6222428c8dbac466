//! The board that is to found the cluster dies on its way, and comes back; or does not, or comes back as another.

use std::{
    fs,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use crate::{
    house::{House, PATIENCE, name},
    judge::{Book, is_one_cluster},
    moves::{move_to, tell_names},
    refused::how_it_ended,
    runner::{Scene, scenes},
};

pub(crate) const SCENES: &[Scene] = scenes![
    when_it_is_registered,
    when_it_has_founded_the_cluster,
    when_it_waits_for_the_others,
    when_it_has_let_all_in,
    when_it_has_moved,
    when_its_disk_is_lost,
    another_takes_a_place,
    an_invitation_takes_a_place,
    a_person_goes_on_without,
    cards_that_were_copied,
    a_key_that_was_copied
];

/// The founder is killed once it is so far; the others come meanwhile, and it comes back.
fn dies(is_there: impl Fn(&House, &str) -> bool) {
    let Some(mut house) = House::build(3) else { return };
    house.start_service();
    let url = house.new_token(3);
    house.serve(0, &["--discovery", &url]);
    while !is_there(&house, &url) {
        thread::sleep(Duration::from_millis(1));
    }
    house.boards[0].kill();
    [1, 2].into_iter().for_each(|place| house.serve(place, &["--discovery", &url]));
    thread::sleep(Duration::from_millis(500));
    let put = house.client(1, Duration::from_millis(200), |client| client.put(b"early", b""));
    assert!(put.is_err(), "taken by boards that wait for their founder");
    house.boards[0].launch();
    is_one_cluster(&house, &house.all(), 3, &Book::new());
    assert!([1, 2].iter().all(|place| !house.boards[*place].log_text().contains("founds the cluster")));
}

fn when_it_is_registered() {
    dies(|house, url| house.registered(url) == 1);
}

fn when_it_has_founded_the_cluster() {
    dies(|house, _| house.boards[0].log_text().contains("this board founds the cluster"));
}

fn when_it_waits_for_the_others() {
    dies(|house, _| house.status(0).is_some_and(|status| status.leader == status.id && status.leader != 0));
}

/// What it keeps until the cluster is there may outlive that, by a power cut: nothing is formed twice, or all would wait for as
/// many boards as there were once.
fn when_it_has_let_all_in() {
    let Some(mut house) = House::build(3) else { return };
    house.start_service();
    let url = house.new_token(3);
    house.all().into_iter().for_each(|place| house.serve(place, &["--discovery", &url]));
    is_one_cluster(&house, &house.all(), 3, &Book::new());
    let founds = |place: &usize| house.boards[*place].log_text().contains("this board founds the cluster");
    let founder = house.all().into_iter().find(founds).expect("one has founded it");
    let (other, third) = ((founder + 1) % 3, (founder + 2) % 3);
    let id = house.status(third).expect("it serves").id;
    let deadline = Instant::now() + PATIENCE;
    // Members that have only just met are no healthy cluster, as etcd counts it.
    while let said = house.command(founder, &["member", "remove", &format!("{id:x}")])
        && said.status != 0
    {
        assert!(Instant::now() < deadline, "{said:?}");
        thread::sleep(Duration::from_millis(100));
    }
    house.boards[founder].kill();
    let (start, secret) = url.split_once('#').expect("a secret");
    let (_, token) = start.rsplit_once('/').expect("a token");
    let kept = house.boards[founder].data_dir().join("tls/formation.toml");
    assert!(!kept.exists(), "it keeps what is done");
    let text = format!("token = {token:?}\nsecret = {secret:?}\nsize = 3\n");
    fs::write(&kept, text).expect("room");
    house.boards[founder].launch();
    // An even number is left as it is until a voter is missed for long.
    is_one_cluster(&house, &[founder, other], 2, &Book::new());
    assert!(!kept.exists(), "it keeps what is done");
}

fn is_registered(house: &House, url: &str, boards: usize) {
    while house.registered(url) < boards {
        thread::sleep(Duration::from_millis(5));
    }
}

/// The service has its old address for ever; its name leads to it.
fn when_it_has_moved() {
    let Some(mut house) = House::build(3) else { return };
    tell_names(&house);
    house.start_service();
    let url = house.new_token(3);
    house.serve(0, &["--discovery", &url]);
    house.wait_for_word(0, "this board founds the cluster");
    move_to(&mut house, 0, Ipv4Addr::new(10, 77, 0, 101));
    tell_names(&house);
    [1, 2].into_iter().for_each(|place| house.serve(place, &["--discovery", &url]));
    is_one_cluster(&house, &house.all(), 3, &Book::new());
}

/// Nobody can know whether others were in it: no second cluster comes of its token. All say what is to be done.
fn when_its_disk_is_lost() {
    let Some(mut house) = House::build(3) else { return };
    house.start_service();
    let url = house.new_token(3);
    house.serve(0, &["--discovery", &url]);
    house.wait_for_word(0, "this board founds the cluster");
    house.boards[0].kill();
    house.lose_disk(0);
    house.serve(1, &["--discovery", &url]);
    house.wait_for_word(1, "board n1 founds this cluster, and neither it nor another");
    house.boards[0].launch();
    house.wait_for_word(0, "was at this board's address and had another key");
    house.serve(2, &["--discovery", &url]);
    house.wait_for_word(2, "make a new token with `solder discovery new` for all boards");
    for place in house.all() {
        assert!(house.boards[place].ended().is_none(), "{}", house.last_words());
        let founded = house.boards[place].log_text().matches("this board founds the cluster").count();
        assert_eq!(founded, usize::from(place == 0), "{}", house.last_words());
    }
    let anew = house.new_token(3);
    for place in house.all() {
        house.boards[place].kill();
        house.serve(place, &["--discovery", &anew]);
    }
    is_one_cluster(&house, &house.all(), 3, &Book::new());
}

/// Two are in, and wait for a third that has registered and never comes. `None`: there cannot be namespaces here.
fn without_the_third(boards: usize) -> Option<(House, String)> {
    let mut house = House::build(boards)?;
    house.start_service();
    let url = house.new_token(3);
    house.serve(0, &["--discovery", &url]);
    house.wait_for_word(0, "this board founds the cluster");
    house.boards[0].kill();
    for place in [1, 2] {
        house.serve(place, &["--discovery", &url]);
        is_registered(&house, &url, place + 1);
    }
    house.boards[2].kill();
    house.boards[0].launch();
    house.wait_for_word(1, "let in by");
    house.wait_for_word(0, "waiting for 1 more of 3 boards");
    let put = house.client(0, Duration::from_millis(200), |client| client.put(b"early", b""));
    assert!(put.is_err(), "taken by two of three");
    Some((house, url))
}

fn another_takes_a_place() {
    let Some((mut house, url)) = without_the_third(4) else { return };
    house.serve(3, &["--discovery", &url]);
    is_one_cluster(&house, &[0, 1, 3], 3, &Book::new());
    // And it may come after all.
    house.boards[2].launch();
    is_one_cluster(&house, &house.all(), 3, &Book::new());
}

fn an_invitation_takes_a_place() {
    let Some((mut house, _)) = without_the_third(4) else { return };
    // A cluster that is not founded can take it back, too.
    let spoilt = house.invite(0, &[]);
    let said = house.command(0, &["invite", "--revoke", &spoilt]);
    assert_eq!(said.status, 0, "{said:?}");
    let url = house.invite(0, &[]);
    house.serve(3, &["--discovery", &url]);
    is_one_cluster(&house, &[0, 1, 3], 3, &Book::new());
}

fn a_person_goes_on_without() {
    let Some((house, _)) = without_the_third(3) else { return };
    // Whoever looks, or writes, is told what is waited for.
    const WAITS: &str = "waiting for 1 more of 3 boards";
    for (command, status) in
        [(&["put", "early", "x"][..], 1), (&["endpoint", "health"], 1), (&["member", "list"], 0)]
    {
        let said = house.command(0, command);
        assert_eq!(said.status, status, "{command:?}: {said:?}");
        let is_told = said.output.contains(WAITS) || said.errors.contains(WAITS);
        assert!(is_told && !said.output.contains("successfully"), "{command:?}: {said:?}");
    }
    let said = house.command(1, &["cluster", "set", "--size", "2"]);
    assert_eq!(said.status, 0, "{said:?}");
    is_one_cluster(&house, &[0, 1], 1, &Book::new());
    let said = house.command(1, &["cluster", "set", "--size", "2"]);
    assert!(said.status != 0 && said.errors.contains("no boards are waited for"), "{said:?}");
}

/// As a person copies a card to others: all that is on it.
fn copy_card(house: &House, from: usize, to: usize) {
    let (from, to) = (house.boards[from].data_dir(), house.boards[to].data_dir());
    let copied = std::process::Command::new("cp").arg("-a").args([&from, &to]).status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "{} was not copied to {}",
        from.display(),
        to.display()
    );
}

/// One was switched on before, and its card was copied to all others, with its key.
fn cards_that_were_copied() {
    let Some(mut house) = House::build(3) else { return };
    house.start_service();
    let url = house.new_token(3);
    house.kill_service();
    house.serve(0, &["--discovery", &url]);
    house.wait_for_word(0, "the discovery service is not reached");
    house.boards[0].kill();
    [1, 2].into_iter().for_each(|place| copy_card(&house, 0, place));
    house.start_service();
    house.all().into_iter().for_each(|place| house.serve(place, &["--discovery", &url]));
    is_one_cluster(&house, &house.all(), 3, &Book::new());
    for place in house.all() {
        let is_another = house.boards[place].log_text().contains("was made on another board");
        assert_eq!(is_another, place > 0, "{}", house.last_words());
    }
    // A member's card that is put into another board is that member; that there may be two now is said.
    house.boards[2].kill();
    house.lose_disk(2);
    house.boards[1].kill();
    copy_card(&house, 1, 2);
    house.boards[2].launch();
    house.wait_for_word(2, "this board has the data of a member that ran on another board");
    house.wait_until_serving(2);
}

/// The same where nothing tells a board's hardware from another's.
fn a_key_that_was_copied() {
    let Some(mut house) = House::build(2) else { return };
    house.start_service();
    let url = house.new_token(2);
    house.kill_service();
    house.serve(0, &["--discovery", &url]);
    house.wait_for_word(0, "the discovery service is not reached");
    house.boards[0].kill();
    std::fs::remove_file(house.boards[0].data_dir().join("tls/origin.toml")).expect("it was written");
    copy_card(&house, 0, 1);
    house.start_service();
    house.serve(0, &["--discovery", &url]);
    is_registered(&house, &url, 1);
    house.serve(1, &["--discovery", &url]);
    let line = how_it_ended(&mut house, 1);
    assert!(line.contains("this card is a copy of that one's") && line.contains(&name(0)), "{line}");
    house.lose_disk(1);
    house.boards[1].launch();
    is_one_cluster(&house, &house.all(), 1, &Book::new());
}
