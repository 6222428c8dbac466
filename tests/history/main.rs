//! Do clients of the running binary see one story, though it is killed again and again?
//!
//! ```text
//!   6 clients: put, delete, get, get in the past, compare-and-put, compact  --> History --+
//!   kill -9, start again                                                                  +--> linearizable::judge
//!   a watch from the first revision on                                      --> Truth ----+
//! ```
//!
//! The judge is the simulator's. What a client was not told of may have happened, once, at any time after it was asked.
//! `ROUNDS=50` for the long run, `SEED=..` repeats what the clients do (not what comes of it).

#[path = "../simulation/judges/mod.rs"]
pub mod judges;
#[path = "../support/mod.rs"]
pub mod support;

pub mod clerk;

use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use solder::types::{KeyRev, Revision};
use tempfile::TempDir;

use crate::{
    clerk::{Book, Clerk, KEYS},
    judges::{
        linearizable::judge,
        truth::{EMPTY, Event, Truth},
    },
    support::{
        follower::{Change, Follower},
        server::Server,
    },
};

const CLIENTS: u64 = 6;

/// Of all keys.
const PREFIX: &[u8] = b"h/";

#[test]
fn what_clients_see_is_one_story() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (rounds, seed) = (number("ROUNDS").unwrap_or(5), number("SEED").unwrap_or_else(|| fastrand::u64(..)));
    println!("SEED={seed}");
    let home = TempDir::new().expect("a temporary directory");
    let mut server = Server::stopped(home.path(), &[]);
    server.start();
    let address = server.address();
    let first = EMPTY.next().0;
    let mut watch = Follower::new(address, PREFIX, first);
    let (book, stop) = (Mutex::new(Book::default()), AtomicBool::new(false));
    thread::scope(|scope| {
        let (watch, book, stop) = (&watch, &book, &stop);
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut clerk = Clerk::new(client, &[address], seed);
                while !stop.load(Ordering::Relaxed) {
                    clerk.call(book, watch.last());
                }
            });
        }
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..rounds {
            thread::sleep(Duration::from_millis(rng.u64(100..1000)));
            server.kill();
            thread::sleep(Duration::from_millis(rng.u64(0..200)));
            server.start();
        }
        thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
    });
    Clerk::new(CLIENTS, &[address], seed).look_at_all(&book);

    let last = server.client().get(KEYS[0]).expect("it serves").revision;
    let history = book.into_inner().expect("nobody panicked").history;
    let truth = truth(&watch.reach(last));
    assert_eq!(truth.last(), Revision(last), "the watch ends elsewhere than the store");
    let answered = history.calls().iter().filter(|call| call.answered.is_some()).count();
    println!(
        "{} calls, {} without an answer, {last} revisions, watch resumed {} times",
        history.calls().len(),
        history.calls().len() - answered,
        watch.lives() - 1
    );
    judge(&history, Some(&truth)).unwrap_or_else(|why| panic!("SEED={seed}: {why}"));
}

/// What a watch was told, if it can be true.
fn truth(changes: &[Change]) -> Truth {
    let event = |change: &Change| Event {
        at: KeyRev::new(change.revision, 0),
        key: change.key.as_slice().into(),
        value: change.value.as_ref().map(|value| value.as_slice().into()),
    };
    let events: Vec<Event> = changes.iter().map(event).collect();
    let mut truth = Truth::default();
    truth.learn(&events).unwrap_or_else(|why| panic!("the watch: {why}"));
    truth
}
