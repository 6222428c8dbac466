//! A client that writes all the time, at any board that takes it: for how long did none?

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{house::House, judge::Book, support::client::Client};

/// It goes elsewhere after this time.
const HASTE: Duration = Duration::from_secs(1);

/// Of the boards, where clients from elsewhere reach them.
pub(crate) const FOR_ALL: &str = "--listen-client-urls=http://0.0.0.0:2379";

#[derive(Default)]
struct Record {
    book: Book,
    answered: Vec<Instant>,
}

/// Whatever happens to the test: the client ends.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Meanwhile it writes, at these boards. What was acknowledged, and the longest time between two acknowledgements.
pub(crate) fn meanwhile(
    house: &mut House,
    who: &[usize],
    happenings: impl FnOnce(&mut House),
) -> (Book, Duration) {
    let addresses: Vec<SocketAddr> = who.iter().map(|place| house.net.address(*place, 2379)).collect();
    let (stop, record) = (AtomicBool::new(false), Mutex::new(Record::default()));
    thread::scope(|scope| {
        let _ending = Ending(&stop);
        scope.spawn(|| write(&addresses, &stop, &record));
        happenings(house);
    });
    let Record { book, mut answered } = record.into_inner().expect("nobody panicked");
    answered.push(Instant::now());
    let pause = answered.windows(2).map(|pair| pair[1] - pair[0]).max().expect("something was acknowledged");
    (book, pause)
}

fn write(addresses: &[SocketAddr], stop: &AtomicBool, record: &Mutex<Record>) {
    let mut number = 0;
    for address in addresses.iter().cycle() {
        let mut client = Client::new(*address).patient_for(HASTE);
        loop {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            number += 1;
            let (key, value) = (format!("book/{number:06}"), number.to_string());
            if client.put(key.as_bytes(), value.as_bytes()).is_err() {
                break;
            }
            let mut record = record.lock().expect("nobody panics with it");
            record.book.insert(key, value);
            record.answered.push(Instant::now());
            drop(record);
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(5));
    }
}
