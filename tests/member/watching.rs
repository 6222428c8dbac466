//! Watches and leases of a member.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use async_io::Timer;
use futures_lite::future;
use solder::{
    member::{Member, Options, WatchId, WatchMessage, WatchNews, WatchRequest, WatchStream},
    types::{Command, Error, KeyRange, KeyRev, LeaseId, Outcome, PutRequest, Revision, TxnOp, TxnRequest},
};

use super::support::{get, introduced, options, put, put_of, with};

fn watch(range: KeyRange, start: i64) -> WatchRequest {
    WatchRequest {
        range,
        start: Revision(start),
        prev_kv: false,
        no_put: false,
        no_delete: false,
        progress_notify: None,
    }
}

/// Fails rather than waits for ever.
async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(20)).await;
        panic!("{what} did not come")
    };
    future::or(work, late).await
}

async fn next(stream: &mut WatchStream) -> WatchMessage {
    soon("a message", stream.next()).await.expect("it answers")
}

/// What a message says: place, key, value.
fn told(message: &WatchMessage) -> Vec<(KeyRev, String, Option<String>)> {
    let (WatchNews::Events(events) | WatchNews::Part(events)) = &message.what else {
        panic!("{:?} is no event", message.watch)
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = events.iter().map(|event| {
        let record = &event.record;
        (record.rev, text(&record.key), (!record.tombstone).then(|| text(&record.value)))
    });
    told.collect()
}

/// Takes messages until a revision has been told of.
async fn until(stream: &mut WatchStream, revision: Revision) -> Vec<(KeyRev, String, Option<String>)> {
    let mut all = Vec::new();
    while all.last().is_none_or(|(rev, ..): &(KeyRev, _, _)| rev.main < revision) {
        all.extend(told(&next(stream).await));
    }
    all
}

#[test]
fn what_happens_is_told() {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, _| async move {
        let mut stream = member.watch_stream();
        let request = WatchRequest { prev_kv: true, ..watch(KeyRange::prefix(b"a"), 0) };
        stream.create(WatchId(7), request);
        assert_eq!(stream.synced(), Some(Revision(1)));
        put(&member, "a", "1").await.unwrap();
        put(&member, "b", "1").await.unwrap();
        put(&member, "a", "2").await.unwrap();
        let message = next(&mut stream).await;
        assert_eq!(message.watch, WatchId(7));
        let mut all = told(&message);
        if all.len() < 2 {
            all.extend(told(&next(&mut stream).await));
        }
        assert_eq!(
            all,
            [
                (KeyRev::new(2, 0), "a".into(), Some("1".into())),
                (KeyRev::new(4, 0), "a".into(), Some("2".into()))
            ]
        );
        // Live by now: the next comes by itself, with the value before.
        put(&member, "a", "3").await.unwrap();
        let message = next(&mut stream).await;
        assert_eq!(message.revision, Revision(5));
        let WatchNews::Events(events) = &message.what else { panic!("no event") };
        assert_eq!(&events[0].prev.as_ref().unwrap().value[..], b"2");
        assert_eq!(stream.synced(), Some(Revision(5)));
        assert!(stream.cancel(WatchId(7)) && !stream.cancel(WatchId(7)));
    });
}

#[test]
fn a_hundred_watchers_share_each_event() {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, executor| async move {
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let mut stream = member.watch_stream();
                stream.create(WatchId(0), watch(KeyRange::prefix(b"k"), 0));
                executor.spawn(async move { until(&mut stream, Revision(201)).await })
            })
            .collect();
        let mut expected = Vec::new();
        for number in 0..200 {
            let revision = put(&member, &format!("k{}", number % 7), &number.to_string()).await.unwrap();
            let key = format!("k{}", number % 7);
            expected.push((KeyRev { main: revision, sub: 0 }, key, Some(number.to_string())));
        }
        for task in tasks {
            assert_eq!(task.await, expected);
        }
    });
}

/// Long enough that the window cannot hold it.
const LONG: usize = 20_000;

#[test]
fn who_reads_slowly_misses_nothing_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, executor| async move {
        let (mut slow, mut fast) = (member.watch_stream(), member.watch_stream());
        for stream in [&mut slow, &mut fast] {
            stream.create(WatchId(1), watch(KeyRange::prefix(b"k"), 0));
        }
        let fast = executor.spawn(async move { until(&mut fast, Revision(301)).await.len() });
        for number in 0..300 {
            put(&member, &format!("k{number:03}"), &"x".repeat(LONG)).await.unwrap();
        }
        assert_eq!(soon("the fast one", fast).await, 300, "it did not wait");
        assert_eq!(slow.synced(), None);
        let all = until(&mut slow, Revision(301)).await;
        let keys: Vec<_> = all.iter().map(|(rev, key, _)| (rev.main.0, key.clone())).collect();
        let expected: Vec<_> = (0..300).map(|number| (number + 2, format!("k{number:03}"))).collect();
        assert_eq!(keys, expected);
        put(&member, "k", "live").await.unwrap();
        assert_eq!(told(&next(&mut slow).await).len(), 1);
    });
}

#[test]
fn watches_go_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let last = with(options(dir.path()), |member, _| async move {
        let mut stream = member.watch_stream();
        stream.create(WatchId(1), watch(KeyRange::all(), 0));
        for number in 0..10 {
            put(&member, "a", &number.to_string()).await.unwrap();
        }
        until(&mut stream, Revision(5)).await.last().unwrap().0.main
    });
    // Pulling the plug loses nothing that was told.
    with(options(dir.path()), |member, _| async move {
        let mut stream = member.watch_stream();
        stream.create(WatchId(1), watch(KeyRange::all(), last.next().0));
        put(&member, "a", "after").await.unwrap();
        let all = until(&mut stream, Revision(12)).await;
        let revisions: Vec<i64> = all.iter().map(|(rev, ..)| rev.main.0).collect();
        assert_eq!(revisions, (last.next().0..=12).collect::<Vec<_>>());
    });
}

#[test]
fn revisions_come_whole_and_histories_end_where_they_are_compacted() {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, _| async move {
        let puts = (0..100).map(|number| {
            let value = "x".repeat(2000);
            TxnOp::Put(PutRequest {
                key: format!("k{number:02}").as_str().into(),
                value: value.as_str().into(),
                ..PutRequest::default()
            })
        });
        let txn = TxnRequest { success: puts.collect(), ..TxnRequest::default() };
        for _ in 0..3 {
            member.propose(Command::Txn(txn.clone())).await.unwrap();
        }
        let mut stream = member.watch_stream();
        stream.create(WatchId(1), watch(KeyRange::all(), 2));
        for revision in 2..5 {
            let message = next(&mut stream).await;
            let mut all = told(&message);
            let mut goes_on = matches!(message.what, WatchNews::Part(_));
            while goes_on {
                let message = next(&mut stream).await;
                goes_on = matches!(message.what, WatchNews::Part(_));
                all.extend(told(&message));
            }
            let whole: Vec<_> = (0..100).map(|sub| KeyRev::new(revision, sub)).collect();
            assert_eq!(
                all.iter().map(|(rev, ..)| *rev).collect::<Vec<_>>(),
                whole,
                "one revision a message: they are large"
            );
        }
        member.compact(Revision(3), false).await.unwrap();
        stream.create(WatchId(2), watch(KeyRange::all(), 2));
        let message = next(&mut stream).await;
        assert!(matches!(message.what, WatchNews::Compacted(Revision(3))) && message.watch == WatchId(2));
        stream.create(WatchId(3), watch(KeyRange::single(b"k00"), 3));
        assert_eq!(until(&mut stream, Revision(4)).await.len(), 2);
    });
}

/// A client that puts and compacts in one breath does not take from watchers what it put.
#[test]
fn what_is_compacted_at_once_is_told_nevertheless() {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, _| async move {
        let mut stream = member.watch_stream();
        stream.create(WatchId(1), watch(KeyRange::all(), 0));
        // Live before anything happens.
        assert!(future::poll_once(stream.next()).await.is_none());
        put(&member, "a", "0").await.unwrap();
        assert_eq!(told(&next(&mut stream).await).len(), 1);
        assert!(future::poll_once(stream.next()).await.is_none());
        for round in 0..20 {
            let revision = 3 + 2 * round;
            let both = future::zip(
                future::zip(member.propose(put_of("a", "1")), member.propose(put_of("a", "2"))),
                member.compact(Revision(revision + 1), false),
            );
            let ((first, second), compacted) = both.await;
            assert!(first.is_ok() && second.is_ok() && compacted.is_ok());
            let all = until(&mut stream, Revision(revision + 1)).await;
            assert_eq!(all.len(), 2, "{all:?}");
        }
    });
}

/// More than is told along with "applied" comes in one breath, with a compaction in the midst of it.
#[test]
fn what_is_too_much_to_be_told_at_once_is_told_from_history() {
    const PUTS: i64 = 20;
    let dir = tempfile::tempdir().unwrap();
    let value = "v".repeat(200 << 10);
    with(options(dir.path()), |member, executor| async move {
        let mut stream = member.watch_stream();
        stream.create(WatchId(1), watch(KeyRange::all(), 0));
        assert!(future::poll_once(stream.next()).await.is_none());
        put(&member, "a", "0").await.unwrap();
        assert_eq!(told(&next(&mut stream).await).len(), 1);
        assert!(future::poll_once(stream.next()).await.is_none());
        let mut tasks = Vec::new();
        for number in 0..PUTS {
            let (member, value) = (member.clone(), value.clone());
            tasks.push(executor.spawn(async move {
                if number == PUTS / 2 {
                    member.compact(Revision(2), false).await.unwrap();
                }
                put(&member, "a", &value).await.unwrap();
            }));
        }
        for task in tasks {
            task.await;
        }
        put(&member, "a", "1").await.unwrap();
        let all = until(&mut stream, Revision(3 + PUTS)).await;
        let revisions: Vec<i64> = all.iter().map(|(rev, ..)| rev.main.0).collect();
        assert_eq!(revisions, (3..=3 + PUTS).collect::<Vec<_>>());
    });
}

/// The same, but with all of it compacted before a watcher that had everything could read it from history.
#[test]
fn live_watchers_do_not_hear_of_compactions() {
    const PUTS: i64 = 20;
    let dir = tempfile::tempdir().unwrap();
    let value = "v".repeat(200 << 10);
    with(options(dir.path()), |member, executor| async move {
        let mut stream = member.watch_stream();
        stream.create(WatchId(1), WatchRequest { prev_kv: true, ..watch(KeyRange::all(), 0) });
        assert!(future::poll_once(stream.next()).await.is_none());
        put(&member, "a", "0").await.unwrap();
        assert_eq!(told(&next(&mut stream).await).len(), 1);
        assert!(future::poll_once(stream.next()).await.is_none());
        let mut tasks = Vec::new();
        for _ in 0..PUTS {
            let (member, value) = (member.clone(), value.clone());
            tasks.push(executor.spawn(async move {
                put(&member, "a", &value).await.unwrap();
            }));
        }
        let compacts = member.clone();
        tasks.push(executor.spawn(async move {
            compacts.compact(Revision(2 + PUTS), false).await.unwrap();
        }));
        for task in tasks {
            task.await;
        }
        // Whoever comes now is too late.
        let mut late = member.watch_stream();
        late.create(WatchId(1), watch(KeyRange::all(), 3));
        assert!(matches!(next(&mut late).await.what, WatchNews::Compacted(Revision(22))));
        put(&member, "a", "1").await.unwrap();
        let all = until(&mut stream, Revision(3 + PUTS)).await;
        let revisions: Vec<i64> = all.iter().map(|(rev, ..)| rev.main.0).collect();
        assert_eq!(revisions, (3..=3 + PUTS).collect::<Vec<_>>());
    });
}

#[test]
fn a_watch_may_begin_in_the_future() {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, _| async move {
        let mut stream = member.watch_stream();
        stream.create(WatchId(1), watch(KeyRange::all(), 4));
        stream.create(WatchId(2), watch(KeyRange::all(), i64::MAX));
        assert!(future::poll_once(stream.next()).await.is_none());
        for value in ["1", "2", "3"] {
            put(&member, "a", value).await.unwrap();
        }
        let all = until(&mut stream, Revision(4)).await;
        assert_eq!(all.iter().map(|(rev, ..)| rev.main.0).collect::<Vec<_>>(), [4]);
    });
}

#[test]
fn nothing_is_lost_with_a_future_that_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, executor| async move {
        let writer = member.clone();
        let writes = executor.spawn(async move {
            for number in 0..300 {
                put(&writer, "a", &number.to_string()).await.unwrap();
            }
        });
        let mut stream = member.watch_stream();
        stream.create(WatchId(1), watch(KeyRange::single(b"a"), 2));
        let mut revisions = Vec::new();
        while revisions.last() != Some(&301) {
            let patience = Timer::after(Duration::from_micros(fastrand::u64(..300)));
            let waited = future::or(async { stream.next().await.ok() }, async {
                patience.await;
                None
            });
            if let Some(message) = waited.await {
                revisions.extend(told(&message).iter().map(|(rev, ..)| rev.main.0));
            }
        }
        writes.await;
        assert_eq!(revisions, (2..=301).collect::<Vec<_>>());
    });
}

#[test]
fn progress_is_told_when_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, _| async move {
        put(&member, "b", "1").await.unwrap();
        let mut stream = member.watch_stream();
        let progress_notify = Some(Duration::from_millis(150));
        stream.create(WatchId(1), WatchRequest { progress_notify, ..watch(KeyRange::single(b"a"), 0) });
        let started = Instant::now();
        let message = next(&mut stream).await;
        assert!(matches!(message.what, WatchNews::Progress) && message.revision == Revision(2));
        assert!(started.elapsed() >= Duration::from_millis(150));
    });
}

async fn grant(member: &Member, ttl_s: i64) -> LeaseId {
    let (id, granted) = member.lease_grant(LeaseId::NONE, ttl_s).await.unwrap();
    assert!(id.0 > 0 && granted == ttl_s.max(1));
    id
}

async fn put_with(member: &Member, key: &str, lease: LeaseId) {
    let put = PutRequest { key: key.into(), value: "v".into(), lease, ..PutRequest::default() };
    member.propose(Command::Put(put)).await.unwrap();
}

/// The shortest lease is a second: three halves of this election time-out, rounded up.
fn quick(dir: &Path) -> Options {
    Options { election: Duration::from_millis(500), ..options(dir) }
}

#[test]
fn a_lease_takes_its_keys_with_it_when_its_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    with(quick(dir.path()), |member, _| async move {
        let mut stream = member.watch_stream();
        stream.create(WatchId(1), watch(KeyRange::all(), 0));
        let lease = grant(&member, 0).await;
        let granted_at = Instant::now();
        put_with(&member, "b", lease).await;
        put_with(&member, "a", lease).await;
        let time = member.lease_time_to_live(lease, true).await.unwrap().unwrap();
        assert_eq!((time.ttl_s, time.granted_ttl_s, time.keys), (0, 1, vec!["a".into(), "b".into()]));
        let all = until(&mut stream, Revision(4)).await;
        let took = granted_at.elapsed();
        assert!(
            all.ends_with(&[(KeyRev::new(4, 0), "a".into(), None), (KeyRev::new(4, 1), "b".into(), None)])
        );
        assert!(took > Duration::from_millis(950), "too early: {took:?}");
        assert!(took < Duration::from_millis(1500), "too late: {took:?}");
        assert!(member.lease_time_to_live(lease, false).await.unwrap().is_none());
        assert_eq!(member.lease_keep_alive(lease).await, Ok(None));
        assert_eq!(member.lease_revoke(lease).await, Err(Error::LeaseNotFound));
    });
}

#[test]
fn a_lease_that_is_kept_alive_stays_and_nothing_is_written_for_that() {
    let dir = tempfile::tempdir().unwrap();
    with(quick(dir.path()), |member, _| async move {
        introduced(&member).await;
        let (short, long) = (grant(&member, 1).await, grant(&member, 1000).await);
        put_with(&member, "a", short).await;
        let before = member.figures().proposals_committed;
        for _ in 0..8 {
            Timer::after(Duration::from_millis(250)).await;
            assert_eq!(member.lease_keep_alive(short).await, Ok(Some(1)));
            assert_eq!(member.lease_keep_alive(long).await, Ok(Some(1000)));
        }
        assert_eq!(member.figures().proposals_committed, before);
        assert_eq!(member.leases().await, Ok(vec![short, long]));
        assert_eq!(get(&member, "a").await.as_deref(), Some("v"));
        member.lease_revoke(short).await.unwrap();
        assert_eq!(member.leases().await, Ok(vec![long]));
        assert_eq!(get(&member, "a").await, None);
    });
}

#[test]
fn after_a_restart_leases_have_what_was_last_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let options = |dir: &Path| {
        let mut options = quick(dir);
        options.lease.checkpoint_interval = Duration::from_secs(2);
        options.lease.checkpoint_together = Duration::ZERO;
        options
    };
    let (short, long, renewed) = with(options(dir.path()), |member, _| async move {
        let leases = (grant(&member, 2).await, grant(&member, 100).await, grant(&member, 100).await);
        let (short, _, renewed) = leases;
        Timer::after(Duration::from_millis(1500)).await;
        assert_eq!(member.lease_keep_alive(short).await, Ok(Some(2)));
        Timer::after(Duration::from_millis(1200)).await;
        let before = member.figures().proposals_committed;
        assert_eq!(member.lease_keep_alive(renewed).await, Ok(Some(100)));
        assert_eq!(
            member.figures().proposals_committed,
            before + 1,
            "it had been recorded: back to the full TTL"
        );
        leases
    });
    // Time switched off does not count.
    std::thread::sleep(Duration::from_millis(1000));
    with(options(dir.path()), |member, _| async move {
        let mut left = BTreeMap::new();
        for lease in [short, long, renewed] {
            let time = member.lease_time_to_live(lease, false).await.unwrap().expect("it has not run out");
            left.insert(lease, time.ttl_s);
        }
        assert!((1..=2).contains(&left[&short]), "counted anew: {left:?}");
        assert!((96..=98).contains(&left[&long]), "two seconds had gone by when it was recorded: {left:?}");
        assert!((98..=100).contains(&left[&renewed]), "{left:?}");
        soon("the end of the short one", async {
            while member.lease_time_to_live(short, false).await.unwrap().is_some() {
                Timer::after(Duration::from_millis(50)).await;
            }
        })
        .await;
    });
}

#[test]
fn leases_are_granted_once() {
    let dir = tempfile::tempdir().unwrap();
    with(options(dir.path()), |member, _| async move {
        assert_eq!(member.lease_grant(LeaseId(-5), 60).await, Ok((LeaseId(-5), 60)));
        assert_eq!(member.lease_grant(LeaseId(-5), 60).await, Err(Error::LeaseExists));
        assert_eq!(member.lease_grant(LeaseId(6), 9_000_000_001).await, Err(Error::LeaseTtlTooLarge));
        assert_eq!(member.lease_grant(LeaseId(6), -1).await, Ok((LeaseId(6), 2)));
        assert_eq!(member.lease_grant(LeaseId(7), 9_000_000_000).await, Ok((LeaseId(7), 9_000_000_000)));
        assert_eq!(member.leases().await, Ok(vec![LeaseId(6), LeaseId(-5), LeaseId(7)]));
        let revoked = member.propose(Command::LeaseRevoke { id: LeaseId(-5), only_in: None }).await.unwrap();
        assert!(matches!(revoked.outcome, Outcome::LeaseRevoked { revision: Revision(1) }));
    });
}

#[test]
fn a_thousand_leases_run_out_within_their_second() {
    let dir = tempfile::tempdir().unwrap();
    with(quick(dir.path()), |member, executor| async move {
        let granted = Rc::new(RefCell::new(0));
        let tasks: Vec<_> = (0..1000)
            .map(|_| {
                let (member, granted) = (member.clone(), granted.clone());
                executor.spawn(async move {
                    grant(&member, 1).await;
                    *granted.borrow_mut() += 1;
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        assert_eq!(*granted.borrow(), 1000);
        let last = Instant::now();
        soon("the end of all leases", async {
            while !member.leases().await.unwrap().is_empty() {
                Timer::after(Duration::from_millis(20)).await;
            }
        })
        .await;
        let took = last.elapsed();
        assert!(took < Duration::from_millis(3500), "a thousand a second: {took:?}");
    });
}
