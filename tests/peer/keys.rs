//! Boards that go by their keys: who may do what, whatever clocks and URLs say.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    rc::Rc,
    time::{Duration, SystemTime},
};

use futures_lite::future::or;
use smol::LocalExecutor;
use solder::{
    peer::{
        Asker, BoardTls, Bye, Frame, Greeting, MemberAddress, Options, PeerListener, PeerUrl, Purpose,
        Refusal, Roster, Tls,
    },
    types::{Bytes, NodeId},
};
use tempfile::TempDir;

use crate::{
    boards::{Homes, RawTls, RawTlsListener, URL, in_1970, in_2090, nobodys},
    raw::{Raw, greeting},
    support::{Board, options, pause, run, until},
};

/// Each knows the others by their keys, and keeps connections to them.
fn all_know_each_other(homes: &Homes, boards: &[&Board]) {
    for board in boards {
        let others = boards.iter().filter(|other| other.id != board.id);
        let members = others.map(|other| homes.address(other, true)).collect();
        board.peers.set_members(Roster { members, ..Roster::default() });
    }
}

fn knows(board: &Board, members: Vec<MemberAddress>) {
    board.peers.set_members(Roster { members, ..Roster::default() });
}

async fn verdict(stream: &mut RawTls, greeting: Greeting) -> Option<Refusal> {
    stream.greet(greeting).await.expect("an answer").verdict
}

#[test]
fn no_clock_is_asked() {
    run(|executor| async move {
        let homes = Homes::new();
        let start = |id, wall_clock: fn() -> SystemTime| {
            Board::start_at(&executor, Options { wall_clock, ..homes.options(id) }, URL)
        };
        let (one, two, three) = (start(1, in_1970), start(2, SystemTime::now), start(3, in_2090));
        all_know_each_other(&homes, &[&one, &two, &three]);
        for (from, to) in [(&one, &two), (&two, &three), (&three, &one), (&one, &three)] {
            from.reaches(to).await;
            to.reaches(from).await;
        }
        // Nor does a clock let a stranger in.
        let strangers = Homes::new();
        let options = Options { wall_clock: in_1970, ..strangers.options(4) };
        let stranger = Board::start_at(&executor, options, URL);
        knows(&stranger, vec![homes.address(&one, true)]);
        knows(&one, vec![strangers.address(&stranger, true)]);
        until("both fail", || stranger.figures(1).dials_failed > 2 && one.figures(4).dials_failed > 2).await;
        assert!(stranger.refusals().is_empty() && stranger.messages().is_empty(), "not even a greeting");
    });
}

/// Another board of the cluster under a member's id: with the authority's certificate, and the wrong key.
#[test]
fn a_member_is_its_key() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        let options = Options { tls: Some(Tls::Board(homes.path("9"))), ..options(2) };
        homes.member("9");
        let impostor = Board::start_at(&executor, options, URL);
        homes.member("2");
        knows(&one, vec![homes.address(&impostor, true)]);
        knows(&impostor, vec![homes.address(&one, true)]);
        until("told, once", || impostor.refusals() == [(1, Refusal::WrongKey)]).await;
        until("not talked to", || one.figures(2).dials_failed > 2).await;
        assert!(one.messages().is_empty() && impostor.messages().is_empty() && !one.is_connected(2));
        assert_eq!(one.refusals(), [], "an impostor's word counts for nothing");
        // The list learns of the new key, and all is well.
        let renewed = MemberAddress { key: homes.member("9").key_hash(), ..impostor.address(true) };
        knows(&one, vec![renewed]);
        one.reaches(&impostor).await;
        impostor.reaches(&one).await;
    });
}

/// That its disk was wiped ends a process, too.
#[test]
fn that_a_board_has_lost_its_data_counts_only_from_members() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        homes.member("2");
        homes.member("9");
        let member =
            MemberAddress { id: NodeId(2), key: homes.member("2").key_hash(), ..MemberAddress::default() };
        one.peers.set_members(Roster { members: vec![member], takes_guests: true, ..Roster::default() });
        let says = |from| Greeting { known_as: 77, is_led: true, ..greeting(from, 1) };
        let (two, nine) = (homes.path("2"), homes.path("9"));
        for (from, folder) in [(2, None), (2, Some(&nine)), (8, Some(&nine))] {
            let mut liar = RawTls::dial(&one.url, folder.map(PathBuf::as_path)).await;
            assert!(verdict(&mut liar, says(from)).await.is_some());
        }
        assert_eq!(one.disowned(), []);
        let mut member = RawTls::dial(&one.url, Some(&two)).await;
        member.greet(says(2)).await.expect("an answer");
        until("heard", || one.disowned() == [(2, true)]).await;
    });
}

/// A refusal ends processes: it counts only from the member itself.
#[test]
fn refusals_count_only_from_the_member_itself() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        homes.member("9");
        let options = Options { tls: Some(Tls::Board(homes.path("9"))), ..options(2) };
        let impostor = Board::start_at(&executor, options, URL);
        let removed = BTreeSet::from([NodeId(1)]);
        impostor.peers.set_members(Roster { removed, ..Roster::default() });
        knows(&one, vec![homes.address(&impostor, true)]);
        until("it was reached", || one.figures(2).dials_failed > 3).await;
        assert_eq!(one.refusals(), []);
        let failed = one.figures(2).dials_failed;
        knows(&one, vec![MemberAddress { key: Bytes::new(), ..homes.address(&impostor, true) }]);
        until("without a key in the list its certificate tells", || one.figures(2).dials_failed > failed + 2)
            .await;
        assert_eq!(one.refusals(), [], "it is for member 9");
        let key = homes.member("9").key_hash();
        knows(&one, vec![MemberAddress { key, ..homes.address(&impostor, true) }]);
        until("it is the member's own word", || one.refusals() == [(2, Refusal::Removed)]).await;
    });
}

#[test]
fn who_shows_nothing_can_only_join() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        one.peers.set_members(Roster { takes_guests: true, ..Roster::default() });
        for purpose in [Purpose::Urgent, Purpose::Bulk, Purpose::Authority, Purpose::Certificate] {
            let mut nobody = RawTls::dial(&one.url, None).await;
            let refused = verdict(&mut nobody, Greeting { purpose, ..greeting(2, 1) }).await;
            assert_eq!(refused, Some(Refusal::NoCertificate), "{purpose}");
            assert!(nobody.next().await.is_none());
        }
        let mut nobody = RawTls::dial(&one.url, None).await;
        assert_eq!(verdict(&mut nobody, nobodys(Purpose::Ask)).await, Some(Refusal::NoCertificate));
        assert!(nobody.next().await.is_none(), "no list of members");
        let mut nobody = RawTls::dial(&one.url, None).await;
        assert_eq!(verdict(&mut nobody, nobodys(Purpose::Join)).await, None);
        // Nor with the certificate of another cluster: not a word is exchanged.
        let strangers = Homes::new();
        let mut stranger = RawTls::dial(&one.url, Some(&strangers.path("1"))).await;
        assert_eq!(stranger.greet(nobodys(Purpose::Join)).await, None);
        assert!(one.peers.figures().is_empty());
        // With one of this cluster it is a guest; a founder makes its own before it has an id.
        let two = homes.start(&executor, 2);
        two.peers.set_members(Roster { takes_guests: true, ..Roster::default() });
        let mut guest = RawTls::dial(&two.url, Some(&homes.path("1"))).await;
        assert_eq!(verdict(&mut guest, greeting(77, 2)).await, None);
        homes.member("2");
        let mut guest = RawTls::dial(&one.url, Some(&homes.path("2"))).await;
        assert_eq!(verdict(&mut guest, greeting(2, 1)).await, None);
    });
}

#[test]
fn plain_connections_are_nobodys() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = Board::start_at(&executor, homes.options(1), "http://127.0.0.1:0");
        one.peers.set_members(Roster { takes_guests: true, ..Roster::default() });
        let mut raw = Raw::dial(&one.url).await;
        assert_eq!(raw.greet(greeting(2, 1)).await.verdict, Some(Refusal::NoCertificate));
        let plain = Board::start(&executor, 2);
        knows(&one, vec![plain.address(true)]);
        until("not dialled without TLS", || one.figures(2).dials_failed > 1).await;
        assert_eq!(
            plain.peers.totals().refused + plain.peers.figures().len() as u64,
            0,
            "it was not greeted"
        );
    });
}

/// A row of a member that has not published a key, or of an older build.
#[test]
fn without_a_key_in_the_list_a_certificate_will_do() {
    run(|executor| async move {
        let homes = Homes::new();
        let (one, two) = (homes.start(&executor, 1), homes.start(&executor, 2));
        one.keeps(&[&two]);
        two.keeps(&[&one]);
        one.reaches(&two).await;
        two.reaches(&one).await;
        // One for that member; for another it will not do, whoever calls.
        let mut third = RawTls::dial(&one.url, Some(&homes.path("2"))).await;
        one.keeps(&[&two, &homes.start(&executor, 3)]);
        assert_eq!(verdict(&mut third, greeting(3, 1)).await, Some(Refusal::WrongKey));
        let mut second = RawTls::dial(&one.url, Some(&homes.path("2"))).await;
        assert_eq!(verdict(&mut second, greeting(2, 1)).await, None);
    });
}

#[test]
fn who_is_removed_is_cut_and_stays_out() {
    run(|executor| async move {
        let homes = Homes::new();
        let (one, two, three) =
            (homes.start(&executor, 1), homes.start(&executor, 2), homes.start(&executor, 3));
        knows(&one, vec![homes.address(&two, true), homes.address(&three, true)]);
        knows(&two, vec![homes.address(&one, true)]);
        knows(&three, vec![homes.address(&one, false)]);
        one.reaches(&two).await;
        two.reaches(&one).await;
        one.reaches(&three).await;
        let connections = one.figures(3).connections;
        let members = vec![homes.address(&three, true)];
        let removed = BTreeSet::from([NodeId(2)]);
        one.peers.set_members(Roster { members, removed, takes_guests: true, ..Roster::default() });
        until("it is told", || two.refusals() == [(1, Refusal::Removed)]).await;
        until("its attempts are refused", || two.figures(1).dials_failed > 2).await;
        one.reaches(&three).await;
        assert_eq!(one.figures(3).connections, connections, "nobody else notices");
        assert!(!two.is_connected(1) && !one.is_connected(2));
        // Nor does it come in as somebody else: its certificate says who it was.
        let mut other = RawTls::dial(&one.url, Some(&homes.path("2"))).await;
        assert_eq!(verdict(&mut other, greeting(8, 1)).await, Some(Refusal::WrongKey));
        homes.member("8");
        let mut newcomer = RawTls::dial(&one.url, Some(&homes.path("8"))).await;
        assert_eq!(verdict(&mut newcomer, greeting(8, 1)).await, None, "this one is who it says");
        let mut other = RawTls::dial(&one.url, Some(&homes.path("2"))).await;
        assert_eq!(verdict(&mut other, greeting(8, 1)).await, Some(Refusal::WrongKey), "nor beside it");
    });
}

#[test]
fn a_renewed_key_ends_what_was_made_with_the_old_one() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        homes.member("2");
        knows(
            &one,
            vec![MemberAddress {
                id: NodeId(2),
                key: homes.member("2").key_hash(),
                ..MemberAddress::default()
            }],
        );
        let mut old = RawTls::dial(&one.url, Some(&homes.path("2"))).await;
        assert_eq!(verdict(&mut old, greeting(2, 1)).await, None);
        let key = homes.member("2b").key_hash();
        knows(&one, vec![MemberAddress { id: NodeId(2), key, ..MemberAddress::default() }]);
        assert_eq!(bye(&mut old).await, Some(Bye::WrongKey));
        let mut old = RawTls::dial(&one.url, Some(&homes.path("2"))).await;
        assert_eq!(verdict(&mut old, greeting(2, 1)).await, Some(Refusal::WrongKey));
        let mut new = RawTls::dial(&one.url, Some(&homes.path("2b"))).await;
        assert_eq!(verdict(&mut new, greeting(2, 1)).await, None);
    });
}

/// The list changes while they greet each other.
#[test]
fn a_key_that_changes_meanwhile() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        homes.member("2");
        let listener = RawTlsListener::bind(&homes.path("2"));
        let two = |home: &str| MemberAddress {
            id: NodeId(2),
            urls: vec![listener.url()],
            is_kept: true,
            key: homes.member(home).key_hash(),
            ..MemberAddress::default()
        };
        knows(&one, vec![two("2")]);
        let mut dialled = listener.accept().await.expect("it believes the certificate");
        let theirs = dialled.read_greeting().await.expect("it believes the key");
        knows(&one, vec![two("2b")]);
        let answer = Greeting { from: theirs.to, to: theirs.from, ..theirs };
        dialled.write(&answer.encode()).await;
        assert_eq!(bye(&mut dialled).await, Some(Bye::WrongKey));
    });
}

/// Why it is sent away.
async fn bye(stream: &mut RawTls) -> Option<Bye> {
    let late = async {
        pause(Duration::from_secs(20)).await;
        panic!("it is not sent away");
    };
    or(last_word(stream), late).await
}

async fn last_word(stream: &mut RawTls) -> Option<Bye> {
    let mut why = None;
    while let Some(frame) = stream.next().await {
        if let Frame::Bye(bye) = frame {
            why = Some(bye);
        }
    }
    why
}

#[test]
fn members_are_told_to_who_is_one() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        homes.member("2");
        let asker = Asker::new(Some(Tls::Board(homes.path("2"))), in_1970).expect("good files");
        let patience = Duration::from_secs(20);
        let told = asker.ask(std::slice::from_ref(&one.url), patience).await.expect("an answer");
        assert_eq!(told.member, one.id);
        // Who has a key and no certificate yet cannot ask.
        let nobody = BoardTls::make(&homes.path("3")).expect("room");
        assert!(!nobody.has_certificate());
        let told = Asker::new(Some(Tls::Board(homes.path("3"))), in_1970).err().expect("it has none");
        assert!(told.contains("member.crt"), "{told}");
    });
}

/// As seen by `one`, which has the authority's key: what does a board get that is this in the list?
async fn asks_for_the_key(
    executor: &Rc<LocalExecutor<'static>>,
    listed: impl FnOnce(MemberAddress) -> Option<MemberAddress>,
) -> Result<Bytes, String> {
    let homes = Homes::new();
    let (one, two) = (homes.start(executor, 1), homes.start(executor, 2));
    let members = listed(homes.address(&two, false)).into_iter().collect();
    one.peers.set_members(Roster { members, takes_guests: true, ..Roster::default() });
    knows(&two, vec![homes.address(&one, false)]);
    let told = two.peers.ask_authority_key().await;
    assert!(told.as_ref().ok().is_none_or(|key| Some(key) == homes.founder().authority_key().as_ref()));
    told
}

#[test]
fn the_authoritys_key_is_for_voters() {
    run(|executor| async move {
        let told = asks_for_the_key(&executor, Some).await.expect("it votes, and has shown its key");
        assert!(!told.is_empty());
        let refused = async |listed: fn(MemberAddress) -> Option<MemberAddress>| {
            asks_for_the_key(&executor, listed).await.expect_err("it must not have it")
        };
        let learner = refused(|two| Some(MemberAddress { votes: false, ..two })).await;
        assert!(learner.contains("member 2 does not vote, as member 1 knows"), "{learner}");
        let keyless = refused(|two| Some(MemberAddress { key: Bytes::new(), ..two })).await;
        assert!(keyless.contains("has not shown the key"), "{keyless}");
        let wrong = refused(|two| Some(MemberAddress { key: Bytes::from(&[7; 32]), ..two })).await;
        assert!(wrong.contains("has not shown the key"), "{wrong}");
        let guest = refused(|_| None).await;
        assert!(guest.contains("not in the cluster's list"), "{guest}");
    });
}

#[test]
fn voters_are_asked_in_turn() {
    run(|executor| async move {
        let homes = Homes::new();
        let (one, two, three) =
            (homes.start(&executor, 1), homes.start(&executor, 2), homes.start(&executor, 3));
        let told = three.peers.ask_authority_key().await.expect_err("it knows nobody");
        assert!(told.contains("no other voter"), "{told}");
        // Only the founder has it; the second is a voter that has none, the last has gone.
        let (one_is, two_is) = (homes.address(&one, false), homes.address(&two, false));
        all_know_each_other(&homes, &[&one, &two, &three]);
        knows(&three, vec![two_is.clone()]);
        let told = three.peers.ask_authority_key().await.expect_err("it has none");
        assert!(told.contains("member 2 does not have the authority's key itself"), "{told}");
        let gone = PeerUrl::parse("https://127.0.0.1:1").expect("a URL");
        let first =
            MemberAddress { id: NodeId(0), urls: vec![gone], votes: true, ..MemberAddress::default() };
        knows(&three, vec![first, MemberAddress { id: NodeId(9), ..one_is.clone() }, two_is, one_is]);
        let key = three.peers.ask_authority_key().await.expect("one of them has it");
        homes.member("3").keep_authority_key(&key).expect("the right one");
        assert_eq!(homes.member("3").authority_key(), homes.founder().authority_key());
    });
}

/// A board that ran alone without TLS is to let others in: no restart, and what stands stays.
#[test]
fn a_board_begins_to_go_by_its_key() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = Board::start(&executor, 1);
        one.peers.set_members(Roster { takes_guests: true, ..Roster::default() });
        let mut old = Raw::join(&one.url, greeting(7, 1)).await;
        let plain = one.url.clone();
        let bind = |url: &str| PeerListener::bind(&PeerUrl::parse(url).expect("a URL"));
        // All addresses, at the port that one of them has.
        let url = format!("https://0.0.0.0:{}", plain.port);
        assert!(bind(&url).err().expect("it is in use").contains("another program listens there"));
        one.peers.close_listeners().await;
        let listener = bind(&url).expect("it is free now");
        assert!(
            one.peers.listen(vec![listener], Some(Tls::Board(homes.path("5")))).is_err(),
            "there is nothing"
        );
        let listener = bind(&url).expect("it was not taken");
        one.peers.listen(vec![listener], Some(Tls::Board(homes.path("1")))).expect("good files");
        let url = PeerUrl { is_tls: true, ..plain.clone() };
        homes.member("2");
        let mut new = RawTls::dial(&url, Some(&homes.path("2"))).await;
        assert_eq!(verdict(&mut new, greeting(2, 1)).await, None);
        old.send(Frame::Ping { number: 77 }).await;
        while !matches!(old.next().await.expect("it stays"), Frame::Pong { number: 77 }) {}
        let mut late = Raw::dial(&url).await;
        late.write(&greeting(3, 1).encode()).await;
        until("no plain word is heard any more", || one.peers.totals().strangers_failed > 0).await;
        // And it dials with TLS now.
        let two = homes.start(&executor, 3);
        one.knows(&[&two]);
        two.knows(&[&one]);
        one.reaches(&two).await;
    });
}

#[test]
fn files_that_are_missing_are_told() {
    run(|executor| async move {
        let dir = TempDir::new().expect("room");
        BoardTls::make(dir.path()).expect("room").found().expect("room");
        fs::remove_file(dir.path().join("ca.crt")).expect("there");
        let listener = PeerListener::bind(&PeerUrl::parse(URL).expect("a URL")).expect("a free port");
        let options = Options { tls: Some(Tls::Board(dir.path().to_owned())), ..options(1) };
        let rng = fastrand::Rng::with_seed(1);
        let told = solder::peer::Peers::start(options, vec![listener], executor, rng).err().expect("damaged");
        assert!(told.contains("ca.crt"), "{told}");
    });
}
