//! The authority in a file of its own.

use std::{fs, os::unix::fs::PermissionsExt as _};

use solder::{
    peer::{AuthorityCopy, BoardTls},
    types::{ClusterId, NodeId},
};

use crate::boards::Homes;

const CLUSTER: ClusterId = ClusterId(0xc1);

#[test]
fn a_copy_founds_as_the_authority_itself() {
    let homes = Homes::new();
    let file = homes.path("copy");
    let (copy, key) = AuthorityCopy::of(&homes.path("1"), CLUSTER).expect("it founded");
    assert_eq!(key, homes.founder().key_hash());
    fs::write(homes.path("copy.new"), "x").expect("room");
    fs::set_permissions(homes.path("copy.new"), fs::Permissions::from_mode(0o644)).expect("ours");
    copy.write(&file).expect("room");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let copy = AuthorityCopy::read(&file).expect("as it was written");
    assert_eq!((copy.cluster(), copy.pin()), (CLUSTER, homes.pin()));
    let folder = homes.path("new");
    copy.found(&folder).expect("room");
    let new = BoardTls::open(&folder).expect("good files").expect("a key");
    assert_eq!((new.pin(), new.has_authority_key()), (Some(homes.pin()), true));
    assert_ne!(new.key_hash(), homes.founder().key_hash(), "another board");
    // Who was let in by the one is believed by the other.
    let mut two = homes.member("2");
    let certificate = new.certify(&two.public_key(), NodeId(2)).expect("it can");
    two.keep(&homes.founder().ca().expect("founded"), &certificate).expect("of one authority");
    assert!(AuthorityCopy::of(&homes.path("2"), CLUSTER).is_err(), "it never had the key");
    assert!(AuthorityCopy::of(&homes.path("nobody"), CLUSTER).is_err());
}

#[test]
fn what_is_no_copy_is_told() {
    let homes = Homes::new();
    let file = homes.path("copy");
    AuthorityCopy::of(&homes.path("1"), CLUSTER).and_then(|(copy, _)| copy.write(&file)).expect("room");
    let good = fs::read_to_string(&file).expect("text");
    let told = |text: &str| {
        fs::write(&file, text).expect("room");
        let told = AuthorityCopy::read(&file).err().expect("it is of no use");
        assert!(told.lines().count() == 1 && told.contains("copy"), "{told}");
        told
    };
    assert!(told("").contains("of which cluster"));
    assert!(told(&good.replace("cluster: c1", "cluster: x")).contains("of which cluster"));
    assert!(told(&good[..good.len() / 4]).contains("its certificate"));
    assert!(told(&good[..good.len() - 40]).contains("its key"));
    let other = Homes::new();
    AuthorityCopy::of(&other.path("1"), CLUSTER).and_then(|(copy, _)| copy.write(&file)).expect("room");
    let other = fs::read_to_string(&file).expect("text");
    let key = "-----BEGIN PRIVATE KEY-----";
    let (certificate, _) = good.split_once(key).expect("PEM");
    let (_, others) = other.split_once(key).expect("PEM");
    assert!(told(&format!("{certificate}{key}{others}")).contains("is not the key of"));
    assert!(told(&"x".repeat(1 << 20)).contains("cannot be read"));
}
