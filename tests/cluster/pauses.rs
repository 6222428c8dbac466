//! Writers that note when they were answered: for how long did nobody get a write done?

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{boards::Cluster, story::Ending, support::client::Client};

const WRITERS: usize = 4;

/// Meanwhile clients write, each at another member when one fails; the longest time between two acknowledgements.
pub(crate) fn longest_pause(cluster: &mut Cluster, happenings: impl FnOnce(&mut Cluster)) -> Duration {
    let (stop, answered) = (AtomicBool::new(false), Mutex::new(vec![Instant::now()]));
    let addresses = cluster.addresses();
    thread::scope(|scope| {
        let _ending = Ending(&stop);
        for number in 0..WRITERS {
            let (addresses, stop, answered) = (&addresses, &stop, &answered);
            scope.spawn(move || write(addresses, number, stop, answered));
        }
        happenings(cluster);
    });
    let mut answered = answered.into_inner().expect("nobody panicked");
    answered.push(Instant::now());
    answered.windows(2).map(|pair| pair[1] - pair[0]).max().expect("two moments at least")
}

fn write(addresses: &[SocketAddr], number: usize, stop: &AtomicBool, answered: &Mutex<Vec<Instant>>) {
    let key = format!("pause/{number}");
    for address in addresses.iter().cycle().skip(number) {
        let mut client = Client::new(*address).patient_for(Duration::from_secs(5));
        while client.put(key.as_bytes(), b"").is_ok() {
            answered.lock().expect("nobody panics with it").push(Instant::now());
            thread::sleep(Duration::from_millis(1));
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}
