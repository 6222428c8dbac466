//! The list of members changes.

use std::collections::BTreeSet;

use solder::{
    peer::{Refusal, Roster},
    types::NodeId,
};

use crate::support::{Board, options, run, until};

#[test]
fn who_is_removed_is_told_and_stays_out() {
    run(|executor| async move {
        let (one, two, three) =
            (Board::start(&executor, 1), Board::start(&executor, 2), Board::start(&executor, 3));
        one.keeps(&[&two, &three]);
        two.keeps(&[&one]);
        three.knows(&[&one]);
        one.reaches(&two).await;
        two.reaches(&one).await;
        one.reaches(&three).await;
        let connections = one.figures(3).connections;
        let removed = BTreeSet::from([NodeId(2)]);
        let roster =
            Roster { members: vec![three.address(true)], removed, takes_guests: true, ..Roster::default() };
        one.peers.set_members(roster);
        one.heartbeat(2, 1);
        until("it is told", || two.refusals() == [(1, Refusal::Removed)]).await;
        assert_eq!((one.lost(), two.lost()), (vec![], vec![]));
        until("its attempts are refused", || two.figures(1).dials_failed > 2).await;
        assert!(one.peers.totals().refused > 2);
        assert_eq!(two.refusals().len(), 1, "told once");
        one.reaches(&three).await;
        assert_eq!(one.figures(3).connections, connections, "nobody else notices");
    });
}

#[test]
fn who_is_not_in_the_list_any_more_is_told_so() {
    run(|executor| async move {
        let (one, two) = (Board::start(&executor, 1), Board::start(&executor, 2));
        one.knows(&[&two]);
        two.keeps(&[&one]);
        one.reaches(&two).await;
        one.knows(&[]);
        until("it is told", || two.refusals() == [(1, Refusal::NotMember)]).await;
        one.knows(&[&two]);
        one.reaches(&two).await;
        two.reaches(&one).await;
    });
}

#[test]
fn a_member_moves() {
    run(|executor| async move {
        let (one, two) = (Board::start(&executor, 1), Board::start(&executor, 2));
        one.keeps(&[&two]);
        one.reaches(&two).await;
        let moved = Board::start_at(&executor, options(2), "http://127.0.0.1:0");
        // As it would be with the same connection: nothing is cut for it.
        let connections = one.figures(2).connections;
        one.keeps(&[&moved]);
        one.reaches(&two).await;
        assert_eq!(one.figures(2).connections, connections);
        two.peers.stop().await;
        one.reaches(&moved).await;
    });
}

/// Its address is wrong in the list, or it is in no list yet: it is answered on what it dialled itself.
#[test]
fn who_cannot_be_dialled_is_answered() {
    run(|executor| async move {
        let (one, two) = (Board::start(&executor, 1), Board::start(&executor, 2));
        one.peers.set_members(Roster { takes_guests: true, ..Roster::default() });
        two.keeps(&[&one]);
        two.reaches(&one).await;
        one.reaches(&two).await;
        assert_eq!(one.peers.figures().len(), 1);
        // The list comes to know it.
        one.keeps(&[&two]);
        one.reaches(&two).await;
        assert_eq!(one.figures(2).connections, [1, 0]);
        // And a leader's list that does not, sends it away.
        one.knows(&[]);
        until("sent away", || two.refusals() == [(1, Refusal::NotMember)]).await;
    });
}
