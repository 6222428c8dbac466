//! Commands that change more than may be pending: applied in parts, with the power going between any two of them, they come
//! to the same as on a board that has all the memory it wants.

use std::sync::Arc;

use solder::{store::*, types::*};

const KEYS: usize = 3000;

const LEASE: LeaseId = LeaseId(7);

const ROOMY: u64 = 1 << 30;

/// Ten parts or so.
const TIGHT: u64 = 64 << 10;

/// What one change adds at most, and a part at least, before the command pauses.
const OVERSHOOT: u64 = TIGHT / 64 + 1000;

struct Board {
    twin: Twin,
    options: Options,
    store: Store,
    pauses: u32,
    /// The power goes at each pause, once what is pending is flushed or before.
    crashes: bool,
}

impl Board {
    fn new(pending_bytes_max: u64, crashes: bool) -> Board {
        let (twin, options) = (Twin::new(), Options { pending_bytes_max, ..Options::default() });
        let mut store = Store::open(Arc::new(twin.clone()), options).expect("a fresh database");
        store.init(ClusterId(1), Membership::of_voters([NodeId(1)])).expect("a fresh database");
        Board { twin, options, store, pauses: 0, crashes }
    }

    fn flush(&mut self) {
        while let Some(job) = self.store.start_flush(Index(u64::MAX)) {
            self.store.finish_flush(job.run(&self.twin)).expect("room");
        }
    }

    fn apply(&mut self, command: &Command) -> Outcome {
        let id = EntryId { term: Term(1), index: self.store.applied().index.next() };
        let entry =
            Entry { id, payload: Payload::Command { id: ProposalId::default(), data: command.encode() } };
        let before = (self.store.revision(), self.store.applied(), self.count());
        loop {
            if let Applying::Done(outcome) = self.store.apply(&entry).expect("a command") {
                return outcome;
            }
            self.pauses += 1;
            let pending = self.store.pending_bytes();
            assert!(pending <= self.options.pending_bytes_max + OVERSHOOT, "{pending} bytes are pending");
            if self.store.pending_full() || self.pauses.is_multiple_of(3) {
                self.flush();
            }
            if self.crashes {
                self.store =
                    Store::open(Arc::new(self.twin.clone()), self.options).expect("what was committed");
            }
            assert_eq!(
                (self.store.revision(), self.store.applied(), self.count()),
                before,
                "nobody sees a part"
            );
        }
    }

    fn range(&self, range: RangeAt) -> (usize, RangeDone) {
        let (mut cursor, mut rows) = (RangeCursor::new(range), 0);
        loop {
            let slice =
                self.store.range(&mut cursor, SliceLimits { rows: 1000, bytes: 1 << 20 }).expect("readable");
            rows += slice.rows.len();
            if let Some(end) = slice.end {
                return (rows, end);
            }
        }
    }

    fn count(&self) -> u64 {
        let request = RangeRequest { range: KeyRange::all(), count_only: true, ..RangeRequest::default() };
        self.range(self.store.range_at(&request).expect("the newest")).1.count
    }
}

fn key(number: usize) -> Bytes {
    format!("key-{number:06}").into_bytes().into()
}

fn put(number: usize, lease: LeaseId) -> PutRequest {
    PutRequest { key: key(number), value: b"value".into(), lease, ..PutRequest::default() }
}

fn delete(from: usize, to: usize) -> TxnOp {
    TxnOp::DeleteRange(DeleteRangeRequest { range: KeyRange::new(key(from), key(to)), prev_kv: true })
}

/// Applies to a board with room for everything, to one without, and to one whose power goes again and again.
fn check(command: &Command) -> Outcome {
    let boards = [(ROOMY, false), (TIGHT, false), (TIGHT, true)];
    let mut boards = boards.map(|(pending_bytes_max, crashes)| Board::new(pending_bytes_max, crashes));
    let mut outcomes = Vec::new();
    for board in &mut boards {
        board.apply(&Command::LeaseGrant { id: LEASE, ttl_s: 60 });
        for number in 0..KEYS {
            board.apply(&Command::Put(put(number, LEASE)));
            if board.store.pending_full() {
                board.flush();
            }
        }
        // The count of each is known by stretches.
        assert_eq!((board.count(), board.pauses), (KEYS as u64, 0));
        outcomes.push(board.apply(command));
    }
    let hashes = boards.each_ref().map(|board| (board.store.state_hash(), board.count()));
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
    let pauses = boards.each_ref().map(|board| board.pauses);
    assert!(pauses[1] >= 10 && pauses[2] >= 10, "{pauses:?}");
    for board in &boards {
        let history = board.store.history(
            KeyRev { main: board.store.revision(), sub: 0 },
            &KeyRange::all(),
            SliceLimits { rows: u32::MAX, bytes: u64::MAX },
        );
        let events = history.expect("not compacted").events;
        let in_order = events.iter().zip(0..).all(|(event, sub)| event.rev.sub == sub);
        assert!(in_order && events.len() >= KEYS, "each change once, in order");
        assert!(board.store.lease_keys(LEASE, None, 1).expect("readable").is_empty());
    }
    outcomes.swap_remove(0)
}

#[test]
fn a_delete() {
    let all = DeleteRangeRequest { range: KeyRange::all(), prev_kv: true };
    match check(&Command::DeleteRange(all)) {
        Outcome::Delete(delete) => {
            assert_eq!((delete.deleted, delete.revision.0), (KEYS as u64, KEYS as i64 + 2));
        }
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn the_end_of_a_lease() {
    let outcome = check(&Command::LeaseRevoke { id: LEASE, only_in: None });
    assert_eq!(outcome, Outcome::LeaseRevoked { revision: Revision(KEYS as i64 + 2) });
}

#[test]
fn a_transaction() {
    let compare = |number, version| Compare {
        range: KeyRange::single(key(number)),
        result: CompareResult::Equal,
        value: CompareValue::Version(version),
    };
    let nested = TxnRequest {
        compare: vec![compare(0, 1)],
        // As of before the transaction it holds, though the key is gone by now.
        success: vec![delete(KEYS / 2, KEYS), TxnOp::Put(put(KEYS + 1, LeaseId::NONE)), delete(0, KEYS)],
        failure: vec![TxnOp::Put(put(KEYS + 3, LeaseId::NONE))],
    };
    let puts = (0..50).map(|number| TxnOp::Put(put(KEYS + 10 + number, LeaseId::NONE)));
    let txn = TxnRequest {
        compare: vec![compare(1, 1), compare(KEYS, 0)],
        success: [delete(0, 700), TxnOp::Put(put(KEYS + 2, LeaseId::NONE)), delete(0, KEYS / 2)]
            .into_iter()
            .chain([TxnOp::Txn(Box::new(nested))])
            .chain(puts)
            .collect(),
        failure: Vec::new(),
    };
    let Outcome::Txn(txn) = check(&Command::Txn(txn)) else { panic!("a transaction leads to its outcome") };
    let deleted = |part: &TxnPart| match part {
        TxnPart::Delete(delete) => delete.deleted,
        part => panic!("{part:?}"),
    };
    assert_eq!([deleted(&txn.parts[0]), deleted(&txn.parts[2])], [700, 800]);
    match &txn.parts[3] {
        TxnPart::Txn { succeeded: true, parts } => {
            assert_eq!([deleted(&parts[0]), deleted(&parts[2])], [1500, 0]);
        }
        part => panic!("{part:?}"),
    }
}

/// What nobody bounds but the size of a command: tens of thousands of puts in nested transactions.
#[test]
fn very_many_puts() {
    let mut board = Board::new(TIGHT, false);
    let branch = |from: usize| {
        let puts = (from..from + 60).map(|number| TxnOp::Put(put(number, LeaseId::NONE)));
        TxnOp::Txn(Box::new(TxnRequest { success: puts.collect(), ..TxnRequest::default() }))
    };
    let txn = TxnRequest { success: (0..60).map(|n| branch(n * 60)).collect(), ..TxnRequest::default() };
    let outcome = board.apply(&Command::Txn(txn));
    assert!(matches!(outcome, Outcome::Txn(TxnOutcome { succeeded: true, .. })), "{outcome:?}");
    assert_eq!(board.count(), 3600);
    assert!(board.pauses >= 10, "{} pauses", board.pauses);
}

#[test]
fn a_log_without_the_entry_that_is_half_done_is_refused() {
    let mut board = Board::new(1, false);
    for number in 0..3 {
        board.apply(&Command::Put(put(number, LeaseId::NONE)));
    }
    let all = DeleteRangeRequest { range: KeyRange::all(), prev_kv: false };
    let data = Command::DeleteRange(all).encode();
    let entry = |term| {
        let payload = Payload::Command { id: ProposalId::default(), data: data.clone() };
        Entry { id: EntryId::new(term, 4), payload }
    };
    assert!(matches!(board.store.apply(&entry(1)), Ok(Applying::Paused)));
    let error = board.store.apply(&entry(2)).expect_err("another entry");
    assert!(
        error.to_string().contains("entry 4@1 is half done in the database, the log goes on with 4@2"),
        "{error}"
    );
}
