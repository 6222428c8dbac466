//! A rolling upgrade to a build that knows one more kind of entry, and back before it was used, under load; and an older
//! build among members that have agreed on the newer kind.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{
    support::{client::Client, cluster::Cluster, runner, server::is_etcd},
    until,
};

const WRITERS: usize = 4;

/// Writers and what was acknowledged to them, by key.
fn write(addresses: &[SocketAddr], writer: usize, stop: &AtomicBool) -> BTreeMap<String, String> {
    let mut acknowledged = BTreeMap::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (key, value) = (format!("k{writer}.{}", number % 50), number.to_string());
        let mut client = Client::new(addresses[(writer + number) % addresses.len()]);
        match client.put(key.as_bytes(), value.as_bytes()) {
            Ok(_) => drop(acknowledged.insert(key, value)),
            // Nobody knows what it holds now.
            Err(_) => drop(acknowledged.remove(&key)),
        }
    }
    acknowledged
}

/// Also if what goes on meanwhile fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All write while `meanwhile` goes on; what was acknowledged is there in the end.
fn under_load(cluster: &mut Cluster, meanwhile: impl FnOnce(&mut Cluster)) {
    let addresses: Vec<SocketAddr> = (0..3).map(|place| cluster.address(place)).collect();
    let stop = AtomicBool::new(false);
    let books: Vec<_> = thread::scope(|scope| {
        let run = |writer| {
            scope.spawn({
                let (addresses, stop) = (&addresses, &stop);
                move || write(addresses, writer, stop)
            })
        };
        let running: Vec<_> = (0..WRITERS).map(run).collect();
        let stop = StopAtEnd(&stop);
        meanwhile(cluster);
        drop(stop);
        running.into_iter().map(|writer| writer.join().expect("a writer does not panic")).collect()
    });
    for (key, value) in books.iter().flatten() {
        let rows = cluster.client(0).get(key.as_bytes()).expect("it serves");
        assert_eq!(rows.rows.first().map(|row| row.value.as_slice()), Some(value.as_bytes()), "{key}");
    }
    assert!(books.iter().all(|book| !book.is_empty()), "nothing was acknowledged to somebody");
}

/// Restarts a member as a build of this level, and waits until all that run agree on a leader.
fn restart(cluster: &mut Cluster, place: usize, level: &str) {
    cluster.terminate(place);
    cluster.set_environment(place, "SOLDER_TEST_LEVEL", level);
    cluster.start(place);
    until("it serves again", || cluster.client(place).get(b"x").is_ok());
    cluster.leader();
}

/// How often a kind of entry stands in a member's log.
fn logged(cluster: &Cluster, place: usize, what: &str) -> usize {
    let mut command = runner::command(env!("CARGO_BIN_EXE_solder"));
    command
        .env("SOLDER_TEST_LEVEL", "3")
        .args(["wal", "dump"])
        .arg(cluster.data_dir(place))
        .stdin(Stdio::null());
    let output = command.output().expect("the command runs").stdout;
    String::from_utf8_lossy(&output).lines().filter(|line| line.contains(what)).count()
}

#[test]
fn a_rolling_upgrade_under_load_and_back_before_it_is_done() {
    if is_etcd() {
        return;
    }
    let mut cluster = Cluster::of(3);
    under_load(&mut cluster, |cluster| {
        restart(cluster, 0, "3");
        restart(cluster, 1, "3");
        // Longer than what is to be said is held back.
        thread::sleep(Duration::from_secs(1));
        assert_eq!(logged(cluster, 2, "probe"), 0, "one member does not know it yet");
        restart(cluster, 1, "2");
        restart(cluster, 0, "2");
        for place in 0..3 {
            restart(cluster, place, "3");
        }
    });
    until("what is new is used", || (0..3).all(|place| logged(&cluster, place, "probe") > 0));
    cluster.client(1).put(b"x", b"1").expect("all applied it");

    // An older build does not start any more.
    cluster.terminate(2);
    cluster.set_environment(2, "SOLDER_TEST_LEVEL", "2");
    cluster.start(2);
    assert!(cluster.ends(2), "it goes on\n{}", cluster.log_tail(2));
    let words = cluster.log_tail(2);
    let reason = "the members have agreed on entries of level 3, and this build knows none above level 2: install the \
                  build that the other members run";
    assert!(words.contains(reason), "{words}");
    cluster.client(0).put(b"x", b"2").expect("the others go on");
    cluster.set_environment(2, "SOLDER_TEST_LEVEL", "3");
    cluster.start(2);
    until("it is back", || cluster.client(2).get(b"x").is_ok_and(|rows| rows.rows[0].value == b"2"));
}

/// The cluster agrees while the member is away that has been replaced by an older build.
#[test]
fn an_older_build_ends_where_its_log_goes_beyond_it() {
    if is_etcd() {
        return;
    }
    let mut cluster = Cluster::of(3);
    for place in 0..2 {
        restart(&mut cluster, place, "3");
    }
    cluster.terminate(2);
    cluster.set_environment(2, "SOLDER_TEST_LEVEL", "3");
    cluster.start(2);
    until("what is new is used", || (0..2).all(|place| logged(&cluster, place, "probe") > 0));
    // At once: its own store may not have been told yet what was agreed.
    cluster.kill(2);
    cluster.set_environment(2, "SOLDER_TEST_LEVEL", "2");
    cluster.start(2);
    assert!(cluster.ends(2), "it goes on\n{}", cluster.log_tail(2));
    let words = cluster.log_tail(2);
    assert!(words.contains("install the build that the other members run"), "{words}");
    cluster.client(0).put(b"x", b"1").expect("the others go on");
}
