//! What is against the cluster, and the operator who changes it meanwhile.
//!
//! One rule: never take a majority of the voters for good. Disks are lost only in worlds where nobody removes healthy
//! members, and the next one only when the last was replaced.

use solder::{
    raft::Role,
    replica::Event,
    types::{Bytes, EntryId, Membership, MembershipChange, NodeId},
    wal::Faults,
};

use super::{
    Micros,
    clients::Asker,
    judges::Verdict,
    knobs::{MILLI, SECOND, Timing},
    stories::Story,
    world::{Happening, World},
};

/// Boards in one world at most, dead ones too.
const BOARDS_MAX: usize = 12;

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Partition,
    Heal,
    Crash,
    Pause,
    SlowDisk,
    FullDisk,
    FullDiskEnds(NodeId),
    FailingSync,
    FullStore,
    FullStoreEnds(NodeId),
    LostDisk,
    Membership,
    LeaderTransfer,
    Brownout,
    Reset,
    Retime,
    /// The next step of one.
    Story(Story),
    /// The board that was cut off first.
    Dusk(NodeId),
    /// The one that led last.
    Dark(NodeId),
}

#[derive(Default)]
pub(super) struct Nemesis {
    /// The members as of the last change that any board has applied.
    members: (EntryId, Membership),
    /// The board whose disk was lost and that has not been removed yet.
    lost: Option<NodeId>,
}

impl World {
    /// Each kind of fault goes its own way from the start.
    pub(super) fn wake_nemesis(&mut self) {
        for fault in [
            Fault::Partition,
            Fault::Crash,
            Fault::Pause,
            Fault::SlowDisk,
            Fault::FullDisk,
            Fault::FailingSync,
            Fault::FullStore,
            Fault::LostDisk,
            Fault::Membership,
            Fault::LeaderTransfer,
            Fault::Brownout,
            Fault::Reset,
            Fault::Retime,
        ] {
            self.schedule_fault(fault);
        }
        self.begin_story();
    }

    fn mean(&self, fault: Fault) -> Option<Micros> {
        let faults = &self.knobs.faults;
        match fault {
            Fault::Partition => faults.partition,
            Fault::Crash => faults.crash,
            Fault::Pause => faults.pause,
            Fault::SlowDisk => faults.slow_disk,
            Fault::FullDisk => faults.full_disk,
            Fault::FailingSync => faults.failing_sync,
            Fault::FullStore => faults.full_store,
            Fault::LostDisk => faults.lost_disk,
            Fault::Membership => faults.membership,
            Fault::LeaderTransfer => faults.leader_transfer,
            Fault::Brownout => faults.brownout,
            Fault::Reset => faults.reset,
            Fault::Retime => faults.retime,
            Fault::Heal | Fault::FullDiskEnds(_) | Fault::FullStoreEnds(_) => None,
            Fault::Dusk(_) | Fault::Dark(_) | Fault::Story(_) => None,
        }
    }

    fn schedule_fault(&mut self, fault: Fault) {
        if let Some(mean) = self.mean(fault) {
            let delay = self.rng.u64(..2 * mean);
            self.schedule(delay, Happening::Strikes(fault));
        }
    }

    pub(super) fn strike(&mut self, fault: Fault) -> Verdict {
        if !self.stormy {
            return Ok(());
        }
        self.schedule_fault(fault);
        match fault {
            Fault::Partition => self.partition(),
            Fault::Heal => self.wires.heal(),
            Fault::Crash => self.crash(),
            Fault::Pause => self.pause(),
            Fault::SlowDisk => self.slow_disk(),
            Fault::FullDisk => self.full_disk(),
            Fault::FullDiskEnds(board) => self.board(board).disk.set_faults(Faults::default()),
            Fault::FailingSync => self.failing_sync(),
            Fault::FullStore => self.full_store(),
            Fault::FullStoreEnds(board) => self.board(board).database.set_full(false),
            Fault::LostDisk => self.lose_disk(),
            Fault::Membership => return self.change_members(),
            Fault::LeaderTransfer => return self.transfer_leader(),
            Fault::Brownout => self.brownout(),
            Fault::Reset => self.reset(),
            Fault::Retime => self.retime_all(),
            Fault::Story(story) => return self.tell_on(story),
            Fault::Dusk(first) => self.dusk(first),
            Fault::Dark(last) => self.dark(last),
        }
        Ok(())
    }

    pub(super) fn board(&mut self, id: NodeId) -> &mut super::boards::Board {
        self.boards.get_mut(&id).expect("boards are never taken out")
    }

    pub(super) fn with_disk(&self) -> Vec<NodeId> {
        self.boards.values().filter(|board| !board.lost).map(|board| board.id).collect()
    }

    fn any(&mut self) -> NodeId {
        let boards = self.with_disk();
        boards[self.rng.usize(..boards.len())]
    }

    /// Half of the time the leader, where there is one: what befalls it matters most.
    fn one(&mut self) -> NodeId {
        match self.newest_leader().filter(|_| self.rng.bool()) {
            Some(leader) => leader,
            None => self.any(),
        }
    }

    pub(super) fn newest_leader(&self) -> Option<NodeId> {
        let nodes = self.boards.values().filter_map(|board| Some(board.running.as_ref()?.replica.node()));
        let leaders = nodes.filter(|node| node.role() == Role::Leader);
        leaders.max_by_key(|node| node.term()).map(|node| node.id())
    }

    fn partition(&mut self) {
        let boards = self.with_disk();
        if self.rng.bool() {
            self.wires.heal();
        }
        self.report.partitions += 1;
        self.wires.cut_somewhere(&boards, &mut self.rng);
        let lasts = self.rng.u64(200 * MILLI..8 * SECOND);
        self.schedule(lasts, Happening::Strikes(Fault::Heal));
    }

    /// The power fades: the leader is cut off, and its disk is slow. Then it is back, and who leads by then is cut off from
    /// all others but it. Then nobody has power, and the last leader is the last to get it back.
    fn brownout(&mut self) {
        let Some(first) = self.newest_leader() else { return };
        self.report.brownouts += 1;
        self.wires.isolate(&[first], &self.with_disk());
        let now = self.now;
        self.board(first).slow_until = now + 8 * SECOND;
        self.schedule(100 * MILLI, Happening::Strikes(Fault::Dusk(first)));
    }

    fn dusk(&mut self, first: NodeId) {
        let Some(second) = self.newest_leader().filter(|leader| *leader != first) else {
            return self.schedule(100 * MILLI, Happening::Strikes(Fault::Dusk(first)));
        };
        self.wires.heal();
        self.wires.isolate(&[first, second], &self.with_disk());
        let lasts = self.rng.u64(50 * MILLI..2 * SECOND);
        self.schedule(lasts, Happening::Strikes(Fault::Dark(second)));
    }

    fn dark(&mut self, last: NodeId) {
        self.wires.heal();
        for victim in self.with_disk() {
            self.cut_power(victim);
            let down = if victim == last { self.rng.u64(..6 * SECOND) } else { self.rng.u64(..50 * MILLI) };
            self.schedule(down, Happening::Start(victim));
        }
    }

    /// The links of a board are cut and there again: for the others as if its process had ended.
    fn reset(&mut self) {
        let lost = self.one();
        self.report.resets += 1;
        self.tell_of_loss(lost);
    }

    /// An operator changes the time-outs of all, and each applies that at its own time; some only after a second change.
    fn retime_all(&mut self) {
        self.timing = Timing::draw(&mut self.rng);
        for board in self.with_disk() {
            let delay = self.rng.u64(..3 * SECOND);
            self.schedule(delay, Happening::Retime(board));
        }
    }

    /// One board, or all of them at once.
    fn crash(&mut self) {
        let victims = if self.rng.u32(..6) == 0 { self.with_disk() } else { vec![self.one()] };
        for victim in victims {
            self.cut_power(victim);
            // Often back before anybody has noticed.
            let down = if self.rng.bool() { self.rng.u64(..50 * MILLI) } else { self.rng.u64(..4 * SECOND) };
            self.schedule(down, Happening::Start(victim));
        }
    }

    fn pause(&mut self) {
        let (victim, now) = (self.one(), self.now);
        let lasts = self.rng.u64(100 * MILLI..5 * SECOND);
        self.report.pauses += 1;
        self.board(victim).paused_until = now + lasts;
    }

    fn slow_disk(&mut self) {
        let (victim, now) = (self.one(), self.now);
        let lasts = self.rng.u64(SECOND..8 * SECOND);
        self.board(victim).slow_until = now + lasts;
    }

    fn full_disk(&mut self) {
        let victim = self.one();
        let lasts = self.rng.u64(SECOND..6 * SECOND);
        self.report.disks_full += 1;
        // No byte more than there is by now.
        self.board(victim).disk.set_faults(Faults { capacity_bytes: Some(0), ..Faults::default() });
        self.schedule(lasts, Happening::Strikes(Fault::FullDiskEnds(victim)));
    }

    fn failing_sync(&mut self) {
        let victim = self.one();
        self.board(victim).disk.set_faults(Faults { sync_fails: true, ..Faults::default() });
    }

    fn full_store(&mut self) {
        let victim = self.one();
        let lasts = self.rng.u64(SECOND..6 * SECOND);
        self.board(victim).database.set_full(true);
        self.schedule(lasts, Happening::Strikes(Fault::FullStoreEnds(victim)));
    }

    /// A board has applied a change of the members.
    pub(super) fn members_changed(&mut self, at: EntryId, members: &Membership) {
        if at > self.nemesis.members.0 {
            self.nemesis.members = (at, members.clone());
        }
    }

    fn committed_membership(&self) -> Membership {
        match &self.nemesis.members.1 {
            // No change yet.
            members if members.is_blank() => self.genesis.clone(),
            members => members.clone(),
        }
    }

    fn lose_disk(&mut self) {
        let members = self.committed_membership();
        // Where the cluster chooses its voters, who is lost is a member for good; it only votes no more.
        let chooses = self.knobs.autopilot.is_some();
        let is_replaced =
            |lost: &NodeId| members.removed.contains(lost) || chooses && !members.voters.contains(lost);
        self.nemesis.lost = self.nemesis.lost.filter(|lost| !is_replaced(lost));
        if self.nemesis.lost.is_some() || members.voters.len() < 3 || self.boards.len() >= BOARDS_MAX {
            return;
        }
        let victim = self.one();
        if members.voters.contains(&victim) && self.can_be_missed(&members) {
            self.cut_power(victim);
            self.board(victim).lost = true;
            self.report.disks_lost += 1;
            self.nemesis.lost = Some(victim);
        }
    }

    /// Where the cluster chooses its voters: if all of them are there at this moment, and none is to vote no more, then a leader
    /// that does not know yet that one is lost has no reason to let another one go, too. It would have no majority then, for
    /// good.
    fn can_be_missed(&self, members: &Membership) -> bool {
        let Some(autopilot) = self.knobs.autopilot else { return true };
        let voters = &members.voters;
        let is_known = |id: &NodeId| {
            self.boards.get(id).is_some_and(|board| {
                let members_there = board.running.as_ref().map(|running| running.replica.node().membership());
                members_there == Some(members) && board.paused_until <= self.now
            })
        };
        let is_linked = |a: &NodeId| voters.iter().all(|b| !self.wires.is_cut(*a, *b));
        let is_right = !voters.len().is_multiple_of(2) && voters.len() <= autopilot.voters_max;
        is_right && voters.iter().all(|id| is_known(id) && is_linked(id))
    }

    /// The operator asks some board for the next change that makes sense; it may come to nothing.
    fn change_members(&mut self) -> Verdict {
        let members = self.committed_membership();
        let Some(change) = self.draw_change(&members) else { return Ok(()) };
        if let MembershipChange::AddLearner(id) | MembershipChange::AddVoter(id) = change {
            self.add_board(id, Membership::default());
            self.start(id)?;
        }
        let board = self.one();
        if self.boards[&board].running.is_none() {
            return Ok(());
        }
        self.report.membership_changes += 1;
        let request = self.take(board, Asker::Operator, None);
        let info = Bytes::from(format!("{change:?}").as_str());
        self.feed(board, Event::ChangeMembers { request, change, info })
    }

    fn draw_change(&mut self, members: &Membership) -> Option<MembershipChange> {
        let newcomer = NodeId(self.boards.len() as u64 + 1);
        let may_grow = self.boards.len() < BOARDS_MAX && members.voters.len() + members.learners.len() < 8;
        if self.knobs.autopilot.is_some() {
            return may_grow.then_some(MembershipChange::AddLearner(newcomer));
        }
        if let Some(lost) = self.nemesis.lost.filter(|lost| members.contains(*lost)) {
            return Some(MembershipChange::Remove(lost));
        }
        let learner = members.learners.iter().copied().find(|_| self.rng.bool());
        let replaces = self.knobs.faults.lost_disk.is_some();
        match self.rng.u32(..6) {
            0 | 1 if may_grow => Some(MembershipChange::AddLearner(newcomer)),
            2 if may_grow && !replaces => Some(MembershipChange::AddVoter(newcomer)),
            3 if !replaces => {
                let all: Vec<NodeId> = members.members().collect();
                let id = all[self.rng.usize(..all.len())];
                Some(if self.rng.bool() {
                    MembershipChange::Remove(id)
                } else {
                    MembershipChange::Demote(id)
                })
            }
            _ => learner.map(MembershipChange::Promote),
        }
    }

    fn transfer_leader(&mut self) -> Verdict {
        let Some(leader) = self.newest_leader() else { return Ok(()) };
        self.report.leaders_moved += 1;
        let to = self.rng.bool().then(|| self.any());
        let request = self.take(leader, Asker::Operator, None);
        self.feed(leader, Event::TransferLeader { request, to })
    }
}
