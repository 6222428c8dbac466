//! Is it one cluster now, as it should be?

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    house::{House, PATIENCE, name, unsigned},
    support::client::Trouble,
};

/// What clients were told is there.
pub(crate) type Book = BTreeMap<String, String>;

/// So many vote of so many boards.
pub(crate) fn voters_of(boards: usize, most: usize) -> usize {
    let count = boards.min(most);
    count - (count + 1) % 2
}

/// These boards, and no others, are the members of one cluster; so many vote; all have what is written in the book, and the same
/// of everything; clients are served at all. Waits until it is so.
pub(crate) fn is_one_cluster(house: &House, who: &[usize], voters: usize, book: &Book) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(why) = looks_right(house, who, voters) {
        assert!(Instant::now() < deadline, "{why}\n{}", house.last_words());
        thread::sleep(std::time::Duration::from_millis(100));
    }
    let (first, all_write) = (who[0], who.iter().map(|place| write(house, *place)));
    let last = all_write.max().expect("there are boards");
    let of_first = hash(house, first, last);
    for place in who {
        let found = hash(house, *place, last);
        assert_eq!(found, of_first, "{} and {} differ at {last}", name(first), name(*place));
        assert_holds(house, *place, book);
    }
}

fn looks_right(house: &House, who: &[usize], voters: usize) -> Result<(), String> {
    let (mut clusters, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for place in who {
        let status = house.status(*place).ok_or_else(|| format!("{} does not answer", name(*place)))?;
        clusters.insert(status.cluster);
        ids.insert(status.id);
    }
    if clusters.len() != 1 || ids.len() != who.len() {
        return Err(format!("clusters {clusters:x?}, members {ids:x?} of {} boards", who.len()));
    }
    who.iter().try_for_each(|place| knows_all(house, *place, who, voters, &ids))
}

fn knows_all(
    house: &House,
    place: usize,
    who: &[usize],
    voters: usize,
    ids: &BTreeSet<u64>,
) -> Result<(), String> {
    let members = house.members(place);
    let known: BTreeSet<u64> = members.iter().map(|member| unsigned(&member["ID"])).collect();
    let names: BTreeSet<&str> = members.iter().filter_map(|member| member["name"].as_str()).collect();
    let voting = members.iter().filter(|member| member["isLearner"] != Value::Bool(true)).count();
    let urls: BTreeSet<&str> = members.iter().filter_map(|member| member["peerURLs"][0].as_str()).collect();
    let expected: BTreeSet<String> =
        who.iter().map(|place| format!("https://{}", house.net.address(*place, 2380))).collect();
    let is_right = known == *ids
        && names.len() == who.len()
        && voting == voters
        && urls.into_iter().eq(expected.iter().map(String::as_str));
    match is_right {
        true => Ok(()),
        false => Err(format!(
            "{} knows {known:x?} of {ids:x?}, {voting} voters of {voters}, called {names:?}, and not all where they are: {members:?}",
            name(place)
        )),
    }
}

/// Each board takes writes, and then has come as far as this one.
fn write(house: &House, place: usize) -> i64 {
    let key = format!("judged/{}", name(place));
    house.client(place, PATIENCE, |client| client.until(PATIENCE, |client| client.put(key.as_bytes(), b"")))
}

fn hash(house: &House, place: usize, revision: i64) -> Value {
    let ask = json!({"revision": revision.to_string()});
    let answer = house.client(place, PATIENCE, |client| {
        client.until(PATIENCE, |client| {
            // Linearizable: it has all from then on.
            client.get(b"alive")?;
            client.call("/v3/maintenance/hashkv", &ask)
        })
    });
    json!([answer["hash"], answer["compact_revision"]])
}

fn assert_holds(house: &House, place: usize, book: &Book) {
    let held: Result<Book, Trouble> = house.client(place, PATIENCE, |client| {
        let rows = client.prefix(b"book/")?.rows.into_iter();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it was text");
        Ok(rows.map(|row| (text(row.key), text(row.value))).collect())
    });
    let held = held.expect("it serves");
    let lost: Vec<_> = book.iter().filter(|(key, value)| held.get(*key) != Some(value)).collect();
    assert!(lost.is_empty(), "{} has lost {lost:?}\n{}", name(place), house.last_words());
}
