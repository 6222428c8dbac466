//! What is read out of the store.

use serde::{Deserialize, Serialize};

use crate::types::{Bytes, KeyRev, LeaseId, Revision};

/// One change of a key: a value or a tombstone (then value, create, version and lease are empty).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevRecord {
    /// Its `main` is etcd's mod_revision.
    pub rev: KeyRev,
    pub key: Bytes,
    pub value: Bytes,
    pub create: Revision,
    pub version: i64,
    pub lease: LeaseId,
    pub tombstone: bool,
}

impl RevRecord {
    /// What it counts against bounds in bytes.
    pub fn weight_bytes(&self) -> u64 {
        const OVERHEAD_BYTES: u64 = 96;
        OVERHEAD_BYTES + (self.key.len() + self.value.len()) as u64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub ttl_s: i64,
    /// What was left at the last checkpoint; none was made if it is `None`.
    pub remaining_s: Option<i64>,
}
