//! A board for a test.

use std::{path::Path, rc::Rc, time::Duration};

use async_io::Timer;
use futures_lite::future;
use smol::LocalExecutor;
use solder::{
    member::{self, Applied, Failure, Member, Opened, Options},
    store::RevRecord,
    types::{Command, Error, KeyRange, Outcome, PutRequest, RangeRequest, Revision},
};

/// Small files, so that tests are quick.
pub(crate) fn options(dir: &Path) -> Options {
    Options { wal_segment_bytes: 2 << 20, ..Options::new(dir) }
}

/// What runs beside it.
pub(crate) type Executor = Rc<LocalExecutor<'static>>;

/// Runs `test` with a member that is ready, and pulls the plug when it returns.
pub(crate) fn with<T, F>(options: Options, test: impl FnOnce(Member, Executor) -> F) -> T
where
    F: Future<Output = T>,
{
    with_opened(member::open(options).expect("the member opens"), test)
}

pub(crate) fn with_opened<T, F>(opened: Opened, test: impl FnOnce(Member, Executor) -> F) -> T
where
    F: Future<Output = T>,
{
    let executor = Rc::new(LocalExecutor::new());
    let (member, life) = opened.start(None);
    let test = test(member.clone(), executor.clone());
    let life = async {
        let ended = life.await;
        panic!("the member ended by itself: {ended:?}");
    };
    let served = async {
        member.ready().await;
        test.await
    };
    async_io::block_on(executor.run(future::or(life, served)))
}

/// Runs a member until it ends.
pub(crate) fn run_to_end<F>(opened: Opened, test: impl FnOnce(Member) -> F) -> Result<(), Failure>
where
    F: Future<Output = ()>,
{
    let (member, life) = opened.start(None);
    let executor = LocalExecutor::new();
    let test = test(member);
    let never = async {
        test.await;
        future::pending().await
    };
    async_io::block_on(executor.run(future::or(life, never)))
}

/// Waits until the member has told of itself all that it has to.
pub(crate) async fn introduced(member: &Member) {
    let committed = || member.figures().proposals_committed;
    let mut before = 0;
    while before != committed() || member.members(false).await.is_ok_and(|all| all[0].name.is_empty()) {
        before = committed();
        Timer::after(Duration::from_millis(400)).await;
    }
}

pub(crate) fn put_of(key: &str, value: &str) -> Command {
    Command::Put(PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() })
}

pub(crate) async fn put(member: &Member, key: &str, value: &str) -> Result<Revision, Error> {
    let Applied { outcome, .. } = member.propose(put_of(key, value)).await?;
    match outcome {
        Outcome::Put(put) => Ok(put.revision),
        outcome => panic!("a put led to {outcome:?}"),
    }
}

pub(crate) async fn get(member: &Member, key: &str) -> Option<String> {
    let rows = rows(member, KeyRange::single(key)).await;
    rows.first().map(|row| String::from_utf8_lossy(&row.value).into_owned())
}

pub(crate) async fn rows(member: &Member, range: KeyRange) -> Vec<RevRecord> {
    let request = RangeRequest { range, ..RangeRequest::default() };
    let mut reader = member.range(request, false).await.expect("a range");
    let mut rows = Vec::new();
    loop {
        let slice = reader.next().await.expect("a slice");
        rows.extend(slice.rows.iter().map(RevRecord::from));
        if slice.end.is_some() {
            return rows;
        }
    }
}
