//! Members that are found in the local network, by a URL without hosts.

use std::net::Ipv4Addr;

use crate::{
    house::House,
    invited::first_board,
    judge::{Book, is_one_cluster},
    moves::settle,
    runner::{Scene, scenes},
};

pub(crate) const SCENES: &[Scene] = scenes![
    boards_find_each_other_by_multicast,
    a_strangers_cluster_is_none,
    all_get_other_addresses,
    one_begins_beside_a_cluster,
];

fn boards_find_each_other_by_multicast() {
    let Some(mut house) = House::build(4) else { return };
    // Two have a way out, as behind a router; two have not, as on a switch.
    [0, 1].into_iter().for_each(|place| house.net.route_by_default(place));
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    let (_, rest) = url.split_once("/join/").expect("an invitation");
    let url = format!("mdns:///join/{rest}");
    // Who is not to be found is not found: the others wait for the first board to be told the URL, too.
    house.serve(2, &["--discovery", &url]);
    house.wait_for_word(2, "nobody in this network answers by mDNS");
    house.boards[0].kill();
    house.serve(0, &["--discovery", &url]);
    [1, 3].into_iter().for_each(|place| house.serve(place, &["--discovery", &url]));
    is_one_cluster(&house, &house.all(), 3, &book);
}

/// A neighbour that answers is not a member for that: the secret decides.
fn a_strangers_cluster_is_none() {
    let Some(mut house) = House::build(3) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    house.serve(1, &[]);
    house.wait_until_serving(1);
    let (theirs, _) = (house.invite(1, &[]), house.boards[1].kill());
    let (_, rest) = theirs.split_once("/join/").expect("an invitation");
    house.serve(1, &["--discovery", &format!("mdns:///join/{rest}")]);
    house.wait_until_serving(1);
    let (_, rest) = url.split_once("/join/").expect("an invitation");
    house.serve(2, &["--discovery", &format!("mdns:///join/{rest}")]);
    // Anybody can answer: that the right one has not yet is no reason to give up.
    house.wait_for_word(2, "is not of the cluster that the URL is for");
    house.boards[0].kill();
    house.serve(0, &["--discovery", "mdns"]);
    house.wait_until_serving(2);
}

/// The URL that a member prints which is found like that.
fn near_url(house: &House, place: usize) -> String {
    let said = house.command(place, &["invite"]);
    let words = said.errors.split('\'').find(|word| word.starts_with("mdns:///join/"));
    words.unwrap_or_else(|| panic!("{said:?} has no such URL")).to_owned()
}

/// A new router, and nothing that knows names: neither addresses nor names lead from one to another.
fn all_get_other_addresses() {
    let Some(mut house) = House::build(3) else { return };
    let mut book = Book::new();
    let _ = first_board(&mut house, &["--discovery", "mdns"], &mut book);
    let url = near_url(&house, 0);
    house.join(1, &url);
    house.join(2, &url);
    is_one_cluster(&house, &house.all(), 3, &book);
    for place in house.all() {
        let last = u8::try_from(70 - place).expect("few boards");
        house.net.renumber(place, Ipv4Addr::new(10, 78, 0, last));
    }
    // Some routers lead nowhere.
    house.net.route_by_default(1);
    settle(&house, &book, "all move, and have no names");
    // The same while they are off.
    house.boards.iter_mut().for_each(|board| board.kill());
    for place in house.all() {
        let last = u8::try_from(80 - place).expect("few boards");
        house.net.renumber(place, Ipv4Addr::new(10, 79, 0, last));
    }
    house.boards.iter_mut().for_each(|board| board.launch());
    settle(&house, &book, "all move while they are off, and have no names");
}

/// Who is not told which cluster to join begins one, and says what its owner may have wanted.
fn one_begins_beside_a_cluster() {
    const WORDS: &str =
        "this board begins alone; members of a cluster are in this network, at 10.77.0.1:2380";
    let Some(mut house) = House::build(2) else { return };
    let mut book = Book::new();
    let _ = first_board(&mut house, &["--discovery", "mdns"], &mut book);
    house.serve(1, &["--discovery", "mdns"]);
    house.wait_until_serving(1);
    house.wait_for_word(1, WORDS);
    assert!(!house.boards[0].log_text().contains("begins alone"), "{}", house.last_words());
    // Said once, where it can still be changed without loss.
    house.boards[1].kill();
    house.boards[1].launch();
    house.wait_until_serving(1);
    assert_eq!(house.boards[1].log_text().matches(WORDS).count(), 1, "{}", house.last_words());
}
