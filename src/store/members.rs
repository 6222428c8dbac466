//! The table `members`: what is known of each member, and in row 0 what holds for all.

use super::{
    Store, StoreError, Table,
    apply::{Apply, Stop},
    format,
};
use crate::types::{
    AutopilotChange, Bytes, ClusterChange, ClusterRow, Error, MemberRow, MembershipChange, NodeId, Outcome,
    RoleChange,
};

/// Whose row is the cluster's own.
const CLUSTER: NodeId = NodeId(0);

impl Apply<'_> {
    pub(super) fn membership(&mut self, change: MembershipChange, info: &[u8]) -> Result<(), StoreError> {
        let next = self.state.membership.with(change);
        let next = next.unwrap_or_else(|| panic!("{change:?} does not fit {:?}", self.state.membership));
        let row = format::member_key(change.node()).to_vec();
        match change {
            MembershipChange::AddVoter(_) | MembershipChange::AddLearner(_) => {
                self.set(Table::Members, row, Some(info.to_vec()));
            }
            MembershipChange::Remove(_) => self.set(Table::Members, row, None),
            MembershipChange::Promote(id) | MembershipChange::Demote(id) => {
                if let Some(RoleChange { since_s, .. }) = RoleChange::decode(info) {
                    let known = self.row(id, MemberRow::decode)?.unwrap_or_default();
                    let changed = MemberRow { since_s, ..known };
                    self.set(Table::Members, row, Some(changed.encode().to_vec()));
                }
            }
        }
        self.hasher.update(&format::encode_plain(&change));
        self.state.membership = next;
        Ok(())
    }

    pub(super) fn change_member(
        &mut self,
        id: NodeId,
        change: impl FnOnce(&mut MemberRow) -> Result<(), Error>,
    ) -> Result<Outcome, Stop> {
        if !self.state.membership.contains(id) {
            return Err(Error::MemberNotFound.into());
        }
        let mut row = self.row(id, MemberRow::decode)?.unwrap_or_default();
        change(&mut row)?;
        self.set(Table::Members, format::member_key(id).to_vec(), Some(row.encode().to_vec()));
        Ok(Outcome::ClusterChanged { revision: self.state.revision })
    }

    pub(super) fn amend(
        &mut self,
        members: &[NodeId],
        since_s: Option<u64>,
        board: Option<&Bytes>,
    ) -> Result<Outcome, Stop> {
        for id in members {
            if !self.state.membership.contains(*id) {
                continue;
            }
            self.change_member(*id, |row| {
                if row.since_s == 0 {
                    row.since_s = since_s.unwrap_or(0);
                }
                row.board = board.unwrap_or(&row.board).clone();
                Ok(())
            })?;
        }
        Ok(Outcome::ClusterChanged { revision: self.state.revision })
    }

    pub(super) fn update_cluster(&mut self, change: &ClusterChange) -> Result<Outcome, Stop> {
        self.change_cluster(|row| {
            if let Some(timeouts) = change.timeouts_ms {
                (row.heartbeat_ms, row.election_ms) = timeouts;
            }
            row.level = row.level.max(change.level.unwrap_or(0));
        })
    }

    pub(super) fn set_autopilot(&mut self, change: &AutopilotChange) -> Result<Outcome, Stop> {
        self.change_cluster(|row| {
            row.voters_max = change.voters_max.unwrap_or(row.voters_max);
            row.replace_after_s = change.replace_after_s.unwrap_or(row.replace_after_s);
            row.learners_max = change.learners_max.unwrap_or(row.learners_max);
            row.forming = change.forming.unwrap_or(row.forming);
        })
    }

    fn change_cluster(&mut self, change: impl FnOnce(&mut ClusterRow)) -> Result<Outcome, Stop> {
        let mut row = self.row(CLUSTER, ClusterRow::decode)?.unwrap_or_default();
        change(&mut row);
        self.set(Table::Members, format::member_key(CLUSTER).to_vec(), Some(row.encode().to_vec()));
        Ok(Outcome::ClusterChanged { revision: self.state.revision })
    }

    /// What an older build wrote of a member was not a row: it counts for none.
    fn row<T, E>(&self, id: NodeId, decode: fn(&[u8]) -> Result<T, E>) -> Result<Option<T>, StoreError> {
        let bytes = self.view().get(Table::Members, &format::member_key(id))?;
        Ok(bytes.and_then(|bytes| decode(bytes).ok()))
    }
}

impl Store {
    /// All rows of members, in the order of their ids; the cluster's own comes first, at id 0.
    pub fn members(&self) -> Result<Vec<(NodeId, Bytes)>, StoreError> {
        let snapshot = self.backend.read()?;
        let mut rows = self.view(&*snapshot).scan(Table::Members, &[])?;
        let mut members = Vec::new();
        while let Some((id, info)) = rows.next()? {
            members.push((format::decode_member_key(id)?, info.into()));
        }
        Ok(members)
    }
}
