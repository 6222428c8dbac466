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
//! All is removed with `Net`, and what a killed test left behind by the next one.

use std::{
    fs::{self, File},
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

const HUB: &str = "hub";
const NOBODY: &str = "02:00:00:00:ff:ff";
const PREFIX: &str = "solder";

/// Members are counted from 0 here as everywhere in these tests.
pub(crate) struct Net {
    name: String,
    members: usize,
}

impl Net {
    /// Lays it, and moves this thread, and with it all threads and processes that it starts, to the hub. `None`, and said so,
    /// where it cannot be had.
    pub(crate) fn lay(members: usize) -> Option<Net> {
        static LAID: AtomicU32 = AtomicU32::new(0);
        remove_orphans();
        let number = LAID.fetch_add(1, Ordering::Relaxed);
        let net = Net { name: format!("{PREFIX}-{}-{number}", std::process::id()), members };
        if let Err(why) = net.build() {
            loudly(&format!("SKIPPED: NO CLUSTER WAS TESTED: network namespaces cannot be made: {why}"));
            return None;
        }
        let hub = File::open(Path::new("/run/netns").join(net.space(HUB))).expect("it was made");
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&hub), Some(LinkNameSpaceType::Network))
            .expect("who makes a namespace may enter it");
        Some(net)
    }

    fn build(&self) -> Result<(), String> {
        ip(&format!("netns add {}", self.space(HUB)))?;
        self.hub("link add name switch type bridge")?;
        self.hub("address add 10.77.0.254/24 dev switch")?;
        self.hub("link set switch up")?;
        (0..self.members).try_for_each(|member| self.build_member(member))?;
        (0..self.members).for_each(|from| self.others(from).for_each(|to| self.mend(from, to)));
        Ok(())
    }

    fn build_member(&self, member: usize) -> Result<(), String> {
        let (space, wire) = (self.space(&member.to_string()), wire(member));
        ip(&format!("netns add {space}"))?;
        let mac = mac(member);
        self.hub(&format!("link add name {wire} type veth peer name eth0 address {mac} netns {space}"))?;
        self.hub(&format!("link set {wire} master switch up"))?;
        self.at(member, "link set lo up")?;
        self.at(member, &format!("address add {}/24 dev eth0", ip_of(member)))?;
        self.at(member, "link set eth0 up")
    }

    pub(crate) fn address(&self, member: usize, port: u16) -> SocketAddr {
        (ip_of(member), port).into()
    }

    /// The words before a command that is to run where the member is.
    pub(crate) fn runner(&self, member: usize) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net=/run/netns/{}", self.space(&member.to_string()))]
    }

    /// What `from` sends to `to` is lost from now on.
    pub(crate) fn cut(&self, from: usize, to: usize) {
        self.point(from, to, NOBODY);
    }

    pub(crate) fn cut_both(&self, one: usize, other: usize) {
        self.cut(one, other);
        self.cut(other, one);
    }

    pub(crate) fn mend(&self, from: usize, to: usize) {
        self.point(from, to, &mac(to));
    }

    fn point(&self, from: usize, to: usize, mac: &str) {
        let change = format!("neighbour replace {} lladdr {mac} dev eth0 nud permanent", ip_of(to));
        self.at(from, &change).expect("there is such a neighbour");
    }

    /// Pulls the wire: neither members nor clients reach it.
    pub(crate) fn unplug(&self, member: usize) {
        self.hub(&format!("link set {} down", wire(member))).expect("there is such a wire");
    }

    /// What the member sends is slow from now on. `false`: the kernel has no such thing.
    pub(crate) fn narrow(&self, member: usize, rate: &str) -> bool {
        let line = format!("qdisc replace dev eth0 root tbf rate {rate} burst 16kb latency 400ms");
        run("tc", &format!("-n {} {line}", self.space(&member.to_string()))).is_ok()
    }

    /// What the member sends comes late, and some of it never. `false`: the kernel has no such thing.
    pub(crate) fn disturb(&self, member: usize) -> bool {
        let line = "qdisc replace dev eth0 root netem delay 40ms 30ms loss 5%";
        run("tc", &format!("-n {} {line}", self.space(&member.to_string()))).is_ok()
    }

    /// All is well again.
    pub(crate) fn mend_all(&self) {
        for member in 0..self.members {
            self.hub(&format!("link set {} up", wire(member))).expect("there is such a wire");
            self.others(member).for_each(|to| self.mend(member, to));
            // Mostly there is none.
            let _ = run("tc", &format!("-n {} qdisc delete dev eth0 root", self.space(&member.to_string())));
        }
    }

    fn others(&self, member: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.members).filter(move |other| *other != member)
    }

    fn space(&self, who: &str) -> String {
        format!("{}-{who}", self.name)
    }

    fn hub(&self, change: &str) -> Result<(), String> {
        ip(&format!("-n {} {change}", self.space(HUB)))
    }

    fn at(&self, member: usize, change: &str) -> Result<(), String> {
        ip(&format!("-n {} {change}", self.space(&member.to_string())))
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
        }
    }
}

/// Past the test harness, which shows what a test says only when it fails.
pub(crate) fn loudly(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn wire(member: usize) -> String {
    format!("wire{}", member + 1)
}

fn ip_of(member: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(member + 1).expect("few members"))
}

fn mac(member: usize) -> String {
    format!("02:00:00:00:00:{:02x}", member + 1)
}

fn ip(line: &str) -> Result<(), String> {
    run("ip", line)
}

fn run(program: &str, line: &str) -> Result<(), String> {
    let output = Command::new(program).args(line.split_whitespace()).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {line}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
