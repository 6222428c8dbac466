//! Members: what doors can ask for and change.

use std::time::Instant;

use crate::types::{Bytes, Command, Error, MemberRow, MembershipChange, NodeId};

use super::{Member, MemberInfo, engine::Ask, open::id_of, reply::Slot};

impl Member {
    /// In the order of their ids.
    pub async fn members(&self, linearizable: bool) -> Result<Vec<MemberInfo>, Error> {
        if linearizable {
            self.read_barrier().await?;
        }
        Ok(self.members_here())
    }

    fn members_here(&self) -> Vec<MemberInfo> {
        self.engine.look(|core| core.roll.infos(core.replica.node().membership()))
    }

    /// The new member, which has an id from now on, and all members.
    pub async fn member_add(
        &self,
        peer_urls: Vec<String>,
        is_learner: bool,
    ) -> Result<(MemberInfo, Vec<MemberInfo>), Error> {
        self.read_barrier().await?;
        let (taken, learners) = self.engine.look(|core| {
            let learners = core.replica.node().membership().learners.len();
            (core.roll.has_peer_url(&peer_urls, None), learners)
        });
        if taken {
            return Err(Error::PeerUrlExists);
        }
        if is_learner && learners >= self.engine.options.learners_max {
            return Err(Error::TooManyLearners);
        }
        self.check_addition(is_learner)?;
        let id = self.new_id(&peer_urls);
        let row = MemberRow { peer_urls, ..MemberRow::default() };
        let change =
            if is_learner { MembershipChange::AddLearner(id) } else { MembershipChange::AddVoter(id) };
        self.change_members(change, row.encode()).await?;
        let members = self.members_here();
        let added = MemberInfo { id, peer_urls: row.peer_urls, is_learner, ..MemberInfo::default() };
        Ok((added, members))
    }

    /// Drawn, and not made of a clock as etcd's: those of boards may say 1970.
    fn new_id(&self, peer_urls: &[String]) -> NodeId {
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
        self.known(id).await?;
        self.change_members(MembershipChange::Promote(id), Bytes::default()).await?;
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
            if voters > 1 && served < (voters + 1) / 2 + 1 {
                return Err(Error::NotEnoughStartedMembers);
            }
        }
        if self.engine.is_healthy() { Ok(()) } else { Err(Error::UnhealthyCluster) }
    }

    /// Likewise: what is left must be able to go on.
    fn check_removal(&self, id: NodeId) -> Result<(), Error> {
        let engine = &self.engine;
        let is_voter = engine.look(|core| core.replica.node().membership().voters.contains(&id));
        if !engine.options.strict_reconfig || !is_voter {
            return Ok(());
        }
        let (served, rest) = self.served(Some(id));
        if served < rest / 2 + 1 {
            return Err(Error::NotEnoughStartedMembers);
        }
        let is_there = |id: NodeId| id == engine.identity.member || engine.is_connected(id);
        // Who is away anyway is no loss.
        if !is_there(id) {
            return Ok(());
        }
        let voters = engine.look(|core| core.replica.node().membership().voters.clone());
        let stay = voters.iter().filter(|voter| **voter != id && is_there(**voter)).count();
        if stay < rest / 2 + 1 { Err(Error::UnhealthyCluster) } else { Ok(()) }
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

    async fn change_members(&self, change: MembershipChange, info: Bytes) -> Result<(), Error> {
        if self.engine.is_stopping() {
            return Err(Error::NoLeader);
        }
        let (slot, asked_at) = (Slot::new(), Instant::now());
        self.engine.ask(Ask::ChangeMembers { change, info, slot: slot.clone(), asked_at });
        slot.get().await.map(drop)
    }
}
