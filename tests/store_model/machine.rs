//! One seed: two stores that apply the same entries, and flush, crash and remove each at its own times.

use std::sync::Arc;

use solder::{
    snapshot::{SnapshotCursor, next_piece},
    store::*,
    types::*,
};

use crate::{chance::Chance, model::Model};

const OPERATIONS: u64 = 800;

/// A store with what is under it.
pub(crate) struct Subject {
    pub(crate) store: Store,
    pub(crate) backend: Arc<dyn Backend>,
    twin: Option<Twin>,
    options: Options,
    /// Crashes.
    pub(crate) crashes: u64,
    /// LMDB's directory, and how to open it again.
    lmdb: Option<(tempfile::TempDir, LmdbOptions)>,
}

impl Subject {
    pub(crate) fn new(chance: &mut Chance, lmdb: bool, bugs: Bugs) -> Subject {
        let options = Options {
            // The smaller ones tear what deletes a few keys.
            pending_bytes_max: 1 << chance.rng.u32(8..18),
            flush_pages_max: 1 << chance.rng.u32(..8),
            bugs,
        };
        let twin = Twin::new();
        let lmdb = lmdb.then(|| {
            let dir = std::path::Path::new("/dev/shm");
            let dir = if dir.is_dir() { tempfile::tempdir_in(dir) } else { tempfile::tempdir() };
            // So small that it has to grow.
            (
                dir.expect("a directory"),
                LmdbOptions { map_bytes: 1 << 16, headroom_bytes: 1 << 16, ..LmdbOptions::default() },
            )
        });
        let backend = open_backend(&twin, lmdb.as_ref());
        let mut store = Store::open(backend.clone(), options).expect("a fresh database");
        store.init(ClusterId(7), Membership::of_voters([NodeId(1)])).expect("a fresh database");
        let twin = lmdb.is_none().then_some(twin);
        Subject { store, backend, twin, options, crashes: 0, lmdb }
    }

    /// Some of what can happen around a flush. True: the store has crashed.
    pub(crate) fn flush(&mut self, chance: &mut Chance) -> bool {
        let applied = self.store.unfinished().map_or(self.store.applied(), |(entry, _)| entry).index;
        let durable =
            Index(applied.0.saturating_sub(if chance.one_in(3) { chance.rng.u64(..20) } else { 0 }));
        let flushed = self.store.flushed();
        let Some(job) = self.store.start_flush(durable) else { return false };
        assert!(self.store.start_flush(durable).is_none(), "one job at a time");
        let fault = if chance.one_in(8) { Some(Fault::Full) } else { None };
        self.set_fault(fault);
        let result = match chance.rng.u8(..24) {
            0 => return true,
            _ => job.run(&*self.backend),
        };
        self.set_fault(None);
        if chance.one_in(24) {
            return true;
        }
        match self.store.finish_flush(result) {
            Ok(()) => {
                let now = self.store.flushed();
                assert!(now == flushed || now.index <= durable, "{now} is flushed, the log has {durable}");
            }
            Err(StoreError::Full { .. }) => assert!(fault.is_some(), "full without having been told to"),
            Err(error) => panic!("{error}"),
        }
        false
    }

    /// As a flush: it ends, fails, or the store crashes, before the exchange or after.
    pub(crate) fn defragment(&mut self, chance: &mut Chance) -> bool {
        let Some(job) = self.store.start_defragment() else { return false };
        assert!(self.store.start_flush(Index(u64::MAX)).is_none(), "one job at a time");
        self.set_fault(chance.one_in(4).then_some(Fault::Full));
        let result = job.run(&*self.backend);
        self.set_fault(None);
        if chance.one_in(4) {
            return true;
        }
        match self.store.finish_defragment(result) {
            Ok(_) | Err(StoreError::Full { .. }) => chance.one_in(4),
            Err(error) => panic!("{error}"),
        }
    }

    fn set_fault(&self, fault: Option<Fault>) {
        if let Some(twin) = &self.twin {
            twin.set_fault(fault);
        }
    }

    /// All that was pending is lost.
    pub(crate) fn crash(&mut self) {
        self.crashes += 1;
        self.set_fault(None);
        let twin = self.twin.clone().unwrap_or_default();
        // Let go of LMDB before it is opened again.
        let nothing: Arc<dyn Backend> = Arc::new(Twin::new());
        self.store = Store::open(nothing.clone(), self.options).expect("a fresh database");
        self.backend = nothing;
        self.backend = open_backend(&twin, self.lmdb.as_ref());
        self.store = Store::open(self.backend.clone(), self.options).expect("what was committed");
    }
}

fn open_backend(twin: &Twin, lmdb: Option<&(tempfile::TempDir, LmdbOptions)>) -> Arc<dyn Backend> {
    match lmdb {
        Some((dir, options)) => Arc::new(Lmdb::open(dir.path(), options).expect("LMDB opens")),
        None => Arc::new(twin.clone()),
    }
}

/// All that was ever applied, with what came of it.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Entry>,
    outcomes: Vec<Outcome>,
    pub(crate) hashes: Vec<u32>,
}

impl Log {
    /// Brings a store up to the end of the log. What it does a second time it does as it did the first time.
    pub(crate) fn replay(&self, store: &mut Store) {
        self.replay_up_to(store, self.entries.len());
    }

    pub(crate) fn replay_up_to(&self, store: &mut Store, entries: usize) {
        let applied = |store: &Store| store.applied().index.0 as usize;
        while let Some(entry) = self.entries[..entries].get(applied(store)) {
            let at = entry.index().0 as usize - 1;
            let outcome = store.apply_whole(entry).expect("an entry");
            assert_eq!(outcome, self.outcomes[at], "entry {}, again", entry.id);
            assert_eq!(store.state_hash(), self.hashes[at], "state after entry {}, again", entry.id);
        }
    }
}

pub(crate) struct Machine {
    pub(crate) chance: Chance,
    pub(crate) model: Model,
    pub(crate) log: Log,
    pub(crate) term: Term,
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Machine {
        Machine { chance: Chance::new(seed), model: Model::new(), log: Log::default(), term: Term(1) }
    }

    fn next_entry(&mut self) -> Entry {
        self.term = Term(self.term.0 + u64::from(self.chance.one_in(50)));
        let id = EntryId { term: self.term, index: Index(self.log.entries.len() as u64 + 1) };
        if self.chance.one_in(40) {
            return Entry { id, payload: Payload::Empty };
        }
        if self.chance.one_in(40)
            && let Some(change) = self.chance.member_change(&self.model.membership)
        {
            let is_of_role = matches!(change, MembershipChange::Promote(_) | MembershipChange::Demote(_));
            let info = match is_of_role && self.chance.one_in(2) {
                true => RoleChange { since_s: id.index.0, why: "why".into() }.encode(),
                false => Bytes::from(format!("member of entry {}", id.index).into_bytes()),
            };
            let payload = Payload::Membership { id: ProposalId::default(), change, info };
            return Entry { id, payload };
        }
        let command = self.chance.command(self.model.revision, self.model.compacted, self.term);
        entry_of(id, &command)
    }

    /// What the model makes of it.
    fn expect(&mut self, entry: &Entry) -> Outcome {
        match &entry.payload {
            Payload::Empty => Outcome::None,
            Payload::Membership { change, info, .. } => {
                self.model.change_members(*change, info);
                Outcome::None
            }
            Payload::Command { data, .. } => {
                self.model.apply(&Command::decode(data).expect("a command"), entry.term())
            }
        }
    }

    pub(crate) fn apply_command(&mut self, command: Command, subjects: &mut [Subject]) {
        let id = EntryId { term: self.term, index: Index(self.log.entries.len() as u64 + 1) };
        self.apply_entry(entry_of(id, &command), subjects);
    }

    /// Applies an entry to all stores, which must agree with the model and with each other.
    pub(crate) fn apply(&mut self, subjects: &mut [Subject]) {
        let next = self.next_entry();
        self.apply_entry(next, subjects);
    }

    fn apply_entry(&mut self, entry: Entry, subjects: &mut [Subject]) {
        let outcomes: Vec<_> = subjects.iter_mut().map(|subject| self.apply_to(&entry, subject)).collect();
        let expected = self.expect(&entry);
        for outcome in outcomes {
            assert_eq!(outcome, expected, "{:?}", command_of(&entry));
        }
        let hash = subjects[0].store.state_hash();
        for subject in subjects.iter() {
            assert_eq!(subject.store.state_hash(), hash, "state after {:?}", command_of(&entry));
            self.check_named(&subject.store, &expected);
        }
        self.log.entries.push(entry);
        self.log.outcomes.push(expected);
        self.log.hashes.push(hash);
    }

    /// In as many parts as it takes. Between them the store is as it was, whatever else happens to it.
    fn apply_to(&mut self, entry: &Entry, subject: &mut Subject) -> Outcome {
        loop {
            if let Applying::Done(outcome) = subject.store.apply(entry).expect("an entry") {
                assert_eq!(subject.store.unfinished(), None);
                return outcome;
            }
            let (unfinished, changes) = subject.store.unfinished().expect("it has paused");
            assert!(unfinished == entry.id && changes > 0, "{changes} changes of {unfinished}");
            for _ in 0..self.chance.rng.usize(..3) {
                self.check_all(&subject.store);
            }
            let crashes = match self.chance.rng.u8(..12) {
                0..6 => subject.flush(&mut self.chance),
                6 => subject.defragment(&mut self.chance),
                7 => true,
                _ => false,
            };
            if crashes {
                subject.crash();
                self.log.replay(&mut subject.store);
                assert!(subject.store.unfinished().is_none_or(|(half_done, _)| half_done == entry.id));
            }
        }
    }

    /// What an outcome names instead of holding it is there to be read.
    fn check_named(&mut self, store: &Store, outcome: &Outcome) {
        match outcome {
            Outcome::Put(PutOutcome { prev: Some(rev), .. }) => self.check_record(store, *rev),
            Outcome::Delete(DeleteOutcome { prev: Some(range), .. }) => self.check_range_at(store, range),
            Outcome::Txn(txn) => self.check_parts(store, &txn.parts),
            _ => {}
        }
    }

    fn check_parts(&mut self, store: &Store, parts: &[TxnPart]) {
        for part in parts {
            match part {
                TxnPart::Range { range, .. } => self.check_range_at(store, range),
                TxnPart::Put(PutOutcome { prev: Some(rev), .. }) => self.check_record(store, *rev),
                TxnPart::Delete(DeleteOutcome { prev: Some(range), .. }) => self.check_range_at(store, range),
                TxnPart::Txn { parts, .. } => self.check_parts(store, parts),
                TxnPart::Put(_) | TxnPart::Delete(_) => {}
            }
        }
    }

    fn check_record(&self, store: &Store, rev: KeyRev) {
        let expected = self.model.changes.iter().find(|change| change.rev == rev);
        assert_eq!(store.record(rev).expect("readable").as_ref(), expected, "record {rev}");
    }

    fn limits(&mut self) -> SliceLimits {
        let rows = if self.chance.rng.bool() { self.chance.rng.u32(..5) } else { 1000 };
        let bytes = if self.chance.rng.bool() { self.chance.rng.u64(..900) } else { 1 << 20 };
        SliceLimits { rows, bytes }
    }

    fn check_range_at(&mut self, store: &Store, range: &RangeAt) {
        let limits = self.limits();
        let mut cursor = RangeCursor::new(range.clone());
        let mut rows = Vec::new();
        let end = loop {
            let slice = store.range(&mut cursor, limits).unwrap_or_else(|error| panic!("{range:?}: {error}"));
            assert!(slice.rows.len() <= limits.rows.max(1) as usize, "{} rows, {limits:?}", slice.rows.len());
            rows.extend(slice.rows.iter().map(RevRecord::from));
            if let Some(end) = slice.end {
                break end;
            }
        };
        assert_eq!((rows, end), self.model.range(range), "{range:?} {limits:?}");
    }

    fn check_request(&mut self, store: &Store) {
        let request = self.chance.read(self.model.revision);
        if request.range.key.is_empty() {
            assert_eq!(check_range(&request), Err(Error::EmptyKey));
            return;
        }
        let revision = if request.revision.0 > 0 { request.revision } else { self.model.revision };
        match store.range_at(&request) {
            Err(Error::FutureRevision) => assert!(revision > self.model.revision, "{request:?}"),
            Err(Error::Compacted(at)) => assert!(at == self.model.compacted && revision < at, "{request:?}"),
            Err(error) => panic!("{error}"),
            Ok(range) => {
                assert!(revision <= self.model.revision && revision >= self.model.compacted, "{request:?}");
                assert_eq!(range.at, KeyRev::end_of(revision));
                self.check_range_at(store, &range);
            }
        }
    }

    fn check_get(&mut self, store: &Store) {
        let key = self.chance.range().key;
        let revision = Revision(self.chance.rng.i64(..self.model.revision.0 + 2));
        let at = KeyRev { main: revision, sub: self.chance.rng.u32(..2) };
        match store.get(&key, at) {
            Ok(record) => assert_eq!(record.as_ref(), self.model.get(&key, at), "{key:?} at {at}"),
            Err(ReadError::Refused(Error::Compacted(_))) => {
                assert!(revision < self.model.compacted, "at {at}")
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn check_history(&mut self, store: &Store) {
        let (range, limits) = (self.chance.range(), self.limits());
        let revision = Revision(self.chance.rng.i64(..self.model.revision.0 + 2));
        let mut from = KeyRev { main: revision, sub: self.chance.rng.u32(..2) };
        let expected = self.model.history(from, &range);
        if revision < self.model.compacted {
            let refused = store.history(from, &range, limits);
            assert!(
                matches!(refused, Err(ReadError::Refused(Error::Compacted(at))) if at == self.model.compacted)
            );
            return;
        }
        let mut events = Vec::new();
        loop {
            let slice = store.history(from, &range, limits).expect("not compacted");
            assert!(slice.next > from || slice.done, "no progress at {from}");
            events.extend(slice.events);
            from = slice.next;
            if slice.done {
                break;
            }
        }
        assert_eq!(events, expected, "history of {range:?} from {revision}");
    }

    fn check_leases(&mut self, store: &Store) {
        let leases = store.leases().expect("readable");
        assert_eq!(leases, self.model.leases.iter().map(|(id, lease)| (*id, *lease)).collect::<Vec<_>>());
        for id in [1, 2, 3, -4, i64::MAX].map(LeaseId) {
            assert_eq!(store.lease(id).expect("readable").as_ref(), self.model.leases.get(&id));
            let (mut keys, rows): (Vec<Bytes>, _) = (Vec::new(), self.chance.rng.usize(1..4));
            loop {
                let some = store.lease_keys(id, keys.last().map(|key| &key[..]), rows).expect("readable");
                let last = some.len() < rows;
                keys.extend(some);
                if last {
                    break;
                }
            }
            if store.unfinished().is_none() {
                assert_eq!(keys, self.model.lease_keys(id), "keys of lease {id}");
            }
        }
        let members: Vec<_> = self.model.members.iter().map(|(id, info)| (*id, info.clone())).collect();
        assert_eq!(store.members().expect("readable"), members);
        assert_eq!(store.alarms().collect::<Vec<_>>(), self.model.alarms.iter().copied().collect::<Vec<_>>());
    }

    pub(crate) fn check_hash(&mut self, subjects: &[Subject]) {
        let revision = self.chance.revision(self.model.revision);
        let limits = self.limits();
        let hashes: Vec<_> = subjects.iter().map(|subject| hash(&subject.store, revision, limits)).collect();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "at {revision}: {hashes:?}");
    }

    pub(crate) fn check_all(&mut self, store: &Store) {
        assert_eq!(store.revision(), self.model.revision);
        assert_eq!(store.compacted(), self.model.compacted);
        assert_eq!(*store.membership(), self.model.membership);
        match self.chance.rng.u8(..9) {
            8 => self.check_get(store),
            0..=4 => self.check_request(store),
            5 | 6 => self.check_history(store),
            _ => self.check_leases(store),
        }
    }
}

pub(crate) fn hash(store: &Store, revision: Revision, limits: SliceLimits) -> Result<HashAt, Error> {
    let mut cursor = store.hash_at(revision)?;
    loop {
        if let Some(hash) = store.hash(&mut cursor, limits).unwrap_or_else(|error| panic!("{error}")) {
            return Ok(hash);
        }
    }
}

pub(crate) fn command_of(entry: &Entry) -> Option<Command> {
    match &entry.payload {
        Payload::Command { data, .. } => Some(Command::decode(data).expect("a command")),
        _ => None,
    }
}

fn entry_of(id: EntryId, command: &Command) -> Entry {
    Entry { id, payload: Payload::Command { id: ProposalId::default(), data: command.encode() } }
}

/// A range, a hash and a snapshot that take their time: pinned, they end as they would have at once.
struct Long {
    pin: PinId,
    range: RangeAt,
    cursor: RangeCursor,
    rows: Vec<RevRecord>,
    hash: HashCursor,
    expected_hash: HashAt,
    snapshot: SnapshotCursor,
    stream: Vec<u8>,
    expected_stream: Vec<u8>,
}

/// What is left of a snapshot.
fn rest(store: &Store, cursor: &mut SnapshotCursor) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some(piece) = next_piece(store, cursor, 1000).expect("pinned") {
        stream.extend(piece);
    }
    stream
}

impl Long {
    /// What another store of the same entries holds by now must be the same.
    fn begin(machine: &mut Machine, store: &mut Store, other: &Store) -> Option<Long> {
        let request = machine.chance.read(machine.model.revision);
        let range = store.range_at(&request).ok().filter(|_| check_range(&request).is_ok())?;
        let cursor = RangeCursor::new(range.clone());
        let revision = Revision(0);
        let hash_cursor = store.hash_at(revision).expect("the newest");
        let expected_hash = hash(store, revision, machine.limits()).expect("the newest");
        let snapshot = SnapshotCursor::begin(store).expect("it serves");
        let expected_stream = rest(other, &mut SnapshotCursor::begin(other).expect("it serves"));
        let pin = store.pin(hash_cursor.pinned().min(cursor.at().main).min(snapshot.pinned()));
        Some(Long {
            pin,
            range,
            cursor,
            rows: Vec::new(),
            hash: hash_cursor,
            expected_hash,
            snapshot,
            stream: Vec::new(),
            expected_stream,
        })
    }

    /// One slice of each. True: both have ended, or the one that takes longer.
    fn go_on(&mut self, machine: &Machine, store: &mut Store) -> bool {
        let limits = SliceLimits { rows: 2, bytes: 300 };
        let slice = store.range(&mut self.cursor, limits).expect("pinned");
        self.rows.extend(slice.rows.iter().map(RevRecord::from));
        let Some(end) = slice.end else {
            self.stream
                .extend(next_piece(store, &mut self.snapshot, 100).expect("pinned").unwrap_or_default());
            let hash = store.hash(&mut self.hash, limits).expect("pinned");
            assert!(hash.is_none_or(|hash| hash == self.expected_hash), "{hash:?}, {:?}", self.expected_hash);
            return false;
        };
        let rows = std::mem::take(&mut self.rows);
        assert_eq!((rows, end), machine.model.range(&self.range), "{:?} in the long run", self.range);
        let hash = loop {
            if let Some(hash) = store.hash(&mut self.hash, limits).expect("pinned") {
                break hash;
            }
        };
        assert_eq!(hash, self.expected_hash);
        self.stream.extend(rest(store, &mut self.snapshot));
        assert!(self.stream == self.expected_stream, "{:?}", self.snapshot);
        store.unpin(self.pin);
        true
    }
}

/// Gives the number of operations: entries applied and answers compared.
pub(crate) fn run(seed: u64, bugs: Bugs) -> u64 {
    let mut machine = Machine::new(seed);
    let operations = std::env::var("OPERATIONS").map_or(OPERATIONS, |n| n.parse().expect("a number"));
    // LMDB in some seeds: it is slower, and the store above it is the same.
    let on_lmdb = seed.is_multiple_of(16);
    let chance = &mut machine.chance;
    let mut subjects = [Subject::new(chance, on_lmdb, bugs), Subject::new(chance, false, bugs)];
    let mut long: Option<Long> = None;
    let mut done = 0;
    while done < operations {
        let crashes = subjects[0].crashes;
        if subjects.iter().all(|subject| !subject.store.pending_full()) {
            machine.apply(&mut subjects);
            done += 1;
        }
        for subject in &mut subjects {
            let full = subject.store.pending_full();
            if (full || machine.chance.one_in(6)) && subject.flush(&mut machine.chance)
                || machine.chance.one_in(60) && subject.defragment(&mut machine.chance)
                || machine.chance.one_in(300)
            {
                subject.crash();
                machine.log.replay(&mut subject.store);
            }
        }
        if subjects[0].crashes > crashes {
            // Pins are in memory only.
            long = None;
        }
        long = match long {
            None if machine.chance.one_in(20) => {
                let [one, other] = &mut subjects;
                Long::begin(&mut machine, &mut one.store, &other.store)
            }
            None => None,
            Some(mut long) => (!long.go_on(&machine, &mut subjects[0].store)).then_some(long),
        };
        let which = machine.chance.rng.usize(..subjects.len());
        machine.check_all(&subjects[which].store);
        done += 1;
        if machine.chance.one_in(40) {
            machine.check_hash(&subjects);
            done += 1;
        }
    }
    done
}
