//! Both dial at one time.

use std::time::Duration;

use crate::support::{Board, options, run, until};

#[test]
fn both_dial_at_once_and_one_connection_is_left() {
    run(|executor| async move {
        let mut duels = 0;
        for _ in 0..10 {
            let board = |id| {
                let mut options = options(id);
                options.limits.beat = Duration::from_millis(25);
                Board::start_at(&executor, options, "http://127.0.0.1:0")
            };
            let (one, two) = (board(1), board(2));
            one.keeps(&[&two]);
            two.keeps(&[&one]);
            one.reaches(&two).await;
            two.reaches(&one).await;
            duels += u64::from(one.figures(2).connections[0] == 2);
            let sent = one.figures(2).connections;
            // The one that is of no use ends, without anybody being lost, and none comes in its place.
            goes_on(&one, &two).await;
            assert_eq!(one.figures(2).connections, sent);
            assert_eq!((one.met(), two.met()), (vec![2], vec![1]), "whoever dialled, it is one meeting");
            assert_eq!((one.lost(), two.lost()), (vec![], vec![]));
        }
        println!("{duels} of 10 rounds were duels");
        assert!(duels > 0, "nothing was tested");
    });
}

/// Heartbeats go on over what is left.
async fn goes_on(one: &Board, two: &Board) {
    for _ in 0..8 {
        crate::support::pause(Duration::from_millis(25)).await;
        one.reaches(two).await;
        two.reaches(one).await;
    }
    until("connected", || one.is_connected(2) && two.is_connected(1)).await;
}
