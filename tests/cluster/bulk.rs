//! A client that writes much at a time: transactions of many keys, large values, deletes of all.
//!
//! Nobody judges its answers; that all members hold the same, and that all watches tell the same, it makes worth judging.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::client::{Client, b64, prefix_end};

const PREFIX: &[u8] = b"b/";
const KEYS: usize = 100;
const OPS_MAX: usize = 30;
const VALUE_BYTES_MAX: usize = 8 << 10;

pub(crate) struct Bulk {
    clients: Vec<Client>,
    rng: fastrand::Rng,
}

impl Bulk {
    pub(crate) fn new(addresses: &[SocketAddr], seed: u64) -> Bulk {
        let client = |address: &SocketAddr| Client::new(*address).patient_for(Duration::from_secs(5));
        Bulk { clients: addresses.iter().map(client).collect(), rng: fastrand::Rng::with_seed(!seed) }
    }

    pub(crate) fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let (path, ask) = match self.rng.u8(..10) {
                0 => ("/v3/kv/deleterange", range()),
                _ => ("/v3/kv/txn", self.txn()),
            };
            // Whatever comes of it.
            if self.clients[0].call(path, &ask).is_err() || self.rng.u8(..5) == 0 {
                self.clients.rotate_left(1);
            }
            thread::sleep(Duration::from_millis(self.rng.u64(..100)));
        }
    }

    fn txn(&mut self) -> Value {
        let mut keys: Vec<usize> = (0..KEYS).collect();
        self.rng.shuffle(&mut keys);
        let puts: Vec<Value> = keys[..self.rng.usize(1..OPS_MAX)].iter().map(|key| self.put(*key)).collect();
        json!({"success": puts})
    }

    fn put(&mut self, key: usize) -> Value {
        let key = format!("b/{key}");
        let value = vec![b'.'; self.rng.usize(..VALUE_BYTES_MAX)];
        json!({"request_put": {"key": b64(key.as_bytes()), "value": b64(&value)}})
    }
}

fn range() -> Value {
    json!({"key": b64(PREFIX), "range_end": b64(&prefix_end(PREFIX))})
}
