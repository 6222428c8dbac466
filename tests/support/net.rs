//! A network of its own: a namespace for each member, and a hub where clients are, joined by a bridge.
//!
//! ```text
//!   hub 10.77.0.254 --bridge--+-- wire1 ==veth== eth0 10.77.0.1  member 1
//!                             +-- wire2 ==veth== eth0 10.77.0.2  member 2
//! ```
//!
//! Addresses are the same in every test: nothing of it is seen outside. Who has which hardware address is told, not asked:
//! a way is cut by telling the sender of an address that nobody has. What it sends is lost without a word, and what it is
//! sent still arrives. A wire that is pulled says so on the member's side, as a real one does.
//!
//! A board of its own (`runner_of_board`) has more: its host's name, a `/sys` that shows its card and no other, names of hosts.
//!
//! All is removed with `Net`, and what a killed test left behind by the next one.

use std::{
    fs::{self, File},
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

const HUB: &str = "hub";
const NOBODY: &str = "02:00:00:00:ff:ff";
const PREFIX: &str = "solder";

/// What `ip netns exec` lays over `/etc`, by namespace.
const ETC: &str = "/etc/netns";

/// Gives the process the name of its host, in a namespace of its own, and becomes the command.
const NAMED: &str = "echo \"$1\" > /proc/sys/kernel/hostname && shift && exec \"$@\"";

/// Members are counted from 0 here as everywhere in these tests.
pub struct Net {
    name: String,
    addresses: Vec<IpAddr>,
}

impl Net {
    /// Lays it, and moves this thread, and with it all threads and processes that it starts, to the hub. `None`, and said so,
    /// where it cannot be had.
    pub fn lay(members: usize) -> Option<Net> {
        static LAID: AtomicU32 = AtomicU32::new(0);
        remove_orphans();
        let number = LAID.fetch_add(1, Ordering::Relaxed);
        let net = Net {
            name: format!("{PREFIX}-{}-{number}", std::process::id()),
            addresses: (0..members).map(|member| first_address(member).into()).collect(),
        };
        if let Err(why) = net.build() {
            loudly(&format!("SKIPPED: NO CLUSTER WAS TESTED: network namespaces cannot be made: {why}"));
            return None;
        }
        enter(&net.space(HUB));
        Some(net)
    }

    fn build(&self) -> Result<(), String> {
        ip(&format!("netns add {}", self.space(HUB)))?;
        self.hub("link add name switch type bridge")?;
        self.hub("address add 10.77.0.254/24 dev switch")?;
        self.hub("link set switch up")?;
        (0..self.addresses.len()).try_for_each(|member| self.build_member(member))?;
        (0..self.addresses.len()).try_for_each(|member| self.introduce(member))
    }

    fn build_member(&self, member: usize) -> Result<(), String> {
        let (space, wire) = (self.space_of(member), wire(member));
        ip(&format!("netns add {space}"))?;
        let mac = mac(member);
        self.hub(&format!("link add name {wire} type veth peer name eth0 address {mac} netns {space}"))?;
        self.hub(&format!("link set {wire} master switch up"))?;
        self.at(member, "link set lo up")?;
        self.at(member, &format!("address add {}/24 dev eth0", self.addresses[member]))?;
        self.at(member, "link set eth0 up")
    }

    /// Tells the member of all others.
    fn introduce(&self, member: usize) -> Result<(), String> {
        let tell = |to: usize| format!("neighbour replace {}\n", self.neighbour(to, &mac(to)));
        let told: String = self.others(member).map(tell).collect();
        feed(&["-n", &self.space_of(member), "-batch", "-"], &told)
    }

    pub fn address(&self, member: usize, port: u16) -> SocketAddr {
        (self.addresses[member], port).into()
    }

    /// As a router does it that gives the member another address: what it knew of the network is gone with the old one.
    pub fn renumber(&mut self, member: usize, address: Ipv4Addr) {
        let [a, b, c, _] = address.octets();
        // It may be there already.
        let _ = self.hub(&format!("address add {a}.{b}.{c}.254/24 dev switch"));
        self.addresses[member] = address.into();
        self.at(member, "address flush dev eth0 scope global").expect("it has eth0");
        self.at(member, &format!("address add {address}/24 dev eth0")).expect("it has eth0");
        (0..self.addresses.len())
            .for_each(|member| self.introduce(member).expect("there are such neighbours"));
    }

    /// To a network that has no other addresses, and no router. `false`: the kernel has no such thing.
    pub fn renumber_to_v6(&mut self, member: usize) -> bool {
        let last = u16::try_from(member + 1).expect("few members");
        let address = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last);
        self.at(member, "-4 address flush dev eth0").expect("it has eth0");
        // `nodad`: nobody else has it, so nothing is to be waited for.
        let is_made = self.at(member, &format!("address add {address}/64 dev eth0 nodad")).is_ok();
        self.addresses[member] = address.into();
        is_made && (0..self.addresses.len()).all(|member| self.introduce(member).is_ok())
    }

    /// One more card, in a network where nobody is.
    pub fn add_network(&self, member: usize, card: &str, address: Ipv4Addr) {
        for change in [
            format!("link add name {card} type veth peer name {card}-far"),
            format!("link set {card}-far up"),
            format!("link set {card} up"),
            format!("address add {address}/24 dev {card}"),
        ] {
            self.at(member, &change).expect("root may");
        }
    }

    /// The way out of the network, which leads nowhere.
    pub fn route_by_default(&self, member: usize) {
        let IpAddr::V4(address) = self.addresses[member] else { panic!("there is no such way") };
        let [a, b, c, _] = address.octets();
        self.at(member, &format!("route replace default via {a}.{b}.{c}.254")).expect("the hub is there");
    }

    /// The words before a command that is to run on a board of this name, which sees nothing of this machine but its files.
    pub fn runner_of_board(&self, member: usize, host: &str) -> Vec<String> {
        let words =
            ["ip", "netns", "exec", &self.space_of(member), "unshare", "-u", "sh", "-c", NAMED, "sh", host];
        words.map(str::to_owned).into()
    }

    /// What the member's resolver knows, from its next process on, and from then on at once: `10.0.0.1 name` on each line.
    pub fn name_hosts(&self, member: usize, hosts: &str) {
        let folder = self.etc(member);
        fs::create_dir_all(&folder).expect("root may");
        // Written into, not replaced: it is this very file that lies over the other.
        fs::write(folder.join("hosts"), format!("127.0.0.1 localhost\n{hosts}")).expect("root may");
        fs::write(folder.join("resolv.conf"), "").expect("root may");
    }

    /// A second card, whose maker gave the same address to others, too. Nothing is behind it.
    pub fn add_card(&self, member: usize, mac: &str) {
        let cards = format!("link add name card0 address {mac} type veth peer name card1");
        self.at(member, &cards).expect("root may");
    }

    /// Does something where the member is, in a thread of its own.
    pub fn at_home<T: Send>(&self, member: usize, work: impl FnOnce() -> T + Send) -> T {
        let space = self.space_of(member);
        let work = move || {
            enter(&space);
            work()
        };
        thread::scope(|scope| {
            scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The words before a command that is to run where the member is.
    pub fn runner(&self, member: usize) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net=/run/netns/{}", self.space_of(member))]
    }

    /// What `from` sends to `to` is lost from now on.
    pub fn cut(&self, from: usize, to: usize) {
        self.point(from, to, NOBODY);
    }

    pub fn cut_both(&self, one: usize, other: usize) {
        self.cut(one, other);
        self.cut(other, one);
    }

    pub fn mend(&self, from: usize, to: usize) {
        self.point(from, to, &mac(to));
    }

    fn point(&self, from: usize, to: usize, mac: &str) {
        let change = format!("neighbour replace {}", self.neighbour(to, mac));
        self.at(from, &change).expect("there is such a neighbour");
    }

    fn neighbour(&self, member: usize, mac: &str) -> String {
        format!("{} lladdr {mac} dev eth0 nud permanent", self.addresses[member])
    }

    /// Pulls the wire: neither members nor clients reach it.
    pub fn unplug(&self, member: usize) {
        self.hub(&format!("link set {} down", wire(member))).expect("there is such a wire");
    }

    pub fn plug(&self, member: usize) {
        self.hub(&format!("link set {} up", wire(member))).expect("there is such a wire");
    }

    /// What the member sends is slow from now on. `false`: the kernel has no such thing.
    pub fn narrow(&self, member: usize, rate: &str) -> bool {
        let line = format!("qdisc replace dev eth0 root tbf rate {rate} burst 16kb latency 400ms");
        run("tc", &format!("-n {} {line}", self.space_of(member))).is_ok()
    }

    /// What the member sends comes late, and some of it never. `false`: the kernel has no such thing.
    pub fn disturb(&self, member: usize) -> bool {
        let line = "qdisc replace dev eth0 root netem delay 40ms 30ms loss 5%";
        run("tc", &format!("-n {} {line}", self.space_of(member))).is_ok()
    }

    /// All is well again.
    pub fn mend_all(&self) {
        for member in 0..self.addresses.len() {
            self.plug(member);
            self.introduce(member).expect("there are such neighbours");
            // Mostly there is none.
            let _ = run("tc", &format!("-n {} qdisc delete dev eth0 root", self.space_of(member)));
        }
    }

    fn others(&self, member: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.addresses.len()).filter(move |other| *other != member)
    }

    fn space(&self, who: &str) -> String {
        format!("{}-{who}", self.name)
    }

    fn space_of(&self, member: usize) -> String {
        self.space(&member.to_string())
    }

    fn etc(&self, member: usize) -> PathBuf {
        Path::new(ETC).join(self.space_of(member))
    }

    fn hub(&self, change: &str) -> Result<(), String> {
        ip(&format!("-n {} {change}", self.space(HUB)))
    }

    fn at(&self, member: usize, change: &str) -> Result<(), String> {
        ip(&format!("-n {} {change}", self.space_of(member)))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        remove_all(|space| space.strip_prefix(&self.name).is_some_and(|rest| rest.starts_with('-')));
    }
}

/// Of tests that were killed: their members run on.
fn remove_orphans() {
    remove_all(|space| {
        let pid = space.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')?.split('-').next());
        let is_orphan = pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        if is_orphan {
            kill_all(space);
        }
        is_orphan
    });
}

fn kill_all(space: &str) {
    let pids = Command::new("ip").args(["netns", "pids", space]).output();
    let pids = pids.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into());
    for pid in pids.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn remove_all(which: impl Fn(&str) -> bool) {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        if which(&name) {
            // Another test may be at it, too.
            let _ = ip(&format!("netns delete {name}"));
            let _ = fs::remove_dir_all(Path::new(ETC).join(name));
        }
    }
}

/// This thread, and with it all threads and processes that it starts.
fn enter(space: &str) {
    let space = File::open(Path::new("/run/netns").join(space)).expect("it was made");
    move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("who made it may enter it");
}

/// Past the test harness, which shows what a test says only when it fails.
pub fn loudly(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn wire(member: usize) -> String {
    format!("wire{}", member + 1)
}

fn first_address(member: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(member + 1).expect("few members"))
}

fn mac(member: usize) -> String {
    format!("02:00:00:00:00:{:02x}", member + 1)
}

fn ip(line: &str) -> Result<(), String> {
    run("ip", line)
}

/// `ip` with many lines.
fn feed(arguments: &[&str], lines: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("ip: {error}");
    let mut child = Command::new("ip").args(arguments).stdin(Stdio::piped()).spawn().map_err(failed)?;
    child.stdin.take().expect("it is piped").write_all(lines.as_bytes()).map_err(failed)?;
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("ip -batch: {status}")) }
}

fn run(program: &str, line: &str) -> Result<(), String> {
    let output = Command::new(program).args(line.split_whitespace()).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {line}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
