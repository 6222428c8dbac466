//! Clusters at random: messages lost, doubled and reordered, boards that crash, slow disks and stores, partitions, changes
//! of members and leaders. After every step the promises of Raft are checked; at the end that the cluster serves again.
//!
//! `SEED=n cargo test --test raft random` repeats one run.

use std::collections::{BTreeMap, BTreeSet};

use solder::raft::{Envelope, Options, Ready, Role};
use solder::types::{
    Bugs, Bytes, Entry, EntryId, Index, Membership, MembershipChange, NodeId, Payload, ProposalId, Term,
};

use crate::board::{Board, Disk};

const STEPS: u32 = 4_000;

struct Cluster {
    rng: fastrand::Rng,
    bugs: Bugs,
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
        let mut cluster = Cluster {
            rng,
            bugs,
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
        let board = Board::new(options(id, self.bugs), initial, self.rng.u64(..));
        self.boards.insert(id, board);
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
        match self.rng.u32(..1000) {
            0..500 => self.deliver()?,
            500..570 => self.boards.get_mut(&id).expect("it is up").node.tick(),
            570..730 => self.sync(id),
            730..800 => self.apply(id)?,
            800..880 => self.propose(id),
            880..940 => self.read(id),
            940..960 => self.boards.get_mut(&id).expect("it is up").flush(),
            960..964 => self.crash(id),
            964..976 => self.restart()?,
            976..978 => self.partition(),
            978..984 => self.cut.clear(),
            984..988 => {
                // Who is no leader says so, and that is fine.
                let _ = self.boards.get_mut(&id).expect("it is up").node.transfer_leader(None);
            }
            988..992 => self.change_members(id),
            _ => self.catch_up()?,
        }
        self.poll_all()
    }

    fn deliver(&mut self) -> Judged {
        if self.network.is_empty() {
            return Ok(());
        }
        let at = self.rng.usize(..self.network.len().min(12));
        let envelope = match self.rng.u32(..100) {
            0..4 => self.network[at].clone(),
            _ => self.network.remove(at),
        };
        let is_lost = self.rng.u32(..100) < 3 || self.cut.contains(&(envelope.from, envelope.to));
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
            (3..8, _, Some(learner)) => MembershipChange::Promote(learner),
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
            self.boards.insert(id, Board::boot(options(id, self.bugs), disk, self.rng.u64(..)));
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
        for refused in ready.refused {
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

fn options(id: NodeId, bugs: Bugs) -> Options {
    Options {
        id,
        election_ticks: 10,
        heartbeat_ticks: 1,
        append_bytes_max: 500,
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
    let seeds = match std::env::var("SEED") {
        Ok(seed) => seed.parse().map(|seed: u64| seed..seed + 1).expect("SEED is a number"),
        Err(_) => 0..150,
    };
    let (mut committed, mut reads) = (0, 0);
    for seed in seeds {
        match run(seed, Bugs::default()) {
            Ok(seen) => {
                committed += seen.committed.len() as u64;
                reads += seen.reads_done;
            }
            Err(reason) => panic!("SEED={seed} cargo test --test raft random\n{reason}"),
        }
    }
    println!("{committed} entries committed, {reads} reads answered");
}
