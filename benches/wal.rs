//! What the log costs: syncs for those who wait together, bytes that reach the device for one small record alone, and the
//! time of a sync.
//!
//! `cargo bench --bench wal`. Bytes are counted at the block device, below the file system: on a loop device with a fresh
//! ext4, which takes root; without it that part is left out, and says so. (What the process itself is charged is useless
//! for this: it counts whole folios of the page cache.)

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use solder::{
    types::{
        Bugs, ClusterId, Command as Asked, Entry, EntryId, Index, Membership, NodeId, Payload, ProposalId,
        PutRequest,
    },
    wal::{Directory, Known, Options, Record, Twin, Wal},
};

const RECORD_BYTES: usize = 200;
const TOGETHER: u64 = 64;
const ROUNDS: u64 = 1000;

fn main() {
    syncs_for_those_who_wait_together();
    let here = env::temp_dir();
    match LoopDevice::new(&here) {
        Ok(device) => at_the_device(&device),
        Err(error) => {
            println!("SKIPPED: bytes at the block device: no loop device: {error} (root is needed)")
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    times(&format!("in {}", here.display()), directory.path());
}

fn members() -> Membership {
    Membership::of_voters([NodeId(1)])
}

fn options() -> Options {
    Options {
        segment_bytes: Options::SEGMENT_BYTES,
        cluster: ClusterId(1),
        member: NodeId(1),
        bugs: Bugs::default(),
    }
}

fn open<D: solder::wal::Disk>(disk: D) -> Wal<D> {
    let members = members();
    let known = Known { applied: Index(0), catching_up: false, members: &members };
    Wal::open(disk, options(), known, fastrand::Rng::with_seed(1)).expect("an empty disk").0
}

/// A put whose record is about `RECORD_BYTES` long.
fn record(index: u64) -> Record {
    let (key, value) = (format!("bench/{index:010}"), "v".repeat(RECORD_BYTES - 40));
    let request =
        PutRequest { key: key.as_str().into(), value: value.as_str().into(), ..PutRequest::default() };
    let id = ProposalId { origin: NodeId(1), number: index };
    let payload = Payload::Command { id, data: Asked::Put(request).encode() };
    Record::Entry(Entry { id: EntryId::new(1, index), payload })
}

/// Writes `count` records from `index` on as one group. The store keeps up.
fn group<D: solder::wal::Disk>(wal: &mut Wal<D>, index: u64, count: u64, members: &Membership) {
    let records: Vec<Record> = (index..index + count).map(record).collect();
    wal.write(&records, members).expect("room");
    wal.sync().expect("a good disk");
    wal.release(Index(index));
    wal.secure_room().expect("space");
}

fn syncs_for_those_who_wait_together() {
    let twin = Twin::new();
    let mut wal = open(twin.clone());
    let before = twin.counts();
    group(&mut wal, 1, TOGETHER, &members());
    let after = twin.counts();
    println!(
        "{TOGETHER} proposals that wait together: {} sync, {} bytes written",
        after.syncs - before.syncs,
        after.bytes_written - before.bytes_written
    );
}

fn at_the_device(device: &LoopDevice) {
    let path = device.mount.join("wal");
    let mut wal = open(Directory::open(&path).expect("a directory"));
    let members = members();
    // What making the files left in the journal is written back first.
    group(&mut wal, 1, 1, &members);
    device.quiet();
    let (before, began) = (device.written(), Instant::now());
    for index in 2..2 + ROUNDS {
        group(&mut wal, index, 1, &members);
    }
    let (took, after) = (began.elapsed(), device.written());
    println!(
        "one record of {RECORD_BYTES} bytes alone, on ext4 over a loop device: {:.0} bytes at the device ({ROUNDS} \
         times in {took:.1?})",
        (after - before) as f64 / ROUNDS as f64,
    );
    device.quiet();
    println!(
        "  and in the 6 s after the last one: {} bytes (time stamps of the file)",
        device.written() - after
    );
    times("on ext4 over the loop device", &device.mount.join("times"));
}

fn times(place: &str, path: &Path) {
    let mut wal = open(Directory::open(path).expect("a directory"));
    let members = members();
    let mut index = 1;
    for count in [1, TOGETHER] {
        let mut took: Vec<Duration> = Vec::new();
        for _ in 0..ROUNDS / 4 {
            let began = Instant::now();
            group(&mut wal, index, count, &members);
            took.push(began.elapsed());
            index += count;
        }
        took.sort_unstable();
        let (half, most) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        println!("{count:>2} records and a sync, {place}: {half:.1?} (median), {most:.1?} (99 %)");
    }
}

/// A fresh ext4 over a file, gone when dropped.
struct LoopDevice {
    mount: PathBuf,
    device: String,
    // Last, so that it is removed after the unmount.
    _directory: tempfile::TempDir,
}

impl LoopDevice {
    fn new(place: &Path) -> io::Result<LoopDevice> {
        let directory = tempfile::tempdir_in(place)?;
        let (image, mount) = (directory.path().join("image"), directory.path().join("mount"));
        fs::create_dir(&mount)?;
        fs::File::create(&image)?.set_len(128 << 20)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(&image))?;
        let device = device.trim().to_owned();
        let mounted = LoopDevice { mount, device, _directory: directory };
        run(Command::new("mount").args(["-o", "noatime"]).arg(&mounted.device).arg(&mounted.mount))?;
        Ok(mounted)
    }

    /// Waits until the file system has nothing more to write: its journal commits every 5 s.
    fn quiet(&self) {
        std::thread::sleep(Duration::from_secs(6));
    }

    /// Bytes that reached the device so far: the seventh number is sectors of 512 bytes (Documentation/block/stat.rst).
    fn written(&self) -> u64 {
        let name = self.device.trim_start_matches("/dev/");
        let stat = fs::read_to_string(format!("/sys/block/{name}/stat")).expect("a block device");
        let sectors = stat.split_whitespace().nth(6).and_then(|number| number.parse::<u64>().ok());
        sectors.expect("a number") * 512
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // Whatever of it was made.
        let _ = run(Command::new("umount").arg(&self.mount));
        let _ = run(Command::new("losetup").arg("--detach").arg(&self.device));
    }
}

fn run(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(io::Error::other(format!(
            "{}: {}",
            command.get_program().display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}
