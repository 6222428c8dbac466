//! The store of a lost cluster becomes that of a new one.

use super::{Store, StoreError, Table, format, state};
use crate::types::{ClusterId, Membership, NodeId};

impl Store {
    /// From now on this is the store of `cluster`, whose only member is `member`; all others were removed. Nothing may be
    /// pending. One synced transaction.
    pub fn refound(&mut self, cluster: ClusterId, member: NodeId) -> Result<(), StoreError> {
        assert!(
            !self.has_pending() && self.unfinished.is_none(),
            "entries behind {} are pending",
            self.flushed()
        );
        let mut as_of = self.flushed_as_of().clone();
        let Membership { voters, learners, mut removed } = as_of.state.membership;
        let others: Vec<_> = voters.union(&learners).copied().filter(|id| *id != member).collect();
        removed.extend(&others);
        as_of.state.cluster = cluster;
        as_of.state.membership = Membership { removed, ..Membership::of_voters([member]) };
        as_of.state.alarms.retain(|(id, _)| *id == member);
        self.backend.write(&mut |txn| {
            for id in &others {
                txn.delete(Table::Members, &format::member_key(*id))?;
            }
            state::put_as_of(txn, &as_of)
        })?;
        self.load()
    }
}
