//! Leases of doors.

use crate::types::{Bytes, Error, LeaseId};

use super::Member;

pub struct TimeToLive {
    /// Whole seconds left.
    pub ttl_s: i64,
    pub granted_ttl_s: i64,
    /// In order, if they were asked for.
    pub keys: Vec<Bytes>,
}

impl Member {
    /// id 0: one is chosen. Answers the id and the TTL granted.
    pub async fn lease_grant(&self, _id: LeaseId, _ttl_s: i64) -> Result<(LeaseId, i64), Error> {
        unimplemented!()
    }

    pub async fn lease_revoke(&self, _id: LeaseId) -> Result<(), Error> {
        unimplemented!()
    }

    /// The TTL granted; `None`: there is no such lease (any more).
    pub async fn lease_keep_alive(&self, _id: LeaseId) -> Result<Option<i64>, Error> {
        unimplemented!()
    }

    pub async fn lease_time_to_live(&self, _id: LeaseId, _keys: bool) -> Result<Option<TimeToLive>, Error> {
        unimplemented!()
    }

    /// In order of expiry.
    pub async fn leases(&self) -> Result<Vec<LeaseId>, Error> {
        unimplemented!()
    }
}
