//! Boards in one network, and a discovery service on a machine of its own.
//!
//! Boards are counted from 0, as everywhere in these tests; the service stands behind the last. Whoever asks a board asks it on
//! the board itself, at its loopback address: no cut wire comes between.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    client::{Client, Trouble, number},
    http::{Answer, Connection, Request},
    net::Net,
    runner,
    server::Server,
};

/// Far longer than anything here takes that is going to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A board that answers at all answers within this time; or it waits for others, and is asked again.
const HASTE: Duration = Duration::from_millis(1500);

const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2379);

/// Processes first: what they run in is removed after them.
pub(crate) struct House {
    pub(crate) boards: Vec<Server>,
    service: Server,
    pub(crate) net: Net,
    scratch: TempDir,
}

/// What a command said, and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// What a member says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) cluster: u64,
    pub(crate) id: u64,
    pub(crate) leader: u64,
    pub(crate) revision: i64,
}

impl House {
    /// Boards that are switched off. `None`, and said so, where there cannot be any.
    pub(crate) fn build(boards: usize) -> Option<House> {
        House::with_hosts(boards, name)
    }

    /// The same with these names of hosts.
    pub(crate) fn with_hosts(boards: usize, host: impl Fn(usize) -> String) -> Option<House> {
        let net = Net::lay(boards + 1)?;
        let scratch = TempDir::new().expect("a temporary directory");
        let machine = |place: usize, host: &str| {
            net.name_hosts(place, "");
            let home = scratch.path().join(place.to_string());
            fs::create_dir(&home).expect("a directory");
            Server::bare(&home, net.runner_of_board(place, host), &[])
        };
        let service = machine(boards, "service");
        let boards = (0..boards).map(|place| machine(place, &host(place))).collect();
        Some(House { boards, service, net, scratch })
    }

    pub(crate) fn all(&self) -> Vec<usize> {
        (0..self.boards.len()).collect()
    }

    pub(crate) fn all_but(&self, place: usize) -> Vec<usize> {
        self.all().into_iter().filter(|other| *other != place).collect()
    }

    pub(crate) fn service_place(&self) -> usize {
        self.boards.len()
    }

    /// Starts the service and waits until it serves.
    pub(crate) fn start_service(&mut self) {
        self.service.set_args(&["discovery", "serve"]);
        self.service.launch();
        let deadline = Instant::now() + PATIENCE;
        let healthy = |house: &House| {
            house.get(house.service_place(), "/health").is_ok_and(|answer| answer.status == 200)
        };
        while !healthy(self) {
            assert!(Instant::now() < deadline, "no service\n{}", self.service.log_tail());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn kill_service(&mut self) {
        self.service.kill();
    }

    pub(crate) fn service_runs(&self) -> bool {
        self.service.runs()
    }

    /// A URL of the service.
    pub(crate) fn new_token(&self, size: usize) -> String {
        let said = self.command(self.service_place(), &["discovery", "new", "--size", &size.to_string()]);
        assert_eq!(said.status, 0, "{said:?}");
        let url = said.output.trim().to_owned();
        let host = self.net.address(self.service_place(), 2379);
        assert!(url.starts_with(&format!("http://{host}/")), "boards do not reach the service by {url}");
        url
    }

    /// How many boards have registered with the service.
    pub(crate) fn registered(&self, url: &str) -> usize {
        let path = url.splitn(4, '/').nth(3).and_then(|path| path.split('#').next()).expect("a token");
        let path = format!("/{path}");
        let body: Value =
            serde_json::from_slice(&self.get(self.service_place(), &path).expect("it serves").body)
                .expect("JSON");
        body["node"]["nodes"].as_array().map_or(0, Vec::len)
    }

    pub(crate) fn get(&self, place: usize, path: &str) -> std::io::Result<Answer> {
        let ask = || Connection::open_within(HERE, HASTE)?.call(&Request::get(path));
        self.net.at_home(place, ask)
    }

    /// Switches a board on, with these flags of `solder serve`.
    pub(crate) fn serve(&mut self, place: usize, flags: &[&str]) {
        let args: Vec<&str> = ["serve"].into_iter().chain(flags.iter().copied()).collect();
        self.boards[place].set_args(&args);
        self.boards[place].launch();
    }

    /// The same with a URL, and waits until it is a member that serves.
    pub(crate) fn join(&mut self, place: usize, url: &str) {
        self.serve(place, &["--discovery", url]);
        self.wait_until_serving(place);
    }

    pub(crate) fn wait_until_serving(&mut self, place: usize) {
        let deadline = Instant::now() + PATIENCE;
        while !self.serves(place) {
            let ended = self.boards[place].ended();
            assert!(ended.is_none(), "{} ended: {ended:?}\n{}", name(place), self.boards[place].log_tail());
            assert!(Instant::now() < deadline, "{} does not serve\n{}", name(place), self.last_words());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The founding board of case two: alone, then inviting. The URL.
    pub(crate) fn invite(&self, place: usize, flags: &[&str]) -> String {
        let arguments: Vec<&str> = ["invite"].into_iter().chain(flags.iter().copied()).collect();
        let said = self.command(place, &arguments);
        assert_eq!(said.status, 0, "{said:?}\n{}", self.boards[place].log_tail());
        said.output.trim().to_owned()
    }

    /// `solder ..` on a board.
    pub(crate) fn command(&self, place: usize, arguments: &[&str]) -> Said {
        let words = self.net.runner_of_board(place, &name(place));
        let solder = runner::command(env!("CARGO_BIN_EXE_solder"));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(solder.get_program()).args(solder.get_args()).args(arguments);
        let ended = command.stdin(Stdio::null()).output().expect("the command ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            status: ended.status.code().unwrap_or(-1),
            output: text(&ended.stdout),
            errors: text(&ended.stderr),
        }
    }

    /// A call to a board that need not answer.
    pub(crate) fn ask(&self, place: usize, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.client(place, HASTE, |client| client.call(path, body))
    }

    pub(crate) fn client<T: Send>(
        &self,
        place: usize,
        patience: Duration,
        work: impl FnOnce(&mut Client) -> T + Send,
    ) -> T {
        self.net.at_home(place, || work(&mut Client::new(HERE).patient_for(patience)))
    }

    pub(crate) fn status(&self, place: usize) -> Option<Status> {
        let answer = self.ask(place, "/v3/maintenance/status", &json!({})).ok()?;
        let header = &answer["header"];
        Some(Status {
            cluster: unsigned(&header["cluster_id"]),
            id: unsigned(&header["member_id"]),
            leader: unsigned(&answer["leader"]),
            revision: number(&header["revision"]).unwrap_or(0),
        })
    }

    /// It answers as a member that knows the newest.
    pub(crate) fn serves(&self, place: usize) -> bool {
        self.client(place, HASTE, |client| client.get(b"alive").is_ok())
    }

    /// As this board knows them; empty: it does not answer.
    pub(crate) fn members(&self, place: usize) -> Vec<Value> {
        let answer = self.ask(place, "/v3/cluster/member/list", &json!({"linearizable": false}));
        answer.ok().and_then(|answer| answer["members"].as_array().cloned()).unwrap_or_default()
    }

    /// The place of the member that leads, as one of these boards says.
    pub(crate) fn leader(&self, who: &[usize]) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let statuses: Vec<(usize, Status)> =
                who.iter().filter_map(|place| Some((*place, self.status(*place)?))).collect();
            if let Some((place, _)) = statuses.iter().find(|(_, status)| status.id == status.leader) {
                return *place;
            }
            assert!(Instant::now() < deadline, "nobody leads\n{}", self.last_words());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a board has said this.
    pub(crate) fn wait_for_word(&self, place: usize, word: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.boards[place].log_text().contains(word) {
            let words = self.boards[place].log_tail();
            assert!(Instant::now() < deadline, "{} does not say {word:?}\n{words}", name(place));
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// As a new card in the board: nothing is left of who it was.
    pub(crate) fn lose_disk(&mut self, place: usize) {
        assert!(!self.boards[place].runs(), "{} runs", name(place));
        fs::remove_dir_all(self.boards[place].data_dir()).expect("it had data");
    }

    /// As by a person who clears what is damaged: it still has its keys, and nothing of what it knew.
    pub(crate) fn lose_data(&mut self, place: usize) {
        assert!(!self.boards[place].runs(), "{} runs", name(place));
        for entry in fs::read_dir(self.boards[place].data_dir()).expect("it had data") {
            let path = entry.expect("it can be read").path();
            match (path.is_dir(), path.ends_with("tls")) {
                (_, true) => {}
                (true, false) => fs::remove_dir_all(path).expect("it can be removed"),
                (false, false) => fs::remove_file(path).expect("it can be removed"),
            }
        }
    }

    pub(crate) fn last_words(&self) -> String {
        let words = |place: usize| format!("{}: {}", name(place), self.boards[place].log_tail());
        let all: Vec<String> = (0..self.boards.len()).map(words).collect();
        format!("{}\nservice: {}\n{}", all.join("\n"), self.service.log_tail(), self.scratch.path().display())
    }
}

pub(crate) fn name(place: usize) -> String {
    format!("n{}", place + 1)
}

pub(crate) fn unsigned(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}
