//! Who looks on while a server is ill-treated: one client that behaves, and one that watches the memory.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::support::server::{Memory, Server, is_etcd};

/// No figure, but what tells being served from being starved, however busy the machine is.
const P99_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Witness {
    stop: Arc<AtomicBool>,
    behaved: JoinHandle<Vec<Duration>>,
    memory: JoinHandle<Option<u64>>,
    before: u64,
}

impl Witness {
    pub(crate) fn new(server: &Server) -> Witness {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut client, told) = (server.client(), stop.clone());
        let behaved = thread::spawn(move || {
            let mut times = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let start = Instant::now();
                let value = format!("{}", times.len()).into_bytes();
                client.put(b"behaved", &value).expect("a client that behaves is served");
                let there = client.get(b"behaved").expect("a client that behaves is served");
                assert_eq!(there.rows[0].value, value);
                times.push(start.elapsed() / 2);
                thread::sleep(Duration::from_millis(2));
            }
            times
        });
        let (memory, told) = (server.memory(), stop.clone());
        let before = memory.anonymous_bytes().expect("it runs");
        let memory = thread::spawn(move || sample(&memory, &told));
        Witness { stop, behaved, memory, before }
    }

    /// Ends, tells what was seen, and refuses more memory than `bytes_max`.
    pub(crate) fn finish(self, what: &str, bytes_max: u64) {
        self.stop.store(true, Ordering::Relaxed);
        let most =
            self.memory.join().expect("memory can be read").unwrap_or_else(|| panic!("{what}: it has ended"));
        let mut times = self.behaved.join().expect("the client that behaves was served");
        times.sort();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!(
            "{what}: memory {} KB before, {} KB at most, bound {} KB; {} calls of one who behaves: p50 {p50:?}, \
             p99 {p99:?}, longest {:?}",
            self.before / 1024,
            most / 1024,
            bytes_max / 1024,
            2 * times.len(),
            times[times.len() - 1],
        );
        if !is_judged() {
            return;
        }
        assert!(most <= bytes_max, "{what}: {most} bytes of memory, {bytes_max} are its bound");
        assert!(p99 <= P99_MAX, "{what}: p99 {p99:?} for a client that behaves");
    }
}

/// Of etcd only the harness is proven; of an emulated processor memory and time are the emulator's.
fn is_judged() -> bool {
    !is_etcd() && env::var_os("SOLDER_RUNNER").is_none_or(|runner| runner.is_empty())
}

/// The most that is seen until told to stop. `None`: the process has ended.
fn sample(memory: &Memory, stop: &AtomicBool) -> Option<u64> {
    let mut most = 0;
    while !stop.load(Ordering::Relaxed) {
        most = most.max(memory.anonymous_bytes()?);
        thread::sleep(Duration::from_millis(5));
    }
    Some(most)
}
