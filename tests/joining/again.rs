//! Boards that come back with their keys and without what they knew. A key says who a board is, and who has voted and forgotten
//! it must not be that member any more: each is told so, in a line that says what to do.

use crate::{
    house::House,
    invited::{first_board, listed_with},
    judge::{Book, is_one_cluster},
    losses::{REPLACE_AFTER, id_of},
    refused::how_it_ended,
    runner::{Scene, scenes},
};

pub(crate) const SCENES: &[Scene] =
    scenes![a_member_without_its_data, a_board_that_was_removed_and_kept_its_key, a_founder_without_its_data];

/// It ends at each start, with a line that has all these words.
fn ends_with(house: &mut House, place: usize, words: &[&str]) {
    for _ in 0..2 {
        house.boards[place].launch();
        let line = how_it_ended(house, place);
        assert!(words.iter().all(|word| line.contains(word)), "{line:?} lacks some of {words:?}");
    }
}

fn ids(house: &House, at: usize) -> Vec<u64> {
    let members = house.members(at);
    members.iter().map(|member| crate::house::unsigned(&member["ID"])).collect()
}

fn a_member_without_its_data() {
    let Some(mut house) = House::build(2) else { return };
    let mut book = Book::new();
    let url = first_board(&mut house, &[], &mut book);
    house.join(1, &url);
    // Who came and went between two looks was never there.
    listed_with(&house, 0, "learner: an even number");
    let (id, before) = (id_of(&house, 1), ids(&house, 0));
    house.boards[1].kill();
    house.lose_data(1);
    ends_with(&mut house, 1, &[&format!("{id:x}"), "data is lost", "its whole data directory"]);
    assert_eq!(ids(&house, 0), before);
    house.lose_disk(1);
    house.join(1, &url);
    assert_ne!(id_of(&house, 1), id, "it has forgotten what it knew, and is the same member");
    is_one_cluster(&house, &house.all(), 1, &book);
}

fn a_board_that_was_removed_and_kept_its_key() {
    let Some(mut house) = House::build(2) else { return };
    let mut book = Book::new();
    first_board(&mut house, &[], &mut book);
    let once = house.invite(0, &["--uses=1"]);
    house.join(1, &once);
    let id = id_of(&house, 1);
    let said = house.command(0, &["member", "remove", &format!("{id:x}")]);
    assert_eq!(said.status, 0, "{said:?}");
    let line = how_it_ended(&mut house, 1);
    assert!(line.contains("removed"), "{line}");
    // With its data it is told by the members; without, by who would let it in.
    ends_with(&mut house, 1, &["removed"]);
    house.lose_data(1);
    let words = [&*format!("{id:x}"), "was removed", "clear the whole data directory", "another invitation"];
    ends_with(&mut house, 1, &words);
    assert_eq!(ids(&house, 0).len(), 1, "a board that was removed is in again");
    // With a new key it is a board like any other, and the token has been used.
    house.lose_disk(1);
    ends_with(&mut house, 1, &["as many boards as it is for", "solder invite"]);
    let again = house.invite(0, &["--uses=1"]);
    house.join(1, &again);
    assert_ne!(id_of(&house, 1), id);
    is_one_cluster(&house, &house.all(), 1, &book);
}

/// It must not make a second cluster of its token.
fn a_founder_without_its_data() {
    let Some(mut house) = House::build(3) else { return };
    house.start_service();
    let url = house.new_token(3);
    house.serve(0, &["--discovery", &url, REPLACE_AFTER]);
    house.wait_for_word(0, "this board founds the cluster, of 3");
    [1, 2].into_iter().for_each(|place| house.serve(place, &["--discovery", &url]));
    is_one_cluster(&house, &house.all(), 3, &Book::new());
    house.boards[0].kill();
    house.lose_data(0);
    ends_with(&mut house, 0, &["has founded the cluster", "its data is lost", "solder invite"]);
    // What the line says helps; the others had the authority's key a moment after they came to vote.
    house.lose_disk(0);
    let url = house.invite(1, &[]);
    house.join(0, &url);
    is_one_cluster(&house, &house.all(), 3, &Book::new());
}
