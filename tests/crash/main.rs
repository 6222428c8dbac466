//! What is acknowledged is kept: the running binary is killed, stopped and starved of space under 64 writers.
//!
//! After every round the store must hold every acknowledged put with its value and its revision, its revision must not
//! have gone back, and a watch that went through it all must have been told every revision once. A put whose answer
//! was lost may have happened or not.
//!
//! `ROUNDS=50` for the long run. Full disks are file systems in memory, which only root can mount; elsewhere those tests
//! say that they are skipped.

#[path = "../support/mod.rs"]
pub mod support;

mod book;

use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    book::{Book, Outcome, PREFIX, Put, Writer},
    support::{
        client::Client,
        disk::SmallDisk,
        follower::Follower,
        server::{Server, is_etcd},
    },
};

const WRITERS: usize = 64;

/// How long the disk stays full.
const FULL: Duration = Duration::from_secs(2);

/// Bytes of a value.
const SMALL: usize = 100;

/// These fill what a server keeps in reserve soon.
const LARGE: usize = 4000;

/// A server that has space again notices it within this time.
const RESUME_MAX: Duration = Duration::from_secs(20);

/// Room for a log, a database and what both keep in reserve, and soon full.
const DISK_BYTES: u64 = 384 << 20;

fn rounds() -> u64 {
    env::var("ROUNDS").map_or(5, |rounds| rounds.parse().expect("ROUNDS is a number"))
}

/// A server, those who write to it, and the account of what they were told.
struct Scene {
    server: Server,
    writers: Vec<Writer>,
    follower: Follower,
    book: Book,
    rng: fastrand::Rng,
}

impl Scene {
    fn new(mut server: Server, value_bytes: usize) -> Scene {
        server.start();
        let revision = server.client().get(b"x").expect("it serves").revision;
        Scene {
            writers: Writer::all(WRITERS, value_bytes),
            follower: Follower::new(server.address(), PREFIX, revision + 1),
            book: Book::new(revision),
            rng: fastrand::Rng::new(),
            server,
        }
    }

    /// All write while `meanwhile` goes on; what it does not end ends with it.
    fn write(&mut self, meanwhile: impl FnOnce(&mut Server, &mut fastrand::Rng, &AtomicBool)) -> Outcome {
        let (ending, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        let address = self.server.address();
        thread::scope(|scope| {
            let run = |writer| scope.spawn(|| Writer::run(writer, address, &ending, &stop));
            let running: Vec<_> = self.writers.iter_mut().map(run).collect();
            meanwhile(&mut self.server, &mut self.rng, &ending);
            stop.store(true, Ordering::Relaxed);
            let mut outcome = Outcome::default();
            for writer in running {
                outcome.absorb(writer.join().expect("a writer does not panic"));
            }
            outcome
        })
    }

    /// The server serves (again): is everything as it was told?
    fn audit(&mut self, outcome: &Outcome) {
        assert!(outcome.odd.is_empty(), "without a reason: {:?}", &outcome.odd[..outcome.odd.len().min(5)]);
        let there = self.server.client().prefix(PREFIX).expect("reads go on");
        assert!(there.revision >= self.book.last(), "from {} back to {}", self.book.last(), there.revision);
        let changes = self.follower.reach(there.revision);
        // Much of that was told by a server that is gone: the one that runs must know it all.
        let anew = Follower::new(self.server.address(), PREFIX, self.book.last() + 1).reach(there.revision);
        assert!(anew == changes, "{} changes were told, {} are in the history", changes.len(), anew.len());
        self.book.audit(&outcome.attempts, &changes, &there);
    }
}

impl Scene {
    /// Gives the space of all old values back, so that the disk is full only when it is made full.
    fn compact(&mut self) {
        let request = json!({"revision": self.book.last().to_string(), "physical": true});
        self.server.client().call("/v3/kv/compaction", &request).expect("there is space");
    }
}

/// Some kills come in the midst of a flush.
fn flushing_often() -> &'static [&'static str] {
    if is_etcd() { &[] } else { &["--flush-interval=50ms"] }
}

fn some_time(rng: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(rng.u64(100..600))
}

#[test]
fn killed_under_64_writers() {
    let home = TempDir::new().expect("a temporary directory");
    let mut scene = Scene::new(Server::stopped(home.path(), flushing_often()), SMALL);
    let mut acknowledged = 0;
    for _ in 0..rounds() {
        let outcome = scene.write(|server, rng, ending| {
            thread::sleep(some_time(rng));
            ending.store(true, Ordering::Relaxed);
            server.kill();
        });
        assert!(outcome.refusals.is_empty(), "{:?}", outcome.refusals);
        acknowledged += outcome.acknowledged();
        scene.server.start();
        scene.audit(&outcome);
    }
    println!(
        "{} kills, {acknowledged} puts acknowledged, watch resumed {} times",
        rounds(),
        scene.follower.lives()
    );
    assert!(acknowledged as u64 > 100 * rounds(), "hardly anything was written: {acknowledged}");
}

#[test]
fn stopped_under_64_writers() {
    let home = TempDir::new().expect("a temporary directory");
    let mut scene = Scene::new(Server::stopped(home.path(), &[]), SMALL);
    for _ in 0..rounds().min(3) {
        let mut status = None;
        let outcome = scene.write(|server, rng, ending| {
            thread::sleep(some_time(rng));
            ending.store(true, Ordering::Relaxed);
            status = Some(server.terminate());
        });
        let status = status.expect("it was stopped");
        // etcd ends itself with the same signal.
        assert!(status.success() || is_etcd(), "{status}\n{}", scene.server.log_tail());
        scene.server.start();
        scene.audit(&outcome);
    }
}

/// A disk of its own for the server; `None`: it cannot be had here.
fn small_disk() -> Option<SmallDisk> {
    if is_etcd() {
        eprintln!("SKIPPED: etcd ends itself when its disk is full");
        return None;
    }
    SmallDisk::mount(DISK_BYTES)
}

/// What is left on the disk: nothing, less than a page, a little.
fn some_spare(rng: &mut fastrand::Rng) -> u64 {
    [0, 1000, 4096, 64 << 10, 1 << 20][rng.usize(..5)]
}

/// Was it space that was missing, and said so?
#[track_caller]
fn assert_clear(outcome: &Outcome) {
    for (status, message) in &outcome.refusals {
        assert!(*status == 429 && message.contains("space"), "{status} {message}");
    }
}

/// As an operator does: space is there again, so writes may go on.
fn disarm(client: &mut Client) {
    let alarms = client.call("/v3/maintenance/alarm", &json!({})).expect("alarms can be asked for");
    for alarm in alarms["alarms"].as_array().into_iter().flatten() {
        let request = json!({"action": "DEACTIVATE", "alarm": alarm["alarm"], "memberID": alarm["memberID"]});
        client.call("/v3/maintenance/alarm", &request).expect("an alarm can be disarmed");
    }
}

/// Space is there again: a put must succeed soon. Until the server has seen it, the alarm may come back.
fn resume(scene: &mut Scene) -> Outcome {
    let mut client = scene.server.client();
    let mut outcome = Outcome::default();
    let deadline = Instant::now() + RESUME_MAX;
    while !matches!(scene.writers[0].put(&mut client, &mut outcome), Put::Acknowledged) {
        assert!(
            Instant::now() < deadline,
            "still no room: {:?}\n{}",
            outcome.refusals,
            scene.server.log_tail()
        );
        disarm(&mut client);
        thread::sleep(Duration::from_millis(50));
    }
    outcome
}

#[test]
fn writes_resume_when_a_full_disk_has_space_again() {
    let Some(disk) = small_disk() else { return };
    let mut scene = Scene::new(Server::stopped(disk.path(), &[]), LARGE);
    let mut refused = 0;
    for _ in 0..rounds() {
        let outcome = scene.write(|_, rng, _| {
            thread::sleep(some_time(rng));
            disk.fill(some_spare(rng));
            thread::sleep(FULL);
        });
        assert_clear(&outcome);
        refused += usize::from(!outcome.refusals.is_empty());
        // Still full, and everything can be read.
        scene.audit(&outcome);
        disk.free();
        let outcome = resume(&mut scene);
        scene.audit(&outcome);
        // A fast machine writes so much that the disk would be full without our help.
        scene.compact();
        let after = scene.write(|_, rng, _| thread::sleep(some_time(rng)));
        assert!(after.acknowledged() > 0 && after.refusals.is_empty(), "{:?}", after.refusals);
        scene.audit(&after);
        scene.compact();
    }
    println!("refused in {refused} of {} rounds", rounds());
    assert!(refused > 0, "the disk was never full");
    scene.server.kill();
    scene.server.start();
    scene.audit(&Outcome::default());
}

#[test]
fn killed_under_64_writers_on_a_full_disk() {
    let Some(disk) = small_disk() else { return };
    let mut scene = Scene::new(Server::stopped(disk.path(), &[]), LARGE);
    for _ in 0..rounds() {
        let outcome = scene.write(|server, rng, ending| {
            thread::sleep(some_time(rng));
            disk.fill(some_spare(rng));
            thread::sleep(some_time(rng));
            ending.store(true, Ordering::Relaxed);
            server.kill();
        });
        assert_clear(&outcome);
        // It comes back on a disk that is still full.
        scene.server.start();
        scene.audit(&outcome);
        disk.free();
        let outcome = resume(&mut scene);
        scene.audit(&outcome);
        scene.compact();
    }
}
