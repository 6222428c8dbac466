//! The maker's way: `solder serve` on the first board, `solder invite` there, and the URL on all others.

use crate::{
    house::{House, name},
    judge::{Book, is_one_cluster, voters_of},
    together::VOTERS_MAX,
};

/// A board that ran alone, with what it was given to keep; it invites without a restart. The URL.
pub(crate) fn first_board(house: &mut House, flags: &[&str], book: &mut Book) -> String {
    house.serve(0, flags);
    house.wait_until_serving(0);
    let said = house.command(0, &["put", "book/alone", "1"]);
    assert_eq!(said.status, 0, "{said:?}");
    book.insert("book/alone".to_owned(), "1".to_owned());
    house.invite(0, &[])
}

fn boards_come(boards: usize, together: bool) {
    let Some(mut house) = House::build(boards) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    let host = house.net.address(0, 2380);
    assert!(url.starts_with(&format!("https://{host}/join/")), "{url} is not how others reach {host}");
    for place in 1..boards {
        house.serve(place, &["--discovery", &url]);
        if !together {
            house.wait_until_serving(place);
        }
    }
    is_one_cluster(&house, &house.all(), voters_of(boards, VOTERS_MAX), &book);
    // The same at every boot: with data the URL is a hint; and the first board never had one.
    for board in &mut house.boards {
        board.kill();
        board.launch();
    }
    is_one_cluster(&house, &house.all(), voters_of(boards, VOTERS_MAX), &book);
    let listed = house.command(boards - 1, &["member", "list"]);
    assert!(house.all().iter().all(|place| listed.output.contains(&name(*place))), "{listed:?}");
    assert!(!listed.output.contains("127.0.0.1:2380"), "{listed:?}");
}

#[test]
fn two_boards_one_after_the_other() {
    boards_come(2, false);
}

#[test]
fn three_boards_at_once() {
    boards_come(3, true);
}

#[test]
fn six_boards_at_once() {
    boards_come(6, true);
}
