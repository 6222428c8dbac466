//! The log in real files, and the commands that look at them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    thread,
};

use solder::{
    types::{
        ClusterId, Command, EntryId, Index, Membership, MembershipChange, NodeId, Payload, ProposalId,
        PutRequest,
    },
    wal::{Directory, Disk, Known, Options, Record, Slot, Wal},
};

use crate::runner;
use crate::support::{Model, entry, hard_state, members, open, options};

fn found(path: &Path, options: &Options) -> Model {
    open(Directory::open(path).expect("a directory"), options, 0, 1).expect("a good log").1.into()
}

/// A log with entries over several segments.
fn written(path: &Path, options: &Options, members: &Membership) -> Model {
    let known = Known { applied: Index(0), catching_up: false, members };
    let disk = Directory::open(path).expect("a directory");
    let rng = fastrand::Rng::with_seed(1);
    let (mut wal, _) = Wal::open(disk, options.clone(), known, rng).expect("an empty directory");
    let mut model = Model::default();
    for (turn, group) in story().into_iter().enumerate() {
        wal.write(&group, members).unwrap_or_else(|error| panic!("turn {turn}: {error}"));
        wal.sync().expect("a good disk");
        wal.secure_room().expect("space");
        model = model.with(&group);
    }
    model
}

fn story() -> Vec<Vec<Record>> {
    let mut story = vec![vec![hard_state(1, 1)]];
    story.extend((1..=6).map(|index| vec![put(1, index, &format!("value {index}"))]));
    story.push(vec![hard_state(2, 1), put(2, 5, "instead"), put(2, 6, &"long ".repeat(900))]);
    story.push(vec![put(2, 7, "last")]);
    story
}

fn put(term: u64, index: u64, value: &str) -> Record {
    let key = format!("key/{index}");
    let request = PutRequest { key: key.as_str().into(), value: value.into(), ..PutRequest::default() };
    let id = ProposalId { origin: NodeId(1), number: index };
    let payload = Payload::Command { id, data: Command::Put(request).encode() };
    Record::Entry(solder::types::Entry { id: EntryId::new(term, index), payload })
}

fn solder(arguments: &[&str], directory: &Path) -> Output {
    runner::command(env!("CARGO_BIN_EXE_solder"))
        .arg("wal")
        .args(arguments)
        .arg(directory)
        .output()
        .expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// Changes bytes of a file in place.
fn damage(file: &Path, at: usize, bytes: usize) {
    let mut content = fs::read(file).expect("a file");
    content[at..at + bytes].iter_mut().for_each(|byte| *byte ^= 0x5a);
    fs::write(file, content).expect("a file");
}

#[test]
fn a_real_directory_keeps_a_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("wal");
    let model = written(&path, &options(5), &members());
    assert_eq!(found(&path, &options(5)), model);
    let mut names: Vec<_> =
        fs::read_dir(&path).expect("a directory").map(|file| file.expect("a file").file_name()).collect();
    names.sort();
    assert_eq!(names, ["00.seg", "01.seg", "02.seg", "03.seg", "04.seg"]);
}

#[test]
fn what_was_not_made_to_the_end_is_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let model = written(directory.path(), &options(5), &members());
    let half = directory.path().join("07.new");
    fs::write(&half, [0; 5000]).expect("a file");
    fs::write(directory.path().join("notes.txt"), "not ours").expect("a file");
    // Reading beside the owner touches nothing.
    let seen = Directory::open_read_only(directory.path()).expect("readable").list().expect("readable");
    assert!(half.exists() && !seen.iter().any(|(slot, _)| *slot == Slot(7)), "{seen:?}");
    assert_eq!(found(directory.path(), &options(5)), model);
    assert!(!half.exists());
    assert!(directory.path().join("notes.txt").exists());
}

#[test]
fn an_allocated_slot_has_all_its_blocks() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let mut disk = Directory::open(directory.path()).expect("a directory");
    disk.allocate(Slot(0), 1 << 20).expect("space");
    let metadata = fs::metadata(disk.path(Slot(0))).expect("a file");
    assert_eq!(metadata.len(), 1 << 20);
    assert!(metadata.blocks() * 512 >= 1 << 20, "{} sectors", metadata.blocks());
    assert!(disk.read(Slot(0), 1 << 20, &mut [0]).is_err());
    disk.remove(Slot(0)).expect("a file");
    assert_eq!(disk.list().expect("readable"), []);
}

/// A file system that is full in the middle of a new segment: nothing of it stays, and it is made when there is space.
#[test]
fn a_real_disk_that_is_full() {
    let directory = tempfile::tempdir().expect("a directory");
    let mount = |size: &str| {
        let options = format!("size={size}");
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(directory.path());
        command.output().is_ok_and(|output| output.status.success())
    };
    if !mount("64k") {
        eprintln!("SKIPPED: a full disk: mounting a small file system needs root");
        return;
    }
    let _unmount = Unmount(directory.path().into());
    let path = directory.path().join("wal");
    let options = options(10);
    let (mut wal, _) =
        open(Directory::open(&path).expect("a directory"), &options, 0, 1).expect("room for one");
    let full = wal.secure_room().expect_err("half of a segment is left").to_string();
    assert!(full.contains(&format!("{} needs 40960 bytes", path.display())), "{full}");
    let names: Vec<_> =
        fs::read_dir(&path).expect("readable").map(|file| file.expect("a file").file_name()).collect();
    assert_eq!(names, ["00.seg"]);
    let group: Vec<Record> = (1..=8).map(|index| entry(1, index, 4000)).collect();
    wal.write(&group[..7], &members()).expect("room");
    wal.sync().expect("a good disk");
    wal.write(&group[7..], &members()).expect("room");
    wal.sync().expect("a good disk");
    wal.write(&[entry(1, 9, 10)], &members()).expect_err("no second segment");
    // The file system grows.
    assert!(mount("1m,remount"), "remounting");
    wal.write(&[entry(1, 9, 10)], &members()).expect("there is space");
    wal.sync().expect("a good disk");
    drop(wal);
    assert_eq!(found(&path, &options).last(), EntryId::new(1, 9));
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        // Who could mount it can unmount it; if not, the directory stays behind.
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

/// The damage tests run on bytes in memory; a sample of them on files.
#[test]
fn damage_in_real_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let model = written(directory.path(), &options(5), &members());
    let files: Vec<PathBuf> = (0..4).map(|slot| directory.path().join(format!("{slot:02}.seg"))).collect();
    let copies: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a file")).collect();
    let (mut refused, mut cut, mut whole) = (0, 0, 0);
    for (file, copy) in files.iter().zip(&copies) {
        for at in (0..copy.len()).step_by(1009) {
            damage(file, at, 1);
            match open(Directory::open(directory.path()).expect("a directory"), &options(5), 0, 1) {
                Err(error) => {
                    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
                    refused += 1;
                }
                Ok((_, recovered)) if recovered.warning.is_some() => cut += 1,
                Ok((_, recovered)) => {
                    assert_eq!(Model::from(recovered), model);
                    whole += 1;
                }
            }
            for (file, copy) in files.iter().zip(&copies) {
                fs::write(file, copy).expect("a file");
            }
        }
    }
    assert!(refused > 0 && whole > 0, "{refused} refused, {cut} cut, {whole} whole");
    assert_eq!(found(directory.path(), &options(5)), model);
}

#[test]
fn dump_and_verify() {
    let directory = tempfile::tempdir().expect("a directory");
    written(&directory.path().join("wal"), &options(5), &members());
    let dumped = solder(&["dump"], directory.path());
    assert!(dumped.status.success(), "{}", stderr(&dumped));
    let text = stdout(&dumped);
    let records: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(records.len(), 11, "{text}");
    assert_eq!(records[1], "entry       term=1 index=1 id=1/1 put \"key/1\" = \"value 1\"");
    // The directory of the log itself does as well.
    assert_eq!(
        stdout(&solder(&["dump"], &directory.path().join("wal"))).lines().count(),
        text.lines().count()
    );

    let verified = solder(&["verify"], directory.path());
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert_eq!(
        stdout(&verified),
        "4 segments (1 spare), 9 batches, 11 records\nentries 1 to 7@2\nterm 2, vote 1; voters 1\n"
    );

    let none = solder(&["verify"], &directory.path().join("elsewhere"));
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).starts_with("solder: cannot read "), "{}", stderr(&none));
    let empty = tempfile::tempdir().expect("a directory");
    assert!(stderr(&solder(&["verify"], empty.path())).contains("there is no log in"));
}

#[test]
fn verify_tells_damage_and_a_torn_end() {
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path(), &options(5), &members());
    damage(&directory.path().join("03.seg"), 8192 + 50, 1);
    let torn = solder(&["verify"], directory.path());
    assert!(torn.status.success(), "a torn end is none: {}", stderr(&torn));
    assert!(
        stdout(&torn).starts_with("# the log ends here: the last batch (9) is not whole: "),
        "{}",
        stdout(&torn)
    );

    let first = directory.path().join("00.seg");
    damage(&first, 8192 + 4096 + 50, 1);
    let damaged = solder(&["verify"], directory.path());
    assert_eq!(damaged.status.code(), Some(1));
    let message = stderr(&damaged);
    assert!(message.contains(&format!("{} at offset 12288", first.display())), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn salvage_asks_first_and_keeps_copies() {
    let directory = tempfile::tempdir().expect("a directory");
    let wal = directory.path().join("wal");
    written(&wal, &options(5), &members());
    let damaged = wal.join("01.seg");
    damage(&damaged, 8192 + 4096 + 50, 1);
    let before = fs::read(&damaged).expect("a file");

    let asked = solder(&["salvage"], directory.path());
    assert_eq!(asked.status.code(), Some(1));
    assert!(stderr(&asked).contains("nothing was changed: with --give-up"), "{}", stderr(&asked));
    assert!(stdout(&asked).contains("put \"key/7\" = \"last\""), "{}", stdout(&asked));
    assert_eq!(fs::read(&damaged).expect("a file"), before);
    assert!(wal.join("03.seg").exists());

    // Not while somebody else has the directory.
    let lock = fs::File::create(directory.path().join("LOCK")).expect("a file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    let refused = solder(&["salvage", "--give-up"], directory.path());
    assert!(stderr(&refused).contains("is in use"), "{}", stderr(&refused));
    drop(lock);

    let done = solder(&["salvage", "--give-up"], directory.path());
    assert!(done.status.success(), "{}", stderr(&done));
    let kept: Vec<EntryId> = found(&wal, &options(5)).entries.iter().map(|entry| entry.id).collect();
    assert_eq!(kept, [1, 2, 3].map(|index| EntryId::new(1, index)));
    assert_eq!(fs::read(wal.join("01.seg.before-salvage-1")).expect("a copy"), before);
    assert!(wal.join("03.seg.before-salvage-1").exists());
    assert!(stdout(&solder(&["salvage"], directory.path())).contains("not damaged"));
}

#[test]
fn salvage_of_a_file_that_was_cut_short() {
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path(), &options(5), &members());
    // In the middle of the last batch but one, which needs two blocks.
    let file = directory.path().join("02.seg");
    let cut = 8192 + 4096 + 100;
    fs::OpenOptions::new().write(true).open(&file).and_then(|file| file.set_len(cut)).expect("a file");
    let refused = solder(&["verify"], directory.path());
    assert!(stderr(&refused).contains(&format!("{cut} bytes long")), "{}", stderr(&refused));
    let done = solder(&["salvage", "--give-up"], directory.path());
    assert!(done.status.success(), "{} {}", stdout(&done), stderr(&done));
    assert_eq!(fs::metadata(&file).expect("a file").len(), 5 * 4096);
    let kept: Vec<EntryId> =
        found(directory.path(), &options(5)).entries.iter().map(|entry| entry.id).collect();
    assert_eq!(kept, [1, 2, 3, 4, 5, 6].map(|index| EntryId::new(1, index)));
}

#[test]
fn salvage_is_not_for_a_voter_among_several() {
    let directory = tempfile::tempdir().expect("a directory");
    let members = Membership::of_voters([NodeId(1), NodeId(2), NodeId(3)]);
    written(directory.path(), &options(5), &members);
    damage(&directory.path().join("00.seg"), 8192 + 45, 1);
    let refused = solder(&["salvage", "--give-up"], directory.path());
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("one of 3 voters"), "{}", stderr(&refused));
    // Nor if the log learned behind the damage that it is one.
    let directory = tempfile::tempdir().expect("a directory");
    let alone = Membership::of_voters([NodeId(1)]);
    written(directory.path(), &options(8), &alone);
    let (mut wal, _) =
        open(Directory::open(directory.path()).expect("a directory"), &options(8), 0, 1).expect("a good log");
    let id = ProposalId { origin: NodeId(1), number: 8 };
    let change = MembershipChange::AddVoter(NodeId(2));
    let payload = Payload::Membership { id, change, info: "".into() };
    let joined = Record::Entry(solder::types::Entry { id: EntryId::new(2, 8), payload });
    wal.write(&[joined], &alone).expect("room");
    wal.sync().expect("a good disk");
    damage(&directory.path().join("00.seg"), 8192 + 45, 1);
    let refused = solder(&["salvage", "--give-up"], directory.path());
    assert!(stderr(&refused).contains("one of 2 voters"), "{}", stderr(&refused));
}

/// Whatever is wrong with it: who was not told to give up anything changes nothing, and says what is wrong in one line.
#[test]
fn what_only_reads_changes_nothing() {
    type Spoil = fn(&Path);
    let cases: [(Spoil, &str); 7] = [
        (|_| {}, ""),
        (|wal| damage(&wal.join("01.seg"), 8192 + 50, 1), "had been synced"),
        (|wal| fs::remove_file(wal.join("01.seg")).expect("a file"), "which is missing"),
        (|wal| shorten(&wal.join("02.seg"), 9000), "9000 bytes long"),
        (|wal| shorten(&wal.join("00.seg"), 0), "0 bytes long"),
        (|wal| (0..5).for_each(|slot| damage(&wal.join(format!("{slot:02}.seg")), 0, 20480)), "no log in"),
        (|wal| fs::write(wal.join("00.seg"), [0xa5; 20480]).expect("room"), ""),
    ];
    for (spoil, message) in cases {
        let directory = tempfile::tempdir().expect("a directory");
        written(directory.path(), &options(5), &members());
        spoil(directory.path());
        let before = contents(directory.path());
        for command in ["dump", "verify", "salvage"] {
            let told = solder(&[command], directory.path());
            let error = stderr(&told);
            assert!(error.contains(message) || command == "salvage", "{command}: {error}");
            assert_eq!(told.status.code(), Some((!message.is_empty()).into()), "{command}: {error}");
            assert!(error.lines().count() <= 1, "{error}");
        }
        assert_eq!(contents(directory.path()), before);
    }
}

fn shorten(file: &Path, bytes: u64) {
    fs::OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(bytes)).expect("a file");
}

fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(directory).expect("a directory").map(|file| file.expect("a file").path());
    let mut contents: Vec<_> = files.map(|path| (path.clone(), fs::read(path).expect("a file"))).collect();
    contents.sort();
    contents
}

#[test]
fn where_there_is_no_log_there_is_nothing_to_salvage() {
    let empty = tempfile::tempdir().expect("a directory");
    let salvaged = solder(&["salvage", "--give-up"], empty.path());
    assert_eq!(salvaged.status.code(), Some(1));
    assert!(stderr(&salvaged).contains("there is no log in"), "{}", stderr(&salvaged));
    fs::write(empty.path().join("00.seg"), "").expect("a file");
    let salvaged = solder(&["salvage"], empty.path());
    assert_eq!(salvaged.status.code(), Some(1));
    assert!(stderr(&salvaged).contains("nothing of the log can be kept"), "{}", stderr(&salvaged));
}

#[test]
fn a_result_that_cannot_be_written_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path(), &options(5), &members());
    damage(&directory.path().join("01.seg"), 8192 + 50, 1);
    let before = contents(directory.path());
    let to = |output: Stdio, arguments: &[&str]| {
        let mut process = runner::command(env!("CARGO_BIN_EXE_solder"));
        process.arg("wal").args(arguments).arg(directory.path());
        process.stdout(output).stderr(Stdio::piped()).output().expect("the binary runs")
    };
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("a device").into();
    let (reader, closed) = std::io::pipe().expect("a pipe");
    drop(reader);
    let told = to(closed.into(), &["salvage", "--give-up"]);
    assert_eq!(
        (told.status.code(), stderr(&told).as_str()),
        (Some(1), ""),
        "who does not listen is not told"
    );
    for arguments in [&["dump"][..], &["salvage", "--give-up"]] {
        let told = to(full(), arguments);
        assert_eq!(told.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&told).contains("cannot write the result: No space left"), "{}", stderr(&told));
    }
    assert_eq!(contents(directory.path()), before, "nothing is given up that could not be told");
}

/// A log that changes under the reader is no damage.
#[test]
fn reading_beside_the_owner() {
    const ENTRIES: u64 = 80;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_path_buf();
    let (mut wal, _) = open(Directory::open(&path).expect("a directory"), &options(6), 0, 1).expect("empty");
    let writer = thread::spawn(move || {
        for index in 1..=ENTRIES {
            wal.write(&[entry(1, index, (index * 997 % 7000) as usize)], &members()).expect("room");
            wal.sync().expect("a good disk");
            wal.release(Index(index.saturating_sub(8)));
            wal.secure_room().expect("space");
        }
    });
    while !writer.is_finished() {
        let verified = solder(&["verify"], &path);
        assert!(verified.status.success(), "{}", stderr(&verified));
    }
    writer.join().expect("the writer is well");
    let verified = stdout(&solder(&["verify"], &path));
    assert!(verified.contains(&format!("to {ENTRIES}@1")), "{verified}");
}

/// The files in `tests/data` were written by the version in their path: every later one reads them.
#[test]
fn logs_of_older_versions_are_read() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/0.1.0");
    let dumped = solder(&["dump"], &data);
    assert!(dumped.status.success(), "{}", stderr(&dumped));
    let text = stdout(&dumped).replace(&format!("{}/", data.display()), "");
    let expected = fs::read_to_string(data.join("wal.dump")).expect("a dump");
    assert_eq!(text, expected);
    // And opened, on a copy.
    let directory = tempfile::tempdir().expect("a directory");
    for file in fs::read_dir(data.join("wal")).expect("a directory") {
        let file = file.expect("a file");
        fs::copy(file.path(), directory.path().join(file.file_name())).expect("a copy");
    }
    let options = Options { cluster: ClusterId(0xc1), ..options(5) };
    let expected = story().iter().fold(Model::default(), |model, group| model.with(group));
    assert_eq!(found(directory.path(), &options), expected);
}

/// Writes `tests/data` of this version: `cargo test --test wal -- --ignored write_the_data_of_this_version`.
#[test]
#[ignore = "writes into the source tree"]
fn write_the_data_of_this_version() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(env!("CARGO_PKG_VERSION"));
    fs::create_dir_all(&data).expect("a directory");
    written(&data.join("wal"), &options(5), &members());
    let dumped = stdout(&solder(&["dump"], &data));
    fs::write(data.join("wal.dump"), dumped.replace(&format!("{}/", data.display()), "")).expect("a file");
}

/// Values are in the log, and secrets in values. Older builds left it to others to read.
#[test]
fn nobody_else_reads_the_log() {
    let scratch = tempfile::TempDir::new().expect("a temporary directory");
    let path = scratch.path().join("wal");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let mut disk = Directory::open(&path).expect("a directory");
    disk.allocate(Slot(0), 4096).expect("room");
    let segment = disk.path(Slot(0));
    assert_eq!((mode(&path), mode(&segment)), (0o700, 0o600));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::set_permissions(&segment, fs::Permissions::from_mode(0o644)).expect("it is ours");
    Directory::open_read_only(&path).expect("a directory").list().expect("readable");
    assert_eq!((mode(&path), mode(&segment)), (0o755, 0o644), "who only looks changes nothing");
    Directory::open(&path).expect("a directory").list().expect("readable");
    assert_eq!((mode(&path), mode(&segment)), (0o700, 0o600));
}
