//! Hosts of one URL that do not say the same: some are not reached, and some are of another cluster.

use crate::{
    house::House,
    invited::first_board,
    judge::{Book, is_one_cluster},
    refused::is_refused,
    runner::{Scene, scenes},
};

pub(crate) const SCENES: &[Scene] = scenes![one_of_several_is_of_another_cluster];

/// As long as another may be the right one, that one is not is no reason to give up; where none is left, it is.
fn one_of_several_is_of_another_cluster() {
    let Some(mut house) = House::build(4) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    let (_, rest) = url.split_once("/join/").expect("an invitation");
    for place in [1, 2] {
        house.serve(place, &[]);
        house.wait_until_serving(place);
        house.invite(place, &[]);
    }
    let hosts = |places: &[usize]| {
        let hosts: Vec<String> =
            places.iter().map(|place| house.net.address(*place, 2380).to_string()).collect();
        format!("https://{}/join/{rest}", hosts.join(","))
    };
    let (strangers, mixed) = (hosts(&[1, 2]), hosts(&[1, 0, 2]));
    let words = ["is not of the cluster that the URL is for", "solder invite"];
    is_refused(&mut house, 3, &["--discovery", &strangers], &words);
    house.net.unplug(0);
    house.serve(3, &["--discovery", &mixed]);
    house.wait_for_word(3, "waiting to be let into the cluster");
    assert!(house.boards[3].ended().is_none(), "{}", house.boards[3].log_tail());
    house.net.plug(0);
    is_one_cluster(&house, &[0, 3], 1, &book);
}
