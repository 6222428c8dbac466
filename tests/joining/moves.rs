//! Boards get other addresses.

use std::{
    fmt::Write as _,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use crate::{
    house::{House, name, unsigned},
    invited::first_board,
    judge::{Book, is_one_cluster},
    losses::id_of,
    runner::{Scene, scenes},
    seeds,
    support::net::loudly,
};

pub(crate) const SCENES: &[Scene] = scenes![
    one_after_the_other,
    all_at_once,
    all_while_they_are_off,
    whoever_it_is,
    an_operator_knows_better,
];

/// Boards that know each other's hosts by name, and have a URL with these names.
fn by_names(boards: usize, book: &mut Book) -> Option<House> {
    let mut house = House::build(boards)?;
    tell_names(&house);
    let url = first_board(&mut house, &[], book);
    let names: Vec<String> = house.all().into_iter().map(|place| format!("{}:2380", name(place))).collect();
    let (_, rest) = url.split_once("/join/").expect("an invitation");
    let url = format!("https://{}/join/{rest}", names.join(","));
    house.boards[0].kill();
    house.all().into_iter().for_each(|place| house.serve(place, &["--discovery", &url]));
    is_one_cluster(&house, &house.all(), 3, book);
    Some(house)
}

pub(crate) fn tell_names(house: &House) {
    let mut hosts = String::new();
    for place in house.all() {
        writeln!(hosts, "{} {}", house.net.address(place, 0).ip(), name(place)).expect("a String takes it");
    }
    house.all().into_iter().for_each(|place| house.net.name_hosts(place, &hosts));
}

pub(crate) fn move_to(house: &mut House, place: usize, address: Ipv4Addr) {
    house.net.renumber(place, address);
    house.net.route_by_default(place);
}

/// Until it is written again, and all know where all are.
pub(crate) fn settle(house: &House, book: &Book, what: &str) {
    let began = Instant::now();
    let mut places = house.all().into_iter().cycle();
    loop {
        let place = places.next().expect("there are boards");
        if house.client(place, Duration::from_millis(500), |client| client.put(b"moved", b"")).is_ok() {
            break;
        }
        assert!(began.elapsed() < crate::house::PATIENCE, "not writable\n{}", house.last_words());
        thread::sleep(Duration::from_millis(50));
    }
    let written = began.elapsed();
    is_one_cluster(house, &house.all(), 3, book);
    loudly(&format!("{what}: written after {written:?}, all is known after {:?}", began.elapsed()));
}

/// Who only listens is called by nobody at its new address: it has to call.
fn one_after_the_other() {
    let mut book = Book::new();
    let Some(mut house) = by_names(4, &mut book) else { return };
    let leader = house.leader(&house.all());
    let is_learner = |place: &usize| {
        let status = house.status(*place).expect("it serves");
        let members = house.members(leader);
        let own = members.iter().find(|member| unsigned(&member["ID"]) == status.id).expect("it is a member");
        own["isLearner"] == serde_json::Value::Bool(true)
    };
    let (learners, voters): (Vec<usize>, Vec<usize>) =
        house.all_but(leader).into_iter().partition(is_learner);
    let moves = [
        (learners[0], 101, "a learner moves"),
        (voters[0], 102, "a voter moves"),
        (leader, 103, "the leader moves"),
    ];
    for (place, address, what) in moves {
        move_to(&mut house, place, Ipv4Addr::new(10, 77, 0, address));
        tell_names(&house);
        settle(&house, &book, what);
    }
    // A restart finds them where they are.
    for board in &mut house.boards {
        board.kill();
        board.launch();
    }
    settle(&house, &book, "all restarted");
}

/// A new router. They find each other by name.
fn all_at_once() {
    let mut book = Book::new();
    let Some(mut house) = by_names(3, &mut book) else { return };
    for place in house.all() {
        let last = u8::try_from(50 - place).expect("few boards");
        move_to(&mut house, place, Ipv4Addr::new(10, 78, 0, last));
    }
    tell_names(&house);
    settle(&house, &book, "all move at once");
}

/// The same while they are switched off.
fn all_while_they_are_off() {
    let mut book = Book::new();
    let Some(mut house) = by_names(3, &mut book) else { return };
    house.boards.iter_mut().for_each(|board| board.kill());
    for place in house.all() {
        let last = u8::try_from(60 - place).expect("few boards");
        move_to(&mut house, place, Ipv4Addr::new(10, 79, 0, last));
    }
    tell_names(&house);
    house.boards.iter_mut().for_each(|board| board.launch());
    settle(&house, &book, "all move while they are off");
}

/// Some or all of them, again and again, whether they run or not.
fn whoever_it_is() {
    for seed in seeds("whoever_it_is", 1) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut book = Book::new();
        let Some(mut house) = by_names(4, &mut book) else { return };
        let mut network = 77;
        for step in 0..3 {
            let mut who = house.all();
            rng.shuffle(&mut who);
            who.truncate(rng.usize(1..=4));
            let off = rng.u8(..4) == 0;
            if off {
                who.iter().for_each(|place| house.boards[*place].kill());
            }
            // Another network is out of reach for who stays where it was.
            network += u8::from(who.len() == 4);
            for place in &who {
                let last = u8::try_from(20 + 10 * step + place).expect("few boards");
                move_to(&mut house, *place, Ipv4Addr::new(10, network, 0, last));
            }
            tell_names(&house);
            if off {
                who.iter().for_each(|place| house.boards[*place].launch());
            }
            settle(&house, &book, &format!("{who:?} move{}", if off { " while they are off" } else { "" }));
        }
    }
}

/// What a person has said of a member stays, until the member moves.
fn an_operator_knows_better() {
    let mut book = Book::new();
    let Some(mut house) = by_names(3, &mut book) else { return };
    let (id, url) = (id_of(&house, 1), format!("https://{}:2380", name(1)));
    let said = house.command(0, &["member", "update", &format!("{id:x}"), "--peer-urls", &url]);
    assert_eq!(said.status, 0, "{said:?}");
    let known = |house: &House| -> Vec<String> {
        let members = house.members(1);
        let own = members.iter().find(|member| unsigned(&member["ID"]) == id);
        own.map_or_else(Vec::new, |own| vec![own["peerURLs"][0].as_str().unwrap_or_default().to_owned()])
    };
    let until = |house: &House, what: &str| {
        let deadline = Instant::now() + crate::house::PATIENCE;
        while known(house) != [what] {
            assert!(Instant::now() < deadline, "{:?} is not {what}\n{}", known(house), house.last_words());
            thread::sleep(Duration::from_millis(50));
        }
    };
    until(&house, &url);
    // A board looks where it is every three seconds.
    let stays = Instant::now() + Duration::from_secs(8);
    while Instant::now() < stays {
        let known = known(&house);
        assert!(known.is_empty() || known == [url.as_str()], "{known:?}\n{}", house.last_words());
        thread::sleep(Duration::from_millis(100));
    }
    move_to(&mut house, 1, Ipv4Addr::new(10, 77, 0, 101));
    tell_names(&house);
    settle(&house, &book, "one that was called by its name moves");
}
