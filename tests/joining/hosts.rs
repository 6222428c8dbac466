//! What a discovery service has to say, and who else is asked: its hosts, of which some may be members; strangers who use its token;
//! data that is no more a newcomer's.

use std::net::SocketAddr;

use serde_json::Value;

use crate::{
    house::{House, name},
    judge::{Book, is_one_cluster},
    refused::how_it_ended,
    runner::{Scene, scenes},
    support::http::{Connection, Request},
};

pub(crate) const SCENES: &[Scene] = scenes![
    any_member_answers_for_a_url,
    strangers_who_know_the_token,
    places_that_strangers_have_taken,
    data_of_another_cluster
];

/// Where members serve clients for all, as they do where others are to read them.
const EVERYWHERE: &str = "--listen-client-urls=http://0.0.0.0:2379";

/// The URL with these hosts.
fn at_hosts(url: &str, hosts: &[String]) -> String {
    let (_, rest) = url.trim_start_matches("http://").split_once('/').expect("a token");
    format!("http://{}/{rest}", hosts.join(","))
}

/// In any order: a host that is no service of this token, a service that is gone, or members only.
fn any_member_answers_for_a_url() {
    let Some(mut house) = House::build(6) else { return };
    house.start_service();
    let url = house.new_token(2);
    [0, 1].into_iter().for_each(|place| house.serve(place, &["--discovery", &url, EVERYWHERE]));
    [0, 1].into_iter().for_each(|place| house.wait_until_serving(place));
    let service = house.net.address(house.service_place(), 2379).to_string();
    let member = house.net.address(1, 2379).to_string();
    house.join(2, &at_hosts(&url, &[member.clone(), service.clone()]));
    // It is the service's host that is asked for its token, and a member that knows none.
    house.join(3, &at_hosts(&url, std::slice::from_ref(&member)));
    house.kill_service();
    house.join(4, &at_hosts(&url, &[service.clone(), member.clone()]));
    house.join(5, &at_hosts(&url, &[member, service]));
    is_one_cluster(&house, &house.all(), 5, &Book::new());
}

/// The path of a token at its service.
fn path_of(url: &str) -> String {
    let path = url.splitn(4, '/').nth(3).and_then(|path| path.split('#').next()).expect("a token");
    format!("/{path}")
}

/// Somebody who has seen the token on its way registers with it.
fn register(house: &House, url: &str, id: &str) {
    let here = SocketAddr::from(([127, 0, 0, 1], 2379));
    let path = format!("{}/{id}?prevExist=false", path_of(url));
    let headers = [("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    let request = Request {
        method: "PUT",
        path: &path,
        headers: &headers,
        body: Some(b"value=x%3Dhttps%3A%2F%2F10.77.0.99%3A2380"),
    };
    let call = || Connection::open(here)?.call(&request);
    let answer = house.net.at_home(house.service_place(), call).expect("it serves");
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// Before all boards: one that says that it is a board, and a real etcd member.
fn strangers_who_know_the_token() {
    let Some(mut house) = House::build(3) else { return };
    house.start_service();
    let url = house.new_token(3);
    register(&house, &url, "8e9e05c52164694d");
    register(&house, &url, &"0123456789abcdef".repeat(3));
    house.serve(0, &["--discovery", &url]);
    house.wait_for_word(0, "2 of another kind have registered with this token");
    [1, 2].into_iter().for_each(|place| house.serve(place, &["--discovery", &url]));
    is_one_cluster(&house, &house.all(), 3, &Book::new());
    assert_eq!(house.registered(&url), 5);
}

/// Nobody can register any more: it is said whose places they are.
fn places_that_strangers_have_taken() {
    let Some(mut house) = House::build(1) else { return };
    house.start_service();
    let url = house.new_token(1);
    (0..17).for_each(|number| register(&house, &url, &format!("{number:016x}")));
    house.serve(0, &["--discovery", &url]);
    let line = how_it_ended(&mut house, 0);
    assert!(
        line.contains("17 of another kind have registered") && line.contains("make a new token"),
        "{line}"
    );
}

/// It is said that the URL does nothing, and why.
fn data_of_another_cluster() {
    let Some(mut house) = House::build(3) else { return };
    for place in [0, 1] {
        house.serve(place, &[]);
        house.wait_until_serving(place);
    }
    let urls = [house.invite(0, &[]), house.invite(1, &[])];
    house.join(2, &urls[0]);
    house.boards[2].kill();
    house.join(2, &urls[1]);
    house.wait_for_word(2, "has the data of another cluster");
    house.boards[2].kill();
    house.lose_disk(2);
    // As the system's unit does before there is a URL.
    house.serve(2, &[]);
    house.wait_until_serving(2);
    house.boards[2].kill();
    house.join(2, &urls[0]);
    house.wait_for_word(2, "clear the whole directory to join the cluster of the URL");
    house.boards[2].kill();
    house.lose_disk(2);
    house.join(2, &urls[0]);
    let members: Vec<Value> = house.members(0);
    assert!(members.iter().any(|member| member["name"] == name(2)), "{members:?}");
}
