//! A cluster that several boards found together, seen by the first of them.

use std::time::{Duration, Instant};

use async_io::Timer;
use solder::{
    member::{ClusterSettingsChange, Formation, Member, Options, Start},
    types::{
        AutopilotChange, Command, Error, KeyRange, LeaseId, PutRequest, RangeRequest, Revision, TxnOp,
        TxnRequest,
    },
};

use super::support::{get, options, put, with};

const MISSING: Error = Error::Founding { missing: 1, size: 2 };

fn founder(dir: &std::path::Path) -> Options {
    let autopilot = AutopilotChange {
        voters_max: Some(5),
        replace_after_s: Some(60),
        learners_max: Some(100),
        forming: Some(2),
    };
    Options {
        autopilot: Some(autopilot),
        request_timeout: Duration::from_millis(400),
        heartbeat: Duration::from_millis(20),
        election: Duration::from_millis(200),
        ..options(dir)
    }
}

async fn txn(member: &Member, op: TxnOp) -> Result<(), Error> {
    let txn = TxnRequest { success: vec![op], ..TxnRequest::default() };
    member.propose(Command::Txn(txn)).await.map(drop)
}

async fn refuses_writes(member: &Member) {
    assert_eq!(put(member, "a", "1").await, Err(MISSING));
    assert_eq!(member.compact(Revision(1), false).await, Err(MISSING));
    assert_eq!(member.lease_grant(LeaseId(7), 60).await, Err(MISSING));
    let op = TxnOp::Put(PutRequest { key: "a".into(), ..PutRequest::default() });
    assert_eq!(txn(member, op).await, Err(MISSING));
    // Who only reads is answered.
    assert_eq!(get(member, "a").await, None);
    let op = TxnOp::Range(RangeRequest { range: KeyRange::single("a"), ..RangeRequest::default() });
    assert_eq!(txn(member, op).await, Ok(()));
    assert_eq!(member.header().revision, Revision(1));
}

#[test]
fn nothing_is_acknowledged_before_all_are_in() {
    let dir = tempfile::tempdir().unwrap();
    with(founder(dir.path()), |member, _| async move { refuses_writes(&member).await });
    // Nor after a restart; what waits is done once those who are in are enough.
    with(founder(dir.path()), |member, executor| async move {
        refuses_writes(&member).await;
        let late = member.clone();
        let late = executor.spawn(async move { put(&late, "a", "1").await });
        // Who was named and never came is none of them.
        member.member_add(vec!["http://10.0.0.2:2380".into()], true).await.unwrap();
        assert_eq!(late.await, Err(MISSING));
        let late = member.clone();
        let late = executor.spawn(async move { put(&late, "a", "1").await });
        member.change_cluster_settings(of(1)).await.unwrap();
        assert_eq!(late.await, Ok(Revision(2)));
        assert_eq!(put(&member, "a", "2").await, Ok(Revision(3)));
    });
    with(founder(dir.path()), |member, _| async move {
        assert_eq!(put(&member, "a", "3").await, Ok(Revision(4)));
        let settings = member.cluster_settings().await.unwrap();
        assert_eq!((settings.voters_max, settings.replace_after_s, settings.learners_max), (5, 60, 100));
    });
}

async fn has_token(member: &Member, token: &str) -> bool {
    member.invitations().await.expect("it serves").iter().any(|invitee| invitee.id == token)
}

fn of(size: u32) -> ClusterSettingsChange {
    ClusterSettingsChange { size: Some(size), ..ClusterSettingsChange::default() }
}

/// Boards may be switched on weeks apart; the URL is good for as long as it says after that.
#[test]
fn a_token_does_not_age_before_all_are_in() {
    let dir = tempfile::tempdir().unwrap();
    let (token, ttl) = ("ab".repeat(16), Duration::from_secs(2));
    let formation = Formation { token: token.clone(), size: 3, key: "key".into(), board: "board".into() };
    let options = Options {
        start: Start::Formed(formation.clone()),
        founding_ttl_s: ttl.as_secs() as i64,
        autopilot: None,
        ..founder(dir.path())
    };
    for life in 0..2 {
        let (token, formation) = (&token, &formation);
        with(options.clone(), |member, _| async move {
            member.begin_forming(formation, [7; 16]).await;
            Timer::after(3 * ttl).await;
            assert!(has_token(&member, token).await, "in life {life} it has ended");
        });
    }
    with(options, |member, _| async move {
        // A person has one board only, and says so.
        let refused = |given| Err(Error::OutOfRange { name: "size", given, least: 1, most: 3 });
        assert_eq!(member.change_cluster_settings(of(4)).await.map(drop), refused(4));
        assert_eq!(member.change_cluster_settings(of(2)).await.map(drop), Ok(()));
        assert_eq!(put(&member, "a", "1").await, Err(MISSING));
        assert_eq!(member.change_cluster_settings(of(1)).await.map(drop), Ok(()));
        assert!(put(&member, "a", "1").await.is_ok());
        assert_eq!(member.change_cluster_settings(of(1)).await.map(drop), Err(Error::Founded));
        let begun = Instant::now();
        while has_token(&member, &token).await {
            assert!(begun.elapsed() < 10 * ttl, "it does not end");
            Timer::after(ttl / 10).await;
        }
    });
}

#[test]
fn members_are_what_they_are_for_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    with(founder(dir.path()), |member, _| async move {
        // What it founds with is settled in its first moments.
        while member.cluster_settings().await.unwrap().voters_max == 0 {
            async_io::Timer::after(Duration::from_millis(10)).await;
        }
        let (added, _) = member.member_add(vec!["http://10.0.0.2:2380".into()], true).await.unwrap();
        let role = loop {
            let roles = member.roles().await.unwrap();
            match roles.into_iter().find(|role| role.id == added.id) {
                Some(role) => break role,
                None => async_io::Timer::after(Duration::from_millis(50)).await,
            };
        };
        assert!(role.since_s > 0);
        assert_eq!(role.why, "learner: not reached for 0 s");
    });
    let plain = tempfile::tempdir().unwrap();
    with(options(plain.path()), |member, _| async move {
        assert_eq!(member.roles().await, Ok(Vec::new()));
    });
}
