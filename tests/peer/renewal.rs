//! A member renews its key: who has heard of it and who has not, and who has stolen the old one.

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use smol::LocalExecutor;
use solder::{
    peer::{BoardTls, Frame, Greeting, MemberAddress, Options, Purpose, Refusal, Roster},
    types::{Bytes, NodeId},
};

use crate::{
    boards::{Homes, RawTls, URL, in_1970, in_2090},
    raw::{bytes_of, greeting},
    support::{Board, pause, run, until},
};

fn knows(board: &Board, members: Vec<MemberAddress>) {
    board.peers.set_members(Roster { members, ..Roster::default() });
}

/// On the disk, by the founder's word. The new key's hash.
fn renew(homes: &Homes, name: &str) -> Bytes {
    let (mut board, next) = BoardTls::begin_renewal(&homes.path(name)).expect("it has a key");
    let member = NodeId(name.parse().expect("a number"));
    let certificate = homes.founder().certify(&next.public_key(), member).expect("a P-256 key");
    board.renew(next, &certificate).expect("room");
    board.key_hash()
}

fn copy(homes: &Homes, name: &str, to: &str) -> PathBuf {
    let folder = homes.path(to);
    fs::create_dir(&folder).expect("room");
    for file in fs::read_dir(homes.path(name)).expect("a folder") {
        let file = file.expect("a file");
        fs::copy(file.path(), folder.join(file.file_name())).expect("room");
    }
    folder
}

async fn verdict(to: &Board, folder: &Path, from: u64) -> Option<Refusal> {
    let mut stream = RawTls::dial(&to.url, Some(folder)).await;
    stream.greet(greeting(from, to.id.0)).await.expect("an answer").verdict
}

fn listed(id: u64, key: &Bytes) -> Vec<MemberAddress> {
    vec![MemberAddress { id: NodeId(id), key: key.clone(), ..MemberAddress::default() }]
}

/// Some have heard of the new key and some have not, and whoever dials whom, they meet; under any clock.
#[test]
fn who_has_heard_of_it_and_who_has_not() {
    run(|executor| async move {
        let homes = Homes::new();
        let start = |id, wall_clock| {
            let board = Options { wall_clock, ..homes.options(id) };
            Board::start_at(&executor, board, URL)
        };
        let (one, two, three) = (start(1, in_1970), start(2, in_2090), start(3, in_1970));
        let all = |one_of: &dyn Fn(&Board) -> MemberAddress, me: &Board| {
            let others = [&one, &two, &three].into_iter().filter(|other| other.id != me.id);
            others.map(one_of).collect::<Vec<_>>()
        };
        let old = |board: &Board| homes.address(board, true);
        let before = [all(&old, &one), all(&old, &two), all(&old, &three)];
        knows(&one, before[0].clone());
        knows(&two, before[1].clone());
        knows(&three, before[2].clone());
        two.reaches(&one).await;
        one.reaches(&two).await;
        // Two is renewed, and nobody has heard of it. What stands goes on; what is made now is believed.
        let key = renew(&homes, "2");
        assert_eq!(homes.address(&two, true).key, key);
        let connections = one.figures(2).connections[0];
        one.reaches(&two).await;
        assert_eq!(one.figures(2).connections[0], connections, "nobody has to go");
        for other in [&one, &three] {
            knows(other, vec![]);
            until("they part", || !other.is_connected(2)).await;
        }
        knows(&one, before[0].clone());
        knows(&three, before[2].clone());
        one.reaches(&two).await;
        two.reaches(&three).await;
        // One hears of it, three does not. What has been made with the new key stays.
        let connections = one.figures(2).connections[0];
        knows(&one, all(&old, &one));
        one.reaches(&two).await;
        assert_eq!(one.figures(2).connections[0], connections);
        two.reaches(&one).await;
        two.reaches(&three).await;
        three.reaches(&two).await;
        // Once more: three is two renewals behind now.
        renew(&homes, "2");
        knows(&one, vec![]);
        knows(&three, vec![]);
        until("they part", || !one.is_connected(2) && !three.is_connected(2)).await;
        knows(&three, before[2].clone());
        three.reaches(&two).await;
        knows(&one, all(&old, &one));
        one.reaches(&two).await;
    });
}

/// Whoever has it, and whatever he shows beside it: from the moment on that the list has the new one it is nobody's.
#[test]
fn a_stolen_key_is_refused_once_it_was_renewed() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        let old = homes.member("2").key_hash();
        let stolen = copy(&homes, "2", "stolen");
        knows(&one, listed(2, &old));
        assert_eq!(verdict(&one, &stolen, 2).await, None, "nobody knows that it was stolen");
        let new = renew(&homes, "2");
        assert_eq!(verdict(&one, &homes.path("2"), 2).await, None, "the old key's word");
        knows(&one, listed(2, &new));
        assert_eq!(verdict(&one, &homes.path("2"), 2).await, None);
        assert_eq!(verdict(&one, &stolen, 2).await, Some(Refusal::WrongKey));
        // The thief has had a key of its own certified in time, and says that it follows the stolen one.
        let (mut thief, next) = BoardTls::begin_renewal(&stolen).expect("it has a key");
        let certificate = homes.founder().certify(&next.public_key(), NodeId(2)).expect("good");
        thief.renew(next, &certificate).expect("room");
        assert_eq!(verdict(&one, &stolen, 2).await, Some(Refusal::WrongKey));
        // With what the member shows to the world, but not its key.
        let chain = fs::read(homes.path("2").join("member.crt")).expect("a chain");
        let mine = fs::read_to_string(stolen.join("member.crt")).expect("a chain");
        let end = mine.find("-----END CERTIFICATE-----\n").expect("PEM") + 26;
        let theirs = String::from_utf8(chain).expect("text");
        fs::write(stolen.join("member.crt"), format!("{}{theirs}", &mine[..end])).expect("room");
        assert_eq!(verdict(&one, &stolen, 2).await, Some(Refusal::WrongKey));
    });
}

/// Who was removed has the authority's key still: its word does not make a key anybody's.
#[test]
fn the_authoritys_word_alone_renews_nothing() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        let two = homes.member("2").key_hash();
        knows(&one, listed(2, &two));
        // It has certified a key as member 2's, and has a handover by a key that is its own.
        homes.member("9");
        let (mut forged, next) = BoardTls::begin_renewal(&homes.path("9")).expect("it has a key");
        let certificate = homes.founder().certify(&next.public_key(), NodeId(2)).expect("it can");
        forged.renew(next, &certificate).expect("room");
        assert_eq!(verdict(&one, &homes.path("9"), 2).await, Some(Refusal::WrongKey));
    });
}

/// As seen by `one`, which can certify, of `two`, which wants to be: what does it get if it is this in the list?
async fn asks(
    executor: &Rc<LocalExecutor<'static>>,
    listed: impl FnOnce(MemberAddress) -> Option<MemberAddress>,
) -> Result<(), String> {
    let homes = Homes::new();
    let (one, two) = (homes.start(executor, 1), homes.start(executor, 2));
    let members = listed(homes.address(&two, false)).into_iter().collect();
    one.peers.set_members(Roster { members, takes_guests: true, ..Roster::default() });
    knows(&two, vec![homes.address(&one, false)]);
    let (mut board, next) = BoardTls::begin_renewal(&homes.path("2")).expect("it has a key");
    let certificate = two.peers.ask_certificate(next.public_key()).await?;
    board.renew(next, &certificate)?;
    // It is for that member and no other.
    let mut stream = RawTls::dial(&one.url, Some(&homes.path("2"))).await;
    let as_other = stream.greet(greeting(3, 1)).await.expect("an answer").verdict;
    assert_eq!(as_other, Some(Refusal::WrongKey));
    Ok(())
}

#[test]
fn a_learner_has_its_new_key_certified_by_a_voter() {
    run(|executor| async move {
        let learner = |address| Some(MemberAddress { votes: false, ..address });
        assert_eq!(asks(&executor, learner).await, Ok(()));
        assert_eq!(asks(&executor, Some).await, Ok(()), "so does a voter that has not been told the key yet");
        let refused = async |listed: fn(MemberAddress) -> Option<MemberAddress>| {
            asks(&executor, listed).await.expect_err("it gets none")
        };
        let told = refused(|_| None).await;
        assert!(told.contains("not in the cluster's list"), "{told}");
        let told = refused(|address| Some(MemberAddress { key: Bytes::new(), ..address })).await;
        assert!(told.contains("has not shown the key"), "{told}");
        let told = refused(|address| Some(MemberAddress { key: Bytes::from(&[7; 32]), ..address })).await;
        assert!(told.contains("has not shown the key"), "{told}");
    });
}

#[test]
fn certificates_are_made_by_who_can_and_for_keys_only() {
    run(|executor| async move {
        let homes = Homes::new();
        let (one, two, three) =
            (homes.start(&executor, 1), homes.start(&executor, 2), homes.start(&executor, 3));
        for board in [&one, &two] {
            knows(board, vec![homes.address(&three, false)]);
        }
        // Two has no authority's key; one does, and is asked behind it.
        knows(&three, vec![homes.address(&two, false)]);
        let key = homes.member("3").public_key();
        let told = three.peers.ask_certificate(key.clone()).await.expect_err("it cannot");
        assert!(told.contains("does not have the authority's key"), "{told}");
        knows(&three, vec![homes.address(&two, false), homes.address(&one, false)]);
        assert!(three.peers.ask_certificate(key.clone()).await.is_ok());
        let told = three.peers.ask_certificate(Bytes::from(&key[1..])).await.expect_err("no key");
        assert!(told.lines().count() == 1, "{told}");
        // A byte too many, and another frame.
        let ask = Greeting { purpose: Purpose::Certificate, ..greeting(3, 1) };
        for bad in [Frame::Certify(Bytes::from(vec![0x30; 2000])), Frame::Ping { number: 1 }] {
            let mut raw = RawTls::dial(&one.url, Some(&homes.path("3"))).await;
            assert_eq!(raw.greet(ask).await.expect("an answer").verdict, None);
            raw.write(&bytes_of(&bad)).await;
            assert!(raw.next().await.is_none(), "{bad:?}");
        }
        // Of the question that nobody has asked no connection of members hears.
        let mut raw = RawTls::dial(&one.url, Some(&homes.path("3"))).await;
        assert_eq!(raw.greet(greeting(3, 1)).await.expect("an answer").verdict, None);
        raw.write(&bytes_of(&Frame::Certify(key))).await;
        until("it is cut", || one.figures(3).malformed == 1).await;
        pause(std::time::Duration::ZERO).await;
    });
}

/// From where a file comes, its name there, and its new name.
type Step<'a> = (&'a Path, &'a str, &'a str);

/// Power fails behind each step, and in the midst of each file.
#[test]
fn what_was_cut_off_leaves_one_key() {
    let homes = Homes::new();
    let old = homes.member("2").key_hash();
    let before = copy(&homes, "2", "before");
    let new = renew(&homes, "2");
    let after = homes.path("2");
    let states: [(&[Step<'_>], &Bytes); 4] = [
        (&[(&after, "member.key", "next.key")], &old),
        (&[(&after, "member.key", "next.key"), (&after, "member.crt", "next.crt")], &old),
        (&[(&after, "member.key", "member.key"), (&after, "member.crt", "next.crt")], &new),
        (&[(&after, "member.key", "member.key"), (&after, "member.crt", "member.crt")], &new),
    ];
    for (number, (files, expected)) in states.into_iter().enumerate() {
        let build = |name: &str| {
            let folder = copy(&homes, "before", name);
            for (from, name, to) in files {
                fs::copy(from.join(name), folder.join(to)).expect("room");
            }
            for half in ["next.key.new", "next.crt.new"] {
                fs::write(folder.join(half), "-----BEGIN").expect("room");
            }
            folder
        };
        let folder = build(&format!("2{}", "x".repeat(number + 1)));
        let open = || BoardTls::open(&folder).expect("good files").expect("a key");
        let board = open();
        assert_eq!((board.key_hash(), board.has_certificate()), (expected.clone(), true), "state {number}");
        // Twice: that may be cut off, too.
        for _ in 0..2 {
            BoardTls::settle(&folder).expect("room");
            assert_eq!(open().key_hash(), *expected, "state {number}");
            assert!(!folder.join("next.key").exists() && !folder.join("next.crt").exists());
        }
        let is_new = fs::read(folder.join("member.crt")).expect("a file")
            == fs::read(after.join("member.crt")).expect("a file");
        assert_eq!(is_new, *expected == new, "state {number}");
        // From there, and where nothing was settled, the next renewal goes as any other.
        let folder = build(&format!("2{}", "y".repeat(number + 1)));
        let (mut board, next) = BoardTls::begin_renewal(&folder).expect("it has a key");
        assert_eq!(board.key_hash(), *expected, "state {number}");
        let certificate = homes.founder().certify(&next.public_key(), NodeId(2)).expect("good");
        board.renew(next, &certificate).expect("room");
        let chain = fs::read_to_string(folder.join("member.crt")).expect("a chain");
        assert_eq!(chain.matches("BEGIN").count(), 2 + usize::from(*expected == new), "state {number}");
    }
    assert_eq!(BoardTls::open(&before).expect("good files").expect("a key").key_hash(), old);
}

#[test]
fn what_is_no_renewal_changes_nothing() {
    let homes = Homes::new();
    let old = homes.member("2").key_hash();
    let fails = |certificate: &dyn Fn(&Bytes) -> Bytes, word: &str| {
        let (mut board, next) = BoardTls::begin_renewal(&homes.path("2")).expect("it has a key");
        let certificate = certificate(&next.public_key());
        let told = board.renew(next, &certificate).expect_err("it is of no use");
        assert!(told.contains(word), "{told}");
        assert_eq!((board.key_hash(), homes.member("2").key_hash()), (old.clone(), old.clone()));
    };
    let other = Homes::new();
    let two = NodeId(2);
    let certify = |by: &BoardTls, key: &[u8]| by.certify(key, two).expect("a P-256 key");
    fails(&|key| certify(other.founder(), key), "is not of the authority");
    fails(&|_| certify(homes.founder(), &homes.member("3").public_key()), "is for another key");
    fails(&|_| Bytes::from(b"x"), "cannot be read");
    let told = BoardTls::begin_renewal(&homes.path("nobody")).err().expect("there is none");
    assert!(told.contains("no key"), "{told}");
    // All that it is to be known by is kept, and no more than others look at.
    for _ in 0..20 {
        renew(&homes, "2");
    }
    let chain = fs::read_to_string(homes.path("2").join("member.crt")).expect("a chain");
    assert_eq!(chain.matches("BEGIN").count(), 17);
    assert!(chain.len() < 16 << 10, "{} bytes", chain.len());
}
