//! Over plain TCP: messages both ways, coming and going.

use std::time::Duration;

use solder::{
    peer::{Bye, Frame, MemberAddress, Options, PeerUrl, Purpose, Roster},
    types::NodeId,
};

use crate::{
    raw::RawListener,
    support::{Board, options, pause, run, until, vote},
};

#[test]
fn messages_go_both_ways() {
    run(|executor| async move {
        let (one, two) = (Board::start(&executor, 1), Board::start(&executor, 2));
        one.knows(&[&two]);
        two.knows(&[&one]);
        assert!(!one.is_connected(2), "nothing to say, nothing to dial");
        one.reaches(&two).await;
        two.reaches(&one).await;
        assert_eq!(two.figures(1).connections, [1, 0], "the answer goes back on the same connection");
        assert_eq!((one.lost(), two.lost()), (vec![], vec![]));
        until("a round trip", || one.figures(2).round_trip.is_some() && two.figures(1).round_trip.is_some())
            .await;
        let (of_two, of_one) = (one.figures(2), two.figures(1));
        assert_eq!((of_two.dropped, of_one.dropped, of_one.malformed), (0, 0, 0));
        until("all that was sent has come", || one.figures(2).bytes_sent == two.figures(1).bytes_received)
            .await;
    });
}

#[test]
fn members_that_vote_keep_a_connection() {
    run(|executor| async move {
        let (one, two) = (Board::start(&executor, 1), Board::start(&executor, 2));
        one.keeps(&[&two]);
        two.knows(&[&one]);
        until("connected", || one.is_connected(2) && two.is_connected(1)).await;
        assert_eq!(one.figures(2).messages_sent, 0);
    });
}

#[test]
fn many_small_messages_are_one_write() {
    run(|executor| async move {
        let (one, two) = (Board::start(&executor, 1), Board::start(&executor, 2));
        one.knows(&[&two]);
        two.knows(&[&one]);
        one.reaches(&two).await;
        pause(Duration::from_millis(20)).await;
        let before = one.figures(2);
        (0..200).for_each(|index| one.peers.send(vote(1, 2, index)));
        let wanted: Vec<String> = (0..200).map(|index| format!("vote {index}")).collect();
        until("all have come", || two.messages().ends_with(&wanted)).await;
        let after = one.figures(2);
        assert_eq!(after.messages_sent - before.messages_sent, 200);
        assert!(after.writes - before.writes <= 2, "{} writes", after.writes - before.writes);
    });
}

#[test]
fn a_peer_that_ends_is_told_of_and_found_again() {
    run(|executor| async move {
        let one = Board::start(&executor, 1);
        let two = Board::start(&executor, 2);
        one.knows(&[&two]);
        two.knows(&[&one]);
        one.reaches(&two).await;
        let url = two.url.to_string();
        two.peers.stop().await;
        until("its end is told", || one.lost() == [2]).await;
        until("dialled in vain", || {
            one.heartbeat(2, 1);
            one.figures(2).dials_failed >= 3
        })
        .await;
        let two = Board::start_at(&executor, options(2), &url);
        two.knows(&[&one]);
        one.reaches(&two).await;
        two.reaches(&one).await;
        assert_eq!(one.lost(), [2], "once");
        drop(two);
        until("told again", || one.lost() == [2, 2]).await;
    });
}

/// What a board says before it ends, and what is no end of a board.
#[test]
fn only_the_end_of_a_process_is_an_end() {
    run(|executor| async move {
        let one = Board::start(&executor, 1);
        let listener = RawListener::bind();
        let members = vec![MemberAddress {
            id: NodeId(2),
            urls: vec![listener.url()],
            is_kept: true,
            ..MemberAddress::default()
        }];
        one.peers.set_members(Roster { members, ..Roster::default() });
        for why in [Bye::Idle, Bye::Replaced, Bye::Malformed] {
            let (mut raw, _) = listener.accept().await;
            until("connected", || one.is_connected(2)).await;
            raw.send(Frame::Bye(why)).await;
            until("ended", || !one.is_connected(2)).await;
        }
        assert_eq!(one.lost(), [0; 0]);
        let (mut raw, _) = listener.accept().await;
        raw.send(Frame::Bye(Bye::Stopping)).await;
        until("it stops", || one.lost() == [2]).await;
        let (raw, _) = listener.accept().await;
        until("connected", || one.is_connected(2)).await;
        drop(raw);
        until("it was killed", || one.lost() == [2, 2]).await;
    });
}

#[test]
fn names_are_looked_up_and_all_urls_tried() {
    run(|executor| async move {
        let two = Board::start(&executor, 2);
        let one = Board::start(&executor, 1);
        let url = |url: String| PeerUrl::parse(&url).expect("a URL");
        let port = two.url.port;
        let urls = vec![url("http://board.invalid:1".into()), url(format!("http://localhost:{port}"))];
        let members = vec![MemberAddress { id: NodeId(2), urls, is_kept: true, ..MemberAddress::default() }];
        one.peers.set_members(Roster { members, ..Roster::default() });
        until("connected", || one.is_connected(2)).await;
        assert_eq!(one.figures(2).dials_failed, 1);
        assert_eq!(two.figures(1).connections, [1, 0], "it did not know member 1, and took it");
    });
}

#[test]
fn a_connection_that_nobody_needs_is_closed() {
    run(|executor| async move {
        let quick = |id| {
            let mut options: Options = options(id);
            options.limits.beat = Duration::from_millis(20);
            options
        };
        let one = Board::start_at(&executor, quick(1), "http://127.0.0.1:0");
        let two = Board::start_at(&executor, quick(2), "http://127.0.0.1:0");
        one.keeps(&[&two]);
        two.keeps(&[&one]);
        one.peers.send(crate::support::transfer(1, 2, 9));
        until("the transfer came", || two.messages() == ["transfer 9"]).await;
        let listener = RawListener::bind();
        let three = MemberAddress { id: NodeId(3), urls: vec![listener.url()], ..MemberAddress::default() };
        let members = vec![two.address(true), three];
        one.peers.set_members(Roster { members, ..Roster::default() });
        one.heartbeat(3, 1);
        let (mut raw, purpose) = listener.accept().await;
        assert_eq!(purpose, Purpose::Urgent);
        assert_eq!(raw.bye().await, Some(Bye::Idle));
        drop(raw);
        until("closed", || !one.is_connected(3)).await;
        assert!(one.is_connected(2) && two.is_connected(1), "this one is kept");
        assert_eq!((one.lost(), two.lost()), (vec![], vec![]));
        one.peers.send(crate::support::transfer(1, 2, 10));
        until("the transfer came", || two.messages() == ["transfer 9", "transfer 10"]).await;
    });
}
