//! What a cluster costs by its size: more voters, and many learners. By hand, for it prints a table and judges nothing:
//!
//! ```text
//! cargo build --release
//! SOLDER_UNDER_TEST=target/release/solder cargo test --test joining what_a_cluster_costs -- --ignored --nocapture
//! ```
//!
//! All members are processes of this machine, on loopback, their data in `TMPDIR`; where that is a disk, all share it. Clients ask
//! the leader. `CLUSTERS=3,5,3+20` is voters and learners of each, `SECONDS_OF_PUTS=..` and `SECONDS_IDLE=..` for how long.
//! Root, for `ss` tells whose a connection is to nobody else.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    house::unsigned,
    runner::{Scene, scenes},
    support::{
        client::{Client, Trouble, b64},
        net::loudly,
        server::{Server, binary, free_address},
    },
};

const CLUSTERS: &str = "3,5,7,3+20,3+50,3+100";
const CLIENTS: usize = 16;
const VALUE_BYTES: usize = 128;
/// As many join at one time.
const TOGETHER: usize = 10;
const PATIENCE: Duration = Duration::from_secs(120);
/// Until what a start leaves to be done is done.
const SETTLING: Duration = Duration::from_secs(5);
/// Of `/proc/PID/stat`.
const CPU_TICK: Duration = Duration::from_millis(10);

pub(crate) const BY_HAND: &[Scene] = scenes![what_a_cluster_costs];

/// Figures, not a judgement.
fn what_a_cluster_costs() {
    let sizes = env::var("CLUSTERS").unwrap_or_else(|_| CLUSTERS.to_owned());
    loudly(&format!("{} of {}, data in {}", sizes, binary().display(), env::temp_dir().display()));
    let rows: Vec<String> = sizes.split(',').map(|size| measure(size).row(size)).collect();
    println!("{HEAD}\n{}", rows.join("\n"));
}

fn measure(size: &str) -> Figures {
    let (voters, learners) = size.split_once('+').unwrap_or((size, "0"));
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let cluster = Cluster::found(number(voters)).grow(number(learners));
    let figures = cluster.measure();
    println!("{HEAD}\n{}", figures.row(size));
    figures
}

/// The voters first. Processes end before their directories.
struct Cluster {
    members: Vec<Server>,
    voters: usize,
    scratch: TempDir,
}

impl Cluster {
    /// By a token, with a service for as long as it takes.
    fn found(voters: usize) -> Cluster {
        let service = Server::fresh();
        let endpoint = service.address().to_string();
        let url = solder(&["discovery", "new", "--size", &voters.to_string(), "--endpoints", &endpoint]);
        let scratch = TempDir::new().expect("a temporary directory");
        let mut cluster = Cluster { members: Vec::new(), voters, scratch };
        cluster.launch(voters, &["--discovery", &url, "--voters", &voters.to_string()]);
        cluster.wait_for(voters);
        cluster
    }

    fn grow(mut self, learners: usize) -> Cluster {
        let endpoint = self.members[0].address().to_string();
        let url = solder(&["invite", "--role", "replica", "--endpoints", &endpoint]);
        let all = self.voters + learners;
        while self.members.len() < all {
            let more = TOGETHER.min(all - self.members.len());
            self.launch(more, &["--discovery", &url]);
            self.wait_for(self.members.len());
        }
        self
    }

    fn launch(&mut self, count: usize, flags: &[&str]) {
        for _ in 0..count {
            let name = format!("m{}", self.members.len());
            let home = self.scratch.path().join(&name);
            fs::create_dir(&home).expect("a directory");
            let (name, peers) =
                (format!("--name={name}"), format!("--listen-peer-urls=https://{}", free_address()));
            let all: Vec<&str> = [name.as_str(), &peers].into_iter().chain(flags.iter().copied()).collect();
            let mut member = Server::stopped(&home, &all);
            member.launch();
            self.members.push(member);
        }
    }

    /// All answer, and the list has so many that have started.
    fn wait_for(&mut self, count: usize) {
        let began = Instant::now();
        self.members.iter_mut().for_each(|member| member.wait().unwrap_or_else(|why| panic!("{why}")));
        self.members[0].client().until(PATIENCE, |client| {
            let list = client.call("/v3/cluster/member/list", &json!({}))?;
            let members = list["members"].as_array().into_iter().flatten();
            let (learners, voters): (Vec<_>, Vec<_>) = members
                .filter(|member| member["name"].is_string())
                .partition(|member| member["isLearner"] == true);
            match (voters.len() == self.voters, voters.len() + learners.len() == count) {
                (true, true) => Ok(()),
                _ => Err(Trouble::Unsent(format!("{} voters, {} learners", voters.len(), learners.len()))),
            }
        });
        loudly(&format!("{count} members after {:?}", began.elapsed()));
    }

    fn leader(&self) -> usize {
        let is_leader = |member: &Server| {
            let status = member.client().call("/v3/maintenance/status", &json!({})).expect("it serves");
            unsigned(&status["leader"]) == unsigned(&status["header"]["member_id"])
        };
        self.members[..self.voters].iter().position(is_leader).expect("a leader")
    }

    fn measure(&self) -> Figures {
        thread::sleep(SETTLING);
        let place = self.leader();
        let (leader, learner) = (&self.members[place], self.members.get(self.voters));
        let time = seconds("SECONDS_IDLE", 60);
        let before = (Look::at(leader), learner.map(Look::at));
        thread::sleep(time);
        let idle = Look::at(leader).since(&before.0);
        let learner_idle = learner.zip(before.1).map(|(learner, before)| Look::at(learner).since(&before));
        let anonymous_idle = self.anonymous();
        let before = Look::at(leader);
        let others_before: Duration = self.members.iter().map(cpu).sum();
        let (puts, took) = put_for(leader.address(), seconds("SECONDS_OF_PUTS", 8));
        // Learners may be behind: what they cost yet is of these puts.
        self.wait_until_all_have_all(leader);
        let loaded = Look::at(leader).since(&before);
        let all_cpu = self.members.iter().map(cpu).sum::<Duration>() - others_before;
        assert_eq!(self.leader(), place, "another one leads now: measure again");
        Figures {
            puts,
            took,
            idle,
            learner_idle,
            idle_for: time,
            loaded,
            all_cpu,
            anonymous_idle,
            anonymous: self.anonymous(),
        }
    }

    fn wait_until_all_have_all(&self, leader: &Server) {
        let applied = |client: &mut Client| -> Result<u64, Trouble> {
            let status = client.call("/v3/maintenance/status", &json!({}))?;
            Ok(unsigned(&status["header"]["revision"]))
        };
        let last = applied(&mut leader.client()).expect("it serves");
        for member in &self.members {
            member.client().until(PATIENCE, |client| match applied(client)? {
                revision if revision >= last => Ok(()),
                revision => Err(Trouble::Unsent(format!("at {revision} of {last}"))),
            });
        }
    }

    /// Medians of voters and of learners.
    fn anonymous(&self) -> (u64, Option<u64>) {
        let median = |members: &[Server]| {
            let mut bytes: Vec<u64> =
                members.iter().map(|member| member.memory().anonymous_bytes().expect("it runs")).collect();
            bytes.sort_unstable();
            bytes.get(bytes.len() / 2).copied()
        };
        let (voters, learners) = self.members.split_at(self.voters);
        (median(voters).expect("voters"), median(learners))
    }
}

/// What a process has done up to a moment.
struct Look {
    cpu: Duration,
    wakeups: u64,
    /// By both ends, for some may end and others begin.
    connections: BTreeMap<String, Traffic>,
}

/// With peers, both ways.
#[derive(Clone, Copy, Default)]
struct Traffic {
    packets: u64,
    bytes_sent: u64,
}

/// What it did between two.
struct Done {
    cpu: Duration,
    wakeups: u64,
    traffic: Traffic,
}

impl Look {
    fn at(server: &Server) -> Look {
        Look { cpu: cpu(server), wakeups: wakeups(server), connections: connections(server) }
    }

    fn since(&self, before: &Look) -> Done {
        let mut traffic = Traffic::default();
        for (ends, now) in &self.connections {
            let then = before.connections.get(ends).copied().unwrap_or_default();
            traffic.packets += now.packets - then.packets;
            traffic.bytes_sent += now.bytes_sent - then.bytes_sent;
        }
        Done { cpu: self.cpu - before.cpu, wakeups: self.wakeups - before.wakeups, traffic }
    }
}

fn cpu(server: &Server) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.id())).expect("it runs");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u32>().expect("a number"));
    CPU_TICK * ticks.sum()
}

fn wakeups(server: &Server) -> u64 {
    let threads = fs::read_dir(format!("/proc/{}/task", server.id())).expect("it runs");
    threads.map(|thread| wakeups_of(&thread.expect("a thread").path())).sum()
}

fn wakeups_of(thread: &Path) -> u64 {
    let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.map_or(0, |count| count.trim().parse().expect("a number"))
}

/// Those with peers; clients are at another port.
fn connections(server: &Server) -> BTreeMap<String, Traffic> {
    let asked = Command::new("ss").arg("-tinpOH").args(["state", "established"]).output().expect("ss runs");
    let (owner, clients) = (format!("pid={},", server.id()), server.address().to_string());
    let text = String::from_utf8(asked.stdout).expect("text");
    let lines = text.lines().filter(|line| line.contains(&owner) && !line.contains(&clients));
    lines.map(connection).collect()
}

fn connection(line: &str) -> (String, Traffic) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let value = |name: &str| -> u64 {
        let word = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix(':'));
        word.map_or(0, |value| value.parse().expect("a number"))
    };
    let traffic = Traffic { packets: value("segs_out") + value("segs_in"), bytes_sent: value("bytes_sent") };
    (format!("{} {}", words[2], words[3]), traffic)
}

/// What was put, and how long it took.
fn put_for(address: SocketAddr, time: Duration) -> (u64, Duration) {
    let began = Instant::now();
    let clients: Vec<_> =
        (0..CLIENTS).map(|client| thread::spawn(move || put_on(address, client, began + time))).collect();
    let puts = clients.into_iter().map(|client| client.join().expect("no panic")).sum();
    (puts, began.elapsed())
}

/// One request after the other on one connection, with as little work here as can be: the machine is shared with the members.
fn put_on(address: SocketAddr, client: usize, until: Instant) -> u64 {
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket.set_nodelay(true).expect("a socket");
    let (mut puts, mut answer) = (0, [0; 4096]);
    let value = b64(&[b'v'; VALUE_BYTES]);
    while Instant::now() < until {
        let body = format!(
            r#"{{"key":"{}","value":"{value}"}}"#,
            b64(format!("{client}/{}", puts % 1000).as_bytes())
        );
        let request = format!(
            "POST /v3/kv/put HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).expect("it reads");
        let bytes = socket.read(&mut answer).expect("it answers");
        let text = &answer[..bytes];
        assert!(
            text.starts_with(b"HTTP/1.1 200 ") && text.ends_with(b"}"),
            "{}",
            String::from_utf8_lossy(text)
        );
        puts += 1;
    }
    puts
}

struct Figures {
    puts: u64,
    took: Duration,
    loaded: Done,
    all_cpu: Duration,
    idle: Done,
    learner_idle: Option<Done>,
    idle_for: Duration,
    anonymous_idle: (u64, Option<u64>),
    anonymous: (u64, Option<u64>),
}

const HEAD: &str = "\
| members | puts/s | leader a put: CPU, bytes, packets | all a put: CPU | anonymous, idle: voter, learner | after the puts \
| idle leader: packets/min, wake-ups/min, CPU | idle learner |\n|---|---|---|---|---|---|---|---|";

impl Figures {
    fn row(&self, size: &str) -> String {
        let a_put = |cpu: Duration| cpu.as_secs_f64() * 1e6 / self.puts as f64;
        let traffic = self.loaded.traffic;
        format!(
            "| {size} | {:.0} | {:.0} us, {:.0}, {:.2} | {:.0} us | {} | {} | {} | {} |",
            self.puts as f64 / self.took.as_secs_f64(),
            a_put(self.loaded.cpu),
            traffic.bytes_sent as f64 / self.puts as f64,
            traffic.packets as f64 / self.puts as f64,
            a_put(self.all_cpu),
            megabytes(self.anonymous_idle),
            megabytes(self.anonymous),
            self.a_minute(&self.idle),
            self.learner_idle.as_ref().map_or_else(String::new, |idle| self.a_minute(idle)),
        )
    }

    fn a_minute(&self, idle: &Done) -> String {
        let minutes = self.idle_for.as_secs_f64() / 60.0;
        let rate = |count: u64| count as f64 / minutes;
        let share = idle.cpu.as_secs_f64() / self.idle_for.as_secs_f64() * 100.0;
        format!("{:.0}, {:.0}, {share:.2} %", rate(idle.traffic.packets), rate(idle.wakeups))
    }
}

fn megabytes((voter, learner): (u64, Option<u64>)) -> String {
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    let learner = learner.map_or_else(String::new, |bytes| format!(", {}", megabytes(bytes)));
    format!("{}{learner} MB", megabytes(voter))
}

fn seconds(name: &str, default: u64) -> Duration {
    Duration::from_secs(env::var(name).map_or(default, |text| text.parse().expect("a number")))
}

/// The one line that a command prints.
fn solder(arguments: &[&str]) -> String {
    let ended = Command::new(binary()).args(arguments).stdin(Stdio::null()).output().expect("it runs");
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).expect("text").trim().to_owned()
}
