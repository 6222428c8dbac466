//! The queue of happenings in the order of virtual time, and the two halves of a run.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap},
};

use solder::{
    replica::{Event, PeerMessage, RequestId},
    types::{Bugs, Membership, NodeId, Revision},
};

use super::{
    Micros,
    boards::{self, Board, Step},
    clients::{Arrival, Asked, Client, Follower, Told},
    judges::{
        Verdict,
        history::History,
        linearizable,
        progress::{Deadline, Standing},
        raft_safety::{Safety, View},
        truth::Truth,
    },
    knobs::{Disk, Knobs, MILLI, Network, SECOND, Timing},
    nemesis::{Fault, Nemesis},
    network::{self, Wires},
    stories::Tale,
};

/// After the last fault, how long all may take to serve again and to agree. Elections, retries of clients and whole
/// transfers with small pieces fit in a quarter of it.
const RECOVERY: Micros = 120 * SECOND;

/// A run takes a few thousand steps, seldom a hundred thousand. Beyond this something talks to itself.
const STEPS_MAX: u64 = 5_000_000;

/// What a run was like, so that a test can tell whether it tried anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    pub simulated: Micros,
    pub steps: u64,
    pub calls: u64,
    pub acknowledged: u64,
    pub committed: u64,
    pub crashes: u64,
    /// Of these, while the log was being written.
    pub crashes_writing: u64,
    pub elections: u64,
    pub transfers: u64,
    pub torn: u64,
    pub membership_changes: u64,
    /// Of the transfers, those that came to their end.
    pub caught_up: u64,
    /// Crashes of boards that were catching up.
    pub crashes_catching_up: u64,
    /// Commands that paused, each time.
    pub parts: u64,
    /// Crashes of boards on which one was half done.
    pub crashes_in_parts: u64,
    pub partitions: u64,
    pub pauses: u64,
    pub disks_lost: u64,
    pub disks_full: u64,
    pub leaders_moved: u64,
    pub brownouts: u64,
    /// Processes that were said to have ended, and lived.
    pub resets: u64,
    /// Boards that nobody had led yet and that were told of a connection.
    pub met: u64,
    /// Boards that heard of new time-outs.
    pub retimed: u64,
    /// Leaders without room that handed over.
    pub relieved: u64,
    /// Changes that autopilot asked for; of these, voters that were to be learners.
    pub roles_changed: u64,
    pub demoted: u64,
}

impl Report {
    pub fn add(&mut self, other: &Report) {
        let Report {
            simulated,
            steps,
            calls,
            acknowledged,
            committed,
            crashes,
            crashes_writing,
            elections,
            transfers,
            torn,
            membership_changes,
            caught_up,
            crashes_catching_up,
            parts,
            crashes_in_parts,
            partitions,
            pauses,
            disks_lost,
            disks_full,
            leaders_moved,
            brownouts,
            resets,
            met,
            retimed,
            relieved,
            roles_changed,
            demoted,
        } = other;
        self.simulated += simulated;
        self.steps += steps;
        self.calls += calls;
        self.acknowledged += acknowledged;
        self.committed += committed;
        self.crashes += crashes;
        self.crashes_writing += crashes_writing;
        self.elections += elections;
        self.transfers += transfers;
        self.torn += torn;
        self.membership_changes += membership_changes;
        self.caught_up += caught_up;
        self.crashes_catching_up += crashes_catching_up;
        self.parts += parts;
        self.crashes_in_parts += crashes_in_parts;
        self.partitions += partitions;
        self.pauses += pauses;
        self.disks_lost += disks_lost;
        self.disks_full += disks_full;
        self.leaders_moved += leaders_moved;
        self.brownouts += brownouts;
        self.resets += resets;
        self.met += met;
        self.retimed += retimed;
        self.relieved += relieved;
        self.roles_changed += roles_changed;
        self.demoted += demoted;
    }
}

pub(super) struct World {
    pub(super) rng: fastrand::Rng,
    pub(super) knobs: Knobs,
    pub(super) bugs: Bugs,
    pub(super) now: Micros,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    pub(super) boards: BTreeMap<NodeId, Board>,
    pub(super) wires: Wires,
    /// When one board could last talk to another.
    pub(super) links: BTreeMap<(NodeId, NodeId), Micros>,
    /// The members as the cluster began.
    pub(super) genesis: Membership,
    pub(super) nemesis: Nemesis,
    pub(super) tale: Tale,
    /// What the cluster has settled last.
    pub(super) timing: Timing,
    pub(super) stormy: bool,
    pub(super) clients: Vec<Client>,
    pub(super) followers: Vec<Follower>,
    pub(super) requests: BTreeMap<RequestId, Asked>,
    pub(super) next_request: u64,
    /// The highest revision for which a compaction was asked.
    pub(super) compaction_asked: Revision,
    pub(super) history: History,
    pub(super) truth: Truth,
    pub(super) safety: Safety,
    pub(super) report: Report,
}

pub(super) enum Happening {
    /// Something that a board's own threads do in this life.
    OnBoard {
        board: NodeId,
        life: u64,
        step: Step,
    },
    Arrives(Box<PeerMessage>),
    Start(NodeId),
    /// A board is told that there is a connection with another one.
    Meets {
        board: NodeId,
        met: NodeId,
    },
    /// A board is told that another one's process has ended.
    Loses {
        board: NodeId,
        lost: NodeId,
    },
    Retime(NodeId),
    ClientActs {
        client: usize,
        turn: u64,
    },
    ClientAsks(Arrival),
    ClientIsTold(Told),
    FollowerReads(usize),
    Strikes(Fault),
}

struct Scheduled {
    at: Micros,
    number: u64,
    happening: Happening,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl World {
    pub(super) fn new(seed: u64, knobs: Knobs, bugs: Bugs) -> Result<World, String> {
        let mut world = World {
            // Another stream than the one that drew the knobs, so that the same knobs can meet other chances.
            rng: fastrand::Rng::with_seed(seed ^ 0x0050_1DE2),
            bugs,
            now: 0,
            queue: BinaryHeap::new(),
            scheduled: 0,
            boards: BTreeMap::new(),
            wires: Wires::default(),
            links: BTreeMap::new(),
            genesis: Membership::default(),
            nemesis: Nemesis::default(),
            tale: Tale::default(),
            timing: knobs.timing,
            stormy: true,
            clients: Vec::new(),
            followers: Vec::new(),
            requests: BTreeMap::new(),
            next_request: 0,
            compaction_asked: Revision(-1),
            history: History::default(),
            truth: Truth::default(),
            safety: Safety::default(),
            report: Report::default(),
            knobs,
        };
        world.found()?;
        Ok(world)
    }

    /// The cluster as it begins: all voters know each other, nothing is written.
    fn found(&mut self) -> Verdict {
        let voters = self.knobs.voters;
        self.genesis = Membership::of_voters((1..=voters).map(NodeId));
        let learners = self.knobs.autopilot.map_or(0, |autopilot| autopilot.learners);
        self.genesis.learners.extend((voters + 1..=voters + learners).map(NodeId));
        for id in self.genesis.members().collect::<Vec<NodeId>>() {
            self.add_board(id, self.genesis.clone());
            self.start(id)?;
        }
        self.add_clients();
        self.wake_nemesis();
        Ok(())
    }

    pub(super) fn run(mut self) -> Result<Report, String> {
        let outcome = self.run_halves();
        outcome.map_err(|reason| format!("at {:.6} s: {reason}", self.now as f64 / 1e6))?;
        self.report.simulated = self.now;
        self.report.calls = self.history.calls().len() as u64;
        self.report.acknowledged =
            self.history.calls().iter().filter(|call| call.answer().is_some()).count() as u64;
        Ok(self.report)
    }

    fn run_halves(&mut self) -> Verdict {
        self.run_until(self.knobs.stormy)?;
        self.calm_down()?;
        let calm_since = self.now;
        let deadline = Deadline::after_faults(calm_since, RECOVERY);
        loop {
            self.run_until(self.now + 100 * MILLI)?;
            let standings = self.standings();
            let settled = deadline.check(self.now, &standings);
            if settled.map_err(|reason| format!("{reason}\n{}", self.inside()))?
                && self.followers_are_done()?
            {
                match self.roles_are_settled() {
                    Ok(()) => break,
                    Err(reason) if self.now > calm_since + RECOVERY => return Err(reason),
                    Err(_) => {}
                }
            }
            self.probe(&standings);
        }
        self.compare_contents()?;
        self.finish()?;
        linearizable::judge(&self.history, Some(&self.truth))
    }

    fn run_until(&mut self, end: Micros) -> Verdict {
        while let Some(Reverse(next)) = self.queue.peek()
            && next.at <= end
        {
            let Some(Reverse(next)) = self.queue.pop() else { unreachable!("it was there") };
            self.now = next.at;
            self.report.steps += 1;
            if self.report.steps > STEPS_MAX {
                return Err(format!("no end after {STEPS_MAX} steps"));
            }
            self.happens(next.happening)?;
        }
        self.now = end;
        Ok(())
    }

    fn happens(&mut self, happening: Happening) -> Verdict {
        if let Some(until) = self.held_up(&happening) {
            // What its own threads do keeps its order, and so does what comes over one wire; the rest is read in any.
            let delay = match &happening {
                Happening::OnBoard { .. } => 0,
                Happening::Arrives(message) => {
                    let (from, _) = network::ends(message);
                    fastrand::Rng::with_seed(until ^ from.0 << 32).u64(..5 * MILLI)
                }
                _ => self.rng.u64(..5 * MILLI),
            };
            self.schedule_at(until + delay, happening);
            return Ok(());
        }
        match happening {
            Happening::OnBoard { board, life, step } => self.step(board, life, step),
            Happening::Arrives(message) => {
                let (_, to) = network::ends(&message);
                self.feed(to, Event::Received(*message))
            }
            Happening::Start(board) => self.start(board),
            Happening::Meets { board, met } => self.meets(board, met),
            Happening::Loses { board, lost } => self.feed(board, Event::PeerLost(lost)),
            Happening::Retime(board) => {
                self.retime(board);
                Ok(())
            }
            Happening::ClientActs { client, turn } => self.client_acts(client, turn),
            Happening::ClientAsks(arrival) => self.client_asks(arrival),
            Happening::ClientIsTold(told) => {
                self.client_is_told(told);
                Ok(())
            }
            Happening::FollowerReads(follower) => self.follower_reads(follower),
            Happening::Strikes(fault) => self.strike(fault),
        }
    }

    /// A paused board does nothing; what is meant for it waits.
    fn held_up(&self, happening: &Happening) -> Option<Micros> {
        let board = match happening {
            Happening::OnBoard { board, .. }
            | Happening::Meets { board, .. }
            | Happening::Loses { board, .. }
            | Happening::Retime(board) => *board,
            Happening::Arrives(message) => network::ends(message).1,
            Happening::ClientAsks(arrival) => arrival.board,
            _ => return None,
        };
        self.boards.get(&board).map(|board| board.paused_until).filter(|until| *until > self.now)
    }

    pub(super) fn schedule(&mut self, delay: Micros, happening: Happening) {
        self.schedule_at(self.now + delay, happening);
    }

    fn schedule_at(&mut self, at: Micros, happening: Happening) {
        self.scheduled += 1;
        self.queue.push(Reverse(Scheduled { at, number: self.scheduled, happening }));
    }

    pub(super) fn send(&mut self, message: PeerMessage) {
        let (from, to) = network::ends(&message);
        if self.wires.is_cut(from, to) {
            return;
        }
        for delay in network::arrivals(&self.knobs.network, &mut self.rng) {
            self.schedule(delay, Happening::Arrives(Box::new(network::over_the_wire(&message))));
        }
    }

    /// The faults stop; what has power and a disk comes back.
    fn calm_down(&mut self) -> Verdict {
        self.stormy = false;
        self.knobs.network = Network::kind();
        self.knobs.disk = Disk::kind();
        self.wires.heal();
        for board in self.boards.values_mut() {
            board.recover(self.now);
        }
        // By now all have applied the same.
        let boards: Vec<NodeId> = self.boards.keys().copied().collect();
        boards.into_iter().for_each(|board| self.retime(board));
        let down: Vec<NodeId> =
            self.boards.values().filter(|board| board.is_down()).map(|board| board.id).collect();
        down.into_iter().try_for_each(|id| self.start(id))
    }

    /// The members that must serve now: those of the newest leader's membership that still have a disk.
    fn standings(&self) -> Vec<Standing> {
        let up = || self.boards.values().filter_map(|board| Some((board, board.running.as_ref()?)));
        let leader = up()
            .map(|(_, running)| running.replica.node())
            .filter(|node| node.role() == solder::raft::Role::Leader)
            .max_by_key(|node| node.term());
        let is_member = |id| leader.is_none_or(|leader| leader.membership().contains(id));
        up().filter(|(board, _)| is_member(board.id))
            .map(|(board, running)| Standing {
                node: board.id,
                term: running.replica.node().term(),
                is_leader: leader.is_some_and(|leader| leader.id() == board.id),
                applied: running.store.applied().index,
                probe_acked: board.probe.acked,
            })
            .collect()
    }

    /// What the members know, for whoever wants to know why.
    fn inside(&self) -> String {
        let running = self.boards.values().filter_map(|board| board.running.as_ref());
        running
            .map(|running| format!("{:?}\n{:?}\n", running.replica, running.store.receive_mark()))
            .collect()
    }

    fn followers_are_done(&self) -> Result<bool, String> {
        let behind = self.followers.iter().any(|follower| follower.watcher.next() <= self.truth.last());
        match behind {
            true => Ok(false),
            false => self.followers.iter().try_for_each(|f| f.watcher.finish(&self.truth)).map(|()| true),
        }
    }

    /// What was ever acknowledged is there, nothing was passed over unjudged, and nobody waits for an answer for good.
    fn finish(&self) -> Verdict {
        let members = self.standings();
        let running = |id| self.boards[&id].running.as_ref().expect("it stands");
        let applied = |member: &Standing| View {
            applied: member.applied,
            ..boards::view_of(member.node, running(member.node))
        };
        let views: Vec<View> = members.iter().map(applied).collect();
        self.safety.finish(&views)?;
        for member in &members {
            let revision = running(member.node).store.revision();
            if revision != self.truth.last() {
                return Err(format!("{} is at {revision}, {} was reached", member.node, self.truth.last()));
            }
        }
        if self.safety.unchecked() > 0 {
            return Err(format!("{} entries came too late to be judged", self.safety.unchecked()));
        }
        self.nobody_waits()
    }

    fn nobody_waits(&self) -> Verdict {
        let ticks_since = |asked: &Asked| self.boards[&asked.board].ticks - asked.at_tick;
        // The longest there is, and what a change of the time-outs rounds up.
        let ticks_max = 110;
        match self.requests.values().find(|asked| ticks_since(asked) > ticks_max) {
            Some(asked) => Err(format!("{} has not answered in {} ticks", asked.board, ticks_since(asked))),
            None => Ok(()),
        }
    }

    /// All members hold the same, to the last byte of every table that clients can see.
    fn compare_contents(&self) -> Verdict {
        let members: Vec<NodeId> = self.standings().iter().map(|standing| standing.node).collect();
        let mut running = self.boards.values().filter_map(|board| board.running.as_ref());
        let nobody_is_half_done = running.all(|running| running.store.unfinished().is_none());
        let mut first: Option<(NodeId, String)> = None;
        for id in members {
            let content = self.boards[&id].content(nobody_is_half_done)?;
            match &first {
                None => first = Some((id, content)),
                Some((_, known)) if *known == content => {}
                Some((other, known)) => {
                    return Err(format!("{other} and {id} differ:\n{known}\n{content}"));
                }
            }
        }
        Ok(())
    }
}
