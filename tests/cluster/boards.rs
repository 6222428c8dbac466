//! Members in processes of their own, each where its wire ends.

use std::{
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

use crate::{
    knobs::Knobs,
    support::{
        certificates::certify,
        client::{Client, Trouble, number},
        net::Net,
        server::Server,
    },
};

const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// Far longer than any cluster takes that has a majority and wires.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Two logs' tails, a store's changes that are not flushed, what clients ask and are told; built without care for size.
const MEMORY_MAX: u64 = 64 << 20;

/// Members first: what they run in is removed after them.
pub(crate) struct Cluster {
    pub(crate) boards: Vec<Server>,
    pub(crate) net: Net,
    args: Vec<String>,
    scheme: &'static str,
    homes: Vec<PathBuf>,
    _scratch: TempDir,
}

/// What a member says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) id: u64,
    pub(crate) leader: u64,
    pub(crate) term: i64,
    pub(crate) revision: i64,
}

impl Cluster {
    /// A cluster that serves; `None`, and said so, where there cannot be one.
    pub(crate) fn start(members: usize, knobs: Knobs) -> Option<Cluster> {
        let mut cluster = Cluster::lay(members, knobs)?;
        cluster.launch_all();
        Some(cluster)
    }

    /// The same, not started yet.
    pub(crate) fn lay(members: usize, knobs: Knobs) -> Option<Cluster> {
        let net = Net::lay(members)?;
        let scratch = TempDir::new().expect("a temporary directory");
        let homes: Vec<PathBuf> = (0..members).map(|member| scratch.path().join(name(member))).collect();
        homes.iter().for_each(|home| fs::create_dir(home).expect("a directory"));
        let (mut args, mut scheme) = (knobs.args, "http");
        if knobs.tls {
            let hosts = (0..members).map(|member| net.address(member, PEER_PORT).ip().to_string());
            args.extend(certify(scratch.path(), hosts.collect()));
            scheme = "https";
        }
        let mut cluster = Cluster { boards: Vec::new(), net, args, scheme, homes, _scratch: scratch };
        cluster.boards = (0..members).map(|member| cluster.board(member, &[])).collect();
        Some(cluster)
    }

    /// A member that has yet to start keeps its data on this disk.
    pub(crate) fn keep_data_on(&self, member: usize, disk: &Path) {
        let place = disk.join("data");
        fs::create_dir(&place).expect("the disk is empty");
        symlink(place, self.boards[member].data_dir()).expect("it has no data yet");
    }

    /// The next start is one of a board that the cluster has been told of.
    pub(crate) fn join(&mut self, member: usize) {
        self.boards[member] = self.board(member, &["--initial-cluster-state=existing"]);
    }

    pub(crate) fn peer_url(&self, member: usize) -> String {
        format!("{}://{}", self.scheme, self.net.address(member, PEER_PORT))
    }

    fn board(&self, member: usize, more: &[&str]) -> Server {
        let peer = |member| self.peer_url(member);
        let members = 0..self.homes.len();
        let founders: Vec<String> =
            members.map(|member| format!("{}={}", name(member), peer(member))).collect();
        let mut args = vec![
            format!("--name={}", name(member)),
            format!("--listen-peer-urls={}", peer(member)),
            format!("--initial-advertise-peer-urls={}", peer(member)),
            format!("--initial-cluster={}", founders.join(",")),
        ];
        args.extend(self.args.iter().cloned());
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let address = self.net.address(member, CLIENT_PORT);
        Server::elsewhere(&self.homes[member], address, self.net.runner(member), &args)
    }

    /// Starts whoever does not run, and lets go on who is held.
    pub(crate) fn set_going(&mut self) {
        for board in &mut self.boards {
            match board.runs() {
                true => board.signal(Signal::CONT),
                false => board.launch(),
            }
        }
    }

    /// The same, and waits until all serve.
    pub(crate) fn launch_all(&mut self) {
        self.set_going();
        let deadline = Instant::now() + PATIENCE;
        while let Some(member) = self.boards.iter().position(|board| !board.serves()) {
            let ended = self.boards.iter_mut().filter(|board| board.runs()).find_map(Server::ended);
            assert!(ended.is_none(), "a member ended: {ended:?}\n{}", self.last_words());
            let late = Instant::now() >= deadline;
            assert!(!late, "{} does not serve\n{}", name(member), self.last_words());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn members(&self) -> std::ops::Range<usize> {
        0..self.boards.len()
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.boards.iter().map(Server::address).collect()
    }

    pub(crate) fn addresses_but(&self, member: usize) -> Vec<SocketAddr> {
        self.all_but(member).into_iter().map(|other| self.boards[other].address()).collect()
    }

    /// Of who runs, whatever it can reach; `None`: no answer.
    pub(crate) fn status(&self, member: usize) -> Option<Status> {
        let board = &self.boards[member];
        let mut client = Client::new(board.address()).patient_for(Duration::from_millis(500));
        let answer = board.runs().then(|| client.call("/v3/maintenance/status", &json!({})))?;
        answer.ok().as_ref().map(status)
    }

    /// Who leads, as it says itself; of several the one of the newest term.
    pub(crate) fn leader(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let statuses = self.members().filter_map(|member| Some((member, self.status(member)?)));
            let leaders = statuses.filter(|(_, status)| status.id == status.leader);
            if let Some((leader, _)) = leaders.max_by_key(|(_, status)| status.term) {
                return leader;
            }
            assert!(Instant::now() < deadline, "nobody leads\n{}", self.last_words());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Has this member lead, however often it takes.
    pub(crate) fn lead(&self, member: usize) {
        let deadline = Instant::now() + PATIENCE;
        let id = self.status(member).expect("it serves").id;
        while self.leader() != member {
            assert!(
                Instant::now() < deadline,
                "{} does not come to lead\n{}",
                name(member),
                self.last_words()
            );
            let mut client = self.boards[self.leader()].client().patient_for(Duration::from_secs(2));
            let ask = json!({"targetID": id.to_string()});
            if client.call("/v3/maintenance/transfer-leadership", &ask).is_err() {
                thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Ends all alarms, as an operator does; the next look may raise them again. How many there were.
    pub(crate) fn disarm(&self) -> usize {
        let mut client = self.boards[self.leader()].client();
        let answer = client.until(PATIENCE, |client| client.call("/v3/maintenance/alarm", &json!({})));
        let alarms = answer["alarms"].as_array().map_or(&[][..], Vec::as_slice);
        for alarm in alarms {
            let ask = json!({"action": "DEACTIVATE", "alarm": alarm["alarm"], "memberID": alarm["memberID"]});
            client.until(PATIENCE, |client| client.call("/v3/maintenance/alarm", &ask));
        }
        alarms.len()
    }

    pub(crate) fn all_but(&self, member: usize) -> Vec<usize> {
        self.members().filter(|other| *other != member).collect()
    }

    /// Has every member the same at `revision`? Waits until all have come so far.
    pub(crate) fn assert_equal_at(&self, revision: i64) {
        let deadline = Instant::now() + PATIENCE;
        let behind = |member: &usize| self.status(*member).is_none_or(|status| status.revision < revision);
        while let Some(member) = self.members().find(behind) {
            let late = Instant::now() >= deadline;
            assert!(!late, "{} never comes to {revision}\n{}", name(member), self.last_words());
            thread::sleep(Duration::from_millis(20));
        }
        let hashes: Vec<Value> = self.members().map(|member| self.hash(member, revision)).collect();
        assert!(
            hashes.iter().all(|hash| *hash == hashes[0]),
            "members differ at {revision}: {hashes:?}\n{}",
            self.last_words()
        );
    }

    fn hash(&self, member: usize, revision: i64) -> Value {
        let mut client = self.boards[member].client();
        let ask = json!({"revision": revision.to_string()});
        let answer = client.call("/v3/maintenance/hashkv", &ask).expect("a hash");
        json!([answer["hash"], answer["compact_revision"]])
    }

    /// What each takes of its own, whatever it has been through.
    pub(crate) fn assert_small(&self) {
        for (member, board) in self.boards.iter().enumerate() {
            let bytes = board.memory().anonymous_bytes().expect("it runs");
            assert!(bytes < MEMORY_MAX, "{} takes {bytes} bytes of memory", name(member));
        }
    }

    pub(crate) fn last_words(&self) -> String {
        let words = |member| format!("{}: {}", name(member), self.boards[member].log_tail());
        self.members().map(words).collect::<Vec<_>>().join("\n")
    }
}

/// Writes at any of these members until one acknowledges it, and says how long that took.
pub(crate) fn until_written(addresses: &[SocketAddr], patience: Duration) -> Result<Duration, String> {
    let began = Instant::now();
    let mut last = String::new();
    for address in addresses.iter().cycle() {
        let mut client = Client::new(*address).patient_for(Duration::from_millis(500));
        match client.put(b"alive", b"") {
            Ok(_) => return Ok(began.elapsed()),
            Err(Trouble::Refused { message: why, .. } | Trouble::Unknown(why) | Trouble::Unsent(why)) => {
                last = why;
            }
        }
        if began.elapsed() > patience {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(format!("no write succeeds within {patience:?}: {last}"))
}

pub(crate) fn name(member: usize) -> String {
    format!("n{}", member + 1)
}

fn status(answer: &Value) -> Status {
    let unsigned = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    Status {
        id: unsigned(&answer["header"]["member_id"]),
        leader: unsigned(&answer["leader"]),
        term: number(&answer["raftTerm"]).unwrap_or(0),
        revision: number(&answer["header"]["revision"]).unwrap_or(0),
    }
}
