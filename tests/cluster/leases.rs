//! Clients that keep leases for a while, and judge when they end: not early, and not never.
//!
//! A lease must live for its whole time after the client *sent* a keep-alive that was acknowledged, whoever leads by then.
//! It may live longer: each new leader grants it its whole time anew.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::client::{Client, Trouble, b64, number};

pub(crate) const PREFIX: &[u8] = b"l/";

/// A lease runs out when somebody looks, and its end is proposed and applied like any change.
const LATE: Duration = Duration::from_secs(10);

pub(crate) struct Keeper {
    number: u64,
    clients: Vec<Client>,
    rng: fastrand::Rng,
    leases: u64,
}

/// One lease with two keys.
struct Lease {
    id: i64,
    ttl: Duration,
    /// It lives for `ttl` from here on, at least.
    renewed: Instant,
    key: String,
}

impl Keeper {
    pub(crate) fn new(number: u64, addresses: &[SocketAddr], seed: u64) -> Keeper {
        let client = |address: &SocketAddr| Client::new(*address).patient_for(Duration::from_secs(1));
        let clients = addresses.iter().map(client).collect();
        Keeper { number, clients, rng: fastrand::Rng::with_seed(seed ^ (number + 101) << 32), leases: 0 }
    }

    /// One lease after the other; how many were seen to end in time.
    pub(crate) fn run(&mut self, stop: &AtomicBool) -> u64 {
        let mut ended = 0;
        while !stop.load(Ordering::Relaxed) {
            let Some(lease) = self.grant() else { continue };
            ended += u64::from(self.keep(lease, stop));
        }
        ended
    }

    /// Whatever client comes next; a failed call leaves nothing behind but a lease that ends by itself.
    fn grant(&mut self) -> Option<Lease> {
        self.leases += 1;
        let asked = Instant::now();
        let ttl = self.rng.i64(2..5);
        let answer = self.ask(|client| client.call("/v3/lease/grant", &json!({"TTL": ttl.to_string()})))?;
        let id = number(&answer["ID"]).expect("an id");
        let ttl = Duration::from_secs(number(&answer["TTL"]).expect("a time").unsigned_abs());
        let key = format!("l/{}/{}", self.number, self.leases);
        let put = |key: &str| json!({"request_put": {"key": b64(key.as_bytes()), "lease": id.to_string()}});
        let both = json!({"success": [put(&format!("{key}/a")), put(&format!("{key}/b"))]});
        self.ask(|client| client.call("/v3/kv/txn", &both))?;
        Some(Lease { id, ttl, renewed: asked, key })
    }

    fn keep(&mut self, mut lease: Lease, stop: &AtomicBool) -> bool {
        for _ in 0..self.rng.u8(..8) {
            thread::sleep(lease.ttl / 3);
            let asked = Instant::now();
            match self.keep_alive(lease.id) {
                Some(0) => lease.must_have_ended("a keep-alive"),
                Some(_) => lease.renewed = asked,
                None => (),
            }
        }
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(50));
            let key = format!("{}/a", lease.key);
            if self.ask(|client| client.get(key.as_bytes())).is_some_and(|rows| rows.rows.is_empty()) {
                lease.must_have_ended("a read");
                return true;
            }
        }
        false
    }

    /// What is left, in seconds; 0: there is no such lease.
    fn keep_alive(&mut self, id: i64) -> Option<i64> {
        let ask = json!({"ID": id.to_string()});
        let answer = self.ask(|client| client.call("/v3/lease/keepalive", &ask))?;
        let result = answer.get("result")?;
        Some(number(&result["TTL"]).expect("a time"))
    }

    fn ask<T>(&mut self, ask: impl Fn(&mut Client) -> Result<T, Trouble>) -> Option<T> {
        let answer = ask(&mut self.clients[0]);
        if answer.is_err() {
            self.clients.rotate_left(1);
            thread::sleep(Duration::from_millis(20));
        }
        answer.ok()
    }
}

impl Lease {
    #[track_caller]
    fn must_have_ended(&self, seen_by: &str) {
        let lived = self.renewed.elapsed();
        assert!(
            lived >= self.ttl,
            "lease {} of {:?} has ended, as {seen_by} shows, {lived:?} after a keep-alive that was acknowledged",
            self.id,
            self.ttl
        );
    }
}

/// All is well, and nobody keeps any lease: they end.
pub(crate) fn all_end(client: &mut Client) {
    let deadline = Instant::now() + Duration::from_secs(5) + LATE;
    loop {
        let keys = client.prefix(PREFIX).expect("it serves").rows;
        let leases = client.call("/v3/lease/leases", &json!({})).expect("it serves");
        let leases = leases["leases"].as_array().map_or(0, Vec::len);
        if keys.is_empty() && leases == 0 {
            return;
        }
        let late = Instant::now() > deadline;
        assert!(!late, "{leases} leases are forgotten, with {} keys: {:?}", keys.len(), keys.first());
        thread::sleep(Duration::from_millis(100));
    }
}
