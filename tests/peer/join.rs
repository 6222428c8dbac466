//! Boards that want in, and whoever would like to hear or say more than he may.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use ring::hmac;
use smol::LocalExecutor;
use solder::{
    peer::{
        Frame, Greeting, JoinAnswer, JoinError, JoinFrame, JoinRequest, Joiner, Limits, LocalBoxFuture,
        NoProof, Options, Pass, PeerUrl, Purpose, Reception, Refusal, RollCall, RollEntry, Roster,
    },
    types::{Bytes, ClusterId, NodeId},
};

use crate::{
    boards::{Homes, RawTls, RawTlsListener, URL, nobodys},
    raw::{Raw, bytes_of, greeting},
    support::{Board, limits, pause, run, until},
};

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: [u8; 16] = *b"0123456789abcdef";
const TOKEN: &str = "c0ffee";

/// Knows one token.
struct Desk {
    answer: JoinAnswer,
    /// How long it takes.
    takes: Cell<Duration>,
    requests: RefCell<Vec<JoinRequest>>,
}

impl Reception for Desk {
    fn secret(&self, token: &str) -> LocalBoxFuture<'_, Result<[u8; 16], String>> {
        let known = (token == TOKEN).then_some(SECRET);
        Box::pin(async move { known.ok_or_else(|| "the token is not known here".to_owned()) })
    }

    fn admit(&self, token: &str, request: JoinRequest) -> LocalBoxFuture<'_, JoinAnswer> {
        assert_eq!(token, TOKEN);
        self.requests.borrow_mut().push(request);
        Box::pin(async move {
            let begun = Instant::now();
            while begun.elapsed() < self.takes.get() {
                pause(Duration::from_millis(2)).await;
            }
            self.answer.clone()
        })
    }
}

fn desk(answer: JoinAnswer) -> Rc<Desk> {
    Rc::new(Desk { answer, takes: Cell::default(), requests: RefCell::default() })
}

fn elsewhere() -> JoinAnswer {
    JoinAnswer::Elsewhere { urls: vec!["https://b:2380".into()] }
}

fn welcome(homes: &Homes, to: &JoinRequest) -> JoinAnswer {
    let founder = homes.founder();
    let entry = RollEntry { id: NodeId(1), is_learner: false, row: Bytes::new() };
    let roll = RollCall {
        cluster: ClusterId(5),
        member: NodeId(1),
        members: vec![entry],
        removed: [NodeId(9)].into(),
    };
    JoinAnswer::Welcome {
        cluster: ClusterId(5),
        member: NodeId(2),
        name: "pi-1234".into(),
        ca: founder.ca().expect("founded"),
        certificate: founder.certify(&to.public_key, NodeId(2)).expect("a P-256 key"),
        roll,
    }
}

fn request(public_key: Bytes) -> JoinRequest {
    JoinRequest {
        name: "pi".into(),
        is_default_name: true,
        suffix: "1234".into(),
        public_key,
        peer_urls: vec!["https://10.0.0.2:2380".into()],
        client_urls: vec!["http://10.0.0.2:2379".into()],
        board: b"serial".into(),
        level: 2,
    }
}

fn any_request() -> JoinRequest {
    request(Bytes::from(&[1; 91]))
}

fn pass(pin: Option<Bytes>) -> Pass {
    Pass { token: TOKEN.into(), secret: SECRET, pin }
}

async fn join(url: &PeerUrl, pass: &Pass) -> Result<JoinAnswer, JoinError> {
    ask(url, pass, &any_request(), PATIENCE).await
}

async fn ask(
    url: &PeerUrl,
    pass: &Pass,
    request: &JoinRequest,
    timeout: Duration,
) -> Result<JoinAnswer, JoinError> {
    let joiner = Joiner::new().expect("a thread");
    let reached = joiner.reach(url).await?;
    joiner.join(reached, pass, request, timeout).await
}

fn open(executor: &Rc<LocalExecutor<'static>>, homes: &Homes, limits: Limits) -> (Board, Rc<Desk>) {
    let one = Board::start_at(executor, Options { limits, ..homes.options(1) }, URL);
    let desk = desk(elsewhere());
    one.peers.set_reception(desk.clone());
    (one, desk)
}

fn mac(secret: &[u8], role: &str, exporter: &[u8]) -> Bytes {
    let said = [b"solder join: ", role.as_bytes(), b"\0", TOKEN.as_bytes(), exporter].concat();
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &said).as_ref().into()
}

fn proof(mac: Bytes) -> JoinFrame {
    JoinFrame::Proof { token: TOKEN.into(), mac }
}

#[test]
fn a_board_is_let_in() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        let mut two = solder::peer::BoardTls::make(&homes.path("2")).expect("room");
        let request = request(two.public_key());
        let desk = desk(welcome(&homes, &request));
        one.peers.set_reception(desk.clone());
        // A URL that is older than the authority has no pin.
        for pin in [Some(homes.pin()), None] {
            let answer = ask(&one.url, &pass(pin), &request, PATIENCE).await;
            assert_eq!(answer, Ok(desk.answer.clone()));
        }
        assert_eq!(*desk.requests.borrow(), [request.clone(), request]);
        let JoinAnswer::Welcome { ca, certificate, .. } = &desk.answer else { panic!("it is one") };
        two.keep(ca, certificate).expect("good");
        let two = homes.start(&executor, 2);
        one.peers.set_members(Roster { members: vec![homes.address(&two, true)], ..Roster::default() });
        two.peers.set_members(Roster { members: vec![homes.address(&one, true)], ..Roster::default() });
        one.reaches(&two).await;
        assert_eq!(one.peers.totals().refused, 0);
    });
}

#[test]
fn what_the_cluster_answers_is_told() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        for answer in [
            elsewhere(),
            JoinAnswer::Later { why: "no leader".into() },
            JoinAnswer::Refused { why: "used up".into() },
        ] {
            one.peers.set_reception(desk(answer.clone()));
            assert_eq!(join(&one.url, &pass(Some(homes.pin()))).await, Ok(answer));
        }
    });
}

#[test]
fn who_does_not_know_the_secret_stays_out() {
    run(|executor| async move {
        let homes = Homes::new();
        let (one, desk) = open(&executor, &homes, limits());
        let guess = Pass { secret: *b"0123456789abcdeg", ..pass(Some(homes.pin())) };
        let told = join(&one.url, &guess).await;
        assert!(
            matches!(&told, Err(JoinError::NotProven(text)) if text.contains("is not the token's")),
            "{told:?}"
        );
        let unknown = Pass { token: "bad".into(), ..pass(Some(homes.pin())) };
        let told = join(&one.url, &unknown).await;
        assert!(
            matches!(&told, Err(JoinError::Refused(text)) if text.contains("token is not known here")),
            "{told:?}"
        );
        assert!(desk.requests.borrow().is_empty());
        until("both are counted", || one.peers.totals().refused == 2).await;
    });
}

/// Who has proven nothing is not heard, whatever he says.
#[test]
fn nothing_is_heard_before_the_proof() {
    run(|executor| async move {
        let homes = Homes::new();
        let (one, desk) = open(&executor, &homes, limits());
        for frame in [JoinFrame::Request(any_request()), JoinFrame::Answer(elsewhere())] {
            let mut raw = RawTls::dial(&one.url, None).await;
            assert_eq!(raw.greet(nobodys(Purpose::Join)).await.expect("an answer").verdict, None);
            raw.send(frame).await;
            assert!(raw.next().await.is_none(), "it is cut");
        }
        // With a good proof twice, and no request.
        let mut raw = RawTls::dial(&one.url, None).await;
        raw.greet(nobodys(Purpose::Join)).await.expect("an answer");
        let mac = mac(&SECRET, "newcomer", &raw.exporter());
        raw.send(proof(mac.clone())).await;
        assert!(matches!(raw.next_of_joining().await, Some(JoinFrame::Proof { .. })));
        raw.send(proof(mac)).await;
        assert!(raw.next().await.is_none(), "it is cut");
        assert!(desk.requests.borrow().is_empty());
    });
}

/// A proof that was heard on another connection, and a member's own sent back to it.
#[test]
fn proofs_are_worth_nothing_elsewhere() {
    run(|executor| async move {
        let homes = Homes::new();
        let (one, desk) = open(&executor, &homes, limits());
        let greeted = async || {
            let mut raw = RawTls::dial(&one.url, None).await;
            raw.greet(nobodys(Purpose::Join)).await.expect("an answer");
            raw
        };
        let mut first = greeted().await;
        let good = mac(&SECRET, "newcomer", &first.exporter());
        let mut second = greeted().await;
        second.send(proof(good.clone())).await;
        let refused = second.next_of_joining().await;
        assert!(matches!(refused, Some(JoinFrame::Refused { reason: NoProof::Secret, .. })), "{refused:?}");
        first.send(proof(good)).await;
        let Some(JoinFrame::Proof { mac: members, .. }) = first.next_of_joining().await else {
            panic!("it was a good one")
        };
        assert_eq!(members, mac(&SECRET, "member", &first.exporter()));
        let mut third = greeted().await;
        let reflected = mac(&SECRET, "member", &third.exporter());
        third.send(proof(reflected)).await;
        let refused = third.next_of_joining().await;
        assert!(matches!(refused, Some(JoinFrame::Refused { reason: NoProof::Secret, .. })), "{refused:?}");
        assert!(desk.requests.borrow().is_empty());
    });
}

/// Passes on what it reads, both ways, until one side has enough.
async fn pass_on(from: &mut RawTls, to: &mut RawTls) {
    let greeting = from.read_greeting().await.expect("a greeting");
    let answer = to.greet(greeting).await.expect("an answer");
    from.write(&answer.encode()).await;
    loop {
        let Some(frame) = from.next().await else { return };
        to.write(&bytes_of(&frame)).await;
        let Some(frame) = to.next().await else { return };
        from.write(&bytes_of(&frame)).await;
    }
}

#[test]
fn a_man_in_the_middle() {
    run(|executor| async move {
        let homes = Homes::new();
        let (one, desk) = open(&executor, &homes, limits());
        // With a certificate of his own, and with that of a member that he is not to be trusted for.
        homes.member("7");
        for (folder, has_own) in [(Homes::new(), true), (homes, false)] {
            let name = if has_own { "1" } else { "7" };
            let middle = RawTlsListener::bind(&folder.path(name));
            let (url, members) = (middle.url(), one.url.clone());
            let playing = executor.spawn(async move {
                let mut heard = 0;
                for _ in 0..2 {
                    let Some(mut newcomer) = middle.accept().await else { continue };
                    let mut member = RawTls::dial(&members, None).await;
                    pass_on(&mut newcomer, &mut member).await;
                    heard += 1;
                }
                heard
            });
            let told = join(&url, &pass(None)).await;
            assert!(matches!(told, Err(JoinError::NotProven(_))), "{told:?}");
            let pin = if has_own { Homes::new().pin() } else { folder.pin() };
            let told = join(&url, &pass(Some(pin))).await;
            match has_own {
                true => assert!(matches!(told, Err(JoinError::WrongPin(_))), "{told:?}"),
                false => assert!(matches!(told, Err(JoinError::NotProven(_))), "{told:?}"),
            }
            assert_eq!(playing.await, if has_own { 1 } else { 2 }, "the pin keeps it from the first word");
        }
        assert!(desk.requests.borrow().is_empty());
    });
}

/// A board that only says that it knows the secret.
#[test]
fn a_newcomer_says_nothing_of_itself_to_who_has_not_proven() {
    run(|executor| async move {
        let homes = Homes::new();
        let fake = RawTlsListener::bind(&homes.path("1"));
        let url = fake.url();
        let playing = executor.spawn(async move {
            for attempt in 0..6 {
                let mut raw = fake.accept().await.expect("it believes the certificate");
                let theirs = raw.read_greeting().await.expect("a greeting");
                raw.write(&theirs.encode()).await;
                let Some(JoinFrame::Proof { mac: newcomers, .. }) = raw.next_of_joining().await else {
                    panic!("it begins with a proof")
                };
                raw.send(match attempt {
                    0 => proof(newcomers),
                    1 => proof(mac(b"a guess", "member", &raw.exporter())),
                    2 => proof(Bytes::new()),
                    3 => JoinFrame::Answer(JoinAnswer::Refused { why: "go away".into() }),
                    4 => JoinFrame::Request(any_request()),
                    _ => JoinFrame::Refused { reason: NoProof::Later, why: "a\nb".into() },
                })
                .await;
                assert!(raw.next().await.is_none(), "it says no more");
            }
        });
        for _ in 0..3 {
            let told = join(&url, &pass(Some(homes.pin()))).await;
            assert!(matches!(told, Err(JoinError::NotProven(_))), "{told:?}");
        }
        for _ in 3..5 {
            let told = join(&url, &pass(Some(homes.pin()))).await;
            assert!(matches!(told, Err(JoinError::Unreachable(_))), "{told:?}");
        }
        let told = join(&url, &pass(Some(homes.pin()))).await;
        assert_eq!(told, Ok(JoinAnswer::Later { why: "a b".into() }));
        playing.await;
    });
}

#[test]
fn a_pin_is_of_one_cluster() {
    run(|executor| async move {
        let (homes, other) = (Homes::new(), Homes::new());
        let (one, desk) = open(&executor, &homes, limits());
        let told = join(&one.url, &pass(Some(other.pin()))).await;
        assert!(
            matches!(&told, Err(JoinError::WrongPin(text)) if text.contains("not of the cluster")),
            "{told:?}"
        );
        assert!(desk.requests.borrow().is_empty());
        // One that would have the newcomer trust another authority from then on.
        one.peers.set_reception(self::desk(welcome(&other, &request(other.founder().public_key()))));
        let told = join(&one.url, &pass(Some(homes.pin()))).await;
        assert!(matches!(told, Err(JoinError::WrongPin(_))), "{told:?}");
        // Who shows the right authority's certificate with a chain of his own is none of its members.
        let (ca, forged) = (homes.path("1").join("ca.crt"), other.path("1").join("ca.crt"));
        std::fs::copy(ca, forged).expect("room");
        let fakes = [
            RawTlsListener::bind(&other.path("1")),
            // Nor is who shows a member's certificate, and does not have its key.
            RawTlsListener::bind_with(&homes.path("1"), &other.path("1")),
        ];
        for fake in fakes {
            let url = fake.url();
            let playing =
                executor.spawn(async move { assert!(fake.accept().await.is_none(), "not believed") });
            let told = join(&url, &pass(Some(homes.pin()))).await;
            assert!(matches!(told, Err(JoinError::WrongPin(_))), "{told:?}");
            playing.await;
        }
    });
}

#[test]
fn joining_needs_tls() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = Board::start_at(&executor, homes.options(1), "http://127.0.0.1:0");
        one.peers.set_reception(desk(elsewhere()));
        let told = join(&one.url, &pass(None)).await;
        assert!(matches!(&told, Err(JoinError::Refused(text)) if text.contains("https://")), "{told:?}");
        let mut raw = Raw::dial(&one.url).await;
        assert_eq!(raw.greet(nobodys(Purpose::Join)).await.verdict, Some(Refusal::Plain));
        assert!(raw.next().await.is_none(), "it closes");
        let secure = PeerUrl { is_tls: true, ..one.url.clone() };
        let told = join(&secure, &pass(None)).await;
        assert!(matches!(told, Err(JoinError::Unreachable(_))), "{told:?}");
    });
}

#[test]
fn other_versions_are_told() {
    run(|executor| async move {
        let homes = Homes::new();
        let (one, _) = open(&executor, &homes, limits());
        let mut raw = RawTls::dial(&one.url, None).await;
        let newer = Greeting { lowest: 2, highest: 3, ..nobodys(Purpose::Join) };
        assert_eq!(raw.greet(newer).await.expect("an answer").verdict, Some(Refusal::Version));
        assert!(raw.next().await.is_none(), "it closes");
    });
}

#[test]
fn a_board_without_a_reception_says_later() {
    run(|executor| async move {
        let homes = Homes::new();
        let one = homes.start(&executor, 1);
        let told = join(&one.url, &pass(Some(homes.pin()))).await;
        assert!(
            matches!(&told, Ok(JoinAnswer::Later { why }) if why.contains("cannot let others in")),
            "{told:?}"
        );
    });
}

#[test]
fn what_joiners_say_is_bounded() {
    run(|executor| async move {
        let homes = Homes::new();
        let (one, desk) = open(&executor, &homes, limits());
        let mut raw = RawTls::dial(&one.url, None).await;
        raw.greet(nobodys(Purpose::Join)).await.expect("an answer");
        raw.write(&[&(17u32 << 10).to_le_bytes()[..], &[0; 4]].concat()).await;
        assert!(raw.next().await.is_none(), "cut at the promise");
        let mut raw = RawTls::dial(&one.url, None).await;
        raw.greet(nobodys(Purpose::Join)).await.expect("an answer");
        let mac = mac(&SECRET, "newcomer", &raw.exporter());
        raw.send(proof(mac)).await;
        raw.next_of_joining().await.expect("its proof");
        let large = JoinRequest { peer_urls: vec!["x".repeat(17 << 10)], ..any_request() };
        raw.send(JoinFrame::Request(large.clone())).await;
        assert!(raw.next().await.is_none(), "cut");
        // And who would say so much is told before it is sent.
        let told = ask(&one.url, &pass(None), &large, PATIENCE).await.expect_err("too much");
        assert!(told.to_string().contains("16384 are allowed"), "{told}");
        assert!(desk.requests.borrow().is_empty());
        assert_eq!(one.peers.figures().len(), 0);
    });
}

#[test]
fn slow_joiners_are_cut() {
    run(|executor| async move {
        let homes = Homes::new();
        let quick = Duration::from_millis(300);
        let limits = Limits { greeting_timeout: quick, join_timeout: 4 * quick, ..limits() };
        let (one, desk) = open(&executor, &homes, limits);
        let begun = Instant::now();
        let mut silent = RawTls::dial(&one.url, None).await;
        silent.greet(nobodys(Purpose::Join)).await.expect("an answer");
        assert!(silent.next().await.is_none(), "it was to prove itself");
        let mut proven = RawTls::dial(&one.url, None).await;
        proven.greet(nobodys(Purpose::Join)).await.expect("an answer");
        proven.send(proof(mac(&SECRET, "newcomer", &proven.exporter()))).await;
        proven.next_of_joining().await.expect("its proof");
        assert!(proven.next().await.is_none(), "it was to say what it wants");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        // The cluster itself is slow: that is told in time.
        desk.takes.set(PATIENCE);
        let told = join(&one.url, &pass(None)).await;
        assert!(matches!(&told, Ok(JoinAnswer::Later { why }) if why.contains("in time")), "{told:?}");
        let late = ask(&one.url, &pass(None), &any_request(), quick / 2).await;
        assert!(
            matches!(&late, Err(JoinError::Unreachable(text)) if text.contains("no answer in")),
            "{late:?}"
        );
    });
}

/// Those who wait to be let in have their own places: strangers come and go beside them, and members too.
#[test]
fn joiners_push_nobody_out() {
    run(|executor| async move {
        let homes = Homes::new();
        let (one, desk) = open(&executor, &homes, Limits { strangers_max: 3, ..limits() });
        desk.takes.set(PATIENCE);
        let mut joiners = Vec::new();
        for number in 1..=16 {
            let url = one.url.clone();
            joiners.push(executor.spawn(async move { join(&url, &pass(None)).await }));
            until("it waits, and is no stranger", || desk.requests.borrow().len() == number).await;
        }
        for _ in 0..3 {
            let told = join(&one.url, &pass(None)).await;
            assert!(
                matches!(&told, Ok(JoinAnswer::Later { why }) if why.contains("many boards join")),
                "{told:?}"
            );
        }
        let two = homes.start(&executor, 2);
        two.peers.set_members(Roster { members: vec![homes.address(&one, true)], ..Roster::default() });
        one.peers.set_members(Roster { members: vec![homes.address(&two, true)], ..Roster::default() });
        two.reaches(&one).await;
        assert_eq!((one.peers.totals().strangers_pushed_out, desk.requests.borrow().len()), (0, 16));
        desk.takes.set(Duration::ZERO);
        for joiner in joiners {
            assert_eq!(joiner.await, Ok(elsewhere()));
        }
        // Places are given back.
        for _ in 0..17 {
            assert_eq!(join(&one.url, &pass(None)).await, Ok(elsewhere()));
        }
    });
}

/// What belongs to joining comes on a connection of members.
#[test]
fn members_do_not_say_such_things() {
    run(|executor| async move {
        let one = Board::start(&executor, 1);
        one.peers.set_members(Roster { takes_guests: true, ..Roster::default() });
        for frame in [
            Frame::Join(Box::new(proof(Bytes::new()))),
            Frame::Join(Box::new(JoinFrame::Answer(elsewhere()))),
        ] {
            let mut raw = Raw::join(&one.url, greeting(2, 1)).await;
            raw.send(frame).await;
            raw.bye().await;
        }
        until("both were cut", || one.peers.figures().is_empty()).await;
    });
}
