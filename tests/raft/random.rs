//! Clusters at random: messages lost, doubled and reordered, boards that crash, slow disks and stores, partitions, changes
//! of members and leaders. After every step the promises of Raft are checked; at the end that the cluster serves again.
//!
//! `SEED=n cargo test --test raft random` repeats one run, `SEEDS=a..b` makes some; `BUG=AckBeforeSync` looks for that
//! deliberate bug only.

use crate::seeds;
use std::collections::{BTreeMap, BTreeSet};

use solder::raft::{Envelope, Options, Ready, Role};
use solder::types::{
    Bug, Bugs, Bytes, Entry, EntryId, Index, Membership, MembershipChange, NodeId, Payload, ProposalId, Term,
};

use crate::board::{Board, Disk};

const STEPS: u32 = 4_000;
/// Each deliberate bug that a few seconds can show must be seen within so many runs. The rarer ones (entries of an older
/// term counted, tickets by index alone, reads by a round under way) are told step by step in the scripts.
const BUG_SEEDS_MAX: u64 = 5_000;

struct Cluster {
    rng: fastrand::Rng,
    rates: Rates,
    options: Options,
    boards: BTreeMap<NodeId, Board>,
    down: BTreeMap<NodeId, Disk>,
    network: Vec<Envelope>,
    /// Pairs that do not hear each other, one way.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Transfers of the store that a leader was asked for: from, to.
    transfers: BTreeSet<(NodeId, NodeId)>,
    next_id: u64,
    next_proposal: u64,
    seen: Seen,
}

/// How often each thing happens, one against the other; drawn anew for each run, so that some know no crashes and others
/// little else.
struct Rates {
    deliver: u32,
    tick: u32,
    sync: u32,
    apply: u32,
    ask: u32,
    flush: u32,
    crash: u32,
    restart: u32,
    partition: u32,
    heal: u32,
    members: u32,
    catch_up: u32,
    /// Of a hundred messages.
    lost: u32,
    doubled: u32,
}

impl Rates {
    fn draw(rng: &mut fastrand::Rng) -> Rates {
        let mut one_of = |rates: &[u32]| rates[rng.usize(..rates.len())];
        Rates {
            deliver: one_of(&[300, 600, 1200]),
            tick: one_of(&[40, 100, 200]),
            sync: one_of(&[60, 150, 400]),
            apply: one_of(&[50, 200]),
            ask: one_of(&[10, 60, 120]),
            flush: one_of(&[2, 20]),
            crash: one_of(&[0, 2, 6, 15]),
            restart: one_of(&[15, 60]),
            partition: one_of(&[0, 1, 4]),
            heal: one_of(&[4, 12]),
            members: one_of(&[0, 4, 12]),
            catch_up: one_of(&[2, 10]),
            lost: one_of(&[0, 3, 10]),
            doubled: one_of(&[0, 5, 30]),
        }
    }

    fn total(&self) -> u32 {
        self.weighted().iter().map(|(rate, _)| rate).sum()
    }

    fn weighted(&self) -> [(u32, Action); 12] {
        [
            (self.deliver, Action::Deliver),
            (self.tick, Action::Tick),
            (self.sync, Action::Sync),
            (self.apply, Action::Apply),
            (self.ask, Action::Ask),
            (self.flush, Action::Flush),
            (self.crash, Action::Crash),
            (self.restart, Action::Restart),
            (self.partition, Action::Partition),
            (self.heal, Action::Heal),
            (self.members, Action::Members),
            (self.catch_up, Action::CatchUp),
        ]
    }
}

#[derive(Clone, Copy)]
enum Action {
    Deliver,
    Tick,
    Sync,
    Apply,
    Ask,
    Flush,
    Crash,
    Restart,
    Partition,
    Heal,
    Members,
    CatchUp,
}

/// What was ever seen, and must stay true.
#[derive(Default)]
struct Seen {
    leaders: BTreeMap<Term, NodeId>,
    /// Applied anywhere, from index 1 on.
    committed: Vec<Entry>,
    /// Every entry that any log had, with the term of the one before.
    entries: BTreeMap<EntryId, Payload>,
    /// For reads under way: what was committed before they began.
    reads: BTreeMap<ProposalId, Index>,
    refused: BTreeSet<ProposalId>,
    commands: BTreeSet<ProposalId>,
    reads_done: u64,
}

type Judged = Result<(), String>;

impl Seen {
    fn leader(&mut self, term: Term, id: NodeId) -> Judged {
        match self.leaders.insert(term, id) {
            Some(other) if other != id => Err(format!("two leaders in term {term}: {other} and {id}")),
            _ => Ok(()),
        }
    }

    fn logged(&mut self, entry: &Entry) -> Judged {
        match self.entries.insert(entry.id, entry.payload.clone()) {
            Some(other) if other != entry.payload => {
                Err(format!("two entries {}: {other:?}, {entry:?}", entry.id))
            }
            _ => Ok(()),
        }
    }

    fn applied(&mut self, entry: &Entry) -> Judged {
        let position = entry.index().0 as usize - 1;
        match self.committed.get(position) {
            Some(other) if other == entry => return Ok(()),
            Some(other) => return Err(format!("applied {entry:?} where another applied {other:?}")),
            None if position > self.committed.len() => {
                return Err(format!("{} applied after a gap", entry.id));
            }
            None => self.committed.push(entry.clone()),
        }
        if let Payload::Command { id, .. } = entry.payload {
            if self.refused.contains(&id) {
                return Err(format!("{id} was refused and applied"));
            }
            if !self.commands.insert(id) {
                return Err(format!("{id} was applied twice"));
            }
        }
        Ok(())
    }

    fn refused(&mut self, id: ProposalId) -> Judged {
        self.refused.insert(id);
        if self.commands.contains(&id) { Err(format!("{id} was applied and refused")) } else { Ok(()) }
    }

    fn read(&mut self, id: ProposalId, index: Index) -> Judged {
        let Some(least) = self.reads.remove(&id) else { return Ok(()) };
        self.reads_done += 1;
        if index < least {
            return Err(format!("read {id} at {index}, but {least} was applied before it began"));
        }
        Ok(())
    }
}

impl Cluster {
    fn new(seed: u64, bugs: Bugs) -> Cluster {
        let mut rng = fastrand::Rng::with_seed(seed);
        let size = [1, 2, 3, 3, 3, 5][rng.usize(..6)];
        let initial = Membership::of_voters((1..=size).map(NodeId));
        let rates = Rates::draw(&mut rng);
        let options = draw_options(&mut rng, bugs);
        let mut cluster = Cluster {
            rng,
            rates,
            options,
            boards: BTreeMap::new(),
            down: BTreeMap::new(),
            network: Vec::new(),
            cut: BTreeSet::new(),
            transfers: BTreeSet::new(),
            next_id: size + 1,
            next_proposal: 1,
            seen: Seen::default(),
        };
        for id in initial.voters.clone() {
            cluster.add(id, initial.clone());
        }
        cluster
    }

    fn add(&mut self, id: NodeId, initial: Membership) {
        let board = Board::new(self.options_of(id), initial, self.rng.u64(..));
        self.boards.insert(id, board);
    }

    fn options_of(&self, id: NodeId) -> Options {
        Options { id, ..self.options.clone() }
    }

    fn some_board(&mut self) -> Option<NodeId> {
        let ids: Vec<NodeId> = self.boards.keys().copied().collect();
        self.rng.choice(ids)
    }

    fn proposal(&mut self, origin: NodeId) -> ProposalId {
        self.next_proposal += 1;
        ProposalId { origin, number: self.next_proposal }
    }

    fn step(&mut self) -> Judged {
        let Some(id) = self.some_board() else { return self.restart() };
        match self.draw() {
            // The more there is on its way, the more arrives, or nobody would ever be heard in time.
            Action::Deliver => (0..=self.network.len() / 8).try_for_each(|_| self.deliver())?,
            Action::Tick => self.boards.get_mut(&id).expect("it is up").node.tick(),
            Action::Sync => self.sync(id),
            Action::Apply => self.apply(id)?,
            Action::Ask if self.rng.bool() => self.propose(id),
            Action::Ask => self.read(id),
            Action::Flush => self.boards.get_mut(&id).expect("it is up").flush(),
            Action::Crash => {
                self.crash(id);
                // Often the power is back before anybody noticed.
                if self.rng.bool() {
                    self.restart()?;
                }
            }
            Action::Restart => self.restart()?,
            Action::Partition => self.partition(),
            Action::Heal => self.cut.clear(),
            Action::Members if self.rng.u32(..4) == 0 => {
                // Who is no leader says so, and that is fine.
                let _ = self.boards.get_mut(&id).expect("it is up").node.transfer_leader(None);
            }
            Action::Members => self.change_members(id),
            Action::CatchUp => self.catch_up()?,
        }
        self.poll_all()
    }

    fn draw(&mut self) -> Action {
        let mut ticket = self.rng.u32(..self.rates.total());
        for (rate, action) in self.rates.weighted() {
            match ticket.checked_sub(rate) {
                Some(rest) => ticket = rest,
                None => return action,
            }
        }
        unreachable!("the rates sum up to their total")
    }

    fn deliver(&mut self) -> Judged {
        if self.network.is_empty() {
            return Ok(());
        }
        let at = self.rng.usize(..self.network.len().min(12));
        let stays = self.rng.u32(..100) < self.rates.doubled;
        let envelope = if stays { self.network[at].clone() } else { self.network.remove(at) };
        let is_lost =
            self.rng.u32(..100) < self.rates.lost || self.cut.contains(&(envelope.from, envelope.to));
        if let Some(board) = self.boards.get_mut(&envelope.to)
            && !is_lost
        {
            board.node.step(envelope);
        }
        Ok(())
    }

    fn sync(&mut self, id: NodeId) {
        let board = self.boards.get_mut(&id).expect("it is up");
        let (leave, ticket) = board.sync(1 + self.rng.usize(..4));
        self.network.extend(leave);
        if let Some(ticket) = ticket {
            board.node.persisted(ticket);
        }
    }

    fn apply(&mut self, id: NodeId) -> Judged {
        let count = 1 + self.rng.usize(..8);
        let board = self.boards.get_mut(&id).expect("it is up");
        for entry in board.applying.iter().take(count) {
            self.seen.applied(entry)?;
        }
        board.apply(count);
        Ok(())
    }

    fn propose(&mut self, id: NodeId) {
        let proposal = self.proposal(id);
        let data = Bytes::from(vec![7; self.rng.usize(..200)]);
        self.boards.get_mut(&id).expect("it is up").node.propose(proposal, data);
    }

    fn read(&mut self, id: NodeId) {
        let proposal = self.proposal(id);
        self.seen.reads.insert(proposal, Index(self.seen.committed.len() as u64));
        self.boards.get_mut(&id).expect("it is up").node.read_index(proposal);
    }

    fn change_members(&mut self, id: NodeId) {
        let membership = self.boards[&id].node.membership().clone();
        let member = self.rng.choice(membership.members().collect::<Vec<_>>());
        let learner = self.rng.choice(membership.learners.iter().copied().collect::<Vec<_>>());
        let proposal = self.proposal(id);
        let change = match (self.rng.u32(..10), member, learner) {
            (0..3, _, _) if self.boards.len() < 7 => {
                let new = NodeId(self.next_id);
                self.next_id += 1;
                self.add(new, Membership::default());
                MembershipChange::AddLearner(new)
            }
            (3..7, _, Some(learner)) => MembershipChange::Promote(learner),
            (7.., Some(member), _) if self.rng.bool() => MembershipChange::Demote(member),
            (8.., Some(member), _) => MembershipChange::Remove(member),
            _ => return,
        };
        self.boards.get_mut(&id).expect("it is up").node.change_members(proposal, change, Bytes::new());
    }

    fn crash(&mut self, id: NodeId) {
        let Some(mut board) = self.boards.remove(&id) else { return };
        // Some of what was under way got to the disk, but nobody was told.
        let (_, _) = board.sync(self.rng.usize(..=board.writing.len()));
        self.down.insert(id, board.disk);
        self.transfers.retain(|(from, _)| *from != id);
    }

    fn restart(&mut self) -> Judged {
        let ids: Vec<NodeId> = self.down.keys().copied().collect();
        if let Some(id) = self.rng.choice(ids) {
            let disk = self.down.remove(&id).expect("it is down");
            let board = Board::boot(self.options_of(id), disk, self.rng.u64(..));
            self.boards.insert(id, board);
        }
        Ok(())
    }

    fn partition(&mut self) {
        let ids: Vec<NodeId> = self.boards.keys().chain(self.down.keys()).copied().collect();
        for from in &ids {
            for to in &ids {
                if self.rng.u32(..100) < 35 {
                    self.cut.insert((*from, *to));
                }
            }
        }
    }

    /// A transfer goes one step on: it begins, and later it ends, well or not.
    fn catch_up(&mut self) -> Judged {
        let Some((from, to)) = self.rng.choice(self.transfers.iter().copied().collect::<Vec<_>>()) else {
            return Ok(());
        };
        let (Some(sender), Some(receiver)) = (self.boards.get(&from), self.boards.get(&to)) else {
            self.transfers.remove(&(from, to));
            if let Some(sender) = self.boards.get_mut(&from) {
                sender.node.catch_up_ended(to);
            }
            return Ok(());
        };
        let store = sender.store.clone();
        let is_useful = store.applied().index > receiver.node.applied_index()
            && receiver.node.role() != Role::Leader
            && sender.node.role() == Role::Leader;
        let is_begun = receiver.node.is_catching_up();
        if is_useful && !is_begun {
            self.boards.get_mut(&to).expect("it is up").begin_catch_up();
            return Ok(());
        }
        self.transfers.remove(&(from, to));
        if is_useful && self.rng.u32(..10) < 8 {
            let sender = self.boards.get_mut(&from).expect("it is up");
            sender.node.keep_tail_for(to, store.applied().index);
            self.boards.get_mut(&to).expect("it is up").finish_catch_up(store);
        }
        self.boards.get_mut(&from).expect("it is up").node.catch_up_ended(to);
        Ok(())
    }

    fn poll_all(&mut self) -> Judged {
        for id in self.boards.keys().copied().collect::<Vec<_>>() {
            let board = self.boards.get_mut(&id).expect("it is up");
            if board.node.has_ready() {
                let ready = board.ready();
                if board.node.has_ready() {
                    return Err(format!("{id} is not done after {ready:?}"));
                }
                self.take(id, ready)?;
            }
            self.check(id)?;
        }
        Ok(())
    }

    fn take(&mut self, id: NodeId, ready: Ready) -> Judged {
        for entry in ready.persist.iter().flat_map(|persist| &persist.entries) {
            self.seen.logged(entry)?;
        }
        for read in ready.reads {
            self.seen.read(read.id, read.index)?;
        }
        for refused in ready.refused.into_iter().filter(|refused| refused.is_certain) {
            self.seen.refused(refused.id)?;
        }
        for peer in ready.catch_up {
            self.transfers.insert((id, peer));
        }
        self.network.extend(ready.send);
        Ok(())
    }

    fn check(&mut self, id: NodeId) -> Judged {
        let node = &self.boards[&id].node;
        if node.role() != Role::Leader {
            return Ok(());
        }
        self.seen.leader(node.term(), id)?;
        // Leader completeness, for leaders that are not deposed without knowing it.
        if self.seen.leaders.keys().next_back() == Some(&node.term()) {
            for entry in self.seen.committed.iter().rev().take(40) {
                let is_older = entry.index() < node.status().before.index;
                if !is_older && node.term_at(entry.index()) != Some(entry.term()) {
                    return Err(format!("leader {id} of term {} lacks {}", node.term(), entry.id));
                }
            }
        }
        Ok(())
    }

    /// All faults end; then a leader is found and every live member applies what it is told.
    fn heal(&mut self) -> Judged {
        self.cut.clear();
        while !self.down.is_empty() {
            self.restart()?;
        }
        let mut probe = None;
        for round in 0..600 {
            self.calm_round()?;
            let leader =
                self.boards.values().filter(|b| b.node.role() == Role::Leader).max_by_key(|b| b.node.term());
            let Some(leader) = leader.map(Board::id) else { continue };
            if round % 50 == 49 && probe.is_none() {
                let id = self.proposal(leader);
                self.boards.get_mut(&leader).expect("it is up").node.propose(id, Bytes::from("probe"));
                probe = Some(id);
            }
            if probe.is_some_and(|probe| self.is_applied_by_all(leader, probe)) {
                return Ok(());
            }
            if round % 50 == 48 {
                probe = None;
            }
        }
        let states: Vec<_> = self.boards.values().map(|board| board.node.status()).collect();
        Err(format!("no progress without faults: {states:#?}"))
    }

    fn calm_round(&mut self) -> Judged {
        let ids: Vec<NodeId> = self.boards.keys().copied().collect();
        ids.iter().for_each(|id| self.boards.get_mut(id).expect("it is up").node.tick());
        for _ in 0..8 {
            self.poll_all()?;
            for envelope in std::mem::take(&mut self.network) {
                if let Some(board) = self.boards.get_mut(&envelope.to) {
                    board.node.step(envelope);
                }
            }
            self.poll_all()?;
            for id in &ids {
                (0..4).for_each(|_| self.sync(*id));
                self.apply(*id)?;
            }
            self.catch_up()?;
        }
        Ok(())
    }

    fn is_applied_by_all(&self, leader: NodeId, probe: ProposalId) -> bool {
        let has = |entry: &Entry| matches!(entry.payload, Payload::Command { id, .. } if id == probe);
        let members = self.boards[&leader].node.membership();
        members.members().all(|id| self.boards[&id].store.history.iter().rev().take(20).any(has))
    }
}

fn draw_options(rng: &mut fastrand::Rng, bugs: Bugs) -> Options {
    Options {
        id: NodeId(0),
        election_ticks: 5,
        heartbeat_ticks: 1,
        // Of a single entry, or a few.
        append_bytes_max: if rng.bool() { 1 } else { 500 },
        window_bytes: 1_500,
        uncommitted_bytes_max: 4_000,
        tail_bytes_max: 2_000,
        apply_bytes_max: 1_000,
        reads_max: 8,
        bugs,
    }
}

fn run(seed: u64, bugs: Bugs) -> Result<Seen, String> {
    let mut cluster = Cluster::new(seed, bugs);
    for _ in 0..STEPS {
        cluster.step()?;
    }
    cluster.heal()?;
    Ok(cluster.seen)
}

#[test]
fn random_clusters_keep_their_promises() {
    let (mut committed, mut terms, mut reads) = (0, 0, 0);
    for seed in seeds::asked_for(0..200) {
        match run(seed, Bugs::default()) {
            Ok(seen) => {
                committed += seen.committed.len() as u64;
                terms += seen.leaders.len();
                reads += seen.reads_done;
            }
            Err(reason) => panic!("SEED={seed} cargo test --test raft random\n{reason}"),
        }
    }
    println!("{committed} entries committed in {terms} terms, {reads} reads answered");
}

fn is_seen(bug: Bug) {
    if std::env::var("BUG").is_ok_and(|name| name != format!("{bug:?}")) {
        return;
    }
    let found =
        (0..BUG_SEEDS_MAX).find_map(|seed| run(seed, Bugs::only(bug)).err().map(|reason| (seed, reason)));
    match found {
        Some((seed, reason)) => println!("{bug:?} with seed {seed}: {reason}"),
        None => panic!("{bug:?} not seen in {BUG_SEEDS_MAX} runs"),
    }
}

#[test]
fn bug_vote_not_synced_is_seen() {
    is_seen(Bug::VoteNotSynced);
}

#[test]
fn bug_ack_before_sync_is_seen() {
    is_seen(Bug::AckBeforeSync);
}

#[test]
fn bug_stale_read_after_election_is_seen() {
    is_seen(Bug::StaleReadAfterElection);
}

#[test]
fn bug_read_from_paused_leader_is_seen() {
    is_seen(Bug::ReadFromPausedLeader);
}
