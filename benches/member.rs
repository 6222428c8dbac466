//! What a request costs a member, without HTTP: `cargo bench --bench member [-- SECONDS]`.
//!
//! On the directory of `TMPDIR`. CPU is that of the whole process, all threads.

use std::{cell::Cell, env, rc::Rc, time::Duration, time::Instant};

use async_io::block_on;
use futures_lite::future;
use rustix::time::{ClockId, clock_gettime};
use smol::LocalExecutor;
use solder::{
    member::{self, Member, Options},
    types::{Command, KeyRange, PutRequest, RangeRequest},
};

#[derive(Clone, Copy)]
enum Load {
    Put,
    Get,
    Range100,
}

fn main() {
    let seconds = env::args().find_map(|arg| arg.parse().ok()).unwrap_or(2);
    let dir = tempfile::tempdir().expect("a directory");
    let started = Instant::now();
    let opened = member::open(Options::new(dir.path())).expect("a member");
    let (member, life) = opened.start(None);
    let executor = Rc::new(LocalExecutor::new());
    let work = {
        let executor = executor.clone();
        async move {
            member.ready().await;
            println!("ready after {:?}", started.elapsed());
            for key in 0..10_000 {
                put(&member, key, 100).await;
            }
            for (what, load, tasks) in [
                ("put", Load::Put, 1),
                ("put", Load::Put, 16),
                ("put", Load::Put, 64),
                ("get", Load::Get, 1),
                ("get", Load::Get, 64),
                ("range of 100", Load::Range100, 16),
            ] {
                measure(&executor, &member, what, load, tasks, Duration::from_secs(seconds)).await;
            }
            member.stop().await;
            println!("stopped");
            future::pending::<()>().await;
        }
    };
    let life = async { life.await.expect("it was asked to end") };
    block_on(executor.run(future::or(life, work)));
}

async fn measure(
    executor: &LocalExecutor<'static>,
    member: &Member,
    what: &str,
    load: Load,
    tasks: u64,
    time: Duration,
) {
    let (done, refused) = (Rc::new(Cell::new(0u64)), Rc::new(Cell::new(0u64)));
    let (cpu, began) = (cpu(), Instant::now());
    let tasks_running: Vec<_> = (0..tasks)
        .map(|task| {
            let (member, done, refused) = (member.clone(), done.clone(), refused.clone());
            executor.spawn(async move {
                let mut rng = fastrand::Rng::with_seed(task);
                while began.elapsed() < time {
                    let ok = request(&member, load, rng.u64(..10_000)).await;
                    let counter = if ok { &done } else { &refused };
                    counter.set(counter.get() + 1);
                }
            })
        })
        .collect();
    for task in tasks_running {
        task.await;
    }
    let (cpu, took) = (cpu_since(cpu), began.elapsed());
    let count = done.get().max(1);
    println!(
        "{what:>12} {tasks:>3} at a time: {:>7.0} a second, {:>6.1} us of CPU each, {} refused",
        count as f64 / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / count as f64,
        refused.get()
    );
}

async fn request(member: &Member, load: Load, key: u64) -> bool {
    match load {
        Load::Put => put(member, key, 100).await,
        Load::Get => range(member, key, 1).await,
        Load::Range100 => range(member, key, 100).await,
    }
}

async fn put(member: &Member, key: u64, bytes: usize) -> bool {
    let value = vec![b'v'; bytes].into();
    let key = format!("key{key:06}").as_str().into();
    member.propose(Command::Put(PutRequest { key, value, ..PutRequest::default() })).await.is_ok()
}

async fn range(member: &Member, key: u64, keys: u64) -> bool {
    let from = format!("key{key:06}");
    let range = match keys {
        1 => KeyRange::single(from.as_str()),
        _ => KeyRange::new(from.as_str(), b"\0"),
    };
    let request = RangeRequest { range, limit: keys as i64, ..RangeRequest::default() };
    let Ok(mut reader) = member.range(request, false).await else { return false };
    loop {
        match reader.next().await {
            Ok(slice) if slice.end.is_some() => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn cpu_since(before: Duration) -> Duration {
    cpu() - before
}
