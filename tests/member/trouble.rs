//! Full disks, failing ones, slow ones, and the ways to stop.

use std::{sync::Arc, time::Duration};

use async_io::Timer;
use solder::{
    member::{self, Member, Options},
    store::{self, Fault},
    types::{AlarmAction, AlarmKind, AlarmRequest, Command, DeleteRangeRequest, Error, KeyRange, Revision},
    wal,
};

use super::support::{get, options, put, run_to_end, with, with_opened};

/// As clients do: tries again until it gets through.
async fn put_in_the_end(member: &Member) {
    while put(member, "last", "1").await.is_err() {
        Timer::after(Duration::from_millis(5)).await;
    }
}

/// On disk and database that fail on demand.
struct Twins {
    _dir: tempfile::TempDir,
    options: Options,
    disk: wal::Twin,
    database: Arc<store::Twin>,
}

impl Twins {
    fn new(change: impl FnOnce(&mut Options)) -> Twins {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path());
        change(&mut options);
        Twins { options, _dir: dir, disk: wal::Twin::new(), database: Arc::new(store::Twin::new()) }
    }

    fn open(&self) -> member::Opened {
        member::open_on(self.options.clone(), self.database.clone(), self.disk.clone()).unwrap()
    }
}

#[test]
fn many_writers_share_a_sync() {
    const WRITERS: u64 = 64;
    let twins = Twins::new(|_| {});
    let disk = twins.disk.clone();
    with_opened(twins.open(), |member, executor| async move {
        put(&member, "a", "before").await.unwrap();
        let before = disk.counts().syncs;
        let tasks: Vec<_> = (0..WRITERS)
            .map(|number| {
                let member = member.clone();
                executor.spawn(async move { put(&member, &format!("key{number}"), "value").await.unwrap() })
            })
            .collect();
        let mut revisions = Vec::new();
        for task in tasks {
            revisions.push(task.await);
        }
        revisions.sort();
        let expected: Vec<_> = (3..3 + WRITERS as i64).map(Revision).collect();
        assert_eq!(revisions, expected, "each has its own");
        assert_eq!(disk.counts().syncs - before, 1, "all asked before the log was told");
    });
}

#[test]
fn a_full_database_pushes_back_and_goes_on() {
    let twins = Twins::new(|options| {
        options.store.pending_bytes_max = 64 << 10;
        options.request_timeout = Duration::from_secs(2);
    });
    let database = twins.database.clone();
    with_opened(twins.open(), |member, _| async move {
        put(&member, "first", "1").await.unwrap();
        database.set_fault(Some(Fault::Full));
        let value = "v".repeat(4000);
        let mut kept = 0;
        let refused = loop {
            match put(&member, &format!("key{kept}"), &value).await {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
            assert!(kept < 100, "more is pending than may be");
        };
        assert!(
            matches!(refused, Error::NoSpace | Error::TooManyRequests | Error::Timeout),
            "{refused:?} after {kept}"
        );
        assert!(kept >= 5, "{kept}");
        assert_eq!(get(&member, "first").await.as_deref(), Some("1"), "reads go on");
        database.set_fault(None);
        put_in_the_end(&member).await;
        assert_eq!(get(&member, "key0").await, Some(value));
        while !member.alarms().await.unwrap().is_empty() {
            Timer::after(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn a_full_log_refuses_and_goes_on() {
    let twins = Twins::new(|_| {});
    let disk = twins.disk.clone();
    with_opened(twins.open(), |member, _| async move {
        put(&member, "first", "1").await.unwrap();
        disk.set_faults(wal::Faults { capacity_bytes: Some(0), ..wal::Faults::default() });
        let value = "v".repeat(100_000);
        let mut kept = 0;
        while put(&member, &format!("key{kept}"), &value).await.is_ok() {
            kept += 1;
            assert!(kept < 200, "a log without end");
        }
        assert!(kept > 5, "{kept}");
        assert_eq!(get(&member, "first").await.as_deref(), Some("1"), "reads go on");
        disk.set_faults(wal::Faults::default());
        put_in_the_end(&member).await;
        assert_eq!(get(&member, "key0").await, Some(value));
    });
}

#[test]
fn a_failed_sync_ends_the_member_and_acknowledges_nothing() {
    let twins = Twins::new(|_| {});
    let disk = twins.disk.clone();
    let failure = run_to_end(twins.open(), |member| async move {
        member.ready().await;
        put(&member, "a", "1").await.unwrap();
        disk.set_faults(wal::Faults { sync_fails: true, ..wal::Faults::default() });
        let kept = put(&member, "a", "2").await;
        panic!("answered {kept:?}");
    });
    let failure = failure.unwrap_err().to_string();
    assert!(failure.contains("syncing"), "{failure}");
}

#[test]
fn a_stop_leaves_nothing_pending() {
    let twins = Twins::new(|_| {});
    run_to_end(twins.open(), |member| async move {
        member.ready().await;
        for number in 0..100 {
            put(&member, &format!("key{number}"), "1").await.unwrap();
        }
        member.stop().await;
    })
    .unwrap();
    let store = store::Store::open(twins.database.clone(), twins.options.store).unwrap();
    assert_eq!(store.revision(), Revision(101));
}

#[test]
fn who_comes_after_the_stop_is_refused() {
    let twins = Twins::new(|_| {});
    run_to_end(twins.open(), |member| async move {
        member.ready().await;
        let stop = member.stop();
        let late = async {
            assert_eq!(put(&member, "a", "1").await, Err(Error::NoLeader));
            assert!(member.range(Default::default(), true).await.is_err());
        };
        futures_lite::future::zip(stop, late).await;
    })
    .unwrap();
}

#[test]
fn nothing_is_put_beyond_the_quota() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { quota_bytes: 1 << 20, ..options(dir.path()) };
    with(small, |member, _| async move {
        let value = "v".repeat(10_000);
        let mut kept = 0;
        while put(&member, &format!("key{kept}"), &value).await.is_ok() {
            kept += 1;
            assert!(kept < 200, "a megabyte is a megabyte");
        }
        assert!(kept > 50, "{kept}");
        // Before all other checks, as in etcd.
        assert_eq!(put(&member, "", &value).await, Err(Error::NoSpace));
        let own = (member.header().member, AlarmKind::NoSpace);
        while member.alarms().await.unwrap() != [own] {}
        assert_eq!(put(&member, "small", "1").await, Err(Error::NoSpace));
        let delete = DeleteRangeRequest { range: KeyRange::all(), prev_kv: false };
        assert!(member.propose(Command::DeleteRange(delete)).await.is_ok(), "what gives room is taken");
        member.compact(member.header().revision, true).await.unwrap();
        member.defragment().await.unwrap();
        assert!(member.status().await.unwrap().db_size_bytes < 1 << 20);
        let disarm = AlarmRequest { action: AlarmAction::Deactivate, member: own.0, kind: own.1 };
        assert_eq!(member.change_alarm(disarm).await, Ok(Some(disarm)));
        assert!(put(&member, "small", "1").await.is_ok());
    });
}
