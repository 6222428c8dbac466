//! Commands that delete very many keys, on the running binary: nobody ever sees a part of one, whenever the power goes, and
//! none takes more memory than may be pending.

#[path = "../support/mod.rs"]
pub mod support;

use std::{
    collections::BTreeSet,
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};
use solder::{
    store::{Lmdb, LmdbOptions, Options, Store},
    types::Index,
};
use tempfile::TempDir;

use crate::support::{
    client::{Client, Trouble, b64, prefix_end},
    follower::Follower,
    server::{Server, free_address, is_etcd},
};

const PREFIX: &[u8] = b"big/";

const KEYS: usize = 100_000;

const LEASE: i64 = 7;

/// What a server at work needs for itself and a few clients, with what the allocator keeps. What is pending is part of it.
/// (All of these keys would be 30 MB.)
const MEMORY_BYTES: u64 = 12 << 20;

/// So little that there are a hundred parts.
const SMALL: [&str; 2] = ["--pending-bytes-max=256KiB", "--flush-pages-max=64"];

/// Longer than a request may take: a delete that is not answered goes on.
const PATIENCE: Duration = Duration::from_secs(120);

fn all() -> Value {
    json!({"key": b64(PREFIX), "range_end": b64(&prefix_end(PREFIX))})
}

fn put_all(client: &mut Client, keys: usize, lease: i64) {
    let put = |number: usize| {
        let key = b64(format!("big/{number:08}").as_bytes());
        json!({"request_put": {"key": key, "value": b64(b"value"), "lease": lease.to_string()}})
    };
    for from in (0..keys).step_by(100) {
        let puts: Vec<Value> = (from..keys.min(from + 100)).map(put).collect();
        client.call("/v3/kv/txn", &json!({"success": puts})).expect("a transaction");
    }
}

fn count(client: &mut Client) -> Result<i64, Trouble> {
    let request = json!({"key": all()["key"], "range_end": all()["range_end"], "count_only": true});
    Ok(client.range(&request)?.count)
}

/// Counts the keys again and again, over whatever connections there are: all of them, and then none.
struct Reader {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Reader {
    fn new(server: &Server, keys: usize) -> Reader {
        let (mut client, stop, reads) = (server.client(), Arc::<AtomicBool>::default(), Arc::default());
        let (told, counted) = (stop.clone(), Arc::<AtomicU64>::clone(&reads));
        let thread = thread::spawn(move || {
            let mut gone = false;
            while !told.load(Ordering::Relaxed) {
                if let Ok(count) = count(&mut client) {
                    assert!(
                        count == 0 || (count == keys as i64 && !gone),
                        "{count} of {keys} keys, gone: {gone}"
                    );
                    gone = count == 0;
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        Reader { stop, reads, thread }
    }

    /// How often it was answered.
    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it saw all or nothing");
        self.reads.load(Ordering::Relaxed)
    }
}

/// The command that is half done in a data directory which nobody has open, and how many keys it has changed. It may be one
/// of the puts before: they were acknowledged, and the database is behind.
fn half_done(server: &Server) -> Option<(Index, u32)> {
    let db = server.data_dir().join("db");
    let lmdb = Lmdb::open(&db, &LmdbOptions::default()).expect("the database of a server that was killed");
    let store =
        Store::open(Arc::new(lmdb), Options::default()).expect("the store of a server that was killed");
    store.unfinished().map(|(entry, changes)| (entry.index, changes))
}

#[test]
fn a_delete_that_is_killed_again_and_again_is_one_delete() {
    if is_etcd() {
        return eprintln!("SKIPPED: it looks into the database");
    }
    let home = TempDir::new().expect("a temporary directory");
    let mut server = Server::stopped(home.path(), &SMALL);
    server.start();
    let mut client = server.client();
    put_all(&mut client, KEYS, 0);
    let before = client.get(b"x").expect("it serves").revision;
    let mut follower = Follower::new(server.address(), PREFIX, before + 1);
    let reader = Reader::new(&server, KEYS);

    let mut deleting = server.client();
    let delete = thread::spawn(move || deleting.call("/v3/kv/deleterange", &all()));
    let mut rng = fastrand::Rng::new();
    let mut done = Vec::new();
    for _ in 0..8 {
        // Not before there is something to be torn.
        thread::sleep(Duration::from_millis(rng.u64(40..150)));
        server.kill();
        done.push(half_done(&server));
        server.launch();
    }
    server.kill();
    server.start();
    println!("changes that were done at each kill: {done:?}");
    assert!(done.iter().flatten().collect::<BTreeSet<_>>().len() > 1, "it was never torn: {done:?}");
    assert!(done.iter().flatten().is_sorted(), "what was done was done again: {done:?}");
    // Its connection was cut.
    delete.join().expect("no panic").expect_err("nobody was there to answer");

    assert_eq!(client.until(PATIENCE, count), 0);
    reader.finish();
    let told = follower.reach(before + 1);
    assert!(told.iter().all(|change| change.revision == before + 1 && change.value.is_none()));
    let keys: BTreeSet<_> = told.iter().map(|change| &change.key).collect();
    assert_eq!((keys.len(), told.len()), (KEYS, KEYS), "each once");
    assert!(told.is_sorted_by(|a, b| a.key < b.key), "in the order of the keys");
    assert_eq!(client.put(b"x", b"1").expect("writes go on"), before + 2);
}

/// Two boards of one cluster, of which one is lost for good while the other is in the midst of a delete.
#[test]
fn a_delete_that_is_half_done_is_done_in_a_cluster_that_is_forced() {
    if is_etcd() {
        return eprintln!("SKIPPED: it looks into the database");
    }
    const SOME: usize = 30_000;
    let home = TempDir::new().expect("a temporary directory");
    let urls = [0, 1].map(|_| format!("http://{}", free_address()));
    let cluster = format!("--initial-cluster=n0={},n1={}", urls[0], urls[1]);
    let board = |number: usize, more: &[&str]| {
        let dir = home.path().join(format!("n{number}"));
        std::fs::create_dir_all(&dir).expect("a directory");
        let (name, url) = (format!("--name=n{number}"), &urls[number]);
        let peers = ["listen-peer-urls", "initial-advertise-peer-urls"].map(|flag| format!("--{flag}={url}"));
        let flags = [&name, &cluster, &peers[0], &peers[1]].map(String::as_str);
        Server::stopped(&dir, &[&flags[..], &SMALL, more].concat())
    };
    let mut boards = [board(0, &[]), board(1, &[])];
    boards.iter_mut().for_each(Server::launch);
    boards.iter_mut().for_each(|board| board.wait().expect("it serves"));
    let mut client = boards[0].client().patient_for(PATIENCE);
    put_all(&mut client, SOME, 0);
    let before = client.get(b"x").expect("it serves").revision;

    let mut deleting = boards[0].client();
    let delete = thread::spawn(move || deleting.call("/v3/kv/deleterange", &all()));
    let mut rng = fastrand::Rng::new();
    let torn = (0..20).find_map(|_| {
        thread::sleep(Duration::from_millis(rng.u64(30..120)));
        boards[0].kill();
        let done = half_done(&boards[0]).filter(|(_, changes)| (100..SOME as u32).contains(changes));
        done.is_none().then(|| boards[0].start());
        done
    });
    let (index, changes) = torn.expect("it was never torn");
    println!("{changes} of {SOME} keys were deleted, by entry {index}");
    drop(boards);
    // Its connection was cut, or it was done before.
    drop(delete.join().expect("no panic"));

    let mut left = board(0, &["--force-new-cluster"]);
    left.start();
    let mut client = left.client().patient_for(PATIENCE);
    assert_eq!(count(&mut client).expect("it serves"), 0, "all of it, or it would be half a command");
    assert_eq!(client.put(b"x", b"1").expect("it writes"), before + 2, "it was one revision");
    let told = Follower::new(left.address(), PREFIX, before + 1).reach(before + 1);
    assert_eq!(told.iter().filter(|change| change.revision == before + 1).count(), SOME, "each once");
    left.terminate();
    assert_eq!(half_done(&left), None);
}

/// The most that is seen while `work` is done.
fn most_anonymous_bytes(server: &Server, work: impl FnOnce()) -> u64 {
    let (memory, stop) = (server.memory(), AtomicBool::new(false));
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                most = most.max(memory.anonymous_bytes().expect("it runs"));
                thread::sleep(Duration::from_millis(2));
            }
            most
        });
        work();
        stop.store(true, Ordering::Relaxed);
        sampler.join().expect("memory can be read")
    })
}

fn check_memory(what: &str, path: &str, body: &Value, lease: i64) {
    let server = Server::with(&["--pending-bytes-max=1MiB"]);
    let mut client = server.client().patient_for(PATIENCE);
    if lease != 0 {
        client.call("/v3/lease/grant", &json!({"ID": lease.to_string(), "TTL": "10000"})).expect("a lease");
    }
    put_all(&mut client, KEYS, lease);
    let reader = Reader::new(&server, KEYS);
    let most = most_anonymous_bytes(&server, || {
        match client.call(path, body) {
            Ok(_) | Err(Trouble::Unknown(_)) => {}
            Err(trouble) => panic!("{what}: {trouble:?}"),
        }
        assert_eq!(client.until(PATIENCE, |client| count(client).map(|count| count.min(1))), 0);
    });
    let reads = reader.finish();
    println!("{what}: {} KB at most, bound {} KB; {reads} reads meanwhile", most / 1024, MEMORY_BYTES / 1024);
    assert!(reads > 0, "nobody was answered");
    // Of an emulated processor the memory is the emulator's.
    let is_judged = !is_etcd() && env::var_os("SOLDER_RUNNER").is_none_or(|runner| runner.is_empty());
    assert!(
        !is_judged || most <= MEMORY_BYTES,
        "{what}: {most} bytes of memory, {MEMORY_BYTES} are its bound"
    );
}

#[test]
fn a_delete_of_100_000_keys_is_not_in_memory_whole() {
    check_memory("a delete of 100 000 keys", "/v3/kv/deleterange", &all(), 0);
}

#[test]
fn the_end_of_a_lease_of_100_000_keys_is_not_in_memory_whole() {
    let revoke = json!({"ID": LEASE.to_string()});
    check_memory("the end of a lease of 100 000 keys", "/v3/lease/revoke", &revoke, LEASE);
}
