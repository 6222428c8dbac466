//! What a token counts, and what it is after it was used.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use async_io::block_on;
use solder::{
    join::{JoinUrl, Way},
    peer::{BoardTls, JoinAnswer, JoinRequest, Joiner, Pass, PeerUrl, RollCall, RollEntry},
    types::{Bytes, MemberRow, NodeId},
};
use tempfile::TempDir;

use crate::{
    house::{House, PATIENCE},
    invited::first_board,
    judge::{Book, is_one_cluster},
    refused::{id_in, is_refused},
    runner::{Scene, scenes},
};

pub(crate) const SCENES: &[Scene] = scenes![
    who_is_refused_has_used_nothing,
    a_used_token_ends_as_it_would_have,
    who_asks_again_is_the_same_board,
    what_a_newcomer_says_is_not_believed,
    a_board_has_its_own_name_again
];

/// Its line in the list, if it is there.
fn listed(house: &House, url: &str) -> Option<String> {
    let said = house.command(0, &["invite", "--list"]);
    assert_eq!(said.status, 0, "{said:?}");
    said.output.lines().find(|line| line.contains(id_in(url))).map(str::to_owned)
}

fn assert_listed(house: &House, url: &str, words: &str) {
    let line = listed(house, url);
    assert!(line.as_ref().is_some_and(|line| line.contains(words)), "{line:?} lacks {words:?}");
}

/// For want of room, and for its name.
fn who_is_refused_has_used_nothing() {
    let Some(mut house) = House::build(4) else { return };
    let mut book = Book::new();
    first_board(&mut house, &["--name=door", "--voters=1", "--max-learners=1"], &mut book);
    let twice = house.invite(0, &["--uses=2"]);
    house.join(1, &twice);
    assert_listed(&house, &twice, "1 of 2");
    for place in [2, 3] {
        is_refused(&mut house, place, &["--discovery", &twice], &["as many learners as it may"]);
        is_refused(&mut house, place, &["--discovery", &twice, "--name=door"], &["\"door\" already"]);
    }
    assert_listed(&house, &twice, "1 of 2");
    let said = house.command(0, &["cluster", "set", "--max-learners", "2"]);
    assert_eq!(said.status, 0, "{said:?}");
    // By another key than that which was refused.
    house.join(2, &twice);
    assert_listed(&house, &twice, "2 of 2");
    is_one_cluster(&house, &[0, 1, 2], 1, &book);
}

/// After its time, or when it is revoked; and with it goes what was counted.
fn a_used_token_ends_as_it_would_have() {
    let Some(mut house) = House::build(4) else { return };
    let mut book = Book::new();
    let day = first_board(&mut house, &[], &mut book);
    let forever = house.invite(0, &["--ttl=0"]);
    house.join(1, &day);
    house.join(2, &forever);
    assert_listed(&house, &day, "24 h");
    assert_listed(&house, &forever, "for ever");
    for url in [day, forever] {
        let id = id_in(&url);
        let kept = |house: &House, prefix: &str| {
            let prefix = format!("/_solder/{prefix}/{id}");
            house
                .client(0, PATIENCE, |client| client.prefix(prefix.as_bytes()))
                .expect("it serves")
                .rows
                .len()
        };
        assert_eq!((kept(&house, "join"), kept(&house, "joined")), (1, 1));
        let said = house.command(0, &["invite", "--revoke", id]);
        assert_eq!(said.status, 0, "{said:?}");
        assert_eq!((kept(&house, "join"), kept(&house, "joined"), listed(&house, &url)), (0, 0, None));
        is_refused(&mut house, 3, &["--discovery", &url], &["knows no token", "solder invite"]);
    }
    is_one_cluster(&house, &[0, 1, 2], 3, &book);
}

/// A newcomer that is cut off before it has kept what it was told.
struct Newcomer {
    tls: BoardTls,
    host: PeerUrl,
    pass: Pass,
    name: String,
    peer_url: String,
    board: Bytes,
    level: u32,
}

impl Newcomer {
    fn new(folder: &Path, url: &str, address: &str) -> Newcomer {
        let JoinUrl { way, token, secret, .. } = JoinUrl::parse(url).expect("an invitation");
        let Way::Members { hosts, pin } = way else { panic!("{way:?}") };
        Newcomer {
            tls: BoardTls::make(folder).expect("room for keys"),
            host: hosts[0].clone(),
            pass: Pass { token, secret, pin: Some(pin) },
            name: "new".to_owned(),
            peer_url: format!("https://{address}"),
            board: Bytes::default(),
            level: 2,
        }
    }

    /// On board 1, where nothing else runs.
    fn asks(&self, house: &House) -> JoinAnswer {
        let request = JoinRequest {
            name: self.name.clone(),
            is_default_name: true,
            suffix: "0002".to_owned(),
            public_key: self.tls.public_key(),
            peer_urls: vec![self.peer_url.clone()],
            client_urls: Vec::new(),
            board: self.board.clone(),
            level: self.level,
        };
        let joined = house.net.at_home(1, || {
            let joiner = Joiner::new().expect("a thread");
            block_on(async {
                let reached = joiner.reach(&self.host).await?;
                joiner.join(reached, &self.pass, &request, Duration::from_secs(20)).await
            })
        });
        joined.expect("it is let in or not")
    }
}

fn rows(roll: &RollCall) -> Vec<(NodeId, MemberRow)> {
    let row = |entry: &RollEntry| (entry.id, MemberRow::decode(&entry.row).expect("a row"));
    roll.members.iter().map(row).collect()
}

/// However often, whatever was lost on the way: it is one member, one use and one key.
fn who_asks_again_is_the_same_board() {
    let Some(mut house) = House::build(2) else { return };
    first_board(&mut house, &[], &mut Book::new());
    let twice = house.invite(0, &["--uses=2"]);
    let scratch = TempDir::new().expect("a temporary directory");
    let here = house.net.address(1, 2380).to_string();
    let newcomer = Newcomer::new(&scratch.path().join("one"), &twice, &here);
    let mut welcomed: Vec<(NodeId, String)> = Vec::new();
    for _ in 0..3 {
        let answer = newcomer.asks(&house);
        let JoinAnswer::Welcome { member, name, roll, .. } = answer else { panic!("{answer:?}") };
        welcomed.push((member, name));
        // Who is who is a matter of keys: all have one in the list, and the newcomer its own.
        let rows = rows(&roll);
        assert!(rows.len() == 2 && rows.iter().all(|(_, row)| row.key.len() == 32), "{rows:?}");
        let own = rows.into_iter().find(|(id, _)| *id == member).map(|(_, row)| row.key);
        assert_eq!(own, Some(newcomer.tls.key_hash()));
    }
    assert!(welcomed.iter().all(|one| *one == welcomed[0]), "{welcomed:?}");
    assert_eq!(house.members(0).len(), 2);
    assert_listed(&house, &twice, "1 of 2");
    // Another board with another key is another member, under another name.
    let other = Newcomer::new(&scratch.path().join("two"), &twice, &here.replace("2380", "2390"));
    let JoinAnswer::Welcome { member, name, .. } = other.asks(&house) else {
        panic!("there is one use left")
    };
    assert!(member != welcomed[0].0 && name == "new-0002", "{member} {name}");
    let third = Newcomer::new(&scratch.path().join("three"), &twice, &here.replace("2380", "2391"));
    let JoinAnswer::Refused { why } = third.asks(&house) else { panic!("one for two lets in three") };
    assert!(why.contains("as many boards as it is for"), "{why}");
}

/// It knows the secret, and for the rest may be anybody: what it says of itself is looked at before it is written down.
fn what_a_newcomer_says_is_not_believed() {
    let Some(mut house) = House::build(2) else { return };
    let url = first_board(&mut house, &[], &mut Book::new());
    let scratch = TempDir::new().expect("a temporary directory");
    let good = Newcomer::new(&scratch.path().join("one"), &url, &house.net.address(1, 2380).to_string());
    let named = |name: &str, good: Newcomer| Newcomer { name: name.to_owned(), ..good };
    let at = |peer_url: &str, good: Newcomer| Newcomer { peer_url: peer_url.to_owned(), ..good };
    let again = || Newcomer::new(&scratch.path().join("one"), &url, "10.77.0.2:2380");
    for (bad, word) in [
        (named("", again()), "is no name of a member"),
        (named("a,b=http://c", again()), "is no name of a member"),
        (named("a\nb", again()), "is no name of a member"),
        (named(&"n".repeat(65), again()), "is no name of a member"),
        (at("http://10.77.0.2:2380", again()), "are no peer URLs"),
        (at("https://10.77.0.2:2380/x", again()), "are no peer URLs"),
        (at("", again()), "are no peer URLs"),
        (Newcomer { level: 1, ..again() }, "install the newer build on this board"),
    ] {
        let answer = bad.asks(&house);
        let JoinAnswer::Refused { why } = &answer else { panic!("{answer:?}") };
        assert!(why.contains(word), "{why}");
    }
    assert_eq!(house.members(0).len(), 1);
    assert_listed(&house, &url, " 0");
    let answer = good.asks(&house);
    assert!(matches!(answer, JoinAnswer::Welcome { .. }), "{answer:?}");
}

/// Its hardware says so; unless there is one of that hardware, which has it.
fn a_board_has_its_own_name_again() {
    let Some(mut house) = House::build(3) else { return };
    let url = first_board(&mut house, &[], &mut Book::new());
    house.join(2, &url);
    let scratch = TempDir::new().expect("a temporary directory");
    let newcomer = |key: &str, port: u16, board: Bytes| {
        let here = house.net.address(1, port).to_string();
        let plain = Newcomer::new(&scratch.path().join(key), &url, &here);
        Newcomer { name: "n3".to_owned(), board, ..plain }
    };
    let name_of = |answer: JoinAnswer| {
        let JoinAnswer::Welcome { name, roll, .. } = answer else { panic!("{answer:?}") };
        let board = rows(&roll).into_iter().find(|(_, row)| row.name == "n3").map(|(_, row)| row.board);
        (name, board.expect("there is one"))
    };
    let (name, board) = name_of(newcomer("other", 2380, Bytes::from("another board")).asks(&house));
    assert!(name == "n3-0002" && board.len() == 16, "{name} {board:?}");
    let (name, _) = name_of(newcomer("clone", 2390, board.clone()).asks(&house));
    assert!(name != "n3" && name.starts_with("n3-"), "two that are there are called {name}");
    house.boards[2].kill();
    // Until the others have noticed.
    let deadline = Instant::now() + PATIENCE;
    for port in 2400.. {
        let (name, _) = name_of(newcomer(&port.to_string(), port, board.clone()).asks(&house));
        if name == "n3" {
            break;
        }
        assert!(Instant::now() < deadline, "its name is another's for ever: it is {name}");
    }
}
