//! URLs that let nobody in, or not yet: one line says what it is and what to do.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    house::{House, PATIENCE, name},
    invited::first_board,
    judge::{Book, is_one_cluster},
    runner::{Scene, scenes},
};

pub(crate) const SCENES: &[Scene] = scenes![
    urls_that_are_wrong,
    invitations_that_have_ended,
    a_cluster_that_is_full,
    names_that_are_taken,
    hosts_that_are_not_reached,
    a_service_that_does_not_answer_or_does_not_know,
    an_invitation_for_two_of_five,
    replicas_never_vote,
    hosts_of_which_one_is_there,
    services_of_which_one_is_there
];

/// What a board said last, that was not let in and did not go on trying.
pub(crate) fn how_it_ended(house: &mut House, place: usize) -> String {
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = house.boards[place].ended() {
            break status;
        }
        assert!(Instant::now() < deadline, "{} goes on\n{}", name(place), house.boards[place].log_tail());
        thread::sleep(Duration::from_millis(20));
    };
    let text = house.boards[place].log_text();
    assert_eq!(status.code(), Some(1), "{status}: {text}");
    text.lines().last().unwrap_or_default().to_owned()
}

/// A board without data is started with these flags, and ends with a line that has all these words. Nothing of it is left.
pub(crate) fn is_refused(house: &mut House, place: usize, flags: &[&str], words: &[&str]) {
    house.serve(place, flags);
    let line = how_it_ended(house, place);
    assert!(words.iter().all(|word| line.contains(word)), "{flags:?}: {line:?} lacks some of {words:?}");
    assert!(!line.contains('\t') && line.len() < 600, "{line:?} is long");
    house.lose_disk(place);
}

/// The last digit of this part of a URL is another.
fn spoilt(url: &str, end_of: &str) -> String {
    let (path, fragment) = url.split_once('#').expect("a secret");
    let (secret, pin) = fragment.split_once('.').unwrap_or((fragment, ""));
    let spoil = |text: &str| {
        let (head, last) = text.split_at(text.len() - 1);
        format!("{head}{}", if last == "0" { "1" } else { "0" })
    };
    match end_of {
        "id" => format!("{}#{fragment}", spoil(path)),
        "secret" => format!("{path}#{}.{pin}", spoil(secret)),
        _ => format!("{path}#{secret}.{}", spoil(pin)),
    }
}

pub(crate) fn id_in(url: &str) -> &str {
    url.split("/join/").nth(1).and_then(|rest| rest.split('#').next()).expect("an invitation")
}

fn urls_that_are_wrong() {
    let Some(mut house) = House::build(3) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    let new = "solder invite";
    for (end_of, words) in [
        ("id", ["knows no token", new]),
        ("secret", ["the secret of the URL is not the token's", "copy the whole URL"]),
        ("pin", ["is not of the cluster that the URL is for", new]),
    ] {
        is_refused(&mut house, 1, &["--discovery", &spoilt(&url, end_of)], &words);
    }
    // Of another cluster: its host is right, its token and pin are not.
    house.serve(2, &[]);
    house.wait_until_serving(2);
    let theirs = house.invite(2, &[]);
    let (host, _) = url.split_once("/join/").expect("an invitation");
    let (_, rest) = theirs.split_once("/join/").expect("an invitation");
    let mixed = format!("{host}/join/{rest}");
    is_refused(&mut house, 1, &["--discovery", &mixed], &["is not of the cluster that the URL is for", new]);
    // Not a URL at all.
    for (bad, word) in [
        ("https://10.77.0.1:2380/join/12", "--discovery"),
        ("10.77.0.1:2379", "--discovery"),
        ("http://10.77.0.1:2379/xyz", "32 hexadecimal digits"),
    ] {
        house.serve(1, &["--discovery", bad]);
        let line = how_it_ended(&mut house, 1);
        assert!(line.contains(word), "{bad}: {line}");
    }
    // The board is none the worse for it.
    house.join(1, &url);
    is_one_cluster(&house, &[0, 1], 1, &book);
}

fn invitations_that_have_ended() {
    let Some(mut house) = House::build(4) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    let said = house.command(0, &["invite", "--revoke", id_in(&url)]);
    assert_eq!(said.status, 0, "{said:?}");
    is_refused(&mut house, 1, &["--discovery", &url], &["knows no token", "solder invite"]);
    let again = house.command(0, &["invite", "--revoke", id_in(&url)]);
    assert!(again.status != 0 && again.errors.contains("--list"), "{again:?}");

    let once = house.invite(0, &["--uses=1"]);
    house.join(1, &once);
    is_refused(&mut house, 2, &["--discovery", &once], &["as many boards as it is for", "solder invite"]);
    // Whom it has let in comes back by it as often as it likes.
    house.boards[1].kill();
    house.join(1, &once);

    let short = house.invite(0, &["--ttl=1s"]);
    let deadline = Instant::now() + PATIENCE;
    while house.command(0, &["invite", "--list"]).output.contains(id_in(&short)) {
        assert!(Instant::now() < deadline, "it does not end\n{}", house.last_words());
        thread::sleep(Duration::from_millis(200));
    }
    is_refused(&mut house, 2, &["--discovery", &short], &["knows no token", "solder invite"]);

    // One for an image: its risk is said.
    let said = house.command(0, &["invite", "--ttl=0"]);
    let forever = said.output.trim().to_owned();
    assert!(said.errors.contains("for ever") && said.errors.contains("--revoke"), "{said:?}");
    assert!(house.command(0, &["invite", "--list"]).output.contains(id_in(&forever)));
    [2, 3].into_iter().for_each(|place| house.join(place, &forever));
    is_one_cluster(&house, &house.all(), 3, &book);
}

fn a_cluster_that_is_full() {
    let Some(mut house) = House::build(4) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &["--voters=1", "--max-learners=2"], &mut book);
    [1, 2].into_iter().for_each(|place| house.join(place, &url));
    is_refused(&mut house, 3, &["--discovery", &url], &["as many learners as it may", "--max-learners"]);
    let said = house.command(0, &["cluster", "set", "--max-learners", "3"]);
    assert_eq!(said.status, 0, "{said:?}");
    house.join(3, &url);
    is_one_cluster(&house, &house.all(), 1, &book);
}

/// All cards have one image: all hosts have one name.
fn names_that_are_taken() {
    let Some(mut house) = House::with_hosts(4, |_| "raspberrypi".to_owned()) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &["--name=door"], &mut book);
    let chosen = ["--discovery", &url, "--name=door"];
    is_refused(&mut house, 1, &chosen, &["\"door\" already", "--name"]);
    (1..4).for_each(|place| house.join(place, &url));
    is_one_cluster(&house, &house.all(), 3, &book);
    let members = house.members(0);
    let mut names: Vec<&str> = members.iter().filter_map(|member| member["name"].as_str()).collect();
    names.sort();
    // The last digits of their cards' addresses.
    assert_eq!(names, ["door", "raspberrypi", "raspberrypi-0003", "raspberrypi-0004"]);
    // Nobody gave the name that the host has, and so there is nothing to ignore.
    house.boards[3].kill();
    house.boards[3].launch();
    house.wait_until_serving(3);
    let log = house.boards[3].log_text();
    assert!(!log.contains("--name"), "{log}");
}

/// Trying can help: the board waits, and says so.
fn hosts_that_are_not_reached() {
    let Some(mut house) = House::build(2) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    house.net.unplug(0);
    house.serve(1, &["--discovery", &url]);
    house.wait_for_word(1, "waiting to be let into the cluster");
    assert!(house.boards[1].ended().is_none());
    house.net.plug(0);
    is_one_cluster(&house, &house.all(), 1, &book);
}

fn a_service_that_does_not_answer_or_does_not_know() {
    let Some(mut house) = House::build(2) else { return };
    house.start_service();
    for size in ["0", "10"] {
        let said = house.command(house.service_place(), &["discovery", "new", "--size", size]);
        assert!(said.status == 2 && said.errors.contains("--size"), "{said:?}");
    }
    let url = house.new_token(1);
    let (start, secret) = url.split_once('#').expect("a secret");
    let (host, _) = start.rsplit_once('/').expect("a token");
    let unknown = format!("{host}/{}#{secret}", "0".repeat(32));
    is_refused(
        &mut house,
        0,
        &["--discovery", &unknown],
        &["does not know the token", "solder discovery new"],
    );
    // Another secret than the others'.
    house.kill_service();
    house.serve(0, &["--discovery", &url]);
    house.wait_for_word(0, "the discovery service is not reached");
    house.start_service();
    house.wait_until_serving(0);
    let (head, last) = url.split_at(url.len() - 1);
    let other = format!("{head}{}", if last == "0" { "1" } else { "0" });
    // It says so, and founds nothing beside them.
    house.serve(1, &["--discovery", &other]);
    house.wait_for_word(1, "with another secret than this board's URL has");
    house.boards[1].kill();
    house.lose_disk(1);
    house.join(1, &url);
    is_one_cluster(&house, &house.all(), 1, &Book::new());
}

/// However many come in one moment.
fn an_invitation_for_two_of_five() {
    let Some(mut house) = House::build(6) else { return };
    let mut book = Book::new();
    first_board(&mut house, &[], &mut book);
    let url = house.invite(0, &["--uses=2"]);
    (1..6).for_each(|place| house.serve(place, &["--discovery", &url]));
    let deadline = Instant::now() + PATIENCE;
    let mut in_it = house.all();
    while in_it.len() > 3 {
        assert!(Instant::now() < deadline, "all go on\n{}", house.last_words());
        in_it.retain(|place| house.boards[*place].ended().is_none());
        thread::sleep(Duration::from_millis(20));
    }
    for place in house.all().into_iter().filter(|place| !in_it.contains(place)) {
        let said = house.boards[place].log_text();
        assert!(said.contains("as many boards as it is for"), "{said}");
    }
    is_one_cluster(&house, &in_it, 3, &book);
}

/// What it is for, a board is for as long as it lives.
fn replicas_never_vote() {
    let Some(mut house) = House::build(3) else { return };
    let mut book = Book::new();
    first_board(&mut house, &[], &mut book);
    let url = house.invite(0, &["--role=replica"]);
    [1, 2].into_iter().for_each(|place| house.join(place, &url));
    // Longer than boards have to be there before they vote.
    thread::sleep(Duration::from_secs(7));
    is_one_cluster(&house, &house.all(), 1, &book);
    let listed = house.command(0, &["member", "list"]);
    assert!(listed.output.contains("it is to hold the data only"), "{listed:?}");
}

/// One that answers is enough; and one that cannot let anybody in names others.
fn hosts_of_which_one_is_there() {
    let Some(mut house) = House::build(4) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    house.join(1, &url);
    let (_, rest) = url.split_once("/join/").expect("an invitation");
    let learner = house.net.address(1, 2380);
    let url = format!("https://10.77.0.200:2380,{learner}/join/{rest}");
    house.join(2, &url);
    // Only who is in its own network knows that nobody is there; others wait for an answer.
    house.net.route_by_default(3);
    let begun = Instant::now();
    house.join(3, &url.replace("10.77.0.200", "192.0.2.7"));
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "a host that is not there is waited for: {:?}",
        begun.elapsed()
    );
    is_one_cluster(&house, &house.all(), 3, &book);
}

/// Who does not answer is waited for once; and as long as it does not, nobody says that the token is unknown.
fn services_of_which_one_is_there() {
    let Some(mut house) = House::build(1) else { return };
    house.start_service();
    let url = house.new_token(1);
    let dead =
        url.replacen("http://", "http://192.0.2.7:2379,", 1).to_uppercase().replacen("HTTP", "http", 1);
    let (start, _) = dead.rsplit_once('/').expect("a token");
    let unknown = format!("{start}/{}#{}", "0".repeat(32), "0".repeat(32));
    house.net.route_by_default(0);
    house.serve(0, &["--discovery", &unknown]);
    house.wait_for_word(0, "the discovery service is not reached");
    house.boards[0].kill();
    house.lose_disk(0);
    let begun = Instant::now();
    house.join(0, &dead);
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "a service that is not there is waited for: {:?}",
        begun.elapsed()
    );
    is_one_cluster(&house, &house.all(), 1, &Book::new());
}
