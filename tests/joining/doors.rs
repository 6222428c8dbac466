//! The board that others are to come in by: asked by several at one moment, and with another program at its port.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
};

use serde_json::json;

use crate::{
    house::{House, PATIENCE},
    invited::alone,
    judge::{Book, is_one_cluster},
    runner::{Scene, scenes},
    support::client::Trouble,
};

pub(crate) const SCENES: &[Scene] =
    scenes![invitations_at_one_moment, a_port_that_is_taken, as_many_as_a_person_reads];

/// What opens its door says so.
const OPENED: &str = "peers are served at";

/// Where peers are served while nobody is to come.
const INSIDE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2380);

/// It makes one authority and one door, and each is told a URL that lets boards in.
fn invitations_at_one_moment() {
    let Some(mut house) = House::build(4) else { return };
    let mut book = Book::new();
    alone(&mut house, &[], &mut book);
    let invite = || {
        let asked = json!({"ttl": "3600"});
        let answer = house.client(0, PATIENCE, |client| client.call("/v3/cluster/invite", &asked));
        answer.expect("an invitation")["url"].as_str().expect("a URL").to_owned()
    };
    let urls: Vec<String> = thread::scope(|scope| {
        let asked: Vec<_> = (0..3).map(|_| scope.spawn(invite)).collect();
        asked.into_iter().map(|asked| asked.join().expect("it does not panic")).collect()
    });
    let pin = |url: &str| url.rsplit_once('.').expect("a pin").1.to_owned();
    assert!(urls.iter().all(|url| pin(url) == pin(&urls[0])), "authorities of one cluster: {urls:?}");
    let said = house.boards[0].log_text();
    assert_eq!(said.matches(OPENED).count(), 1, "{said}");
    (1..4).for_each(|place| house.join(place, &urls[place - 1]));
    // And what is on its disk is what it goes by.
    house.boards[0].kill();
    house.boards[0].launch();
    is_one_cluster(&house, &house.all(), 3, &book);
}

/// Who cannot open the door to all keeps what it has, says whose fault it is, and can be asked again.
fn a_port_that_is_taken() {
    let Some(mut house) = House::build(2) else { return };
    let mut book = Book::new();
    alone(&mut house, &[], &mut book);
    let outside = house.net.address(0, 2380);
    let other = house.net.at_home(0, || TcpListener::bind(outside).expect("nobody has it"));
    for _ in 0..2 {
        let said = house.command(0, &["invite"]);
        assert!(said.status != 0 && said.output.is_empty(), "{said:?}");
        assert!(said.errors.contains(":2380") && said.errors.contains("nothing was changed"), "{said:?}");
        assert_eq!(said.errors.trim().lines().count(), 1, "{said:?}");
        // Nothing is half done: it has no keys, there is no invitation, and the door is where it was.
        assert!(!house.boards[0].data_dir().join("tls").exists());
        assert_eq!(house.command(0, &["invite", "--list"]).output.trim(), "");
        assert!(house.net.at_home(0, || TcpStream::connect(INSIDE).is_ok()), "{}", house.last_words());
        let urls = house.members(0)[0]["peerURLs"].clone();
        assert!(urls[0].as_str().is_some_and(|url| url.starts_with("http://")), "{urls}");
    }
    let said = house.boards[0].log_text();
    assert!(!said.contains(OPENED) && !said.contains("not served any more"), "{said}");
    drop(other);
    let url = house.invite(0, &[]);
    house.join(1, &url);
    is_one_cluster(&house, &house.all(), 1, &book);
}

/// They are in every board's store: somebody who makes them in a loop is told so.
fn as_many_as_a_person_reads() {
    let Some(mut house) = House::build(1) else { return };
    alone(&mut house, &[], &mut Book::new());
    let (made, refused) = house.client(0, PATIENCE, |client| {
        let mut made = Vec::new();
        loop {
            match client.call("/v3/cluster/invite", &json!({"ttl": "0"})) {
                Ok(answer) => made.push(answer["id"].as_str().expect("an id").to_owned()),
                Err(refused) => return (made, refused),
            }
            assert!(made.len() <= 1000, "there is no end to it");
        }
    });
    let Trouble::Refused { message, .. } = &refused else { panic!("{refused:?}") };
    assert!(made.len() == 1000 && message.contains("solder invite --revoke"), "{} {message}", made.len());
    let said = house.command(0, &["invite", "--revoke", &made[0]]);
    assert_eq!(said.status, 0, "{said:?}");
    house.invite(0, &[]);
}
