//! The board that is to found the cluster dies on its way, and comes back.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::{
    house::{House, PATIENCE},
    judge::{Book, is_one_cluster},
    runner::{Scene, scenes},
};

pub(crate) const SCENES: &[Scene] = scenes![
    when_it_is_registered,
    when_it_has_founded_the_cluster,
    when_it_waits_for_the_others,
    when_it_has_let_all_in
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
