//! Writers that remember what they were told, and the account that is asked for afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::support::{
    client::{Client, Rows, Trouble},
    follower::Change,
};

/// Under which all keys lie.
pub(crate) const PREFIX: &[u8] = b"w/";

/// A put whose effect is certain or possible. Every value is written once.
pub(crate) struct Attempt {
    key: Vec<u8>,
    value: Vec<u8>,
    /// `None`: nobody was told of it.
    acknowledged: Option<i64>,
}

/// One client with keys of its own, which writes as fast as it is answered.
pub(crate) struct Writer {
    number: usize,
    next: u64,
    value_bytes: usize,
}

/// What came of one put.
pub(crate) enum Put {
    Acknowledged,
    Refused,
    Lost(String),
}

/// What came of a writer's puts.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) attempts: Vec<Attempt>,
    /// What it was refused with; each kind once.
    pub(crate) refusals: BTreeSet<(u16, String)>,
    /// Unclear answers that no end of the server explains.
    pub(crate) odd: Vec<String>,
}

impl Outcome {
    pub(crate) fn acknowledged(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.acknowledged.is_some()).count()
    }

    pub(crate) fn absorb(&mut self, other: Outcome) {
        self.attempts.extend(other.attempts);
        self.refusals.extend(other.refusals);
        self.odd.extend(other.odd);
    }
}

impl Writer {
    pub(crate) fn all(count: usize, value_bytes: usize) -> Vec<Writer> {
        (0..count).map(|number| Writer { number, next: 0, value_bytes }).collect()
    }

    /// Until the connection breaks or `stop` is set. `ending`: from now on broken connections are no wonder.
    pub(crate) fn run(&mut self, address: SocketAddr, ending: &AtomicBool, stop: &AtomicBool) -> Outcome {
        let mut client = Client::new(address);
        let mut outcome = Outcome::default();
        while !stop.load(Ordering::Relaxed) {
            match self.put(&mut client, &mut outcome) {
                Put::Acknowledged => (),
                Put::Refused => thread::sleep(Duration::from_millis(2)),
                Put::Lost(why) => {
                    if !ending.load(Ordering::Relaxed) {
                        outcome.odd.push(why);
                    }
                    break;
                }
            }
        }
        outcome
    }

    pub(crate) fn put(&mut self, client: &mut Client, outcome: &mut Outcome) -> Put {
        let (key, value) = self.next_put();
        let (acknowledged, put) = match client.put(&key, &value) {
            Ok(revision) => (Some(revision), Put::Acknowledged),
            Err(Trouble::Unsent(why) | Trouble::Unknown(why)) => (None, Put::Lost(why)),
            Err(Trouble::Refused { status, message, .. }) => {
                outcome.refusals.insert((status, message));
                return Put::Refused;
            }
        };
        outcome.attempts.push(Attempt { key, value, acknowledged });
        put
    }

    /// Twenty keys, and now and then a value of more than a page.
    fn next_put(&mut self) -> (Vec<u8>, Vec<u8>) {
        self.next += 1;
        let mut value = format!("{}.{}.", self.number, self.next).into_bytes();
        value.resize(if self.next.is_multiple_of(64) { 6000 } else { self.value_bytes }, b'-');
        (format!("w/{:02}/{:02}", self.number, self.next % 20).into_bytes(), value)
    }
}

/// All that happened so far, as a watch told it.
pub(crate) struct Book {
    last: i64,
    state: BTreeMap<Vec<u8>, (Vec<u8>, i64)>,
}

impl Book {
    /// Of a store at this revision that has none of the keys.
    pub(crate) fn new(revision: i64) -> Book {
        Book { last: revision, state: BTreeMap::new() }
    }

    pub(crate) fn last(&self) -> i64 {
        self.last
    }

    /// Holds what clients did since the last time against what the watch told since then, and both against what is
    /// there now.
    pub(crate) fn audit(&mut self, attempts: &[Attempt], changes: &[Change], there: &Rows) {
        let first = self.last + 1;
        for change in changes {
            assert_eq!(change.revision, self.last + 1, "the watch has a gap or repeats itself: {change:?}");
            self.last = change.revision;
        }
        assert_eq!(there.revision, self.last, "the store's revision is not that of the last change");
        let mut by_value = BTreeMap::new();
        for attempt in attempts {
            by_value.insert(&attempt.value, attempt);
            let Some(revision) = attempt.acknowledged else { continue };
            let change = usize::try_from(revision - first).ok().and_then(|place| changes.get(place));
            let told = change.map(|change| (&change.key, change.value.as_ref()));
            assert_eq!(
                told,
                Some((&attempt.key, Some(&attempt.value))),
                "acknowledged as revision {revision}"
            );
        }
        for change in changes {
            let value = change.value.as_ref().unwrap_or_else(|| panic!("nobody deleted {change:?}"));
            // Taken out: one put has one effect.
            let attempt =
                by_value.remove(value).unwrap_or_else(|| panic!("written by nobody, or twice: {change:?}"));
            assert!(
                attempt.acknowledged.is_none_or(|revision| revision == change.revision)
                    && attempt.key == change.key,
                "acknowledged as {:?}: {change:?}",
                attempt.acknowledged
            );
            self.state.insert(change.key.clone(), (value.clone(), change.revision));
        }
        let rows = there.rows.iter().map(|row| (row.key.clone(), (row.value.clone(), row.modified)));
        let rows: BTreeMap<_, _> = rows.collect();
        for (key, want) in &self.state {
            let name = String::from_utf8_lossy(key);
            assert_eq!(rows.get(key), Some(want), "{name} is not what was written last");
        }
        assert_eq!(rows.len(), self.state.len(), "keys that nobody wrote");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;
    use crate::support::client::Row;

    fn attempt(key: &str, value: &str, acknowledged: Option<i64>) -> Attempt {
        Attempt { key: key.into(), value: value.into(), acknowledged }
    }

    fn change(revision: i64, key: &str, value: &str) -> Change {
        Change { revision, key: key.into(), value: Some(value.into()) }
    }

    fn row(key: &str, value: &str, modified: i64) -> Row {
        Row { key: key.into(), value: value.into(), created: 2, modified, version: 1 }
    }

    /// The complaint; nothing: it is a good account.
    fn audit(
        attempts: &[Attempt],
        changes: &[Change],
        revision: i64,
        rows: &[(&str, &str, i64)],
    ) -> Option<String> {
        let rows = rows.iter().map(|(key, value, modified)| row(key, value, *modified)).collect();
        let there = Rows { revision, rows, more: false, count: 0 };
        let audited = catch_unwind(|| Book::new(1).audit(attempts, changes, &there));
        audited.err().map(|panic| panic.downcast_ref::<String>().expect("it says why").clone())
    }

    #[track_caller]
    fn refused(complaint: Option<String>, why: &str) {
        let complaint = complaint.expect("it is no good account");
        assert!(complaint.contains(why), "{complaint}");
    }

    #[test]
    fn good_accounts() {
        assert_eq!(audit(&[], &[], 1, &[]), None);
        let told = [change(2, "a", "1"), change(3, "b", "2"), change(4, "a", "3")];
        let tried = || [attempt("a", "1", Some(2)), attempt("b", "2", Some(3)), attempt("b", "4", None)];
        let unknown = [attempt("a", "3", None)];
        let tried: Vec<Attempt> = tried().into_iter().chain(unknown).collect();
        assert_eq!(audit(&tried, &told, 4, &[("a", "3", 4), ("b", "2", 3)]), None);
    }

    #[test]
    fn bad_accounts() {
        let tried = [attempt("a", "1", Some(2)), attempt("a", "2", Some(3))];
        let told = [change(2, "a", "1"), change(3, "a", "2")];
        let there = [("a", "2", 3)];
        refused(audit(&tried, &told[1..], 3, &there), "has a gap");
        refused(audit(&tried, &[told[0].clone(), told[0].clone()], 3, &there), "repeats itself");
        refused(audit(&tried, &told[..1], 2, &[("a", "1", 2)]), "acknowledged as revision 3");
        refused(audit(&tried, &told, 2, &there), "the store's revision");
        refused(audit(&tried[..1], &told, 3, &there), "written by nobody");
        refused(audit(&tried, &told, 3, &[("a", "1", 2)]), "not what was written last");
        refused(audit(&tried, &told, 3, &[("a", "2", 3), ("b", "2", 3)]), "keys that nobody wrote");
        let twice = [attempt("a", "2", None)];
        refused(
            audit(&twice, &[change(2, "a", "2"), change(3, "a", "2")], 3, &there),
            "written by nobody, or twice",
        );
    }
}
