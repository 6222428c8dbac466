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

/// A `RevRecord` whose bytes lie elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub rev: KeyRev,
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub create: Revision,
    pub version: i64,
    pub lease: LeaseId,
    pub tombstone: bool,
}

impl RevRecord {
    /// What it counts against bounds in bytes.
    pub fn weight_bytes(&self) -> u64 {
        self.as_record().weight_bytes()
    }

    pub fn as_record(&self) -> Record<'_> {
        let RevRecord { rev, ref key, ref value, create, version, lease, tombstone } = *self;
        Record { rev, key, value, create, version, lease, tombstone }
    }
}

impl Record<'_> {
    /// As of a `RevRecord`.
    pub fn weight_bytes(&self) -> u64 {
        const OVERHEAD_BYTES: u64 = 96;
        OVERHEAD_BYTES + (self.key.len() + self.value.len()) as u64
    }
}

impl From<Record<'_>> for RevRecord {
    fn from(record: Record<'_>) -> RevRecord {
        let Record { rev, key, value, create, version, lease, tombstone } = record;
        RevRecord { rev, key: key.into(), value: value.into(), create, version, lease, tombstone }
    }
}

/// Some records, side by side: two allocations however many they are, because another thread frees them than made them.
#[derive(Clone, Debug, Default)]
pub struct Records {
    heads: Vec<Head>,
    /// Key, value, key, value, ..
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Head {
    rev: KeyRev,
    create: Revision,
    version: i64,
    lease: LeaseId,
    key_len: u32,
    value_len: u32,
    tombstone: bool,
}

impl Records {
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let mut rest = &self.bytes[..];
        self.heads.iter().map(move |head| {
            let (key, behind) = rest.split_at(head.key_len as usize);
            let (value, behind) = behind.split_at(head.value_len as usize);
            rest = behind;
            let Head { rev, create, version, lease, tombstone, .. } = *head;
            Record { rev, key, value, create, version, lease, tombstone }
        })
    }

    /// Gives back what room was made for too much.
    pub(super) fn shrink_to_fit(&mut self) {
        self.heads.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.heads.capacity() * size_of::<Head>() + self.bytes.capacity()
    }

    /// `more`: how many are expected behind this one, and are likely to be as large.
    pub(super) fn push(&mut self, record: &Record<'_>, more: usize) {
        let Record { rev, key, value, create, version, lease, tombstone } = *record;
        let (key_len, value_len) = (key.len() as u32, value.len() as u32);
        if self.bytes.capacity() - self.bytes.len() < key.len() + value.len() {
            self.heads.reserve(1 + more);
            self.bytes.reserve((key.len() + value.len()) * (1 + more));
        }
        self.heads.push(Head { rev, create, version, lease, key_len, value_len, tombstone });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub ttl_s: i64,
    /// What was left at the last checkpoint; none was made if it is `None`.
    pub remaining_s: Option<i64>,
}
