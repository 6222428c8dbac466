//! How many boards vote, and from when on.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    house::{House, PATIENCE, Status, unsigned},
    invited::{first_board, listed_with},
    judge::{Book, is_one_cluster},
    losses::is_voter,
    runner::{Scene, scenes},
    support::net::loudly,
};

pub(crate) const SCENES: &[Scene] =
    scenes![as_many_vote_as_may, who_comes_later_is_watched_first, who_has_not_caught_up_does_not_vote];

/// So long a board has to be there before it votes.
const STEADY: Duration = Duration::from_secs(5);

/// A value, of which this many are on their way to who keeps up.
const LARGE: usize = 100_000;
const UNDER_WAY: i64 = 11;

fn voters(house: &House, at: usize) -> Vec<Value> {
    house.members(at).into_iter().filter(is_voter).collect()
}

/// From one look to the next: none of them sees more than so many.
fn stays(house: &House, most: usize, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        for place in house.all() {
            let voters = voters(house, place);
            assert!(voters.len() <= most, "{} of {most} vote: {voters:?}", voters.len());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Of five, three, for as long as all could; and what the cluster has settled can be changed while it serves.
fn as_many_vote_as_may() {
    let Some(mut house) = House::build(5) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &["--voters=3"], &mut book);
    (1..5).for_each(|place| house.serve(place, &["--discovery", &url]));
    is_one_cluster(&house, &house.all(), 3, &book);
    stays(&house, 3, STEADY + Duration::from_secs(2));
    for (asked, vote) in [("4", 3), ("5", 5), ("2", 1)] {
        let said = house.command(0, &["cluster", "set", "--voters", asked]);
        assert_eq!(said.status, 0, "{said:?}");
        is_one_cluster(&house, &house.all(), vote, &book);
    }
}

/// Boards that found a cluster vote at once, for nobody uses it yet. Who comes and goes after that costs it its majority each time.
fn who_comes_later_is_watched_first() {
    let Some(mut house) = House::build(5) else { return };
    house.start_service();
    let url = house.new_token(3);
    (0..3).for_each(|place| house.serve(place, &["--discovery", &url]));
    is_one_cluster(&house, &[0, 1, 2], 3, &Book::new());
    listed_with(&house, 0, "voter: one of 3");
    let began = Instant::now();
    [3, 4].into_iter().for_each(|place| house.serve(place, &["--discovery", &url]));
    is_one_cluster(&house, &house.all(), 5, &Book::new());
    let took = began.elapsed();
    assert!(took >= STEADY, "they vote {took:?} after they were switched on");
}

/// However long it is there, and though it has served before: a majority would wait for it.
fn who_has_not_caught_up_does_not_vote() {
    let Some(mut house) = House::build(3) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &["--voters=1"], &mut book);
    [1, 2].into_iter().for_each(|place| house.join(place, &url));
    [1, 2].into_iter().for_each(|place| house.boards[place].kill());
    let mut revision = 0;
    for number in 0..30 {
        let value: Vec<u8> = (0..LARGE).map(|_| fastrand::u8(..)).collect();
        let key = format!("large/{number}");
        let put = house.client(0, PATIENCE, |client| client.put(key.as_bytes(), &value));
        revision = put.expect("it serves");
    }
    if !house.net.narrow(0, "4mbit") {
        loudly("SKIPPED: NOBODY CAUGHT UP OVER A SLOW WIRE: the kernel has no tbf");
        return;
    }
    let said = house.command(0, &["cluster", "set", "--voters", "3"]);
    assert_eq!(said.status, 0, "{said:?}");
    [1, 2].into_iter().for_each(|place| house.boards[place].launch());
    let began = Instant::now();
    loop {
        // Who votes is asked first: nobody has less later.
        let voting: Vec<u64> = voters(&house, 0).iter().map(|member| unsigned(&member["ID"])).collect();
        let there: Vec<Status> = house.all().into_iter().filter_map(|place| house.status(place)).collect();
        let (with_most, behind): (Vec<Status>, Vec<Status>) =
            there.into_iter().partition(|status| status.revision >= revision - UNDER_WAY);
        let is_early = behind.iter().any(|status| voting.contains(&status.id));
        assert!(!is_early, "{voting:x?} vote, {behind:?} are behind {revision}\n{}", house.last_words());
        if with_most.len() == 3 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "they never catch up\n{}", house.last_words());
        thread::sleep(Duration::from_millis(50));
    }
    let took = began.elapsed();
    assert!(took > STEADY, "{took:?} prove nothing: the wire was too wide");
    house.net.mend_all();
    is_one_cluster(&house, &house.all(), 3, &book);
}
