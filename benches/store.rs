//! The store's figures: what one put costs with its share of flushes, what one get costs, and what memory is held, with
//! a million keys loaded.
//!
//! `cargo bench --bench store` ; `KEYS=` and `DIR=` change how many keys there are and where they lie (/dev/shm unless told
//! otherwise, so that what is measured is CPU, not a disk).

use std::{fs, sync::Arc, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use solder::{
    store::{Backend, Lmdb, LmdbOptions, Options, RangeCursor, SliceLimits, Store},
    types::{
        Bytes, ClusterId, Command, Entry, EntryId, Index, KeyRange, Membership, NodeId, Payload, ProposalId,
        PutRequest, RangeRequest,
    },
};

const VALUE_BYTES: usize = 128;
const PUTS: u64 = 200_000;
const GETS: u64 = 500_000;

fn main() {
    let keys: u64 = std::env::var("KEYS").map_or(1_000_000, |keys| keys.parse().expect("KEYS is a number"));
    let dir = std::env::var("DIR").unwrap_or_else(|_| "/dev/shm".into());
    let dir = tempfile::tempdir_in(&dir).unwrap_or_else(|error| panic!("{dir}: {error}"));
    let mut bench = Bench::new(dir.path());
    println!("{keys} keys of {VALUE_BYTES} bytes in {}", dir.path().display());

    let mut rng = fastrand::Rng::with_seed(1);
    let loaded = bench.measure(keys, |bench, n| bench.put(scattered(n)));
    println!("load, new keys in scattered order    {loaded}");
    println!("memory with all keys loaded          {}", memory());
    let written = bytes_written();
    let puts = bench.measure(PUTS, |bench, _| bench.put(scattered(rng.u64(..keys))));
    println!("put over a stored key                {puts}");
    println!("bytes written for each of these puts {}", (bytes_written() - written) / PUTS);
    let gets = bench.measure(GETS, |bench, _| bench.get(scattered(rng.u64(..keys))));
    println!("latest get of a stored key           {gets}");
    println!("memory at the end                    {}", memory());
    println!(
        "database                             {} MB",
        bench.backend.usage().expect("usage").used_bytes >> 20
    );
}

struct Bench {
    backend: Arc<Lmdb>,
    store: Store,
    flushes: u64,
}

struct Figure {
    cpu: Duration,
    operations: u64,
    flushes: u64,
}

impl Bench {
    fn new(dir: &std::path::Path) -> Bench {
        let options = LmdbOptions { map_bytes: 1 << 30, ..LmdbOptions::default() };
        let backend = Arc::new(Lmdb::open(dir, &options).expect("a fresh directory"));
        let mut store = Store::open(backend.clone(), Options::default()).expect("a fresh database");
        store.init(ClusterId(1), Membership::of_voters([NodeId(1)])).expect("a fresh database");
        Bench { backend, store, flushes: 0 }
    }

    /// Runs it so often, and flushes whenever a flush is due, and at the end.
    fn measure(&mut self, operations: u64, mut run: impl FnMut(&mut Bench, u64)) -> Figure {
        let (before, flushes) = (cpu(), self.flushes);
        for n in 0..operations {
            run(self, n);
            if self.store.flush_due() {
                self.flush();
            }
        }
        self.flush();
        Figure { cpu: cpu() - before, operations, flushes: self.flushes - flushes }
    }

    fn flush(&mut self) {
        while let Some(job) = self.store.start_flush(Index(u64::MAX)) {
            self.store.finish_flush(job.run(&*self.backend)).expect("room");
            self.flushes += 1;
        }
    }

    fn put(&mut self, key: Bytes) {
        let value = Bytes::from(vec![key[key.len() - 1]; VALUE_BYTES]);
        let data = Command::Put(PutRequest { key, value, ..PutRequest::default() }).encode();
        let id = EntryId::new(1, self.store.applied().index.0 + 1);
        let payload = Payload::Command { id: ProposalId::default(), data };
        self.store.apply(&Entry { id, payload }).expect("a put");
    }

    fn get(&mut self, key: Bytes) {
        let request = RangeRequest { range: KeyRange::single(key), ..RangeRequest::default() };
        let mut cursor = RangeCursor::new(self.store.range_at(&request).expect("the newest revision"));
        let limits = SliceLimits { rows: 16, bytes: 1 << 16 };
        let slice = self.store.range(&mut cursor, limits).expect("a range");
        assert_eq!((slice.rows.len(), slice.end.map(|end| end.count)), (1, Some(1)), "every key is stored");
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let us = self.cpu.as_secs_f64() * 1e6 / self.operations as f64;
        write!(f, "{us:.2} us of CPU, {} flushes", self.flushes)
    }
}

/// Key number n: 16 bytes, in no order.
fn scattered(n: u64) -> Bytes {
    format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes().into()
}

/// CPU time of the whole process, system calls included.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let lines = status.lines().filter(|line| line.starts_with("RssAnon") || line.starts_with("VmRSS"));
    lines.collect::<Vec<_>>().join(", ").replace('\t', " ")
}

/// What this process has asked the kernel to write.
fn bytes_written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").expect("Linux");
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.expect("a line wchar").trim().parse().expect("a number")
}
