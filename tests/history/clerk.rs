//! One client: asks by chance, and writes down what it was told.

use std::{net::SocketAddr, sync::Mutex, thread, time::Duration};

use serde_json::json;
use solder::types::Revision;

use crate::{
    judges::history::{Answer, At, CallId, History, Kv, Op},
    support::client::{Cas, Client, Row, Rows, Trouble, b64, revision},
};

pub const KEYS: [&[u8]; 5] = [b"h/a", b"h/b", b"h/c", b"h/d", b"h/e"];

/// Compaction leaves this many revisions, so that there is a past to read in.
const KEPT: i64 = 200;

/// The history of all clients. Its clock counts what is written into it.
#[derive(Default)]
pub struct Book {
    pub history: History,
    now: u64,
}

impl Book {
    fn invoke(&mut self, client: u64, op: Op) -> CallId {
        self.now += 1;
        self.history.invoke(client, op, self.now)
    }

    fn answer(&mut self, id: CallId, answer: Answer) {
        self.now += 1;
        self.history.answer(id, answer, self.now);
    }
}

pub struct Clerk {
    number: u64,
    /// Of the servers in turn, the one asked now.
    clients: Vec<Client>,
    /// Refusals with these words are no wonder.
    excused: &'static [&'static str],
    rng: fastrand::Rng,
    values: u64,
    /// Of the last answer.
    revision: i64,
    /// What it saw last of some key: what it will compare with.
    seen: i64,
}

impl Clerk {
    pub fn new(number: u64, addresses: &[SocketAddr], seed: u64) -> Clerk {
        let rng = fastrand::Rng::with_seed(seed ^ (number + 1) << 32);
        // A killed server breaks connections: nothing is worth a long wait.
        let client = |address: &SocketAddr| Client::new(*address).patient_for(Duration::from_secs(5));
        let clients = addresses.iter().map(client).collect();
        Clerk { number, clients, excused: &[], rng, values: 0, revision: 1, seen: 0 }
    }

    pub fn excusing(mut self, excused: &'static [&'static str]) -> Clerk {
        self.excused = excused;
        self
    }

    pub fn patient_for(mut self, patience: Duration) -> Clerk {
        self.clients = self.clients.into_iter().map(|client| client.patient_for(patience)).collect();
        self
    }

    /// Asks something, and waits for what comes of it. `watched`: up to here nobody needs the past any more.
    pub fn call(&mut self, book: &Mutex<Book>, watched: i64) {
        let key = KEYS[self.rng.usize(..KEYS.len())];
        let op = match self.rng.u8(..100) {
            0..35 => Op::Put { key: key.into(), value: self.value() },
            35..45 => Op::Delete { key: key.into() },
            45..60 => {
                let expect = if self.rng.u8(..4) == 0 { 0 } else { self.seen };
                Op::Cas { key: key.into(), expect: Revision(expect), value: self.value() }
            }
            60..90 => Op::Get { key: key.into(), at: At::Newest, serializable: self.rng.u8(..4) == 0 },
            90..99 => {
                let back = self.rng.i64(0..KEPT * 2);
                let at = At::Revision(Revision((self.revision - back).max(1)));
                Op::Get { key: key.into(), at, serializable: self.rng.bool() }
            }
            _ => {
                // Never what the watch has yet to be told.
                let upto = (self.revision - KEPT).min(watched);
                if upto < 2 {
                    return;
                }
                Op::Compact { revision: Revision(upto) }
            }
        };
        self.ask(book, op);
    }

    /// The newest of every key, however long it takes.
    pub fn look_at_all(&mut self, book: &Mutex<Book>) {
        for key in KEYS {
            self.ask(book, Op::Get { key: key.into(), at: At::Newest, serializable: false });
        }
    }

    fn value(&mut self) -> solder::types::Bytes {
        self.values += 1;
        format!("{}.{}", self.number, self.values).as_bytes().into()
    }

    fn ask(&mut self, book: &Mutex<Book>, op: Op) {
        let id = book.lock().expect("nobody panics with it").invoke(self.number, op.clone());
        let answer = match self.send(&op) {
            Ok(answer) => answer,
            Err(Trouble::Refused { message, .. }) if message.contains("compacted") => match op {
                Op::Get { .. } => Answer::Compacted,
                _ => Answer::Refused,
            },
            Err(Trouble::Refused { message, .. }) => {
                let excused = self.excused.iter().any(|words| message.contains(words));
                assert!(excused, "{op:?}: {message}");
                self.move_on();
                Answer::Refused
            }
            Err(Trouble::Unsent(_)) => {
                self.move_on();
                Answer::Refused
            }
            Err(Trouble::Unknown(_)) => return self.move_on(),
        };
        self.revision = answer.header().map_or(self.revision, |revision| revision.0);
        book.lock().expect("nobody panics with it").answer(id, answer);
    }

    /// To the next server, in a moment.
    fn move_on(&mut self) {
        self.clients.rotate_left(1);
        thread::sleep(Duration::from_millis(5));
    }

    fn send(&mut self, op: &Op) -> Result<Answer, Trouble> {
        let client = &mut self.clients[0];
        Ok(match op {
            Op::Put { key, value } => Answer::Put { revision: Revision(client.put(key, value)?) },
            Op::Delete { key } => {
                let (revision, deleted) = client.delete(key)?;
                Answer::Delete { revision: Revision(revision), deleted: deleted > 0 }
            }
            Op::Get { key, at, serializable } => {
                let at = match at {
                    At::Newest => 0,
                    At::Revision(revision) => revision.0,
                };
                let rows = client.range(
                    &json!({"key": b64(key), "revision": at.to_string(), "serializable": serializable}),
                )?;
                self.got(rows)
            }
            Op::Cas { key, expect, value } => match client.compare_and_put(key, expect.0, value)? {
                Cas::Done { revision } => {
                    self.seen = revision;
                    Answer::CasDone { revision: Revision(revision) }
                }
                Cas::Else { revision, row } => {
                    self.seen = row.as_ref().map_or(0, |row| row.modified);
                    Answer::CasElse { revision: Revision(revision), kv: row.map(kv) }
                }
            },
            Op::Compact { revision: upto } => {
                let answer = client.call("/v3/kv/compaction", &json!({"revision": upto.0.to_string()}))?;
                Answer::Compact { revision: Revision(revision(&answer)?) }
            }
        })
    }

    fn got(&mut self, rows: Rows) -> Answer {
        let row = rows.rows.into_iter().next();
        self.seen = row.as_ref().map_or(0, |row| row.modified);
        Answer::Get { revision: Revision(rows.revision), kv: row.map(kv) }
    }
}

fn kv(row: Row) -> Kv {
    Kv {
        value: row.value.as_slice().into(),
        modified: Revision(row.modified),
        created: Revision(row.created),
        version: row.version,
    }
}
