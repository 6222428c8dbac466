//! Members, and what holds for all of them: what doors can ask for and change.
//!
//! What is refused, and in which order, is etcd's (`mayAddMember`, `mayRemoveMember`, `mayPromote`).

use std::time::Instant;

use async_io::Timer;

use futures_lite::future;

use crate::{
    peer::{PeerFigures, PeerUrl},
    replica::{Question, Reply},
    types::{Bytes, ClusterChange, Command, Error, MemberRow, MembershipChange, NodeId, RoleChange},
};

use super::{
    ClusterSettings, ClusterSettingsChange, Member, MemberInfo, MemberRole,
    core::autopilot,
    engine::{Ask, within},
    open::id_of,
    reply::Slot,
    settings::check_timeouts_ms,
};

/// etcd's `minNoLeaderPeriods`.
const LEADERLESS_ELECTIONS: u32 = 3;

impl Member {
    /// This one.
    pub fn id(&self) -> NodeId {
        self.engine.identity.member
    }

    pub fn name(&self) -> String {
        self.engine.identity.name.clone()
    }

    /// Does it only listen?
    pub fn is_learner(&self) -> bool {
        let id = self.id();
        self.engine.look(|core| core.replica.node().membership().learners.contains(&id))
    }

    /// Is it a learner of etcd's kind, which is on its way to vote and serves nobody yet? Where the cluster chooses its voters,
    /// learners stay, and serve as all do.
    pub fn only_listens(&self) -> bool {
        self.is_learner() && self.engine.look(|core| core.roll.cluster.voters_max == 0)
    }

    /// Does it hold something else than the others, so that it answers nobody?
    pub fn is_corrupt(&self) -> bool {
        self.engine.look(|core| core.is_corrupt)
    }

    /// The newest kind of entry that all members know; 0: that is not settled yet.
    pub fn cluster_level(&self) -> u32 {
        self.engine.look(|core| core.roll.cluster.level)
    }

    /// Does somebody lead, as far as is known here?
    pub fn has_leader(&self) -> bool {
        self.engine.look(|core| core.replica.node().leader().is_some())
    }

    /// Waits until nobody has led for three elections, as etcd does for streams that want a leader. Looked at now and then:
    /// thousands may wait for it.
    pub async fn leader_lost(&self) {
        let mut missed = 0;
        while missed < LEADERLESS_ELECTIONS {
            Timer::after(self.engine.look(|core| core.election())).await;
            missed = if self.has_leader() { 0 } else { missed + 1 };
        }
    }

    /// What was counted of the others, in the order of their ids.
    pub fn peer_figures(&self) -> Vec<PeerFigures> {
        self.engine.peer_figures()
    }

    /// What holds for all members.
    pub async fn cluster_settings(&self) -> Result<ClusterSettings, Error> {
        self.read_barrier().await?;
        Ok(self.settings_here())
    }

    fn settings_here(&self) -> ClusterSettings {
        self.engine.look(|core| {
            let row = &core.roll.cluster;
            ClusterSettings {
                timeouts_ms: core.timeouts_ms(),
                voters_max: row.voters_max,
                replace_after_s: row.replace_after_s,
                learners_max: row.learners_max,
            }
        })
    }

    /// For all members, and at once. `None` stays as it is. What they are from now on.
    ///
    /// Errors: `BadTimeouts`, `OutOfRange`, `Founded`, before anything is proposed; `NotCapable` if a member does not know the
    /// setting.
    pub async fn change_cluster_settings(
        &self,
        change: ClusterSettingsChange,
    ) -> Result<ClusterSettings, Error> {
        let known = self.cluster_settings().await?;
        let timeouts = change.timeouts_ms(known.timeouts_ms);
        timeouts.map_or(Ok(()), |(heartbeat, election)| check_timeouts_ms(heartbeat, election))?;
        let autopilot = change.autopilot(&known)?;
        if let Some(size) = change.size {
            self.form_with(size).await?;
        }
        if let Some(change) = autopilot {
            self.propose(Command::Autopilot(change)).await?;
        }
        if timeouts.is_some() {
            self.propose(Command::UpdateCluster(ClusterChange { timeouts_ms: timeouts, level: None }))
                .await?;
        }
        Ok(ClusterSettings { timeouts_ms: timeouts.unwrap_or(known.timeouts_ms), ..self.settings_here() })
    }

    /// Why each member is what it is, as the leader says, in the order of their ids. None: people say who votes.
    pub async fn roles(&self) -> Result<Vec<MemberRole>, Error> {
        self.read_barrier().await?;
        if self.engine.look(|core| core.roll.cluster.voters_max == 0) {
            return Ok(Vec::new());
        }
        let asked = self.ask_leader(Question::Roles, |member, question| async move {
            member.answer_as_leader(question).await
        });
        let Reply::Roles(whys) = asked.await? else { return Err(Error::NotReady) };
        let since_s = |id| self.engine.look(|core| core.roll.row(id).map_or(0, |row| row.since_s));
        Ok(whys.into_iter().map(|(id, why)| MemberRole { id, since_s: since_s(id), why }).collect())
    }

    /// In the order of their ids.
    pub async fn members(&self, linearizable: bool) -> Result<Vec<MemberInfo>, Error> {
        if linearizable {
            self.read_barrier().await?;
        }
        Ok(self.members_here())
    }

    /// Of itself it knows more than the store does in the first moments.
    pub(super) fn members_here(&self) -> Vec<MemberInfo> {
        let mut infos = self.engine.look(|core| core.roll.infos(core.replica.node().membership()));
        let options = &self.engine.options;
        if let Some(me) = infos.iter_mut().find(|info| info.id == self.id() && info.name.is_empty()) {
            me.name.clone_from(&options.name);
            me.client_urls.clone_from(&options.client_urls);
            if me.peer_urls.is_empty() {
                me.peer_urls.clone_from(&options.peer_urls);
            }
        }
        infos
    }

    /// The new member, which has an id from now on, and all members.
    pub async fn member_add(
        &self,
        peer_urls: Vec<String>,
        is_learner: bool,
    ) -> Result<(MemberInfo, Vec<MemberInfo>), Error> {
        self.check_addition(is_learner)?;
        self.read_barrier().await?;
        // A board that has just joined did not know that it is a learner when it was asked; now it does. It could hand the change
        // on, but not say what came of it if the leader is the only voter (see `add`): a learner's own log is no proof.
        if self.is_learner() {
            return Err(Error::IsLearner);
        }
        self.settled().await?;
        if self.engine.look(|core| core.roll.goes_by_keys()) {
            return Err(Error::KnownByKeys);
        }
        let (taken, learners) = self.engine.look(|core| {
            let learners = core.replica.node().membership().learners.len();
            (core.roll.has_peer_url(&peer_urls, None), learners)
        });
        if taken {
            return Err(Error::PeerUrlExists);
        }
        if is_learner && learners >= self.learners_max() {
            return Err(Error::TooManyLearners);
        }
        let id = self.new_id(&peer_urls);
        let row = MemberRow { peer_urls, since_s: self.since_s(), ..MemberRow::default() };
        let change =
            if is_learner { MembershipChange::AddLearner(id) } else { MembershipChange::AddVoter(id) };
        self.add(id, change, row.encode()).await?;
        let members = self.members_here();
        let added = MemberInfo { id, peer_urls: row.peer_urls, is_learner, ..MemberInfo::default() };
        Ok((added, members))
    }

    /// The cluster's, or where it has none this member's own.
    pub(super) fn learners_max(&self) -> usize {
        match self.engine.look(|core| core.roll.cluster.learners_max) {
            0 => self.engine.options.learners_max,
            settled => settled as usize,
        }
    }

    /// Now, if all members read rows that say so.
    pub(super) fn since_s(&self) -> u64 {
        if self.cluster_level() >= autopilot::LEVEL { autopilot::now_s() } else { 0 }
    }

    /// As entries that change a role say it.
    fn role_change(&self) -> Bytes {
        match self.since_s() {
            0 => Bytes::default(),
            since_s => RoleChange { since_s, why: String::new() }.encode(),
        }
    }

    /// A cluster is what its founder wants it to be before anybody else comes in.
    pub(super) async fn settled(&self) -> Result<(), Error> {
        let settled = self.engine.until(|core| core.founding().is_none());
        match within(self.engine.request_timeout(), settled).await {
            true => Ok(()),
            false => Err(Error::NotReady),
        }
    }

    /// The second voter has to agree to being added, which it can only once it has been told that it is. So the first, without
    /// whom nothing else can come to be, answers when its own log has it, as etcd does.
    async fn add(&self, id: NodeId, change: MembershipChange, info: Bytes) -> Result<(), Error> {
        self.settled().await?;
        let me = self.engine.identity.member;
        let is_second = matches!(change, MembershipChange::AddVoter(_))
            && self.engine.look(|core| core.replica.node().membership().voters.iter().eq([&me]));
        let added = self.change_members(change, info);
        if !is_second {
            return added.await;
        }
        let kept = self.engine.until(|core| {
            let node = core.replica.node();
            node.membership().contains(id) && node.durable() >= node.last().index
        });
        future::or(added, async {
            kept.await;
            Ok(())
        })
        .await
    }

    /// Drawn, and not made of a clock as etcd's: those of boards may say 1970.
    pub(super) fn new_id(&self, peer_urls: &[String]) -> NodeId {
        let drawn = fastrand::u64(..).to_be_bytes();
        NodeId(id_of(peer_urls.iter().map(String::as_bytes).chain([&drawn[..]])))
    }

    pub async fn member_remove(&self, id: NodeId) -> Result<Vec<MemberInfo>, Error> {
        self.known(id).await?;
        self.check_removal(id)?;
        self.change_members(MembershipChange::Remove(id), Bytes::default()).await?;
        Ok(self.members_here())
    }

    pub async fn member_promote(&self, id: NodeId) -> Result<Vec<MemberInfo>, Error> {
        // Only a leader knows whether a learner keeps up.
        if !self.has_leader() {
            return Err(Error::NoLeader);
        }
        self.known(id).await?;
        self.check_promotion(id)?;
        self.change_members(MembershipChange::Promote(id), self.role_change()).await?;
        Ok(self.members_here())
    }

    pub async fn member_update(&self, id: NodeId, peer_urls: Vec<String>) -> Result<Vec<MemberInfo>, Error> {
        self.known(id).await?;
        if self.engine.look(|core| core.roll.has_peer_url(&peer_urls, Some(id))) {
            return Err(Error::PeerUrlExists);
        }
        self.propose(Command::UpdateMember { member: id, peer_urls }).await?;
        Ok(self.members_here())
    }

    async fn known(&self, id: NodeId) -> Result<(), Error> {
        self.read_barrier().await?;
        let is_known = self.engine.look(|core| core.replica.node().membership().contains(id));
        if is_known { Ok(()) } else { Err(Error::MemberNotFound) }
    }

    /// With `--strict-reconfig-check`, as etcd: a cluster is not made larger while somebody is missing.
    fn check_addition(&self, is_learner: bool) -> Result<(), Error> {
        if !self.engine.options.strict_reconfig {
            return Ok(());
        }
        if !is_learner {
            let (served, voters) = self.served(None);
            // A cluster of one may always get its second member: there is no other way to more.
            if voters > 1 && served < majority_of(voters + 1) {
                return Err(Error::NotEnoughStartedMembers);
            }
        }
        if self.engine.is_healthy() { Ok(()) } else { Err(Error::UnhealthyCluster) }
    }

    /// Likewise, with the one that is promoted among those that serve.
    fn check_promotion(&self, id: NodeId) -> Result<(), Error> {
        let is_learner = self.engine.look(|core| core.replica.node().membership().learners.contains(&id));
        let (served, voters) = self.served(None);
        match is_learner && self.engine.options.strict_reconfig && served + 1 < majority_of(voters + 1) {
            true => Err(Error::NotEnoughStartedMembers),
            false => Ok(()),
        }
    }

    /// Likewise: what is left must be able to go on.
    fn check_removal(&self, id: NodeId) -> Result<(), Error> {
        let engine = &self.engine;
        let is_voter = engine.look(|core| core.replica.node().membership().voters.contains(&id));
        if !engine.options.strict_reconfig || !is_voter {
            return Ok(());
        }
        let (served, rest) = self.served(Some(id));
        if served < majority_of(rest) {
            return Err(Error::NotEnoughStartedMembers);
        }
        // Who is away anyway is no loss.
        if id != self.id() && !engine.is_reached(id) {
            return Ok(());
        }
        let is_there = |id: NodeId| id == engine.identity.member || engine.is_connected(id);
        let voters = engine.look(|core| core.replica.node().membership().voters.clone());
        let stay = voters.iter().filter(|voter| **voter != id && is_there(**voter)).count();
        if stay < majority_of(rest) { Err(Error::UnhealthyCluster) } else { Ok(()) }
    }

    /// How many voters have ever served, and how many there are, without one of them.
    fn served(&self, without: Option<NodeId>) -> (usize, usize) {
        self.engine.look(|core| {
            let voters = core.replica.node().membership().voters.iter();
            let voters: Vec<_> = voters.filter(|voter| Some(**voter) != without).collect();
            let served = voters.iter().filter(|id| core.roll.row(***id).is_some_and(MemberRow::has_served));
            (served.count(), voters.len())
        })
    }

    /// One change at a time, and none before the leader has committed in its term: that passes, so it is asked again.
    pub(super) async fn change_members(&self, change: MembershipChange, info: Bytes) -> Result<(), Error> {
        let give_up = Instant::now() + self.engine.request_timeout();
        loop {
            match self.try_change(change, info.clone()).await {
                Err(Error::MembershipBusy) if Instant::now() < give_up => {
                    Timer::after(self.engine.look(|core| core.heartbeat())).await;
                }
                result => return result,
            }
        }
    }

    async fn try_change(&self, change: MembershipChange, info: Bytes) -> Result<(), Error> {
        if self.engine.is_stopping() {
            return Err(Error::NoLeader);
        }
        let (slot, asked_at) = (Slot::new(), Instant::now());
        self.engine.ask(Ask::ChangeMembers { change, info, slot: slot.clone(), asked_at });
        slot.get().await.map(drop)
    }
}

/// Could a member be found there?
pub fn is_peer_url(url: &str) -> bool {
    PeerUrl::parse(url).is_ok()
}

fn majority_of(voters: usize) -> usize {
    voters / 2 + 1
}
