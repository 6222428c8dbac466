//! Damage at every byte of a real log: truncated there, zeroed there, a bit flipped there. What had been synced is there or
//! missed aloud: damage in any batch but the last is an error that names file and offset, damage in the last cuts exactly
//! that one and warns, and nothing else changes anything.

use std::{
    cell::RefCell,
    io,
    ops::Range,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use solder::{
    types::EntryId,
    wal::{Disk, Faults, Options, Plan, Record, Recovered, Slot, Twin, WalError},
};

use crate::support::{Model, entry, hard_state, members, open, options};

const BLOCK: usize = 4096;

/// Where something stands: a slot and its bytes from header to the end of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    slot: Slot,
    bytes: Range<usize>,
}

/// A disk that remembers where batches were written.
struct Witness {
    twin: Twin,
    places: Rc<RefCell<Vec<Place>>>,
}

impl Disk for Witness {
    fn list(&mut self) -> io::Result<Vec<(Slot, u64)>> {
        self.twin.list()
    }

    fn allocate(&mut self, slot: Slot, bytes: u64) -> io::Result<()> {
        self.twin.allocate(slot, bytes)
    }

    fn read(&mut self, slot: Slot, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.twin.read(slot, offset, buffer)
    }

    fn write(&mut self, slot: Slot, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = offset as usize;
        if at == 0 {
            // A new life: what stood here does not count any more.
            self.places.borrow_mut().retain(|place| place.slot != slot);
        } else {
            let payload = u32::from_le_bytes(bytes[24..28].try_into().expect("four bytes")) as usize;
            self.places.borrow_mut().push(Place { slot, bytes: at..at + 40 + payload });
        }
        self.twin.write(slot, offset, bytes)
    }

    fn sync(&mut self, slot: Slot) -> io::Result<()> {
        self.twin.sync(slot)
    }

    fn settle(&mut self, slot: Slot) -> io::Result<()> {
        self.twin.settle(slot)
    }

    fn remove(&mut self, slot: Slot) -> io::Result<()> {
        self.places.borrow_mut().retain(|place| place.slot != slot);
        self.twin.remove(slot)
    }

    fn file(&self, slot: Slot) -> String {
        self.twin.file(slot)
    }

    fn directory(&self) -> String {
        self.twin.directory()
    }
}

/// A log on a disk, and all that is known of it.
struct Sample {
    options: Options,
    applied: u64,
    files: Vec<(Slot, Vec<u8>)>,
    /// In the order in which they were written.
    batches: Vec<Place>,
    /// The slots of the chain.
    chain: Vec<Slot>,
    whole: Model,
    without_last: Model,
    /// The log after each batch.
    states: Vec<Model>,
}

/// A log of several segments, all of which have had a life before, with entries, hard states and truncations.
fn sample() -> Sample {
    let options = options(5);
    let twin = Twin::new();
    let places = Rc::new(RefCell::new(Vec::new()));
    let disk = Witness { twin: twin.clone(), places: places.clone() };
    let (mut wal, _) = open(disk, &options, 0, 1).expect("an empty disk");
    let (mut whole, mut without_last) = (Model::default(), Model::default());
    let (mut applied, mut states) = (0, vec![Model::default()]);
    for (turn, records) in story().into_iter().enumerate() {
        without_last = whole.clone();
        whole = whole.with(&records);
        states.push(whole.clone());
        wal.write(&records, &members()).expect("room");
        wal.sync().expect("a good disk");
        if turn == 12 {
            applied = whole.last().index.0;
            wal.release(solder::types::Index(applied));
        }
        wal.secure_room().expect("space");
    }
    drop(wal);
    let batches = places.borrow().clone();
    let mut chain: Vec<Slot> = batches.iter().map(|place| place.slot).collect();
    chain.dedup();
    let (whole, without_last) = (whole.beyond(applied), without_last.beyond(applied));
    Sample { options, applied, files: twin.files(), batches, chain, whole, without_last, states }
}

fn story() -> Vec<Vec<Record>> {
    let mut story = vec![vec![hard_state(1, 1)]];
    story.extend((1..=12).map(|index| vec![entry(1, index, 200)]));
    story.push(vec![entry(1, 13, 100), entry(1, 14, 4500), entry(1, 15, 0)]);
    story.push(vec![hard_state(2, 3), entry(2, 14, 300), entry(2, 15, 20)]);
    story.push(vec![entry(2, 16, 9)]);
    story.push(vec![Record::LogStart(EntryId::new(2, 40)), entry(2, 41, 30)]);
    story.push(vec![hard_state(3, 1)]);
    story.push(vec![entry(3, 42, 4200), entry(3, 43, 50)]);
    story
}

/// What opening made of a damaged log.
type Outcome = Result<Recovered, WalError>;

impl Sample {
    fn open_with(&self, slot: Slot, damage: impl FnOnce(&mut Vec<u8>)) -> (Twin, Outcome) {
        let twin = Twin::of(self.files.iter().cloned());
        twin.damage(slot, damage);
        let outcome = open(twin.clone(), &self.options, self.applied, 2).map(|(_, recovered)| recovered);
        (twin, outcome)
    }

    fn slot(&self, slot: Slot) -> &[u8] {
        &self.files.iter().find(|file| file.0 == slot).expect("a slot of the sample").1
    }

    /// Checks what becomes of a log whose bytes in `range` were changed by `change`.
    fn check(&self, slot: Slot, range: Range<usize>, change: impl Fn(&mut [u8])) {
        let before = &self.slot(slot)[range.clone()];
        let mut after = before.to_vec();
        change(&mut after);
        if before == after {
            return;
        }
        let changed: Vec<usize> = (0..after.len()).filter(|&at| before[at] != after[at]).collect();
        let hit = |place: &Range<usize>| changed.iter().any(|at| place.contains(&(range.start + at)));
        let (twin, outcome) = self.open_with(slot, |bytes| bytes[range.clone()].copy_from_slice(&after));
        let batch =
            self.batches.iter().rposition(|place| place.slot == slot && hit(&place.bytes)).map(|last| {
                let mut hits = self.batches.iter().position(|place| place.slot == slot && hit(&place.bytes));
                (hits.take().expect("one was hit"), last)
            });
        let context = format!("slot {slot}, bytes {range:?}: {:?}", outcome.clone().map(Model::from));
        match (batch, outcome) {
            (Some((first, last)), Ok(recovered)) => {
                assert_eq!((first, last), (self.batches.len() - 1, self.batches.len() - 1), "{context}");
                self.check_cut(&recovered, changed.len() < 24, &context);
                self.check_again(twin, &self.without_last);
            }
            (Some((first, _)), Err(WalError::Damaged { file, offset, .. })) => {
                assert_ne!(first, self.batches.len() - 1, "{context}");
                let place = &self.batches[first];
                let named = (format!("wal/{}.seg", place.slot), place.bytes.start as u64);
                assert_eq!((file, offset), named, "{context}");
            }
            (None, Ok(recovered)) => {
                assert_eq!(recovered.warning, None, "{context}");
                let copies = [0..BLOCK, BLOCK..2 * BLOCK].into_iter().filter(hit).count();
                let repaired = if self.chain.contains(&slot) { copies } else { 0 };
                assert_eq!(recovered.repaired.len(), repaired, "{context}");
                assert_eq!(Model::from(recovered), self.whole, "{context}");
                self.check_again(twin, &self.whole);
            }
            (_, Err(_)) => panic!("{context}"),
        }
    }

    fn check_cut(&self, recovered: &Recovered, must_warn: bool, context: &str) {
        let last = self.batches.last().expect("a batch");
        if must_warn {
            let warning = recovered.warning.as_ref().expect(context);
            let named = (format!("wal/{}.seg", last.slot), last.bytes.start as u64);
            assert_eq!((warning.file.clone(), warning.offset), named, "{context}");
            if let Some(bytes) = warning.payload_bytes {
                assert_eq!(bytes as usize, last.bytes.len() - 40, "{context}");
            }
        }
        assert_eq!(Model::from(recovered.clone()), self.without_last, "{context}");
    }

    /// What was cut or repaired is so for good.
    fn check_again(&self, twin: Twin, expected: &Model) {
        static OPENED: AtomicU64 = AtomicU64::new(0);
        if OPENED.fetch_add(1, Ordering::Relaxed).is_multiple_of(64) {
            let (_, recovered) = open(twin, &self.options, self.applied, 3).expect("repaired");
            assert_eq!((&recovered.warning, &recovered.repaired), (&None, &Vec::new()));
            assert_eq!(&Model::from(recovered), expected);
        }
    }

    fn each_piece(&self, size: usize, change: impl Fn(&mut [u8])) {
        for (slot, bytes) in &self.files {
            for at in (0..bytes.len()).step_by(size) {
                self.check(*slot, at..at + size, &change);
            }
        }
    }
}

#[test]
fn the_sample_is_worth_damaging() {
    let sample = sample();
    assert!(sample.chain.len() >= 3, "{:?}", sample.chain);
    assert!(sample.applied > 0 && sample.whole.entries.len() == 3, "{:?}", sample.whole);
    assert_ne!(sample.whole, sample.without_last);
    let (_, outcome) = sample.open_with(Slot(0), |_| {});
    assert_eq!(outcome.map(Model::from), Ok(sample.whole));
}

#[test]
fn a_zeroed_byte() {
    sample().each_piece(1, |bytes| bytes.fill(0));
}

#[test]
fn a_flipped_bit() {
    sample().each_piece(1, |bytes| bytes[0] ^= 0x10);
}

#[test]
fn a_lost_sector() {
    sample().each_piece(512, |bytes| bytes.fill(0));
    sample().each_piece(512, |bytes| bytes.fill(0xff));
}

#[test]
fn a_lost_block() {
    sample().each_piece(BLOCK, |bytes| bytes.fill(0));
    sample().each_piece(BLOCK, |bytes| bytes.fill(0xa5));
}

#[test]
fn a_file_cut_short_is_refused() {
    let sample = sample();
    for (slot, bytes) in &sample.files {
        for length in 0..bytes.len() {
            let outcome = sample.open_with(*slot, |bytes| bytes.truncate(length)).1;
            // A spare that never lived and still has room for a segment is one that was made under other settings.
            if !sample.chain.contains(slot) && length >= 3 * BLOCK && length % BLOCK == 0 {
                assert_eq!(outcome.map(Model::from), Ok(sample.whole.clone()), "{slot} {length}");
                continue;
            }
            match outcome {
                Err(WalError::Damaged { file, offset, .. }) => {
                    assert_eq!((file, offset), (format!("wal/{slot}.seg"), length as u64));
                }
                outcome => panic!("slot {slot} cut at {length}: {:?}", outcome.map(Model::from)),
            }
        }
    }
}

#[test]
fn both_copies_of_a_header_gone_is_refused() {
    let sample = sample();
    for slot in &sample.chain {
        let outcome = sample.open_with(*slot, |bytes| bytes[..2 * BLOCK].fill(0)).1;
        let refused = matches!(outcome, Err(WalError::Damaged { .. } | WalError::Gap { .. }));
        // The oldest may hold nothing that is needed.
        let needless =
            *slot == sample.chain[0] && outcome == Ok(sample.open_with(*slot, |_| {}).1.expect("good"));
        assert!(refused || needless, "slot {slot}: {outcome:?}");
    }
}

#[test]
fn a_missing_file_is_refused() {
    let sample = sample();
    for slot in &sample.chain[..sample.chain.len() - 1] {
        let twin = Twin::of(sample.files.iter().filter(|file| file.0 != *slot).cloned());
        let outcome = open(twin, &sample.options, 0, 2).map(|(_, recovered)| recovered);
        assert!(matches!(outcome, Err(WalError::Damaged { .. } | WalError::Gap { .. })), "{outcome:?}");
    }
    let none = open(Twin::new(), &sample.options, 7, 2).map(|(_, recovered)| recovered);
    assert!(matches!(none, Err(WalError::Missing { .. })), "{none:?}");
}

#[test]
fn the_log_of_another_member_is_refused() {
    let sample = sample();
    let options = Options { member: solder::types::NodeId(9), ..sample.options.clone() };
    let outcome = open(Twin::of(sample.files), &options, sample.applied, 2).map(|(_, recovered)| recovered);
    assert!(matches!(outcome, Err(WalError::Foreign { .. })), "{outcome:?}");
}

#[test]
fn a_format_of_the_future_is_refused() {
    let sample = sample();
    let slot = sample.chain.last().expect("a chain");
    let mut block = sample.slot(*slot)[..BLOCK].to_vec();
    block[8] = 2;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&block[..12]);
    crc.update(&block[16..]);
    block[12..16].copy_from_slice(&crc.finalize().to_le_bytes());
    let outcome = sample.open_with(*slot, |bytes| bytes[..BLOCK].copy_from_slice(&block)).1;
    assert_eq!(outcome, Err(WalError::Version { file: format!("wal/{slot}.seg"), version: 2 }));
}

/// Whatever is damaged: after a salvage the log opens, and is what it once was, from its beginning up to some batch before
/// the damage. A power cut while it is done changes nothing about that.
#[test]
fn a_salvaged_log_is_a_beginning_of_what_it_was() {
    let sample = sample();
    let mut salvaged = 0;
    for slot in &sample.chain {
        for at in (0..sample.slot(*slot).len()).step_by(67) {
            let (twin, outcome) = sample.open_with(*slot, |bytes| bytes[at] ^= 0x10);
            if matches!(outcome, Err(WalError::Damaged { .. })) {
                salvage(&sample, &twin, at as u64);
                salvaged += 1;
            }
        }
        let (twin, outcome) = sample.open_with(*slot, |bytes| bytes[..2 * BLOCK].fill(0));
        if matches!(outcome, Err(WalError::Damaged { .. })) {
            salvage(&sample, &twin, 1);
            salvaged += 1;
        }
    }
    assert!(salvaged > 20, "{salvaged}");
}

fn salvage(sample: &Sample, twin: &Twin, seed: u64) {
    let mut disk = twin.clone();
    for power in 1..12 {
        let plan = Plan::make(&mut disk, &mut |_| {}).expect("readable");
        let Some(plan) = plan else { break };
        twin.set_faults(Faults { power_for_verbs: Some(power), ..Faults::default() });
        if plan.carry_out(&mut disk).is_err() {
            twin.crash(&mut fastrand::Rng::with_seed(seed * 31 + power));
        }
        twin.set_faults(Faults::default());
    }
    let (_, recovered) = open(disk, &sample.options, sample.applied, 2).expect("salvaged");
    let found = Model::from(recovered);
    let known = sample.states.iter().any(|state| state.beyond(sample.applied) == found);
    assert!(known, "{found:?}");
}

/// Whatever the files hold, opening returns.
#[test]
fn any_bytes_are_answered() {
    let sample = sample();
    arbtest::arbtest(|u| {
        let mut files = if u.arbitrary()? { sample.files.clone() } else { Vec::new() };
        if files.is_empty() {
            for slot in 0..u.int_in_range(1..=3)? {
                files.push((Slot(slot), u.bytes(u.len().min(3 * BLOCK) / 2)?.to_vec()));
            }
        }
        for _ in 0..u.int_in_range(0..=8)? {
            let file = u.choose_index(files.len())?;
            let bytes = &mut files[file].1;
            if bytes.is_empty() {
                continue;
            }
            let (from, to) = (u.choose_index(bytes.len())?, u.choose_index(bytes.len())?);
            let length = u.int_in_range(0..=600)?.min(bytes.len() - from.max(to));
            bytes.copy_within(from..from + length, to);
        }
        let outcome = open(Twin::of(files), &sample.options, u.int_in_range(0..=50)?, 2);
        if let Ok((_, recovered)) = outcome {
            assert!(recovered.entries.len() <= 50);
        }
        Ok(())
    })
    .budget_ms(3_000);
}
