//! The board that is to found the cluster dies on its way, and comes back.

use std::{thread, time::Duration};

use crate::{
    house::House,
    judge::{Book, is_one_cluster},
    runner::{Scene, scenes},
};

pub(crate) const SCENES: &[Scene] =
    scenes![when_it_is_registered, when_it_has_founded_the_cluster, when_it_waits_for_the_others];

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
