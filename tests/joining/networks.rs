//! Networks other than one of IPv4: several at one board, and one of IPv6 alone.

use std::net::Ipv4Addr;

use crate::{
    house::House,
    invited::{alone, first_board},
    judge::{Book, is_one_cluster, voters_of},
    moves::move_to,
    runner::{Scene, scenes},
    support::net::loudly,
    together::VOTERS_MAX,
};

pub(crate) const SCENES: &[Scene] = scenes![only_ipv6, two_networks];

/// Without a router: no default route leads anywhere.
fn only_ipv6() {
    let Some(mut house) = House::build(2) else { return };
    if !house.all().into_iter().all(|place| house.net.renumber_to_v6(place)) {
        return loudly("SKIPPED: IPv6 WAS NOT TESTED: the kernel has none");
    }
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    assert!(url.starts_with("https://[fd77::1]:2380/join/"), "{url}");
    house.join(1, &url);
    is_one_cluster(&house, &house.all(), voters_of(2, VOTERS_MAX), &book);
    for board in &mut house.boards {
        board.kill();
        board.launch();
    }
    is_one_cluster(&house, &house.all(), voters_of(2, VOTERS_MAX), &book);
}

/// A first board knows not yet where the others will be: its URL leads to it from each of its networks, as it is in them now.
fn two_networks() {
    let Some(mut house) = House::build(2) else { return };
    house.net.add_network(0, "card0", Ipv4Addr::new(10, 99, 0, 7));
    house.net.add_network(0, "docker0", Ipv4Addr::new(172, 17, 0, 1));
    house.net.route_by_default(0);
    let mut book = Book::new();
    alone(&mut house, &[], &mut book);
    let url = house.invite(0, &[]);
    assert!(url.starts_with("https://10.77.0.1:2380,10.99.0.7:2380/join/"), "{url}");
    move_to(&mut house, 0, Ipv4Addr::new(10, 78, 0, 50));
    move_to(&mut house, 1, Ipv4Addr::new(10, 78, 0, 51));
    // At once: the store still says where it was.
    let url = house.invite(0, &[]);
    assert!(url.starts_with("https://10.78.0.50:2380,10.99.0.7:2380/join/"), "{url}");
    house.join(1, &url);
    is_one_cluster(&house, &house.all(), voters_of(2, VOTERS_MAX), &book);
    let url = house.invite(0, &[]);
    assert!(url.starts_with("https://10.78.0.50:2380,10.78.0.51:2380/join/"), "{url}");
}
