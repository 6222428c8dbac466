//! Boards of one house, each a process on loopback: with flags as an operator would give them.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    certificates::certify,
    client::Client,
    runner,
    server::{Server, free_address},
};

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct House {
    boards: BTreeMap<String, Server>,
    peers: BTreeMap<String, String>,
    scratch: TempDir,
    /// Of every board.
    flags: Vec<String>,
}

impl House {
    pub(crate) fn new(names: &[&str]) -> House {
        let peer = |name: &&str| ((*name).to_owned(), format!("http://{}", free_address()));
        let peers = names.iter().map(peer).collect();
        let scratch = TempDir::new().expect("a temporary directory");
        House { boards: BTreeMap::new(), peers, scratch, flags: Vec::new() }
    }

    /// Boards that speak TLS to each other.
    pub(crate) fn secured(names: &[&str]) -> House {
        let mut house = House::new(names);
        house.peers.values_mut().for_each(|url| *url = url.replace("http:", "https:"));
        house.certify();
        house
    }

    /// From now on they start with certificates of an authority that nobody has seen before.
    pub(crate) fn certify(&mut self) {
        let dir = self.scratch.path().join(format!("authority{}", fastrand::u64(..)));
        fs::create_dir(&dir).expect("a directory");
        self.flags = certify(&dir, vec!["127.0.0.1".to_owned()]);
    }

    pub(crate) fn flags(&self) -> Vec<String> {
        self.flags.clone()
    }

    pub(crate) fn set_flags(&mut self, flags: Vec<String>) {
        self.flags = flags;
    }

    /// All of them found a cluster, which serves when this returns, and knows their names.
    pub(crate) fn founded(names: &[&str]) -> House {
        let mut house = House::new(names);
        names.iter().for_each(|name| house.launch(name, names, &[]));
        names.iter().for_each(|name| house.serves(name));
        until("all have said who they are", || house.members(names[0]).keys().eq(names.iter()));
        house
    }

    pub(crate) fn peer_url(&self, name: &str) -> &str {
        &self.peers[name]
    }

    /// As --initial-cluster wants it.
    pub(crate) fn cluster(&self, names: &[&str]) -> String {
        let one = |name: &&str| format!("{name}={}", self.peers[*name]);
        names.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// Starts a board that is told of these members.
    pub(crate) fn launch(&mut self, name: &str, members: &[&str], more: &[&str]) {
        let url = &self.peers[name];
        let flags = [
            format!("--name={name}"),
            format!("--initial-advertise-peer-urls={url}"),
            format!("--initial-cluster={}", self.cluster(members)),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.launch_with(name, &flags);
    }

    /// With these flags, and where it listens.
    pub(crate) fn launch_with(&mut self, name: &str, flags: &[&str]) {
        let listen = format!("--listen-peer-urls={}", self.peers[name]);
        let flags: Vec<&str> = [listen.as_str()]
            .into_iter()
            .chain(self.flags.iter().map(String::as_str))
            .chain(flags.iter().copied())
            .collect();
        let home = self.home(name);
        fs::create_dir_all(&home).expect("a directory");
        let address = self.boards.get(name).map_or_else(free_address, Server::address);
        let mut board = Server::elsewhere(&home, address, Vec::new(), &flags);
        board.launch();
        self.boards.insert(name.to_owned(), board);
    }

    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(crate) fn data_dir(&self, name: &str) -> PathBuf {
        self.home(name).join("data")
    }

    pub(crate) fn stop(&mut self, name: &str) {
        self.boards.get_mut(name).expect("a board").terminate();
    }

    pub(crate) fn kill(&mut self, name: &str) {
        self.boards.get_mut(name).expect("a board").kill();
    }

    /// Its disk is new. It must not run.
    pub(crate) fn wipe(&self, name: &str) {
        fs::remove_dir_all(self.data_dir(name)).expect("its data");
    }

    pub(crate) fn client(&self, name: &str) -> Client {
        self.boards[name].client()
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.home(name).join("server.log")).expect("a log")
    }

    /// Waits until it reads what is linearizable: it has a leader, and is up to date.
    pub(crate) fn serves(&self, name: &str) {
        self.get(name, "none");
    }

    pub(crate) fn get(&self, name: &str, key: &str) -> Option<String> {
        let rows = self.client(name).until(PATIENCE, |client| client.get(key.as_bytes())).rows;
        rows.first().map(|row| String::from_utf8_lossy(&row.value).into_owned())
    }

    pub(crate) fn put(&self, name: &str, key: &str, value: &str) {
        self.client(name).until(PATIENCE, |client| client.put(key.as_bytes(), value.as_bytes()));
    }

    pub(crate) fn ask(&self, name: &str, path: &str, body: &Value) -> Value {
        self.client(name).until(PATIENCE, |client| client.call(path, body))
    }

    /// By name; one that has not served yet has none.
    pub(crate) fn members(&self, name: &str) -> BTreeMap<String, u64> {
        let answer = self.ask(name, "/v3/cluster/member/list", &json!({"linearizable": true}));
        let member = |member: &Value| {
            let name = member["name"].as_str().unwrap_or_default().to_owned();
            (name, member["ID"].as_str().and_then(|id| id.parse().ok()).expect("an id"))
        };
        answer["members"].as_array().expect("members").iter().map(member).collect()
    }

    pub(crate) fn cluster_id(&self, name: &str) -> String {
        let answer = self.ask(name, "/v3/cluster/member/list", &json!({}));
        answer["header"]["cluster_id"].as_str().expect("an id").to_owned()
    }

    /// Adds a board of this house, as a cluster of healthy members lets it.
    pub(crate) fn add(&self, at: &str, name: &str, is_learner: bool) -> u64 {
        let body = json!({"peerURLs": [self.peers[name]], "isLearner": is_learner});
        let answer = self.ask(at, "/v3/cluster/member/add", &body);
        answer["member"]["ID"].as_str().and_then(|id| id.parse().ok()).expect("an id")
    }

    /// Waits until it has ended by itself; its last line says why.
    pub(crate) fn refused(&mut self, name: &str) -> String {
        let board = self.boards.get_mut(name).expect("a board");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = board.ended() {
                break status;
            }
            assert!(Instant::now() < deadline, "{name} goes on\n{}", board.log_tail());
            thread::sleep(Duration::from_millis(10));
        };
        let log = self.log(name);
        let last = log.lines().last().unwrap_or_default().to_owned();
        assert_eq!(status.code(), Some(1), "{last}");
        assert!(last.starts_with("solder: "), "{last}");
        last
    }
}

/// Waits until it holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A command that must succeed: its standard output.
pub(crate) fn solder(arguments: &[&str]) -> String {
    let mut command = runner::command(env!("CARGO_BIN_EXE_solder"));
    let ended = command.args(arguments).output().expect("it runs");
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

/// As short as a command can be: the binary, for what needs more.
pub(crate) fn command() -> Command {
    runner::command(env!("CARGO_BIN_EXE_solder"))
}
