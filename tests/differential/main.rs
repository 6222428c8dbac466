//! Do Solder and etcd say the same to the same requests, whatever these are?
//!
//! ```text
//!   seed --> Caller --> one request --+--> etcd   --> answer --+
//!             |  ^                    +--> Solder --> answer --+--> difference
//!             |  +-- the revision they have come to            |
//!             +--> now and then a watch of the past of both ---+
//! ```
//!
//! Needs an etcd: `ETCD=/usr/bin/etcd cargo test --test differential`. `SEED=7` begins with another round, `ROUNDS=100` makes more
//! of them, `STEPS=1000` longer ones. `MEMBERS=3` asks followers of three. A difference is reported with the seed of its round, which alone repeats it.
//!
//! Not compared: ids, the term, the words in which a document is called malformed; and what is refused here on purpose (keys
//! over 1 KiB, transactions nested over 16 deep) is not asked for.

#[path = "../support/mod.rs"]
pub mod support;

mod caller;
mod document;
mod judge;
mod watch;

use std::{
    env, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use fastrand::Rng;

use crate::{
    caller::{Call, Caller},
    judge::Said,
    support::{
        cluster::Cluster,
        http::{Connection, Request},
        server::Server,
    },
};

/// Behind so many of one round there is rarely anything new.
const DIFFERENCES_MAX: usize = 12;

#[test]
fn solder_says_what_etcd_says() {
    let Some(etcd) = env::var_os("ETCD").map(PathBuf::from) else {
        println!("SKIPPED: NOTHING WAS COMPARED WITH ETCD: set ETCD=/path/to/etcd");
        return;
    };
    assert!(etcd.is_file(), "ETCD={}: no such file", etcd.display());
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (first, rounds) = (number("SEED").unwrap_or(1), number("ROUNDS").unwrap_or(4));
    let steps = number("STEPS").unwrap_or(400);
    let mut differences = Vec::new();
    for seed in first..first + rounds {
        differences.extend(round(&etcd, seed, steps));
    }
    assert!(differences.is_empty(), "{} differences:\n\n{}", differences.len(), differences.join("\n\n"));
}

/// etcd and Solder, running.
struct Pair {
    addresses: [SocketAddr; 2],
    _servers: Vec<Server>,
    _clusters: Vec<Cluster>,
}

impl Pair {
    fn start(etcd: &Path) -> Pair {
        let members = env::var("MEMBERS").map_or(1, |text| text.parse().expect("a number"));
        let (mut servers, mut clusters) = (Vec::new(), Vec::new());
        if members == 1 {
            servers = vec![Server::of(etcd.to_owned(), &[]), Server::fresh()];
            let addresses = [servers[0].address(), servers[1].address()];
            return Pair { addresses, _servers: servers, _clusters: clusters };
        }
        let mut follower = |mut cluster: Cluster| {
            let place = cluster.follower();
            let address = cluster.address(place);
            clusters.push(cluster);
            address
        };
        let addresses =
            [follower(Cluster::of_binary(etcd.to_owned(), members)), follower(Cluster::of(members))];
        Pair { addresses, _servers: servers, _clusters: clusters }
    }
}

/// One pair of empty stores, taken through `steps` requests. What they differed in.
fn round(etcd: &Path, seed: u64, steps: u64) -> Vec<String> {
    println!("SEED={seed}");
    let pair = Pair::start(etcd);
    let mut links = pair.addresses.map(|address| Connection::open(address).expect("it serves"));
    let mut caller = Caller::new(Rng::with_seed(seed));
    let mut differences = Vec::new();
    for step in 0..steps {
        let call = caller.next();
        let [theirs, ours] = links.each_mut().map(|link| ask(link, &call));
        let ours = ours.unwrap_or_else(|error| panic!("SEED={seed}: {error}\n{}\n{}", call.path, call.body));
        let theirs = match theirs {
            Ok(said) => said,
            Err(error) => {
                println!("etcd did not survive (solder: {ours}): {error}\n{}\n{}", call.path, call.body);
                break;
            }
        };
        caller.learn(&theirs);
        if let Some(what) = judge::difference(&call, &theirs, &ours) {
            let Call { path, body } = &call;
            differences.push(format!(
                "SEED={seed} step {step}: POST {path}\n  {body}\n  etcd:   {theirs}\n  solder: {ours}\n  {what}"
            ));
        }
        if step % 50 == 49 {
            let request = caller.watch();
            let [theirs, ours] = pair.addresses.map(|address| watch::history(address, &request));
            if theirs != ours {
                differences.push(format!(
                    "SEED={seed} step {step}: watch\n  {request}\n  etcd:   {theirs:#?}\n  solder: {ours:#?}"
                ));
            }
        }
        if differences.len() >= DIFFERENCES_MAX
            || theirs.revision() > 0 && theirs.revision() != ours.revision()
        {
            break;
        }
    }
    differences
}

fn ask(link: &mut Connection, call: &Call) -> io::Result<Said> {
    link.call(&Request::post(call.path, call.body.as_bytes())).map(|answer| Said::of(&answer))
}
