//! The bytes of every row.
//!
//! ```text
//! keys        | user key, memcomparable    | main, inverted | sub, inverted |  ->  postcard(Version)
//!             | 9 .. 1161                  | 8              | 4             |
//! revs        | main | sub |  ->  | crc32 | postcard(Body) |
//!             | 8    | 4   |      | 4     | ..             |      the crc is of the row's key and the body
//! leases      | id   |  ->  postcard(Lease)
//!             | 8    |
//! lease_keys  | id | user key |  ->  nothing
//!             | 8  | 1 ..     |
//! members     | id |  ->  what its operator told of it
//!             | 8  |
//! meta        name  ->  | crc32 | postcard |
//! ```
//!
//! Numbers are big-endian so that bytes are ordered as numbers are, except the crc, which is little-endian. A lease id is
//! signed: its top bit is turned, for the same reason. A user key becomes groups of 8 bytes, the last one filled with
//! zeros, each followed by a byte that says how many of them count: 0xff means all and another group follows, 0xf7 none,
//! 0xf8 one, .. So the order of keys is kept though a revision stands behind them, and none is the beginning of another:
//!
//! ```text
//! "ab" at 5.0:  61 62 00 00 00 00 00 00 f9   ff ff ff ff ff ff ff fa   ff ff ff ff
//! ```
//!
//! The inverted revision puts the newest version first: the newest at a place is one seek forward from there.

use crc32fast::Hasher;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};

use super::{RevRecord, StoreError};
use crate::types::{Bytes, KeyRev, LeaseId, NodeId, Revision, limits};

const REV_BYTES: usize = 12;
const GROUP_BYTES: usize = 8;

/// Behind every row of `keys`: a prefix cannot have 0xff in the place of its last count.
pub(super) const END: [u8; (limits::KEY_BYTES_MAX / GROUP_BYTES + 1) * (GROUP_BYTES + 1)] =
    [0xff; (limits::KEY_BYTES_MAX / GROUP_BYTES + 1) * (GROUP_BYTES + 1)];

/// What `keys` holds of one version: all but its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) tombstone: bool,
    pub(super) create: Revision,
    pub(super) version: i64,
    pub(super) lease: LeaseId,
}

impl Version {
    pub(super) const TOMBSTONE: Version =
        Version { tombstone: true, create: Revision(0), version: 0, lease: LeaseId::NONE };
}

#[derive(Serialize, Deserialize)]
struct Body<'a> {
    version: Version,
    #[serde(borrow)]
    key: Raw<'a>,
    #[serde(borrow)]
    value: Raw<'a>,
}

/// A slice that is written as one byte string; serde alone would write it byte by byte.
#[derive(Deserialize)]
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into() }
}

pub(super) fn rev_key(rev: KeyRev) -> [u8; REV_BYTES] {
    let mut bytes = [0; REV_BYTES];
    bytes[..8].copy_from_slice(&rev.main.0.to_be_bytes());
    bytes[8..].copy_from_slice(&rev.sub.to_be_bytes());
    bytes
}

pub(super) fn decode_rev(bytes: &[u8]) -> Result<KeyRev, StoreError> {
    let Some((main, sub)) = bytes.split_first_chunk::<8>() else {
        return Err(corrupt(format!("a revision of {} bytes", bytes.len())));
    };
    let sub: [u8; 4] = sub.try_into().map_err(|_| corrupt(format!("a revision of {} bytes", bytes.len())))?;
    Ok(KeyRev { main: Revision(i64::from_be_bytes(*main)), sub: u32::from_be_bytes(sub) })
}

/// Where the rows of `key` begin in `keys`. Every one of them starts with these bytes, and no other row does.
pub(super) fn key_prefix(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((key.len() / GROUP_BYTES + 1) * (GROUP_BYTES + 1) + REV_BYTES);
    let mut groups = key.chunks_exact(GROUP_BYTES);
    for group in &mut groups {
        bytes.extend_from_slice(group);
        bytes.push(0xff);
    }
    let rest = groups.remainder();
    let mut last = [0; GROUP_BYTES];
    last[..rest.len()].copy_from_slice(rest);
    bytes.extend_from_slice(&last);
    bytes.push(0xf7 + rest.len() as u8);
    bytes
}

/// The key of a prefix.
pub(super) fn decode_prefix(prefix: &[u8]) -> Result<Bytes, StoreError> {
    let mut key = Vec::with_capacity(prefix.len());
    for group in prefix.chunks(GROUP_BYTES + 1) {
        match group.split_last() {
            Some((0xff, bytes)) => key.extend_from_slice(bytes),
            Some((&mark @ 0xf7.., bytes)) if bytes.len() == GROUP_BYTES => {
                key.extend_from_slice(&bytes[..usize::from(mark - 0xf7)]);
            }
            _ => return Err(corrupt(format!("the key \"{}\" in table keys", prefix.escape_ascii()))),
        }
    }
    Ok(key.into())
}

/// The row of one version; as a place to seek from, the first row of its key that is not newer than `rev`.
pub(super) fn version_key(key: &[u8], rev: KeyRev) -> Vec<u8> {
    with_rev(key_prefix(key), rev)
}

/// `version_key` for who has the prefix already.
pub(super) fn with_rev(mut prefix: Vec<u8>, rev: KeyRev) -> Vec<u8> {
    prefix.extend(rev_key(rev).map(|byte| !byte));
    prefix
}

/// A place behind all rows of the prefix, and before those of any later key.
pub(super) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(prefix.len() + REV_BYTES + 1);
    bytes.extend_from_slice(prefix);
    bytes.resize(prefix.len() + REV_BYTES + 1, 0xff);
    bytes
}

/// The prefix and the revision of a row of `keys`.
pub(super) fn split_version_key(bytes: &[u8]) -> Result<(&[u8], KeyRev), StoreError> {
    let Some((prefix, inverted)) = bytes.split_last_chunk::<REV_BYTES>() else {
        return Err(corrupt(format!("a row of {} bytes in table keys", bytes.len())));
    };
    Ok((prefix, decode_rev(&inverted.map(|byte| !byte))?))
}

pub(super) fn encode_version(version: &Version) -> Vec<u8> {
    encode(version, Vec::with_capacity(16))
}

pub(super) fn decode_version(bytes: &[u8]) -> Result<Version, StoreError> {
    postcard::from_bytes(bytes).map_err(|error| corrupt(format!("a version in table keys: {error}")))
}

pub(super) fn encode_record(rev: KeyRev, version: &Version, key: &[u8], value: &[u8]) -> Vec<u8> {
    let bytes = Vec::with_capacity(4 + 24 + key.len() + value.len());
    let body = Body { version: *version, key: Raw(key), value: Raw(value) };
    seal(&rev_key(rev), |bytes| encode(&body, bytes), bytes)
}

/// Errors: bytes that are not what was written for `rev`.
pub(super) fn decode_record(rev: KeyRev, bytes: &[u8]) -> Result<RevRecord, StoreError> {
    let Body { version, key, value } = decode_body(rev, bytes)?;
    Ok(RevRecord {
        rev,
        key: key.0.into(),
        value: value.0.into(),
        create: version.create,
        version: version.version,
        lease: version.lease,
        tombstone: version.tombstone,
    })
}

/// What a scan needs to know before it takes a whole record.
pub(super) fn peek_record(rev: KeyRev, bytes: &[u8]) -> Result<(Version, &[u8]), StoreError> {
    let Body { version, key, .. } = decode_body(rev, bytes)?;
    Ok((version, key.0))
}

fn decode_body(rev: KeyRev, bytes: &[u8]) -> Result<Body<'_>, StoreError> {
    let body = unseal(&rev_key(rev), bytes)
        .ok_or_else(|| corrupt(format!("the record of revision {rev}: its checksum is wrong")))?;
    postcard::from_bytes(body).map_err(|error| corrupt(format!("the record of revision {rev}: {error}")))
}

pub(super) fn lease_key(id: LeaseId) -> [u8; 8] {
    ((id.0 as u64) ^ (1 << 63)).to_be_bytes()
}

pub(super) fn decode_lease_key(bytes: &[u8]) -> Result<LeaseId, StoreError> {
    let bytes = bytes.try_into().map_err(|_| corrupt("a lease's id"))?;
    Ok(LeaseId((u64::from_be_bytes(bytes) ^ (1 << 63)) as i64))
}

pub(super) fn held_key(id: LeaseId, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + key.len());
    bytes.extend_from_slice(&lease_key(id));
    bytes.extend_from_slice(key);
    bytes
}

pub(super) fn member_key(id: NodeId) -> [u8; 8] {
    id.0.to_be_bytes()
}

pub(super) fn decode_member_key(bytes: &[u8]) -> Result<NodeId, StoreError> {
    let bytes = bytes.try_into().map_err(|_| corrupt("a member's id"))?;
    Ok(NodeId(u64::from_be_bytes(bytes)))
}

/// A row of a small table, without a checksum.
pub(super) fn encode_plain<T: Serialize>(value: &T) -> Vec<u8> {
    encode(value, Vec::new())
}

pub(super) fn decode_plain<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|error| corrupt(format!("{what}: {error}")))
}

/// A row of `meta`.
pub(super) fn encode_meta<T: Serialize>(name: &str, value: &T) -> Vec<u8> {
    seal(name.as_bytes(), |bytes| encode(value, bytes), Vec::new())
}

pub(super) fn decode_meta<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let body = unseal(name.as_bytes(), bytes)
        .ok_or_else(|| corrupt(format!("\"{name}\" in table meta: its checksum is wrong")))?;
    decode_plain(name, body)
}

fn encode<T: Serialize>(value: &T, bytes: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, bytes).expect("a vector takes what memory takes")
}

fn seal(key: &[u8], body: impl FnOnce(Vec<u8>) -> Vec<u8>, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend_from_slice(&[0; 4]);
    let mut bytes = body(bytes);
    let crc = checksum(key, &bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn unseal<'a>(key: &[u8], bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (crc, body) = bytes.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*crc) == checksum(key, body)).then_some(body)
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_key_is_as_drawn() {
        let bytes = version_key(b"ab", KeyRev::new(5, 0));
        let (key, rev) = bytes.split_at(9);
        assert_eq!(key, [0x61, 0x62, 0, 0, 0, 0, 0, 0, 0xf9]);
        assert_eq!(rev, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(split_version_key(&bytes).expect("whole"), (key, KeyRev::new(5, 0)));
    }

    #[test]
    fn prefixes_keep_the_order_of_keys_and_give_them_back() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut keys: Vec<Vec<u8>> = (0..2000)
            .map(|_| (0..rng.usize(1..20)).map(|_| [0, 1, 0xfe, 0xff][rng.usize(..4)]).collect())
            .collect();
        keys.sort();
        let prefixes: Vec<Vec<u8>> = keys.iter().map(|key| key_prefix(key)).collect();
        assert!(prefixes.is_sorted());
        for (key, prefix) in keys.iter().zip(&prefixes) {
            assert_eq!(decode_prefix(prefix).expect("whole")[..], key[..]);
        }
        for pair in prefixes.windows(2).filter(|pair| pair[0] != pair[1]) {
            assert!(!pair[1].starts_with(&pair[0]) && behind(&pair[0]) < pair[1], "{pair:?}");
        }
    }

    #[test]
    fn the_longest_key_fits_a_page_of_4_kib() {
        let key = vec![0xff; crate::types::limits::KEY_BYTES_MAX];
        assert_eq!(key_prefix(&key).len(), 1161);
        assert!(version_key(&key, KeyRev::default()).len() < 1982, "lmdb.h: MDB_MAXKEYSIZE at 4 KiB");
    }

    #[test]
    fn a_damaged_record_is_seen() {
        let rev = KeyRev::new(7, 1);
        let version = Version { tombstone: false, create: Revision(3), version: 2, lease: LeaseId(-1) };
        let bytes = encode_record(rev, &version, b"k", b"v");
        assert_eq!(&decode_record(rev, &bytes).expect("whole").value[..], b"v");
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert!(decode_record(rev, &damaged).is_err(), "bit {at}");
        }
        assert!(decode_record(KeyRev::new(7, 2), &bytes).is_err(), "a record in the place of another");
    }

    #[test]
    fn leases_are_ordered_as_numbers() {
        let ids = [i64::MIN, -1, 0, 1, i64::MAX].map(LeaseId);
        assert!(ids.map(lease_key).is_sorted());
        assert_eq!(ids.map(|id| decode_lease_key(&lease_key(id)).expect("8 bytes")), ids);
    }
}
