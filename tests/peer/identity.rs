//! The files of a board's identity: made, kept, cut off, damaged.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use rcgen::PublicKeyData;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
};
use solder::{
    peer::{BoardTls, Validity},
    types::NodeId,
};
use tempfile::TempDir;

use crate::boards::Homes;

const TWO: NodeId = NodeId(2);

fn open(folder: &Path) -> BoardTls {
    BoardTls::open(folder).expect("good files").expect("there are some")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).expect("a folder");
    names.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_board_stays_who_it_is() {
    let dir = TempDir::new().expect("room");
    let folder = dir.path().join("data/tls");
    assert!(BoardTls::open(&folder).expect("nothing is nothing bad").is_none());
    let mut board = BoardTls::make(&folder).expect("room");
    assert!(!board.has_certificate() && !board.has_authority_key() && board.pin().is_none());
    assert_eq!((board.key_hash().len(), board.public_key().len()), (32, 91));
    assert_eq!(BoardTls::make(&folder).expect("it is there").key_hash(), board.key_hash());
    assert!(
        board.certify(&board.public_key(), TWO).expect_err("it has no authority").contains("only voters")
    );
    board.found().expect("room");
    let (pin, certificate) = (board.pin(), fs::read(folder.join("member.crt")).expect("a file"));
    board.found().expect("it has");
    let mut again = open(&folder);
    again.found().expect("it has");
    assert_eq!((again.pin(), again.key_hash()), (pin, board.key_hash()));
    assert_eq!(fs::read(folder.join("member.crt")).expect("a file"), certificate, "not made anew");
    assert!(again.has_certificate() && again.has_authority_key());
    assert_eq!(names(&folder), ["ca.crt", "ca.key", "member.crt", "member.key"].map(String::from).into());
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for name in names(&folder) {
        assert_eq!(mode(&folder.join(&name)), 0o600, "{name}");
    }
}

#[test]
fn newcomers_keep_what_they_are_given_if_it_is_theirs() {
    let homes = Homes::new();
    let mut two = BoardTls::make(&homes.path("2")).expect("room");
    let founder = homes.founder();
    let ca = founder.ca().expect("it has founded");
    let mine = founder.certify(&two.public_key(), TWO).expect("a P-256 key");
    let others = founder.certify(&founder.public_key(), TWO).expect("a P-256 key");
    let stranger = Homes::new();
    let foreign = stranger.founder().certify(&two.public_key(), TWO).expect("a P-256 key");
    let wrong = |two: &mut BoardTls, ca: &[u8], certificate: &[u8]| {
        two.keep(ca, certificate).expect_err("it is wrong")
    };
    assert!(wrong(&mut two, &ca, &others).contains("is for another key"));
    assert!(wrong(&mut two, &ca, &foreign).contains("is not of the authority"));
    assert!(wrong(&mut two, &ca, b"x").contains("cannot be read"));
    assert!(wrong(&mut two, b"x", &mine).contains("is not of the authority"));
    assert_eq!(names(&homes.path("2")), ["member.key".to_owned()].into(), "nothing of it was kept");
    two.keep(&ca, &mine).expect("good");
    let mut two = open(&homes.path("2"));
    assert_eq!((two.pin(), two.has_certificate(), two.has_authority_key()), (founder.pin(), true, false));
    assert!(two.found().expect_err("it is another's").contains("another board founded"));
    // Its data was cleared, and it joins another cluster.
    two.keep(&stranger.founder().ca().expect("founded"), &foreign).expect("good");
    assert_eq!(open(&homes.path("2")).pin(), stranger.founder().pin());
}

#[test]
fn voters_keep_the_key_of_their_authority_and_no_other() {
    let homes = Homes::new();
    let mut two = homes.member("2");
    assert_eq!(two.authority_key(), None);
    let foreign = Homes::new().founder().authority_key().expect("it founded");
    assert!(two.keep_authority_key(&foreign).expect_err("another's").contains("is not the key of ca.crt"));
    assert!(two.keep_authority_key(b"x").expect_err("no key").contains("cannot be read"));
    assert!(!two.has_authority_key() && !homes.path("2").join("ca.key").exists());
    two.keep_authority_key(&homes.founder().authority_key().expect("it founded")).expect("the right one");
    let two = open(&homes.path("2"));
    let mut three = BoardTls::make(&homes.path("3")).expect("room");
    let certificate = two.certify(&three.public_key(), TWO).expect("it can now");
    three.keep(&two.ca().expect("it has"), &certificate).expect("as good as the founder's");
    assert_eq!(three.pin(), homes.founder().pin());
    let mut nobody = BoardTls::make(&homes.path("4")).expect("room");
    assert!(nobody.keep_authority_key(&foreign).is_err(), "there is nothing to check it against");
}

/// Power fails behind each step.
#[test]
fn what_was_cut_off_goes_on() {
    let order = ["ca.key", "ca.crt", "member.crt"];
    for kept in 0..=order.len() {
        let homes = Homes::new();
        let folder = homes.path("1");
        for name in &order[kept..] {
            fs::remove_file(folder.join(name)).expect("it was there");
        }
        let next = order.get(kept).unwrap_or(&"member.crt");
        fs::write(folder.join(format!("{next}.new")), "-----BEGIN").expect("room");
        let mut board = open(&folder);
        assert_eq!(board.has_authority_key(), kept >= 2, "{kept} files");
        board.found().expect("it goes on");
        let is_same = board.authority_key() == homes.founder().authority_key();
        assert_eq!((is_same, board.pin() == homes.founder().pin()), (kept >= 1, kept >= 2), "{kept} files");
        assert!(open(&folder).has_certificate());
    }
    // One that founded and never served joins another cluster: at no step do its files not fit each other.
    let (homes, other) = (Homes::new(), Homes::new());
    let mut board = homes.member("1");
    let certificate = other.founder().certify(&board.public_key(), TWO).expect("a P-256 key");
    board.keep(&other.founder().ca().expect("founded"), &certificate).expect("good");
    let board = open(&homes.path("1"));
    assert_eq!((board.pin(), board.has_authority_key()), (other.founder().pin(), false));
}

#[test]
fn damage_is_told_with_what_to_do() {
    let trouble = |spoil: &dyn Fn(&Path)| {
        let homes = Homes::new();
        spoil(&homes.path("1"));
        let told = BoardTls::open(&homes.path("1")).err().expect("it is damaged");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains(&homes.path("1").display().to_string()), "{told}");
        assert!(BoardTls::make(&homes.path("1")).is_err(), "nothing is made over it");
        told
    };
    for name in ["member.key", "member.crt", "ca.crt", "ca.key"] {
        let half = |folder: &Path| {
            let text = fs::read(folder.join(name)).expect("a file");
            fs::write(folder.join(name), &text[..text.len() / 2]).expect("room");
        };
        let told = trouble(&half);
        assert!(told.contains(name) && told.contains("remove the whole data directory"), "{told}");
        assert!(trouble(&|folder| fs::write(folder.join(name), "").expect("room")).contains(name));
        let large = |folder: &Path| fs::write(folder.join(name), vec![b'x'; 1 << 20]).expect("room");
        assert!(trouble(&large).contains("it is another file"));
    }
    let other = Homes::new();
    let swap = |name: &'static str| {
        let other = other.path("1");
        move |folder: &Path| {
            fs::copy(other.join(name), folder.join(name)).expect("room");
        }
    };
    assert!(trouble(&swap("member.key")).contains("member.crt is for another key"));
    assert!(trouble(&swap("ca.crt")).contains("ca.key is not the key of ca.crt"));
    assert!(trouble(&swap("ca.key")).contains("ca.key is not the key of ca.crt"));
    assert!(trouble(&swap("member.crt")).contains("member.crt is for another key"));
    let remove = |name: &'static str| move |folder: &Path| fs::remove_file(folder.join(name)).expect("there");
    assert!(trouble(&remove("member.key")).contains("no member.key"));
    assert!(trouble(&remove("ca.crt")).contains("no ca.crt"));
}

#[test]
fn certificates_hold_at_any_time_for_one_name() {
    let homes = Homes::new();
    homes.member("2");
    let ca = CertificateDer::from(homes.founder().ca().expect("founded").to_vec());
    let member = CertificateDer::from_pem_file(homes.path("2").join("member.crt")).expect("a certificate");
    for certificate in [&ca, &member] {
        let validity = Validity { not_before_s: 0, not_after_s: 253_402_300_799 };
        assert_eq!(Validity::of(certificate), Some(validity));
    }
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).expect("an authority");
    let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
    let called =
        WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone()).build().expect("good");
    let callers = WebPkiClientVerifier::builder_with_provider(roots, provider).build().expect("good");
    let name = |name| ServerName::try_from(name).expect("a name");
    const YEAR_S: u64 = 365 * 86_400;
    for now_s in [0, 56 * YEAR_S, 120 * YEAR_S, 8000 * YEAR_S] {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s));
        let verify = |der, host| called.verify_server_cert(der, &[], &name(host), &[], now).map(|_| ());
        for name in ["member.solder.internal", "2.member.solder.internal"] {
            assert_eq!(verify(&member, name), Ok(()), "at {now_s}");
        }
        assert!(verify(&member, "3.member.solder.internal").is_err());
        assert!(verify(&member, "127.0.0.1").is_err() && verify(&ca, "member.solder.internal").is_err());
        assert!(callers.verify_client_cert(&member, &[], now).is_ok(), "at {now_s}");
    }
    // Who has a certificate cannot give any: its key is not an authority's.
    let again = homes.founder().certify(&homes.member("2").public_key(), TWO).expect("a P-256 key");
    assert_ne!(again[..], member[..], "another number each time");
}

#[test]
fn what_is_certified() {
    let homes = Homes::new();
    let of = |algorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).expect("a key").subject_public_key_info();
        homes.founder().certify(&key, TWO)
    };
    assert!(of(&rcgen::PKCS_ED25519).is_ok() && of(&rcgen::PKCS_ECDSA_P256_SHA256).is_ok());
    assert!(of(&rcgen::PKCS_ECDSA_P384_SHA384).expect_err("another kind").contains("neither P-256"));
    let good = homes.founder().public_key();
    for length in 0..good.len() {
        assert!(homes.founder().certify(&good[..length], TWO).is_err(), "{length} bytes");
    }
    assert!(homes.founder().certify(&[&good[..], &[0]].concat(), TWO).is_err());
}
