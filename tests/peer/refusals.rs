//! Who is not wanted, and is told why.

use std::collections::BTreeSet;

use solder::{
    peer::{Bye, Greeting, MemberAddress, Options, Refusal, Roster},
    types::{ClusterId, NodeId},
};

use crate::{
    raw::{Raw, greeting},
    support::{Board, CLUSTER, limits, run, until},
};

async fn verdict(board: &Board, greeting: Greeting) -> Option<Refusal> {
    let mut raw = Raw::dial(&board.url).await;
    let answer = raw.greet(greeting).await;
    assert_eq!((answer.cluster, answer.from), (CLUSTER, board.id), "it says who it is");
    if answer.verdict.is_some() {
        assert!(raw.next().await.is_none(), "it closes");
    }
    answer.verdict
}

#[test]
fn each_reason() {
    run(|executor| async move {
        let one = Board::start(&executor, 1);
        let removed = BTreeSet::from([NodeId(9)]);
        let members = vec![MemberAddress { id: NodeId(2), ..MemberAddress::default() }];
        let roster = Roster { members, removed, takes_guests: false, ..Roster::default() };
        one.peers.set_members(roster.clone());
        let good = greeting(2, 1);
        assert_eq!(verdict(&one, good).await, None);
        let table = [
            (Greeting { lowest: 2, highest: 7, ..good }, Refusal::Version),
            (Greeting { cluster: ClusterId(7), ..good }, Refusal::OtherCluster),
            (Greeting { to: NodeId(3), ..good }, Refusal::WrongMember),
            (Greeting { from: NodeId(1), ..good }, Refusal::SameMember),
            (Greeting { from: NodeId(9), ..good }, Refusal::Removed),
            (Greeting { from: NodeId(4), ..good }, Refusal::NotMember),
        ];
        for (bad, reason) in table {
            assert_eq!(verdict(&one, bad).await, Some(reason));
        }
        assert_eq!(one.peers.totals().refused, 6);
        assert_eq!(verdict(&one, Greeting { lowest: 1, highest: 7, ..good }).await, None, "a newer build");
        one.peers.set_members(Roster { takes_guests: true, ..roster });
        assert_eq!(verdict(&one, Greeting { from: NodeId(4), ..good }).await, None);
        assert_eq!(verdict(&one, Greeting { from: NodeId(9), ..good }).await, Some(Refusal::Removed));
    });
}

#[test]
fn guests_are_few() {
    run(|executor| async move {
        let one = Board::start(&executor, 1);
        one.peers.set_members(Roster { takes_guests: true, ..Roster::default() });
        let most = limits().guests_max as u64;
        let mut guests = Vec::new();
        for id in 2..2 + most {
            guests.push(Raw::join(&one.url, greeting(id, 1)).await);
        }
        assert_eq!(verdict(&one, greeting(99, 1)).await, Some(Refusal::Busy));
        guests.pop();
        until("forgotten", || one.peers.figures().len() as u64 == most - 1).await;
        assert_eq!(verdict(&one, greeting(99, 1)).await, None);
    });
}

#[test]
fn boards_tell_each_other() {
    run(|executor| async move {
        let stranger = Options { limits: limits(), ..Options::new(ClusterId(7), NodeId(2), 2) };
        let stranger = Board::start_at(&executor, stranger, "http://127.0.0.1:0");
        let one = Board::start(&executor, 1);
        one.keeps(&[&stranger]);
        stranger.knows(&[&one]);
        until("told once", || one.refusals() == [(2, Refusal::OtherCluster)]).await;
        until("tried again", || one.figures(2).dials_failed > 3).await;
        assert_eq!(one.refusals().len(), 1);
        assert!(stranger.messages().is_empty() && !stranger.is_connected(1));
    });
}

/// A URL that leads to another member of the cluster.
#[test]
fn a_wrong_url() {
    run(|executor| async move {
        let (one, two) = (Board::start(&executor, 1), Board::start(&executor, 2));
        let three = MemberAddress {
            id: NodeId(3),
            urls: vec![two.url.clone()],
            is_kept: true,
            ..MemberAddress::default()
        };
        one.peers.set_members(Roster { members: vec![three], ..Roster::default() });
        until("refused", || one.figures(3).dials_failed > 1).await;
        assert!(two.peers.totals().refused > 0 && !one.is_connected(3));
        assert_eq!(one.refusals(), [], "somebody may be about to correct it");
    });
}

#[test]
fn a_newer_build_is_told_by_its_dialler_too() {
    run(|executor| async move {
        let one = Board::start(&executor, 1);
        let listener = crate::raw::RawListener::bind();
        let two = MemberAddress {
            id: NodeId(2),
            urls: vec![listener.url()],
            is_kept: true,
            ..MemberAddress::default()
        };
        one.peers.set_members(Roster { members: vec![two], ..Roster::default() });
        let mut raw = listener.accept_silently().await;
        let theirs = raw.read_greeting().await;
        let answer = Greeting { lowest: 2, highest: 3, from: theirs.to, to: theirs.from, ..theirs };
        raw.write(&answer.encode()).await;
        until("refused", || one.refusals() == [(2, Refusal::Version)]).await;
    });
}

/// It has the id of a member, and not its data.
#[test]
fn a_wiped_disk() {
    run(|executor| async move {
        let one = Board::start(&executor, 1);
        let member = |incarnation| MemberAddress { id: NodeId(2), incarnation, ..MemberAddress::default() };
        let list = |incarnation| {
            one.peers.set_members(Roster { members: vec![member(incarnation)], ..Roster::default() });
        };
        let of = |incarnation| Greeting { incarnation, ..greeting(2, 1) };
        // As published.
        list(7);
        assert_eq!(verdict(&one, of(8)).await, Some(Refusal::WipedDisk));
        let mut good = Raw::join(&one.url, of(7)).await;
        // Not published yet, but it was here.
        list(0);
        assert_eq!(verdict(&one, of(8)).await, Some(Refusal::WipedDisk));
        // Who was here was the wrong one.
        list(8);
        assert_eq!(good.bye().await, Some(Bye::NotMember));
        assert_eq!(verdict(&one, of(7)).await, Some(Refusal::WipedDisk));
        assert_eq!(verdict(&one, of(8)).await, None);
    });
}

#[test]
fn a_wiped_disk_is_told_and_does_not_tell() {
    run(|executor| async move {
        let (one, two) = (Board::start(&executor, 1), Board::start(&executor, 2));
        let old = MemberAddress { incarnation: 77, ..two.address(true) };
        one.peers.set_members(Roster { members: vec![old], ..Roster::default() });
        until("seen when dialled", || one.figures(2).dials_failed > 1).await;
        assert_eq!(one.refusals(), [], "it is not this board that was wiped");
        two.keeps(&[&one]);
        until("told", || two.refusals() == [(1, Refusal::WipedDisk)]).await;
        assert!(two.messages().is_empty() && !one.is_connected(2));
    });
}

/// It takes no guests, so nobody could tell it behind the greetings.
#[test]
fn a_board_that_was_another_hears_it_by_the_greeting() {
    run(|executor| async move {
        let (one, two) = (Board::start(&executor, 1), Board::start(&executor, 2));
        two.peers.set_members(Roster::default());
        let old = MemberAddress { incarnation: 77, ..two.address(true) };
        let roster = Roster { members: vec![old], ..Roster::default() };
        one.peers.set_members(roster.clone());
        until("heard", || two.disowned() == [(1, false)]).await;
        until("called again", || one.figures(2).dials_failed > 2).await;
        assert_eq!(two.disowned().len(), 1, "told once");
        assert_eq!(one.refusals(), [], "it is not this board that was wiped");
        one.peers.set_members(Roster { is_led: true, ..roster });
        until("more is known", || two.disowned() == [(1, false), (1, true)]).await;
        assert!(two.messages().is_empty() && !one.is_connected(2));
        // Who is known rightly, or not yet, is not told anything.
        one.peers.set_members(Roster { members: vec![], ..Roster::default() });
        assert_eq!(verdict(&two, Greeting { known_as: 2, ..greeting(3, 2) }).await, Some(Refusal::NotMember));
        assert_eq!(verdict(&two, greeting(3, 2)).await, Some(Refusal::NotMember));
        assert_eq!(two.disowned().len(), 2);
    });
}
