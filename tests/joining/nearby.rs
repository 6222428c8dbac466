//! Members that are found in the local network, by a URL without hosts.

use crate::{
    house::House,
    invited::first_board,
    judge::{Book, is_one_cluster},
    runner::{Scene, scenes},
};

pub(crate) const SCENES: &[Scene] = scenes![boards_find_each_other_by_multicast, a_strangers_cluster_is_none];

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
