//! A cluster that is lost for good begins anew from a snapshot, with its authority and without.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::{
    house::{House, unsigned},
    invited::first_board,
    judge::{Book, is_one_cluster},
    refused::how_it_ended,
    runner::{Scene, scenes},
};

pub(crate) const SCENES: &[Scene] = scenes![what_the_old_authority_has_signed_goes_on_to_count];

fn ok(house: &House, place: usize, arguments: &[&str]) -> String {
    let said = house.command(place, arguments);
    assert_eq!(said.status, 0, "{arguments:?}: {said:?}\n{}", house.last_words());
    format!("{}{}", said.output, said.errors)
}

fn fails(house: &House, place: usize, arguments: &[&str], word: &str) {
    let said = house.command(place, arguments);
    assert!(said.status != 0 && said.errors.contains(word), "{arguments:?}: {said:?}");
    assert_eq!(said.errors.lines().count(), 1, "{said:?}");
}

fn what_the_old_authority_has_signed_goes_on_to_count() {
    let Some(mut house) = House::build(4) else { return };
    let mut book = Book::new();
    house.serve(0, &[]);
    house.wait_until_serving(0);
    let scratch = house.boards[0].data_dir().with_file_name("backup");
    fs::create_dir(&scratch).expect("room");
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let (file, copy) = (text(&scratch.join("file")), text(&scratch.join("file.authority")));
    let dir = |house: &House, place: usize| text(&house.boards[place].data_dir());
    let with = |house: &House, place: usize| format!("--with-authority={}", dir(house, place));
    let save = |house: &House, at: usize, of: usize| {
        house.command(at, &["snapshot", "save", &file, &with(house, of)])
    };
    // There is no authority yet; nor has a learner its key.
    let said = save(&house, 0, 0);
    assert!(said.status != 0 && said.errors.contains("no key of a cluster's authority"), "{said:?}");
    house.boards[0].kill();
    first_board(&mut house, &[], &mut book);
    let url = house.invite(0, &["--ttl", "0"]);
    house.join(1, &url);
    is_one_cluster(&house, &[0, 1], 1, &book);
    assert_eq!(fs::read_dir(&scratch).expect("a folder").count(), 0, "nothing was saved");
    let said = save(&house, 1, 1);
    assert!(said.status != 0 && said.errors.contains("the boards that vote have it"), "{said:?}");
    // Of another cluster.
    house.serve(3, &[]);
    house.wait_until_serving(3);
    house.invite(3, &[]);
    let said = save(&house, 0, 3);
    assert!(
        said.status != 0 && said.errors.contains("no member of the saved cluster has the key"),
        "{said:?}"
    );
    assert!(!Path::new(&copy).exists());
    house.boards[3].kill();
    // It is not in what is saved without being asked for it.
    ok(&house, 0, &["snapshot", "save", &file]);
    let key = fs::read_to_string(house.boards[0].data_dir().join("tls/ca.key")).expect("it votes");
    fails(
        &house,
        0,
        &["snapshot", "restore", &file, "--with-authority", "--data-dir", "/nowhere"],
        "file.authority",
    );
    let said = ok(&house, 0, &["snapshot", "save", &file, &with(&house, 0)]);
    assert!(said.contains("file.authority: whoever has that file gets into the cluster"), "{said}");
    let mode = fs::metadata(&copy).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(fs::read_to_string(&copy).expect("text").contains(key.trim()));
    let said = ok(&house, 0, &["snapshot", "status", &file]);
    let pin = url.rsplit('.').next().expect("a pin");
    assert!(said.contains(&format!("has the authority of its cluster: SHA-256 {pin}")), "{said}");
    // All is lost, but for the card of board 1.
    let old = house.status(0).expect("it serves");
    let old_id = unsigned(&house.members(0)[0]["ID"]);
    house.boards[0].kill();
    house.boards[1].kill();
    let offline = text(&scratch.join("offline"));
    ok(&house, 0, &["snapshot", "save", &offline, "--data-dir", &dir(&house, 0), "--with-authority"]);
    let copies = [&copy, &format!("{offline}.authority")].map(|path| fs::read(path).expect("a copy"));
    assert_eq!(copies[0], copies[1]);
    house.lose_disk(0);
    let restore = ["snapshot", "restore", &file, "--data-dir", &dir(&house, 0)];
    let together = "--initial-cluster=n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380";
    let said = house.command(0, &[&restore[..], &["--name=n1", "--with-authority", together]].concat());
    assert!(said.status != 0 && said.errors.contains("--initial-cluster"), "{said:?}");
    // Without the authority the old URL leads to a stranger.
    let said = ok(&house, 0, &restore);
    assert!(said.contains("--with-authority would take it"), "{said}");
    house.serve(0, &[]);
    house.wait_until_serving(0);
    house.invite(0, &[]);
    house.serve(2, &["--discovery", &url]);
    let line = how_it_ended(&mut house, 2);
    assert!(line.contains("is not of the cluster that the URL is for"), "{line}");
    house.lose_disk(2);
    house.boards[0].kill();
    house.lose_disk(0);
    // With it boards join by the old URL, and what stood in the store is there.
    ok(&house, 0, &[&restore[..], &["--with-authority"]].concat());
    house.serve(0, &[]);
    house.wait_until_serving(0);
    let new = house.status(0).expect("it serves");
    assert!(new.cluster != old.cluster && new.id != old_id, "{new:?} is not another than {old:?}");
    [2, 3].into_iter().for_each(|place| {
        if place == 3 {
            house.lose_disk(3);
        }
        house.join(place, &url);
    });
    is_one_cluster(&house, &[0, 2, 3], 3, &book);
    // A member of the old cluster, with its old data, is none of the new one, and disturbs nobody.
    house.boards[1].launch();
    assert!(!house.serves(1), "it has found somebody\n{}", house.last_words());
    is_one_cluster(&house, &[0, 2, 3], 3, &book);
    house.boards[1].kill();
    house.lose_disk(1);
    house.join(1, &url);
    is_one_cluster(&house, &house.all(), 3, &book);
}
