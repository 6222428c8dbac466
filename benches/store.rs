//! The store's figures: what one put costs with its share of flushes, what one get costs, how long a flush takes, and what
//! memory is held, with a million keys loaded.
//!
//! `cargo bench --bench store` ; `KEYS=` changes how many keys there are, `DIR=` where they lie. Without `DIR` it is done
//! twice: in memory (/dev/shm), where all CPU is the store's and LMDB's own, and on the disk that the build directory is
//! on, where the kernel's work for the file system and the device comes on top. How much of that is theirs whatever a
//! database does is shown by the last line of each: pages written in scattered places of a file of the same size.

use std::{
    fmt, fs,
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Advice, fadvise, statfs},
    time::{ClockId, clock_gettime},
};
use solder::{
    store::{Backend, Lmdb, LmdbOptions, Options, RangeCursor, SliceLimits, Store},
    types::{
        Bytes, ClusterId, Command, Entry, EntryId, Index, KeyRange, Membership, NodeId, Payload, ProposalId,
        PutRequest, RangeRequest,
    },
};

const VALUE_BYTES: usize = 128;
/// A figure is the median of so many rounds.
const ROUNDS: usize = 3;
const PUTS: u64 = 100_000;
const GETS: u64 = 300_000;
/// As a flush of many puts does.
const PAGES_PER_SYNC: u64 = 1000;

fn main() {
    let keys: u64 = std::env::var("KEYS").map_or(1_000_000, |keys| keys.parse().expect("KEYS is a number"));
    println!(
        "CPU is that of this process, user and kernel, with all that its own system calls do: not interrupts, not"
    );
    println!(
        "kernel threads. Figures are the median of {ROUNDS} rounds; flush times are on the clock, the longest of all."
    );
    match std::env::var("DIR") {
        Ok(dir) => run(keys, &dir),
        Err(_) => ["/dev/shm", env!("CARGO_TARGET_TMPDIR")].iter().for_each(|dir| run(keys, dir)),
    }
}

fn run(keys: u64, place: &str) {
    let dir = tempfile::tempdir_in(place).unwrap_or_else(|error| panic!("{place}: {error}"));
    println!("\n{keys} keys of {VALUE_BYTES} bytes on {}, in {place}", file_system(dir.path()));
    let mut bench = Bench::new(dir.path());
    let mut rng = fastrand::Rng::with_seed(1);

    show("load, new keys in scattered order", &bench.measure(keys, |bench, n| bench.put(scattered(n))));
    bench.show_puts("put over a key, after the load", keys, &mut rng);
    println!("{:36} {}", "memory", memory());

    bench = bench.reopen(dir.path());
    show("each key got once, after a restart", &bench.measure(keys, |bench, n| bench.get(scattered(n))));
    bench.show_puts("put over a key, after a restart", keys, &mut rng);
    let gets = median(|| bench.measure(GETS, |bench, _| bench.get(scattered(rng.u64(..keys)))));
    show("latest get of a key", &gets);
    println!("{:36} {}", "memory", memory());
    let usage = bench.backend.usage().expect("usage");
    println!("{:36} {} MB", "database", usage.used_bytes >> 20);
    drop(bench);
    let pages = usage.used_bytes / u64::from(usage.page_bytes);
    show("a page written without a database", &bare_writes(dir.path(), pages, u64::from(usage.page_bytes)));
}

struct Bench {
    backend: Arc<Lmdb>,
    store: Store,
    flush_times: Vec<Duration>,
}

/// What some operations cost.
struct Figure {
    operations: u64,
    cpu: Cpu,
    written: Written,
    flushes: u64,
    /// How long they took; of a median, those of all rounds.
    flush_times: Vec<Duration>,
}

impl Bench {
    fn new(dir: &Path) -> Bench {
        let options = LmdbOptions { map_bytes: 1 << 30, ..LmdbOptions::default() };
        let backend = Arc::new(Lmdb::open(dir, &options).expect("a directory that is nobody's"));
        let mut store = Store::open(backend.clone(), Options::default()).expect("a sound database");
        if !store.is_initialised() {
            store.init(ClusterId(1), Membership::of_voters([NodeId(1)])).expect("a fresh database");
        }
        Bench { backend, store, flush_times: Vec::new() }
    }

    /// As after a restart of the board: nothing of the file is in memory.
    fn reopen(self, dir: &Path) -> Bench {
        drop(self);
        let file = File::open(dir.join("data.mdb")).expect("the database");
        fadvise(&file, 0, None, Advice::DontNeed).expect("a file");
        Bench::new(dir)
    }

    /// Runs it so often, and flushes whenever a flush is due, and at the end.
    fn measure(&mut self, operations: u64, mut run: impl FnMut(&mut Bench, u64)) -> Figure {
        let (cpu, written) = (Cpu::now(), Written::now());
        for n in 0..operations {
            run(self, n);
            if self.store.flush_due() {
                self.flush();
            }
        }
        self.flush();
        Figure::since(operations, &cpu, &written, std::mem::take(&mut self.flush_times))
    }

    fn show_puts(&mut self, what: &str, keys: u64, rng: &mut fastrand::Rng) {
        show(what, &median(|| self.measure(PUTS, |bench, _| bench.put(scattered(rng.u64(..keys))))));
    }

    fn flush(&mut self) {
        while let Some(job) = self.store.start_flush(Index(u64::MAX)) {
            let started = Instant::now();
            let done = job.run(&*self.backend);
            self.flush_times.push(started.elapsed());
            self.store.finish_flush(done).expect("room");
        }
    }

    fn put(&mut self, key: Bytes) {
        let value = Bytes::from(vec![key[key.len() - 1]; VALUE_BYTES]);
        let data = Command::Put(PutRequest { key, value, ..PutRequest::default() }).encode();
        let id = EntryId::new(1, self.store.applied().index.0 + 1);
        let payload = Payload::Command { id: ProposalId::default(), data };
        self.store.apply_whole(&Entry { id, payload }).expect("a put");
    }

    fn get(&mut self, key: Bytes) {
        let request = RangeRequest { range: KeyRange::single(key), ..RangeRequest::default() };
        let mut cursor = RangeCursor::new(self.store.range_at(&request).expect("the newest revision"));
        let limits = SliceLimits { rows: 16, bytes: 1 << 16 };
        let slice = self.store.range(&mut cursor, limits).expect("a range");
        assert_eq!((slice.rows.len(), slice.end.map(|end| end.count)), (1, Some(1)), "every key is stored");
    }
}

/// The floor: as many pages in scattered places and a sync, again and again. An operation is a page.
fn bare_writes(dir: &Path, pages: u64, page_bytes: u64) -> Figure {
    let file = File::create_new(dir.join("bare")).expect("a fresh file");
    let page = vec![7; page_bytes as usize];
    for n in 0..pages {
        file.write_all_at(&page, n * page_bytes).expect("room");
    }
    file.sync_data().expect("a sync");
    let mut rng = fastrand::Rng::with_seed(2);
    median(|| {
        let (cpu, written, mut times) = (Cpu::now(), Written::now(), Vec::new());
        for _ in 0..PUTS / PAGES_PER_SYNC {
            let started = Instant::now();
            let mut places: Vec<u64> = (0..PAGES_PER_SYNC).map(|_| rng.u64(..pages)).collect();
            places.sort_unstable();
            for n in places {
                file.write_all_at(&page, n * page_bytes).expect("room");
            }
            file.sync_data().expect("a sync");
            times.push(started.elapsed());
        }
        Figure::since(PUTS, &cpu, &written, times)
    })
}

/// The round in the middle, by CPU.
fn median(mut round: impl FnMut() -> Figure) -> Figure {
    let mut rounds: Vec<Figure> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_by_key(|figure| figure.cpu.all);
    let flush_times = rounds.iter().flat_map(|figure| figure.flush_times.iter().copied()).collect();
    Figure { flush_times, ..rounds.swap_remove(ROUNDS / 2) }
}

fn show(what: &str, figure: &Figure) {
    println!("{what:36} {figure}");
}

impl Figure {
    fn since(operations: u64, cpu: &Cpu, written: &Written, flush_times: Vec<Duration>) -> Figure {
        let (cpu, written) = (Cpu::now().since(cpu), Written::now().since(written));
        Figure { operations, cpu, written, flushes: flush_times.len() as u64, flush_times }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.operations as f64;
        let Cpu { all, kernel } = self.cpu;
        write!(f, "{:5.2} us of CPU", each(all))?;
        write!(f, " ({:.1} user, {:.1} kernel)", each(all.saturating_sub(kernel)), each(kernel))?;
        if self.flushes == 0 {
            return Ok(());
        }
        let Written { bytes, calls } = self.written;
        write!(f, ", {} bytes written; {} flushes", bytes / self.operations, self.flushes)?;
        write!(f, " of {} KiB in {} writes", bytes / 1024 / self.flushes, calls / self.flushes)?;
        let mut times = self.flush_times.clone();
        times.sort();
        write!(f, ", {} ms", times[times.len() / 2].as_millis())?;
        write!(f, ", the longest {} ms", times[times.len() - 1].as_millis())
    }
}

/// CPU time of the whole process.
#[derive(Clone, Copy)]
struct Cpu {
    all: Duration,
    /// Known to some 10 ms only.
    kernel: Duration,
}

impl Cpu {
    fn now() -> Cpu {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
        // Behind the name, which may hold spaces: proc(5), field 15 of all is stime, in ticks of a hundredth of a second.
        let fields = stat.rsplit(')').next().expect("a name in brackets");
        let ticks: u64 = fields.split_whitespace().nth(12).expect("stime").parse().expect("a number");
        let all = Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
        Cpu { all, kernel: Duration::from_millis(ticks * 10) }
    }

    fn since(&self, before: &Cpu) -> Cpu {
        Cpu { all: self.all - before.all, kernel: self.kernel - before.kernel }
    }
}

/// What this process has asked the kernel to write.
#[derive(Clone, Copy)]
struct Written {
    bytes: u64,
    calls: u64,
}

impl Written {
    fn now() -> Written {
        let io = fs::read_to_string("/proc/self/io").expect("Linux");
        let number = |name: &str| -> u64 {
            let line = io.lines().find_map(|line| line.strip_prefix(name)).expect("such a line");
            line.trim().parse().expect("a number")
        };
        Written { bytes: number("wchar:"), calls: number("syscw:") }
    }

    fn since(&self, before: &Written) -> Written {
        Written { bytes: self.bytes - before.bytes, calls: self.calls - before.calls }
    }
}

/// Key number n: 16 bytes, in no order.
fn scattered(n: u64) -> Bytes {
    format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes().into()
}

fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let kb =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).expect("such a line").trim();
    format!("{} anonymous, {} with the pages of the file that are mapped", kb("RssAnon:"), kb("VmRSS:"))
}

fn file_system(dir: &Path) -> String {
    // statfs(2) has the numbers.
    match statfs(dir).expect("a directory").f_type as u32 {
        0xef53 => "ext4".into(),
        0x0102_1994 => "tmpfs (memory)".into(),
        0xf2f5_2010 => "f2fs".into(),
        0x9123_683e => "btrfs".into(),
        0x5846_5342 => "xfs".into(),
        other => format!("a file system of type {other:x}"),
    }
}
