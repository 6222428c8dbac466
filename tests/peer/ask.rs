//! Who is nobody yet asks who the members are.

use std::time::{Duration, SystemTime};

use solder::{
    peer::{Asker, Frame, Greeting, PeerUrl, Purpose, Refusal, RollCall, RollEntry, Roster},
    types::{ClusterId, MemberRow, NodeId},
};

use crate::{
    raw::{Raw, RawListener, greeting},
    support::{Board, CLUSTER, pause, run},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn roster() -> Roster {
    let row = MemberRow { name: "a".into(), peer_urls: vec!["http://a:1".into()], ..MemberRow::default() };
    let entry = |id, is_learner| RollEntry { id: NodeId(id), is_learner, row: row.encode() };
    let roll = vec![entry(1, false), entry(2, true)];
    Roster { removed: [NodeId(9)].into(), roll, ..Roster::default() }
}

fn asker() -> Asker {
    Asker::new(None, SystemTime::now).expect("nothing can go wrong without TLS")
}

fn ask_greeting() -> Greeting {
    let (cluster, nobody) = (ClusterId(0), NodeId(0));
    Greeting { purpose: Purpose::Ask, cluster, from: nobody, to: nobody, ..greeting(0, 0) }
}

#[test]
fn the_members_are_told() {
    run(|executor| async move {
        let one = Board::start(&executor, 1);
        let asked = asker().ask(std::slice::from_ref(&one.url), PATIENCE).await.expect("an answer");
        assert_eq!((asked.cluster, asked.member, asked.members), (CLUSTER, one.id, vec![]), "not told yet");
        let Roster { removed, roll, .. } = roster();
        one.peers.set_members(roster());
        // Nobody is behind the first.
        let urls = [RawListener::bind().url(), one.url.clone()];
        let asked = asker().ask(&urls, PATIENCE).await.expect("an answer");
        assert_eq!(asked, RollCall { cluster: CLUSTER, member: one.id, members: roll, removed });
        assert!(one.peers.figures().is_empty(), "who asks becomes no peer");
    });
}

#[test]
fn askers_are_strangers_to_the_end() {
    run(|executor| async move {
        let one = Board::start(&executor, 1);
        one.peers.set_members(roster());
        // Who asks and does not read its answer's end is cut.
        let mut slow = Raw::dial(&one.url).await;
        let answer = slow.greet(ask_greeting()).await;
        assert_eq!((answer.verdict, answer.from), (None, one.id));
        assert!(matches!(slow.next().await, Some(Frame::RollCall(_))));
        assert!(slow.next().await.is_none(), "nothing follows");
        let mut newer = Raw::dial(&one.url).await;
        let answer = newer.greet(Greeting { lowest: 2, highest: 3, ..ask_greeting() }).await;
        assert_eq!(answer.verdict, Some(Refusal::Version));
        assert!(newer.next().await.is_none(), "a version that is not spoken is told no members");
    });
}

async fn trouble(url: PeerUrl, timeout: Duration) -> String {
    asker().ask(&[url], timeout).await.expect_err("no answer")
}

#[test]
fn each_trouble_is_told() {
    run(|executor| async move {
        let listener = RawListener::bind();
        let url = listener.url();
        let silent = trouble(url.clone(), Duration::from_millis(50)).await;
        assert_eq!(silent, format!("{url}: no answer in 50ms"));
        drop(listener);
        let gone = trouble(url.clone(), PATIENCE).await;
        assert!(gone.starts_with(&format!("{url}: Connection refused")), "{gone}");
        let one = Board::start(&executor, 1);
        let secure = PeerUrl { is_tls: true, ..one.url.clone() };
        let plain = trouble(secure, PATIENCE).await;
        assert!(plain.contains("need --peer-cert-file"), "{plain}");
    });
}

/// As one that does not know the purpose, and as one that speaks another version.
#[test]
fn other_builds_are_told_from_silence() {
    run(|executor| async move {
        let listener = RawListener::bind();
        let url = listener.url();
        let play = executor.spawn(async move {
            let mut old = listener.accept_silently().await;
            old.read_greeting().await;
            drop(old);
            let mut new = listener.accept_silently().await;
            let theirs = new.read_greeting().await;
            new.write(&Greeting { lowest: 2, highest: 3, ..theirs }.encode()).await;
            pause(Duration::from_millis(200)).await;
        });
        let old = trouble(url.clone(), PATIENCE).await;
        assert!(old.contains("is its build older than this?"), "{old}");
        let new = trouble(url, PATIENCE).await;
        assert!(new.contains("speaks protocol versions 1 to 1"), "{new}");
        play.await;
    });
}

/// An answer may promise a gigabyte, or be none.
#[test]
fn answers_are_bounded() {
    run(|executor| async move {
        let listener = RawListener::bind();
        let url = listener.url();
        let play = executor.spawn(async move {
            for answer in [&[0xff; 8][..], &crate::raw::bytes_of(&Frame::Ping { number: 1 })] {
                let mut raw = listener.accept_silently().await;
                let theirs = raw.read_greeting().await;
                raw.write(&theirs.encode()).await;
                raw.write(answer).await;
                raw.bye().await;
            }
        });
        let long = trouble(url.clone(), PATIENCE).await;
        assert!(long.contains("a frame of 4294967295 bytes, where 1048576 are allowed"), "{long}");
        let none = trouble(url, PATIENCE).await;
        assert!(none.contains("it is no list of members"), "{none}");
        play.await;
    });
}
