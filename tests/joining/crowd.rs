//! Many boards come later, by the URL of the first; and how long it takes a board to come.

use std::time::Instant;

use crate::{
    house::House,
    invited::first_board,
    judge::{Book, is_one_cluster, voters_of},
    runner::{Scene, scenes},
    support::net::loudly,
    together::VOTERS_MAX,
};

pub(crate) const SCENES: &[Scene] = scenes![twenty_more_ten_at_once];

/// For a person to look at.
pub(crate) const BY_HAND: &[Scene] = scenes![from_a_blank_board_to_serving];

fn twenty_more_ten_at_once() {
    let Some(mut house) = House::build(23) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    (1..3).for_each(|place| house.join(place, &url));
    for number in 0..500 {
        let (key, value) = (format!("book/{number}"), number.to_string());
        house
            .client(0, crate::house::PATIENCE, |client| client.put(key.as_bytes(), value.as_bytes()))
            .expect("it serves");
        book.insert(key, value);
    }
    for more in [3..13, 13..23] {
        let there = more.end;
        more.for_each(|place| house.serve(place, &["--discovery", &url]));
        let who: Vec<usize> = (0..there).collect();
        is_one_cluster(&house, &who, voters_of(there, VOTERS_MAX), &book);
    }
}

/// From the start of a blank board's process until it serves, with as much data as there is. By hand, and of a release build:
/// `cargo test --release --test joining from_a_blank -- --ignored --nocapture`
fn from_a_blank_board_to_serving() {
    let Some(mut house) = House::build(12) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    for (boards, keys) in [(1..6, 0), (6..11, 10_000)] {
        for number in 0..keys {
            let key = format!("k/{number}");
            let put =
                house.client(0, crate::house::PATIENCE, |client| client.put(key.as_bytes(), &[b'.'; 100]));
            put.expect("it serves");
        }
        for place in boards {
            let began = Instant::now();
            house.join(place, &url);
            let took = began.elapsed();
            loudly(&format!("a blank board serves after {took:?}, with {keys} keys"));
            assert!(took.as_secs() < 3, "{took:?}\n{}", house.last_words());
        }
    }
}
