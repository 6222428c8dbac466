//! What is done to a cluster, and undone.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    boards::{Cluster, PATIENCE, name, until_written},
    support::{
        client::{Client, Trouble},
        server::is_etcd,
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The leader neither hears its peers nor is heard; clients reach it.
    IsolateLeader,
    IsolateOne,
    /// Two parts, by chance.
    Split,
    /// The leader is heard by nobody, but hears all.
    MuteLeader,
    /// The leader is heard by all, and hears nobody.
    DeafLeader,
    /// Some ways are lost, each in one direction.
    OneWays,
    /// Some pairs do not reach each other, though others reach both.
    Partial,
    /// The leader's wire is pulled: no client reaches it either.
    UnplugLeader,
    UnplugOne,
    NarrowLeader,
    /// Messages come late or never, here and there.
    Disturb,
    KillOne,
    KillLeader,
    KillAll,
    PauseLeader,
    PauseOne,
    /// Who is down starts again, and who is held goes on, though ways may be cut.
    Return,
    /// Stopped in order and started again, one after the other.
    Rolling,
    MoveLeader,
    /// A member that does not lead is down while more is written than the leader keeps of its log in memory.
    FarBehind,
    /// The data of a member that does not lead is gone, and the board is added anew.
    Replace,
    /// A member is removed while it runs, be it the leader, and comes back as a new one.
    Retire,
}

pub(crate) const ALL: [Fault; 22] = [
    Fault::IsolateLeader,
    Fault::IsolateOne,
    Fault::Split,
    Fault::MuteLeader,
    Fault::DeafLeader,
    Fault::OneWays,
    Fault::Partial,
    Fault::UnplugLeader,
    Fault::UnplugOne,
    Fault::NarrowLeader,
    Fault::Disturb,
    Fault::KillOne,
    Fault::KillLeader,
    Fault::KillAll,
    Fault::PauseLeader,
    Fault::PauseOne,
    Fault::Return,
    Fault::Rolling,
    Fault::MoveLeader,
    Fault::FarBehind,
    Fault::Replace,
    Fault::Retire,
];

/// More than the leader keeps of its log in memory.
const BALLAST_BYTES: usize = 3 << 20;

impl Fault {
    /// Can it be done to a cluster in which nobody leads?
    pub(crate) fn needs_nobody(self) -> bool {
        matches!(
            self,
            Fault::IsolateOne
                | Fault::Split
                | Fault::OneWays
                | Fault::Partial
                | Fault::UnplugOne
                | Fault::KillOne
                | Fault::KillAll
                | Fault::PauseOne
                | Fault::Return
        )
    }
}

impl Cluster {
    /// Does it; what lasts, lasts until `heal`. `false`: it cannot be had here.
    pub(crate) fn inflict(&mut self, fault: Fault, rng: &mut fastrand::Rng) -> bool {
        let one = rng.usize(self.members());
        match fault {
            Fault::IsolateLeader => self.isolate(self.leader()),
            Fault::IsolateOne => self.isolate(one),
            Fault::Split => self.split(rng),
            Fault::MuteLeader => self.silence(self.leader(), |net, leader, other| net.cut(leader, other)),
            Fault::DeafLeader => self.silence(self.leader(), |net, leader, other| net.cut(other, leader)),
            Fault::OneWays => self.pairs(|net, from, to| {
                if rng.u8(..3) == 0 {
                    net.cut(from, to);
                }
            }),
            Fault::Partial => self.pairs(|net, one, other| {
                if one < other && rng.u8(..3) == 0 {
                    net.cut_both(one, other);
                }
            }),
            Fault::UnplugLeader => self.net.unplug(self.leader()),
            Fault::UnplugOne => self.net.unplug(one),
            Fault::NarrowLeader => return self.net.narrow(self.leader(), "512kbit"),
            Fault::Disturb => {
                if !self.members().all(|member| self.net.disturb(member)) {
                    self.flap(rng);
                }
            }
            Fault::KillOne => self.boards[one].kill(),
            Fault::KillLeader => {
                let leader = self.leader();
                self.boards[leader].kill();
            }
            Fault::KillAll => self.boards.iter_mut().for_each(|board| board.kill()),
            Fault::PauseLeader => self.boards[self.leader()].signal(Signal::STOP),
            Fault::PauseOne if self.boards[one].runs() => self.boards[one].signal(Signal::STOP),
            Fault::PauseOne => (),
            Fault::Return => self.set_going(),
            Fault::Rolling => self.restart_each(),
            Fault::MoveLeader => self.move_leader(one),
            Fault::FarBehind => self.leave_behind(self.all_but(self.leader())[0]),
            Fault::Replace => self.replace(self.all_but(self.leader())[0], rng.bool()),
            Fault::Retire => self.retire(one, rng.bool()),
        }
        true
    }

    /// Nothing is cut, held or down any more, and all serve.
    pub(crate) fn heal(&mut self) {
        self.net.mend_all();
        self.launch_all();
    }

    fn isolate(&self, member: usize) {
        self.silence(member, |net, member, other| net.cut_both(member, other));
    }

    fn silence(&self, member: usize, cut: impl Fn(&crate::support::net::Net, usize, usize)) {
        self.all_but(member).into_iter().for_each(|other| cut(&self.net, member, other));
    }

    fn split(&self, rng: &mut fastrand::Rng) {
        let mut order: Vec<usize> = self.members().collect();
        rng.shuffle(&mut order);
        let (left, right) = order.split_at(rng.usize(1..order.len()));
        left.iter().for_each(|one| right.iter().for_each(|other| self.net.cut_both(*one, *other)));
    }

    fn pairs(&self, mut each: impl FnMut(&crate::support::net::Net, usize, usize)) {
        for from in self.members() {
            self.all_but(from).into_iter().for_each(|to| each(&self.net, from, to));
        }
    }

    /// Where the kernel loses nothing for us: short cuts, one after the other.
    fn flap(&self, rng: &mut fastrand::Rng) {
        for _ in 0..20 {
            let from = rng.usize(self.members());
            let to = self.all_but(from)[rng.usize(..self.boards.len() - 1)];
            self.net.cut(from, to);
            thread::sleep(Duration::from_millis(rng.u64(10..120)));
            self.net.mend(from, to);
        }
    }

    pub(crate) fn restart_each(&mut self) {
        for member in self.members() {
            if self.boards[member].runs() {
                let status = self.boards[member].terminate();
                // etcd ends itself with the same signal.
                let is_good = status.success() || is_etcd();
                assert!(is_good, "{} stopped: {status}\n{}", name(member), self.last_words());
            }
            self.launch_all();
        }
    }

    /// It is down, and what it will need is in no log any more.
    pub(crate) fn leave_behind(&mut self, member: usize) {
        self.boards[member].kill();
        let mut client = self.boards[self.leader()].client();
        for number in 0..BALLAST_BYTES >> 15 {
            let key = format!("ballast/{}", number % 50);
            client.until(PATIENCE, |client| client.put(key.as_bytes(), &[b'.'; 1 << 15]));
        }
    }

    /// As an operator does it, whose board comes back with an empty disk.
    pub(crate) fn replace(&mut self, member: usize, as_learner: bool) {
        let id = self.status(member).expect("it serves").id;
        self.boards[member].kill();
        until_written(&self.addresses_but(member), PATIENCE)
            .unwrap_or_else(|why| panic!("{why}\n{}", self.last_words()));
        self.ask_but(member, "member/remove", &json!({"ID": id.to_string()}), "not found");
        self.add_anew(member, id, as_learner);
    }

    /// It ends by itself, once it hears of it.
    fn retire(&mut self, member: usize, as_learner: bool) {
        let id = self.status(member).expect("it serves").id;
        self.ask_but(member, "member/remove", &json!({"ID": id.to_string()}), "not found");
        let deadline = Instant::now() + PATIENCE;
        while self.boards[member].ended().is_none() {
            let late = Instant::now() > deadline;
            assert!(!late, "{} runs on, though it was removed\n{}", name(member), self.last_words());
            thread::sleep(Duration::from_millis(20));
        }
        self.add_anew(member, id, as_learner);
    }

    fn add_anew(&mut self, member: usize, before: u64, as_learner: bool) {
        fs::remove_dir_all(self.boards[member].data_dir()).expect("it is there");
        let add = json!({"peerURLs": [self.peer_url(member)], "isLearner": as_learner});
        self.ask_but(member, "member/add", &add, "already exists");
        self.join(member);
        self.boards[member].launch();
        let deadline = Instant::now() + PATIENCE;
        let id = loop {
            if let Some(status) = self.status(member) {
                break status.id;
            }
            assert!(Instant::now() < deadline, "{} does not serve\n{}", name(member), self.last_words());
            thread::sleep(Duration::from_millis(20));
        };
        assert_ne!(id, before, "{} came back under its old id", name(member));
        if as_learner {
            let promote = json!({"ID": id.to_string()});
            self.ask_but(member, "member/promote", &promote, "can only promote a learner member");
        }
        self.launch_all();
    }

    /// Asks others than `member` until it is done. `done`: what an answer says if it was done before, unknown to us.
    fn ask_but(&self, member: usize, what: &str, ask: &Value, done: &str) {
        let addresses = self.addresses_but(member);
        let deadline = Instant::now() + PATIENCE;
        for address in addresses.iter().cycle() {
            let mut client = Client::new(*address).patient_for(Duration::from_secs(10));
            match client.call(&format!("/v3/cluster/{what}"), ask) {
                Ok(_) => return,
                Err(Trouble::Refused { message, .. }) if message.ends_with(done) => return,
                Err(why) => {
                    let late = Instant::now() > deadline;
                    assert!(!late, "{what}: {why:?}\n{}", self.last_words());
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// If that one cannot take over, nothing happens.
    fn move_leader(&self, to: usize) {
        let Some(target) = self.status(to) else { return };
        let mut client = self.boards[self.leader()].client().patient_for(Duration::from_secs(2));
        let ask = json!({"targetID": target.id.to_string()});
        let _ = client.call("/v3/maintenance/transfer-leadership", &ask);
    }
}

/// Around the election time-out, to both sides.
pub(crate) fn a_while(rng: &mut fastrand::Rng) {
    thread::sleep(Duration::from_millis(rng.u64(200..2500)));
}
