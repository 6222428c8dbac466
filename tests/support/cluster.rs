//! Several members on this machine, each a process of its own.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    client::{Client, Trouble},
    server::{Server, binary, free_address},
};

/// An election takes a second or two; a slow machine and an emulator may need more.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cluster {
    members: Vec<Server>,
    /// Places of those that were stopped.
    down: BTreeSet<usize>,
    peers: Vec<String>,
    scratch: TempDir,
    binary: PathBuf,
}

impl Cluster {
    /// So many voters that serve.
    pub fn of(size: usize) -> Cluster {
        Cluster::of_binary(binary(), size)
    }

    pub fn of_binary(binary: PathBuf, size: usize) -> Cluster {
        let scratch = TempDir::new().expect("a temporary directory");
        let peers: Vec<String> = (0..size).map(|_| format!("http://{}", free_address())).collect();
        let mut cluster = Cluster { members: Vec::new(), down: BTreeSet::new(), peers, scratch, binary };
        let list = cluster.list();
        for place in 0..size {
            cluster.add_server(place, &[format!("--initial-cluster={list}")]);
        }
        for member in &mut cluster.members {
            member.wait().unwrap_or_else(|why| panic!("{why}"));
        }
        cluster.leader();
        cluster.wait_for_names(size);
        cluster
    }

    /// One that founds a cluster, started with these flags; others may join it.
    pub fn of_one(flags: &[&str]) -> Cluster {
        let scratch = TempDir::new().expect("a temporary directory");
        let peers = vec![format!("http://{}", free_address())];
        let mut cluster =
            Cluster { members: Vec::new(), down: BTreeSet::new(), peers, scratch, binary: binary() };
        let mut more = vec![format!("--initial-cluster={}", cluster.list())];
        more.extend(flags.iter().map(|flag| flag.to_string()));
        cluster.add_server(0, &more);
        cluster.members[0].wait().unwrap_or_else(|why| panic!("{why}"));
        cluster.leader();
        cluster
    }

    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Each tells its own once it serves; etcd serves once it has told it. Seen by all, for each knows its own before.
    fn wait_for_names(&self, size: usize) {
        (0..size).for_each(|place| self.wait_for_names_at(place, size));
    }

    fn wait_for_names_at(&self, place: usize, size: usize) {
        self.client(place).until(PATIENCE, |client| {
            let list = client.call("/v3/cluster/member/list", &json!({"linearizable": true}))?;
            let members = list["members"].as_array().into_iter().flatten();
            let named = members.filter(|member| member.get("name").is_some()).count();
            if named == size { Ok(()) } else { Err(Trouble::Unsent(format!("{named} of {size} have names"))) }
        });
    }

    /// `m0=http://..,m1=..`.
    fn list(&self) -> String {
        let named = self.peers.iter().enumerate().map(|(place, peer)| format!("m{place}={peer}"));
        named.collect::<Vec<_>>().join(",")
    }

    fn add_server(&mut self, place: usize, more: &[String]) {
        let home = self.home(place);
        fs::create_dir_all(&home).expect("a directory");
        let peer = &self.peers[place];
        let mut args = vec![
            format!("--name=m{place}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
        ];
        args.extend_from_slice(more);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut server = Server::stopped(&home, &args).by(self.binary.clone());
        server.launch();
        self.members.push(server);
    }

    /// Adds a learner, starts it, and waits until it has all. Its place and id.
    pub fn join_learner(&mut self) -> (usize, u64) {
        let (place, id) = self.launch_learner();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.client(place).call("/v3/maintenance/status", &json!({}));
            if status.is_ok_and(|status| status["isLearner"] == true && id_or_zero(&status["leader"]) != 0) {
                return (place, id);
            }
            assert!(Instant::now() < deadline, "it does not join\n{}", self.members[place].log_tail());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The same, and does not wait for it.
    pub fn launch_learner(&mut self) -> (usize, u64) {
        self.launch_learner_on(None)
    }

    /// The same, with its data on this disk.
    pub fn launch_learner_on(&mut self, disk: Option<&Path>) -> (usize, u64) {
        let place = self.members.len();
        self.peers.push(format!("http://{}", free_address()));
        let request = json!({"peerURLs": [self.peers[place]], "isLearner": true});
        // Not in the first seconds of a cluster.
        let added = self.client(0).until(PATIENCE, |client| client.call("/v3/cluster/member/add", &request));
        let id = id(&added["member"]["ID"]);
        if let Some(disk) = disk {
            fs::create_dir_all(self.home(place)).expect("a directory");
            fs::create_dir(disk.join("data")).expect("the disk has none");
            symlink(disk.join("data"), self.home(place).join("data")).expect("it has no data yet");
        }
        let list = self.list();
        self.add_server(
            place,
            &[format!("--initial-cluster={list}"), "--initial-cluster-state=existing".to_owned()],
        );
        (place, id)
    }

    /// Stops one in the midst of whatever it does, or lets it go on.
    pub fn signal(&self, place: usize, signal: Signal) {
        self.members[place].signal(signal);
    }

    pub fn kill(&mut self, place: usize) {
        self.members[place].kill();
        self.down.insert(place);
    }

    /// In order: all that it has applied is in its database.
    pub fn stop(&mut self, place: usize) {
        self.members[place].terminate();
        self.down.insert(place);
    }

    /// Where its data directory is.
    pub fn home(&self, place: usize) -> PathBuf {
        self.scratch.path().join(format!("m{place}"))
    }

    /// Does it end by itself?
    pub fn ends(&mut self, place: usize) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while self.members[place].ended().is_none() {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.down.insert(place);
        true
    }

    /// Stops one as an operator does.
    pub fn terminate(&mut self, place: usize) {
        let status = self.members[place].terminate();
        assert!(status.success(), "{status}\n{}", self.members[place].log_tail());
        self.down.insert(place);
    }

    /// What its next process finds in its environment.
    pub fn set_environment(&mut self, place: usize, name: &str, value: &str) {
        self.members[place].set_environment(name, value);
    }

    pub fn data_dir(&self, place: usize) -> PathBuf {
        self.members[place].data_dir()
    }

    pub fn log_tail(&self, place: usize) -> String {
        self.members[place].log_tail()
    }

    /// Starts one that was killed.
    pub fn start(&mut self, place: usize) {
        self.members[place].launch();
        self.down.remove(&place);
    }

    pub fn address(&self, place: usize) -> SocketAddr {
        self.members[place].address()
    }

    pub fn client(&self, place: usize) -> Client {
        self.members[place].client()
    }

    pub fn id(&self, place: usize) -> u64 {
        let status = self.client(place).call("/v3/maintenance/status", &json!({})).expect("a status");
        id(&status["header"]["member_id"])
    }

    /// The place of the one that leads, once all that run agree about it.
    pub fn leader(&mut self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.agreed() {
                return place;
            }
            assert!(Instant::now() < deadline, "no leader\n{}", self.members[0].log_tail());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn agreed(&mut self) -> Option<usize> {
        let running: Vec<usize> =
            (0..self.members.len()).filter(|place| !self.down.contains(place)).collect();
        let mut leaders = Vec::new();
        for &place in &running {
            let status = self.client(place).call("/v3/maintenance/status", &json!({})).ok()?;
            leaders.push((id_or_zero(&status["header"]["member_id"]), id_or_zero(&status["leader"])));
        }
        let leader = leaders.first()?.1;
        let is_agreed = leaders.iter().all(|(_, named)| *named == leader);
        let place = leaders.iter().position(|(member, _)| *member == leader)?;
        is_agreed.then_some(running[place])
    }

    /// The first that does not lead.
    pub fn follower(&mut self) -> usize {
        let leader = self.leader();
        (0..self.members.len()).find(|place| *place != leader).expect("more than one")
    }
}

pub fn id(value: &Value) -> u64 {
    value.as_str().expect("an id in a string").parse().expect("a number")
}

fn id_or_zero(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}
