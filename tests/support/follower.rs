//! A watch over a prefix that outlives servers: it connects again and goes on at its next revision.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    client::{b64, number, prefix_end, row},
    http::{Connection, Request, Stream},
};

/// One change, as the watch told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub revision: i64,
    pub key: Vec<u8>,
    /// `None`: deleted.
    pub value: Option<Vec<u8>>,
}

pub struct Follower {
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Told {
    changes: Vec<Change>,
    last: i64,
    /// Connections that told something.
    lives: u64,
    wrong: Option<String>,
}

impl Follower {
    /// From `start` on.
    pub fn new(address: SocketAddr, prefix: &[u8], start: i64) -> Follower {
        Follower::among(&[address], prefix, start)
    }

    /// The same, going on at the next server whenever one breaks off or is silent.
    pub fn among(addresses: &[SocketAddr], prefix: &[u8], start: i64) -> Follower {
        let addresses = addresses.to_vec();
        let told = Arc::new(Mutex::new(Told { last: start - 1, ..Told::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let mut watch =
            Watch { addresses, prefix: prefix.to_vec(), next: start, told: told.clone(), stop: stop.clone() };
        thread::spawn(move || watch.run());
        Follower { told, stop }
    }

    /// Waits until it was told of `revision` or a later one. All changes since the last time it was asked, in the order
    /// in which they came.
    pub fn reach(&mut self, revision: i64) -> Vec<Change> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let mut told = self.told.lock().expect("nobody panics with it");
            assert!(told.wrong.is_none(), "{}", told.wrong.as_deref().unwrap_or_default());
            if told.last >= revision {
                return std::mem::take(&mut told.changes);
            }
            assert!(Instant::now() < deadline, "the watch was told up to {}, never of {revision}", told.last);
            drop(told);
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The newest revision that it was told of.
    pub fn last(&self) -> i64 {
        self.told.lock().expect("nobody panics with it").last
    }

    /// Over how many connections it was told something.
    pub fn lives(&self) -> u64 {
        self.told.lock().expect("nobody panics with it").lives
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Its thread looks up in a while.
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Watch {
    /// The first is asked next.
    addresses: Vec<SocketAddr>,
    prefix: Vec<u8>,
    next: i64,
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    fn run(&mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            // Broken connections are what it is for; what the server says wrongly is kept.
            if let Err(Wrong(why)) = self.live() {
                self.told.lock().expect("nobody panics with it").wrong = Some(why);
                return;
            }
            self.addresses.rotate_left(1);
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn live(&mut self) -> Result<(), Wrong> {
        let create = json!({"create_request": {
            "key": b64(&self.prefix), "range_end": b64(&prefix_end(&self.prefix)),
            "start_revision": self.next.to_string(),
        }});
        // It looks up now and then whether it is to stop; and a server that says nothing may be cut off.
        let patience = Duration::from_secs(if self.addresses.len() == 1 { 3 } else { 1 });
        let Ok(connection) = Connection::open_within(self.addresses[0], patience) else {
            return Ok(());
        };
        let body = create.to_string();
        let Ok(mut stream) = Stream::open(connection, &Request::post("/v3/watch", body.as_bytes())) else {
            return Ok(());
        };
        self.told.lock().expect("nobody panics with it").lives += 1;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            match stream.message() {
                Ok(Some(line)) => self.hear(&line)?,
                Ok(None) | Err(_) => return Ok(()),
            }
        }
    }

    fn hear(&mut self, line: &[u8]) -> Result<(), Wrong> {
        let message: Value = serde_json::from_slice(line)
            .map_err(|error| Wrong(format!("{error}: {:?}", String::from_utf8_lossy(line))))?;
        let result = &message["result"];
        if result["canceled"] == Value::Bool(true) {
            return Err(Wrong(format!("canceled: {message}")));
        }
        let header =
            number(&result["header"]["revision"]).map_err(|trouble| Wrong(format!("{trouble:?}")))?;
        let events = result["events"].as_array().into_iter().flatten();
        let changes: Vec<Change> = events.map(change).collect::<Result<_, _>>()?;
        let Some(last) = changes.last().map(|change| change.revision) else { return Ok(()) };
        if last > header {
            return Err(Wrong(format!("revision {last} under a header of {header}")));
        }
        if changes[0].revision < self.next {
            return Err(Wrong(format!("told again of {:?}, {} is next", changes[0], self.next)));
        }
        self.next = last + 1;
        let mut told = self.told.lock().expect("nobody panics with it");
        told.changes.extend(changes);
        told.last = last;
        Ok(())
    }
}

/// The server said what it must not.
struct Wrong(String);

fn change(event: &Value) -> Result<Change, Wrong> {
    let row = row(&event["kv"]).map_err(|trouble| Wrong(format!("{trouble:?}: {event}")))?;
    let deleted = event["type"] == "DELETE";
    Ok(Change { revision: row.modified, key: row.key, value: (!deleted).then_some(row.value) })
}
