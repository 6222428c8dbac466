//! A disk in memory that fails on demand and forgets at a crash.
//!
//! ```text
//!   write --> live --sync--> durable
//!               ^               |
//!               +---- crash ----+   and, of what was not synced, some blocks or sectors; a torn block may be garbage
//! ```
//!
//! A handle is cheap to clone: the test keeps one while the log owns the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    disk::{Disk, Slot},
    format::BLOCK,
};

const SECTOR: usize = 512;

/// See the module.
#[derive(Clone, Default)]
pub struct Twin(Arc<Mutex<State>>);

/// What goes wrong from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Bytes that all slots together may take.
    pub capacity_bytes: Option<u64>,
    pub write_fails: bool,
    pub read_fails: bool,
    /// The next syncs fail: some of what was to be synced is durable then, and the rest never will be.
    pub sync_fails: bool,
    /// Power goes after so many more verbs that change something; the one under way is left half done.
    pub power_for_verbs: Option<u64>,
}

/// What was done to the disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub writes: u64,
    pub bytes_written: u64,
    pub syncs: u64,
    pub allocations: u64,
    pub removals: u64,
}

#[derive(Default)]
struct State {
    files: BTreeMap<Slot, File>,
    faults: Faults,
    counts: Counts,
    /// Chance for what happens when power goes in the middle of a verb.
    rng: Option<fastrand::Rng>,
}

#[derive(Clone, Default)]
struct File {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Blocks that differ, by their numbers.
    dirty: BTreeSet<usize>,
}

impl Twin {
    pub fn new() -> Twin {
        Twin::default()
    }

    /// A disk that holds these files, durably.
    pub fn of(files: impl IntoIterator<Item = (Slot, Vec<u8>)>) -> Twin {
        let twin = Twin::new();
        twin.state().files = files.into_iter().map(|(slot, bytes)| (slot, File::durable(bytes))).collect();
        twin
    }

    /// What is on the medium.
    pub fn files(&self) -> Vec<(Slot, Vec<u8>)> {
        self.state().files.iter().map(|(&slot, file)| (slot, file.durable.clone())).collect()
    }

    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.state();
        state.faults = faults;
        state.rng.get_or_insert_with(|| fastrand::Rng::with_seed(0));
    }

    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Changes what is on the medium behind the log's back.
    pub fn damage(&self, slot: Slot, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.files.get_mut(&slot).expect("a slot that exists");
        change(&mut file.durable);
        *file = File::durable(std::mem::take(&mut file.durable));
    }

    /// The power goes and comes back: faults end, and of each block that was not synced the medium holds the old, the
    /// new, sectors of both, or garbage.
    pub fn crash(&self, rng: &mut fastrand::Rng) {
        let mut state = self.state();
        state.faults = Faults { capacity_bytes: state.faults.capacity_bytes, ..Faults::default() };
        state.rng = Some(rng.fork());
        for file in state.files.values_mut() {
            file.settle_some(rng, true);
            file.live.clone_from(&file.durable);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics inside the disk")
    }
}

impl File {
    fn durable(bytes: Vec<u8>) -> File {
        File { live: bytes.clone(), durable: bytes, dirty: BTreeSet::new() }
    }

    /// Writes back some of what is dirty, and forgets that the rest is.
    fn settle_some(&mut self, rng: &mut fastrand::Rng, may_tear: bool) {
        // Half of all crashes find nothing or everything written; the interesting ones find a part.
        let all_or_nothing = rng.bool().then(|| rng.u8(1..3));
        for block in std::mem::take(&mut self.dirty) {
            let at = block * BLOCK as usize;
            let range = at..self.live.len().min(at + BLOCK as usize);
            match all_or_nothing.unwrap_or_else(|| rng.u8(..if may_tear { 8 } else { 4 })) {
                0 | 1 => {}
                4 | 5 => tear(&mut self.durable[range.clone()], &self.live[range], rng),
                6 => garble(&mut self.durable[range], rng),
                _ => self.durable[range.clone()].copy_from_slice(&self.live[range]),
            }
        }
    }

    fn sync(&mut self) {
        for block in std::mem::take(&mut self.dirty) {
            let at = block * BLOCK as usize;
            let range = at..self.live.len().min(at + BLOCK as usize);
            self.durable[range.clone()].copy_from_slice(&self.live[range]);
        }
    }
}

fn tear(old: &mut [u8], new: &[u8], rng: &mut fastrand::Rng) {
    for (old, new) in old.chunks_mut(SECTOR).zip(new.chunks(SECTOR)) {
        if rng.bool() {
            old.copy_from_slice(new);
        }
    }
}

fn garble(block: &mut [u8], rng: &mut fastrand::Rng) {
    match rng.u8(..3) {
        0 => block.fill(0),
        1 => block.fill(0xff),
        _ => rng.fill(block),
    }
}

impl State {
    /// A verb that changes something begins. An error if it cannot; false if the power goes in its middle.
    fn powered(&mut self) -> io::Result<bool> {
        match &mut self.faults.power_for_verbs {
            None => Ok(true),
            Some(0) => Err(io::Error::other("the power is off")),
            Some(left) => {
                *left -= 1;
                Ok(*left > 0)
            }
        }
    }

    fn chance(&mut self) -> &mut fastrand::Rng {
        self.rng.get_or_insert_with(|| fastrand::Rng::with_seed(0))
    }

    fn file(&mut self, slot: Slot) -> io::Result<&mut File> {
        self.files.get_mut(&slot).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn space_for(&self, bytes: u64) -> bool {
        let used: u64 = self.files.values().map(|file| file.live.len() as u64).sum();
        self.faults.capacity_bytes.is_none_or(|capacity| used + bytes <= capacity)
    }
}

fn off() -> io::Error {
    io::Error::other("the power went")
}

impl Disk for Twin {
    fn list(&mut self) -> io::Result<Vec<(Slot, u64)>> {
        let state = self.state();
        Ok(state.files.iter().map(|(&slot, file)| (slot, file.live.len() as u64)).collect())
    }

    fn allocate(&mut self, slot: Slot, bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        assert!(!state.files.contains_key(&slot), "slot {slot} is allocated twice");
        let powered = state.powered()?;
        if !state.space_for(bytes) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.counts.allocations += 1;
        if powered || state.chance().bool() {
            state
                .files
                .insert(slot, File::durable(vec![0; usize::try_from(bytes).expect("a small segment")]));
        }
        if powered { Ok(()) } else { Err(off()) }
    }

    fn read(&mut self, slot: Slot, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.faults.read_fails {
            return Err(io::Error::other("input/output error"));
        }
        let live = &state.file(slot)?.live;
        let range = usize::try_from(offset).ok().and_then(|offset| live.get(offset..)?.get(..buffer.len()));
        buffer.copy_from_slice(range.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&mut self, slot: Slot, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let whole = offset.is_multiple_of(BLOCK) && (bytes.len() as u64).is_multiple_of(BLOCK);
        assert!(whole, "{} bytes at {offset}", bytes.len());
        let mut state = self.state();
        let powered = state.powered()?;
        if state.faults.write_fails {
            return Err(io::Error::other("input/output error"));
        }
        state.counts.writes += 1;
        state.counts.bytes_written += bytes.len() as u64;
        let at = usize::try_from(offset).expect("a small segment");
        let file = state.file(slot)?;
        let range = file.live.get_mut(at..at + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        range.copy_from_slice(bytes);
        file.dirty.extend(at / BLOCK as usize..(at + bytes.len()) / BLOCK as usize);
        if powered { Ok(()) } else { Err(off()) }
    }

    fn sync(&mut self, slot: Slot) -> io::Result<()> {
        let mut state = self.state();
        let powered = state.powered()?;
        state.counts.syncs += 1;
        if !powered {
            return Err(off());
        }
        if state.faults.sync_fails {
            let mut rng = state.chance().fork();
            state.file(slot)?.settle_some(&mut rng, false);
            return Err(io::Error::other("input/output error"));
        }
        state.file(slot)?.sync();
        Ok(())
    }

    fn settle(&mut self, slot: Slot) -> io::Result<()> {
        self.sync(slot)?;
        let mut state = self.state();
        let file = state.file(slot)?;
        file.live.clone_from(&file.durable);
        Ok(())
    }

    fn remove(&mut self, slot: Slot) -> io::Result<()> {
        let mut state = self.state();
        let powered = state.powered()?;
        state.counts.removals += 1;
        if powered || state.chance().bool() {
            state.files.remove(&slot).ok_or(io::ErrorKind::NotFound)?;
        }
        if powered { Ok(()) } else { Err(off()) }
    }

    fn file(&self, slot: Slot) -> String {
        format!("wal/{slot}.seg")
    }

    fn directory(&self) -> String {
        "wal".into()
    }
}
