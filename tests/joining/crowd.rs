//! Many boards come later, by the URL of the first.

use crate::{
    house::House,
    invited::first_board,
    judge::{Book, is_one_cluster, voters_of},
    together::VOTERS_MAX,
};

#[test]
fn twenty_more_ten_at_once() {
    let Some(mut house) = House::build(23) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    (1..3).for_each(|place| house.join(place, &url));
    for number in 0..500 {
        let (key, value) = (format!("book/{number}"), number.to_string());
        house.client(0, crate::house::PATIENCE, |client| client.put(key.as_bytes(), value.as_bytes())).expect("it serves");
        book.insert(key, value);
    }
    for more in [3..13, 13..23] {
        let there = more.end;
        more.for_each(|place| house.serve(place, &["--discovery", &url]));
        let who: Vec<usize> = (0..there).collect();
        is_one_cluster(&house, &who, voters_of(there, VOTERS_MAX), &book);
    }
}
