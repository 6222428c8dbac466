//! Stories about the store, told in `tests/scripts/store`: what is asked, and beneath it what the store says.
//!
//! `UPDATE_GOLDENFILES=1 cargo test --test store` writes down what it says now; the diff is then the review.
//!
//! ```text
//! put KEY VALUE [lease=ID] [prev_kv] [ignore_value] [ignore_lease]      delete KEY [END] [prev_kv]
//! txn ["if TARGET KEY = VALUE"].. ["then OP"].. ["else OP"]..           OP: put, delete, range as above
//! range KEY [END] [rev=] [limit=] [order=] [target=] [keys_only] [count_only] [slice=ROWS]
//! history FROM [KEY] [END] [slice=ROWS]                                 compact REVISION
//! grant ID TTL    revoke ID    checkpoint ID SECONDS    lease ID        alarm KIND [off]
//! flush [durable=INDEX]    full | room    crash    rows    status    hash [REVISION]    pending BYTES    go_on
//! pin REVISION    unpin
//! send_begin    send_slice [BYTES]    send_finish    send_stop          from board a to board b
//! ```
//!
//! A prefix names the board: `b: put k v`. Without one it is `a`. `crash` loses what is pending; `replay` applies the
//! entries of board a's log that the board lacks. `pending` bounds what may be, on a fresh board: what changes more pauses,
//! and has to `go_on`. `follow` is a `replay` that ends where an entry pauses.

use std::{collections::BTreeMap, error::Error, fmt::Write, panic, path::PathBuf, sync::Arc};

use goldenscript::{Argument, Command as Line, Context};
use solder::{store::*, types::*};

#[test]
fn scripts() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/store");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|file| file.expect("a directory that can be read").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts in {}", dir.display());
    for path in paths {
        let run = || goldenscript::run(&mut Story::default(), &path);
        match panic::catch_unwind(run) {
            Ok(done) => done.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            Err(cause) => {
                eprintln!("in {}", path.display());
                panic::resume_unwind(cause)
            }
        }
    }
}

fn grant(board: &mut Board, id: i64) -> Outcome {
    apply(board, &Command::LeaseGrant { id: LeaseId(id), ttl_s: 60 })
}

fn apply(board: &mut Board, command: &Command) -> Outcome {
    let id = EntryId { term: Term(1), index: board.store.applied().index.next() };
    let payload = Payload::Command { id: ProposalId::default(), data: command.encode() };
    board.store.apply_whole(&Entry { id, payload }).expect("a command")
}

#[test]
fn leases_are_bounded() {
    let mut board = Board::new();
    for id in 1..=limits::LEASES_MAX as i64 {
        assert!(matches!(grant(&mut board, id), Outcome::LeaseGranted { .. }));
    }
    assert_eq!(grant(&mut board, -1), Outcome::Refused(solder::types::Error::TooManyLeases));
    board.flush(Index(u64::MAX)).expect("room");
    assert_eq!(board.store.leases().expect("readable").len(), limits::LEASES_MAX);
    board.apply(&Command::LeaseRevoke { id: LeaseId(1), only_in: None }).expect("a command");
    assert!(matches!(grant(&mut board, -1), Outcome::LeaseGranted { .. }));
}

#[test]
fn alarms_are_bounded() {
    use solder::types::Error::TooManyAlarms;
    let mut board = Board::new();
    let mut alarm = |action, member, kind| {
        let command = Command::Alarm(AlarmRequest { action, member: NodeId(member), kind });
        apply(&mut board, &command)
    };
    let (on, off, nospace) = (AlarmAction::Activate, AlarmAction::Deactivate, AlarmKind::NoSpace);
    for member in 2..2 + limits::ALARMS_MAX as u64 {
        assert!(matches!(alarm(on, member, nospace), Outcome::Alarm { touched: Some(_), .. }));
    }
    assert_eq!(alarm(on, 1 << 40, nospace), Outcome::Refused(TooManyAlarms));
    assert!(matches!(alarm(on, 2, nospace), Outcome::Alarm { .. }), "it is there already");
    assert!(matches!(alarm(on, 1, AlarmKind::Corrupt), Outcome::Alarm { .. }), "a member is never refused");
    assert_eq!(alarm(on, 1 << 40, nospace), Outcome::Refused(TooManyAlarms));
    for member in [2, 3] {
        alarm(off, member, nospace);
    }
    assert!(matches!(alarm(on, 1 << 40, nospace), Outcome::Alarm { touched: Some(_), .. }));
}

#[test]
fn an_entry_that_cannot_be_read_stops_the_store() {
    let mut board = Board::new();
    let payload = Payload::Command { id: ProposalId::default(), data: b"\x09".into() };
    let error = board.store.apply_whole(&Entry { id: EntryId::new(1, 1), payload }).expect_err("no command");
    assert!(error.to_string().contains("install the newer build"), "{error}");
    assert!(board.store.start_flush(Index(u64::MAX)).is_none(), "half an entry is never flushed");
}

#[test]
fn a_transfer_waits_for_removal_that_is_under_way() {
    let mut board = Board::new();
    for value in ["1", "2"] {
        let put = PutRequest { key: b"a".into(), value: value.into(), ..PutRequest::default() };
        board.apply(&Command::Put(put)).expect("a command");
    }
    board.apply(&Command::Compact { revision: Revision(3) }).expect("a command");
    board.flush(Index(u64::MAX)).expect("room");
    let job = board.store.start_flush(Index(u64::MAX)).expect("there is something to remove");
    assert_eq!(board.store.pin_transfer(TRANSFER), None);
    board.store.finish_flush(job.run(&board.twin)).expect("room");
    let base = board.store.pin_transfer(TRANSFER).expect("it has ended");
    assert_eq!(base.reach, KeyRev::new(3, 0));
}

#[derive(Default)]
struct Story {
    boards: BTreeMap<String, Board>,
    /// Where the transfer from a to b has come to.
    cursor: KeyRev,
}

struct Board {
    twin: Twin,
    store: Store,
    log: Vec<Entry>,
    options: Options,
    pins: Vec<PinId>,
}

type Said = Result<String, Box<dyn Error>>;

const TRANSFER: TransferId = TransferId(1);
const LIMITS: SliceLimits = SliceLimits { rows: 1000, bytes: 1 << 20 };

impl Board {
    fn new() -> Board {
        let twin = Twin::new();
        let options = Options::default();
        let store = Store::open(Arc::new(twin.clone()), options).expect("a fresh database");
        let mut board = Board { twin, store, log: Vec::new(), options, pins: Vec::new() };
        board.store.init(ClusterId(1), Membership::of_voters([NodeId(1)])).expect("a fresh database");
        board
    }

    fn apply(&mut self, command: &Command) -> Said {
        let id = EntryId { term: Term(1), index: self.store.applied().index.next() };
        let payload = Payload::Command { id: ProposalId::default(), data: command.encode() };
        let entry = Entry { id, payload };
        self.log.push(entry);
        self.go_on()
    }

    /// With the last entry of the log.
    fn go_on(&mut self) -> Said {
        let entry = self.log.last().ok_or("nothing was ever applied")?;
        if entry.id == self.store.applied() {
            return Ok("nothing is half done\n".into());
        }
        match self.store.apply(entry)? {
            Applying::Done(outcome) => self.outcome(&outcome),
            Applying::Paused => {
                let (entry, changes) = self.store.unfinished().ok_or("nothing is half done")?;
                Ok(format!("entry {entry} has paused, {changes} changes are done\n"))
            }
        }
    }

    fn follow(&mut self, log: &[Entry]) -> Said {
        while let Some(entry) = log.get(self.store.applied().index.0 as usize)
            && let Applying::Done(_) = self.store.apply(entry)?
        {}
        self.status()
    }

    fn outcome(&self, outcome: &Outcome) -> Said {
        Ok(match outcome {
            Outcome::Refused(error) => format!("refused: {error}\n"),
            Outcome::Put(put) => format!("revision {}\n{}", put.revision, self.before(put)?),
            Outcome::Delete(delete) => self.deleted(delete)?,
            Outcome::Txn(txn) => {
                format!("revision {}, succeeded {}\n{}", txn.revision, txn.succeeded, self.parts(&txn.parts)?)
            }
            outcome => format!("{outcome:?}\n"),
        })
    }

    fn before(&self, put: &PutOutcome) -> Said {
        let Some(rev) = put.prev else { return Ok(String::new()) };
        Ok(format!("before: {}", row(&self.store.record(rev)?.ok_or("no record")?)))
    }

    fn deleted(&self, delete: &DeleteOutcome) -> Said {
        let mut said = format!("revision {}, deleted {}\n", delete.revision, delete.deleted);
        if let Some(range) = &delete.prev {
            write!(said, "before: {}", self.range(range.clone(), LIMITS)?)?;
        }
        Ok(said)
    }

    fn parts(&self, parts: &[TxnPart]) -> Said {
        let mut said = String::new();
        for part in parts {
            match part {
                TxnPart::Range { revision, range } => {
                    write!(said, "- range at revision {revision}\n{}", self.range(range.clone(), LIMITS)?)?;
                }
                TxnPart::Put(put) => {
                    write!(said, "- put at revision {}\n{}", put.revision, self.before(put)?)?
                }
                TxnPart::Delete(delete) => write!(said, "- {}", self.deleted(delete)?)?,
                TxnPart::Txn { succeeded, parts } => {
                    write!(said, "- succeeded {succeeded}\n{}", self.parts(parts)?)?;
                }
            }
        }
        Ok(said)
    }

    fn range(&self, range: RangeAt, limits: SliceLimits) -> Said {
        let mut cursor = RangeCursor::new(range);
        let mut said = String::new();
        loop {
            let slice = self.store.range(&mut cursor, limits)?;
            slice.rows.iter().for_each(|record| said += &row(&record.into()));
            match slice.end {
                Some(end) => {
                    writeln!(said, "count {}{}", end.count, if end.more { ", more" } else { "" })?;
                    return Ok(said);
                }
                None if limits.rows < LIMITS.rows => said += "..\n",
                None => {}
            }
        }
    }

    fn flush(&mut self, durable: Index) -> Said {
        let Some(job) = self.store.start_flush(durable) else { return Ok("nothing to flush\n".into()) };
        self.store.finish_flush(job.run(&self.twin))?;
        Ok(format!("flushed {}\n", self.store.flushed()))
    }

    fn crash(&mut self) -> Said {
        self.store = Store::open(Arc::new(self.twin.clone()), self.options)?;
        self.pins.clear();
        self.status()
    }

    fn status(&self) -> Said {
        let store = &self.store;
        let mut said = format!(
            "applied {}, flushed {}, revision {}, compacted {}\n",
            store.applied(),
            store.flushed(),
            store.revision(),
            store.compacted()
        );
        if let Some((entry, changes)) = store.unfinished() {
            writeln!(said, "half done: entry {entry}, {changes} changes")?;
        }
        if let Some(mark) = store.receive_mark() {
            writeln!(said, "catching up: all up to {} is here", mark.cursor)?;
        }
        Ok(said)
    }

    /// What lies in the database, whether anybody can read it or not.
    fn rows(&self) -> Said {
        let snapshot = self.twin.read()?;
        let mut said = String::new();
        for table in [Table::Revs, Table::LeaseKeys] {
            let count = snapshot.scan(table, &[])?.count();
            writeln!(said, "{}: {count} rows", table.name())?;
        }
        drop(snapshot);
        for record in self.store.transfer_slice(KeyRev::default(), u64::MAX)?.records {
            said += &row(&record);
        }
        Ok(said)
    }

    fn hash(&self, revision: Revision) -> Said {
        let mut cursor = self.store.hash_at(revision)?;
        loop {
            if let Some(hash) = self.store.hash(&mut cursor, LIMITS)? {
                return Ok(format!(
                    "{:08x} at {}, compacted {}\n",
                    hash.hash, hash.revision, hash.compact_revision
                ));
            }
        }
    }

    fn history(&self, from: KeyRev, range: &KeyRange, limits: SliceLimits) -> Said {
        let mut said = String::new();
        let mut next = from;
        loop {
            let slice = self.store.history(next, range, limits)?;
            slice.events.iter().for_each(|record| said += &row(record));
            next = slice.next;
            if slice.done {
                writeln!(said, "next {next}")?;
                return Ok(said);
            }
            writeln!(said, "..")?;
        }
    }

    fn lease(&self, id: LeaseId) -> Said {
        let keys = self.store.lease_keys(id, None, 100)?;
        Ok(match self.store.lease(id)? {
            Some(lease) => format!("ttl {}, remaining {:?}, keys {keys:?}\n", lease.ttl_s, lease.remaining_s),
            None => format!("no such lease, keys {keys:?}\n"),
        })
    }
}

fn row(record: &RevRecord) -> String {
    let RevRecord { rev, key, value, create, version, lease, tombstone } = record;
    if *tombstone {
        return format!("{rev} {key:?} deleted\n");
    }
    let lease = if lease.is_none() { String::new() } else { format!(" lease {lease}") };
    format!("{rev} {key:?} = {value:?} create {create} version {version}{lease}\n")
}

/// A line's words: those without a name, and those with one.
struct Words {
    plain: Vec<String>,
    named: BTreeMap<String, String>,
}

impl Words {
    fn of(args: &[Argument]) -> Words {
        let mut words = Words { plain: Vec::new(), named: BTreeMap::new() };
        for argument in args {
            match argument {
                Argument::KeyValue(key, value) => drop(words.named.insert(key.clone(), value.clone())),
                Argument::Positional(value) => words.plain.push(value.clone()),
                other => panic!("a word of a kind unknown here: {other}"),
            }
        }
        words
    }

    fn of_text(text: &str) -> Words {
        let args: Vec<Argument> = text
            .split_whitespace()
            .map(|word| match word.split_once('=') {
                Some((key, value)) if !key.is_empty() => Argument::KeyValue(key.into(), value.into()),
                _ => Argument::Positional(word.into()),
            })
            .collect();
        Words::of(&args)
    }

    fn flag(&mut self, name: &str) -> bool {
        let before = self.plain.len();
        self.plain.retain(|word| word != name);
        self.plain.len() < before
    }

    fn number(&mut self, name: &str) -> Result<i64, Box<dyn Error>> {
        Ok(self.named.remove(name).map_or(Ok(0), |value| value.parse())?)
    }

    fn take(&mut self) -> Result<String, Box<dyn Error>> {
        if self.plain.is_empty() { Err("a word is missing".into()) } else { Ok(self.plain.remove(0)) }
    }

    fn take_number(&mut self) -> Result<i64, Box<dyn Error>> {
        Ok(self.take()?.parse()?)
    }

    fn range(&mut self) -> Result<KeyRange, Box<dyn Error>> {
        let key = self.take()?;
        let end = self.take().unwrap_or_default();
        Ok(KeyRange::new(key.into_bytes(), end.into_bytes()))
    }

    fn put(&mut self) -> Result<PutRequest, Box<dyn Error>> {
        let (prev_kv, ignore_value, ignore_lease) =
            (self.flag("prev_kv"), self.flag("ignore_value"), self.flag("ignore_lease"));
        Ok(PutRequest {
            key: self.take()?.into_bytes().into(),
            value: self.take().unwrap_or_default().into_bytes().into(),
            lease: LeaseId(self.number("lease")?),
            prev_kv,
            ignore_value,
            ignore_lease,
        })
    }

    fn delete(&mut self) -> Result<DeleteRangeRequest, Box<dyn Error>> {
        let prev_kv = self.flag("prev_kv");
        Ok(DeleteRangeRequest { range: self.range()?, prev_kv })
    }

    fn read(&mut self) -> Result<RangeRequest, Box<dyn Error>> {
        let (keys_only, count_only) = (self.flag("keys_only"), self.flag("count_only"));
        Ok(RangeRequest {
            limit: self.number("limit")?,
            revision: Revision(self.number("rev")?),
            sort_order: match self.named.remove("order").as_deref() {
                None => SortOrder::None,
                Some("ascend") => SortOrder::Ascend,
                Some("descend") => SortOrder::Descend,
                Some(other) => return Err(format!("order {other}").into()),
            },
            sort_target: match self.named.remove("target").as_deref() {
                None => SortTarget::Key,
                Some("version") => SortTarget::Version,
                Some("create") => SortTarget::Create,
                Some("mod") => SortTarget::Mod,
                Some("value") => SortTarget::Value,
                Some(other) => return Err(format!("target {other}").into()),
            },
            keys_only,
            count_only,
            min_mod_revision: Revision(self.number("min_mod")?),
            max_mod_revision: Revision(self.number("max_mod")?),
            min_create_revision: Revision(self.number("min_create")?),
            max_create_revision: Revision(self.number("max_create")?),
            range: self.range()?,
        })
    }

    fn compare(&mut self) -> Result<Compare, Box<dyn Error>> {
        let (target, key) = (self.take()?, self.take()?);
        let (sign, value) = (self.take()?, self.take()?);
        let value = match &target[..] {
            "version" => CompareValue::Version(value.parse()?),
            "create" => CompareValue::Create(Revision(value.parse()?)),
            "mod" => CompareValue::Mod(Revision(value.parse()?)),
            "lease" => CompareValue::Lease(LeaseId(value.parse()?)),
            "value" => CompareValue::Value(value.into_bytes().into()),
            other => return Err(format!("target {other}").into()),
        };
        let result = match &sign[..] {
            "=" => CompareResult::Equal,
            "!" => CompareResult::NotEqual,
            ">" => CompareResult::Greater,
            "<" => CompareResult::Less,
            other => return Err(format!("sign {other}").into()),
        };
        Ok(Compare { range: KeyRange::single(key.into_bytes()), result, value })
    }

    fn op(&mut self) -> Result<TxnOp, Box<dyn Error>> {
        Ok(match &self.take()?[..] {
            "put" => TxnOp::Put(self.put()?),
            "delete" => TxnOp::DeleteRange(self.delete()?),
            "range" => TxnOp::Range(self.read()?),
            other => return Err(format!("operation {other}").into()),
        })
    }

    fn txn(&mut self) -> Result<TxnRequest, Box<dyn Error>> {
        let mut txn = TxnRequest::default();
        for text in std::mem::take(&mut self.plain) {
            let mut words = Words::of_text(&text);
            match &words.take()?[..] {
                "if" => txn.compare.push(words.compare()?),
                "then" => txn.success.push(words.op()?),
                "else" => txn.failure.push(words.op()?),
                other => return Err(format!("{other}: if, then or else").into()),
            }
        }
        Ok(txn)
    }

    fn slices(&mut self) -> Result<SliceLimits, Box<dyn Error>> {
        let rows = self.number("slice")? as u32;
        Ok(if rows > 0 { SliceLimits { rows, ..LIMITS } } else { LIMITS })
    }

    fn end(self) -> Result<(), Box<dyn Error>> {
        if self.plain.is_empty() && self.named.is_empty() {
            return Ok(());
        }
        Err(format!("too much: {:?} {:?}", self.plain, self.named).into())
    }
}

impl goldenscript::Runner for Story {
    type Command = Line;

    fn run(&mut self, line: &Line, context: &Context) -> Said {
        let name = context.prefix.clone().unwrap_or_else(|| "a".into());
        let mut words = Words::of(&line.args);
        if line.name.starts_with("send") {
            let said = self.send(&line.name, &mut words)?;
            words.end()?;
            return Ok(said);
        }
        let log = self.boards.get("a").map(|board| board.log.clone()).unwrap_or_default();
        let board = self.boards.entry(name).or_insert_with(Board::new);
        let said = match &line.name[..] {
            "replay" => {
                let from = board.store.applied().index.0 as usize;
                let entries = &log[from.min(log.len())..];
                entries.iter().try_for_each(|entry| board.store.apply_whole(entry).map(drop))?;
                format!("applied {} entries\n{}", entries.len(), board.status()?)
            }
            "follow" => board.follow(&log)?,
            _ => board.run(&line.name, &mut words)?,
        };
        words.end()?;
        Ok(said)
    }
}

impl Board {
    fn run(&mut self, name: &str, words: &mut Words) -> Said {
        if let Some(command) = command(name, words)? {
            return self.apply(&command);
        }
        match name {
            "range" => {
                let limits = words.slices()?;
                let range = self.store.range_at(&words.read()?)?;
                self.range(range, limits)
            }
            "history" => {
                let limits = words.slices()?;
                let from = KeyRev::new(words.take_number()?, 0);
                let range = if words.plain.is_empty() { KeyRange::all() } else { words.range()? };
                self.history(from, &range, limits)
            }
            "lease" => self.lease(LeaseId(words.take_number()?)),
            "flush" => {
                let durable = words.number("durable")?;
                self.flush(Index(if durable > 0 { durable as u64 } else { u64::MAX }))
            }
            "full" | "room" => {
                self.twin.set_fault((name == "full").then_some(Fault::Full));
                Ok(String::new())
            }
            "crash" => self.crash(),
            "pending" => {
                self.options.pending_bytes_max = words.take_number()? as u64;
                self.crash()
            }
            "go_on" => self.go_on(),
            "rows" => self.rows(),
            "status" => self.status(),
            "hash" => self.hash(Revision(words.take_number().unwrap_or(0))),
            "pin" => {
                let pin = self.store.pin(Revision(words.take_number()?));
                self.pins.push(pin);
                Ok(String::new())
            }
            "unpin" => {
                self.pins.drain(..).for_each(|pin| self.store.unpin(pin));
                Ok(String::new())
            }
            other => Err(format!("{other} is no command").into()),
        }
    }
}

fn command(name: &str, words: &mut Words) -> Result<Option<Command>, Box<dyn Error>> {
    Ok(Some(match name {
        "put" => Command::Put(words.put()?),
        "delete" => Command::DeleteRange(words.delete()?),
        "txn" => Command::Txn(words.txn()?),
        "compact" => Command::Compact { revision: Revision(words.take_number()?) },
        "grant" => Command::LeaseGrant { id: LeaseId(words.take_number()?), ttl_s: words.take_number()? },
        "revoke" => {
            let only_in = words.named.remove("only_in").map(|term| term.parse().map(Term)).transpose()?;
            Command::LeaseRevoke { id: LeaseId(words.take_number()?), only_in }
        }
        "checkpoint" => {
            let (id, remaining_s) = (LeaseId(words.take_number()?), words.take_number()?);
            Command::LeaseCheckpoint { leases: vec![LeaseRemaining { id, remaining_s }], only_in: None }
        }
        "alarm" => {
            let action = if words.flag("off") { AlarmAction::Deactivate } else { AlarmAction::Activate };
            let kind = match &words.take()?[..] {
                "nospace" => AlarmKind::NoSpace,
                "corrupt" => AlarmKind::Corrupt,
                other => return Err(format!("alarm {other}").into()),
            };
            Command::Alarm(AlarmRequest { action, member: NodeId(1), kind })
        }
        _ => return Ok(None),
    }))
}

impl Story {
    fn send(&mut self, name: &str, words: &mut Words) -> Said {
        let mut b = self.boards.remove("b").unwrap_or_else(Board::new);
        let a = self.boards.get_mut("a").ok_or("there is no board a yet")?;
        let said = match name {
            "send_begin" => {
                let base = a.store.pin_transfer(TRANSFER).ok_or("removal is at work")?;
                self.cursor = b.store.receive_begin(base)?;
                a.store.move_transfer(TRANSFER, self.cursor);
                format!("base {}, from {}\n", base.reach, self.cursor)
            }
            "send_slice" => {
                let bytes = words.take_number().unwrap_or(1 << 20) as u64;
                let slice = a.store.transfer_slice(self.cursor, bytes)?;
                self.cursor = b.store.receive_slice(&slice)?;
                a.store.move_transfer(TRANSFER, self.cursor);
                let rows: String = slice.records.iter().map(row).collect();
                format!("{rows}up to {}{}\n", slice.next, if slice.done { ", done" } else { "" })
            }
            "send_finish" => {
                let end = b.store.receive_finish(&a.store.transfer_tail()?)?;
                a.store.unpin_transfer(TRANSFER);
                format!("{end:?}\n{}", b.status()?)
            }
            "send_stop" => {
                a.store.unpin_transfer(TRANSFER);
                String::new()
            }
            other => return Err(format!("{other} is no command").into()),
        };
        self.boards.insert("b".into(), b);
        Ok(said)
    }
}
