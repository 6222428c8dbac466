//! The bytes of every row.
//!
//! ```text
//! keys        | user key, memcomparable    | main, inverted | sub, inverted |  ->  postcard(Version)
//!             | 3 .. 1538                  | 1 .. 9         | 1 .. 5        |
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
//! signed: its top bit is turned, for the same reason.
//!
//! In `keys`, rows are short: a put makes a leaf of it dirty and a branch above, and the more rows these have, the fewer
//! they are. Numbers there are as short as they can be: how many bytes, then the bytes without leading zeros; all
//! inverted. A user key stands as it is, but for its zeros. A run of them becomes 0x00 and a code, and so does the end:
//!
//! ```text
//! 00 n         n = 0 .. 126: n zeros, and the key ends
//! 00 7f        127 zeros, and more of them follow, or the end
//! 00 (ff - n)  n = 1 .. 127: n zeros, and another byte follows
//! ```
//!
//! So the order of keys is kept though a revision stands behind them (where one key has a zero and another one ends or
//! goes on, the codes are in that order), none is the beginning of another, and the worst that a key can be, every second
//! byte a zero, makes it half as long again:
//!
//! ```text
//! "ab" at 5.0:      61 62 00 00      fe fa   ff
//! "a\0b" at 300.1:  61 00 fe 62 00 00   fd fe d3   fe fe
//! ```
//!
//! The inverted revision puts the newest version first: the newest at a place is one seek forward from there.

use crc32fast::Hasher;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};

use super::{Record, StoreError};
use crate::types::{Bytes, KeyRev, LeaseId, NodeId, Revision, limits};

const REV_BYTES: usize = 12;

/// A revision in `keys` is at most so long.
const SHORT_REV_BYTES_MAX: usize = 1 + 8 + 1 + 4;

/// The zeros that a code in a user key can speak of.
const ZEROS_MAX: usize = 127;

/// Behind every row of `keys`: no user key has so many bytes before its end.
pub(super) const END: [u8; limits::KEY_BYTES_MAX + 1] = [0xff; limits::KEY_BYTES_MAX + 1];

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
    let mut bytes = Vec::with_capacity(key.len() + 2 + SHORT_REV_BYTES_MAX);
    let mut rest = key;
    loop {
        let plain = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
        bytes.extend_from_slice(&rest[..plain]);
        let zeros = rest[plain..].iter().take_while(|&&byte| byte == 0).count();
        rest = &rest[plain + zeros..];
        push_zeros(&mut bytes, zeros, rest.is_empty());
        if rest.is_empty() {
            return bytes;
        }
    }
}

/// A run of zeros, and whether the key ends behind it.
fn push_zeros(bytes: &mut Vec<u8>, mut zeros: usize, last: bool) {
    while zeros > ZEROS_MAX || (last && zeros == ZEROS_MAX) {
        bytes.extend([0, ZEROS_MAX as u8]);
        zeros -= ZEROS_MAX;
    }
    bytes.extend([0, if last { zeros as u8 } else { 0xff - zeros as u8 }]);
}

/// The key of a prefix.
pub(super) fn decode_prefix(prefix: &[u8]) -> Result<Bytes, StoreError> {
    let mut key = Vec::with_capacity(prefix.len());
    let mut rest = prefix.iter();
    while let Some(&byte) = rest.next() {
        let zeros = match (byte, rest.as_slice()) {
            (0, &[code, ..]) if usize::from(code) <= ZEROS_MAX => usize::from(code),
            (0, &[code, ..]) if code < 0xff => usize::from(0xff - code),
            (0, _) => return Err(corrupt(format!("the key \"{}\" in table keys", prefix.escape_ascii()))),
            _ => {
                key.push(byte);
                continue;
            }
        };
        rest.next();
        key.resize(key.len() + zeros, 0);
    }
    Ok(key.into())
}

/// How long the prefix at the beginning of a row is.
fn prefix_len(row: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += row[at..].iter().position(|&byte| byte == 0)? + 2;
        if usize::from(*row.get(at - 1)?) < ZEROS_MAX {
            return Some(at);
        }
    }
}

/// The row of one version; as a place to seek from, the first row of its key that is not newer than `rev`.
pub(super) fn version_key(key: &[u8], rev: KeyRev) -> Vec<u8> {
    with_rev(key_prefix(key), rev)
}

/// `version_key` for who has the prefix already.
pub(super) fn with_rev(mut prefix: Vec<u8>, rev: KeyRev) -> Vec<u8> {
    push_inverted(&mut prefix, &rev.main.0.to_be_bytes());
    push_inverted(&mut prefix, &rev.sub.to_be_bytes());
    prefix
}

fn push_inverted(bytes: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    bytes.push(!((number.len() - zeros) as u8));
    bytes.extend(number[zeros..].iter().map(|byte| !byte));
}

fn take_inverted<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (&len, rest) = bytes.split_first()?;
    let (digits, rest) = rest.split_at_checked(usize::from(!len))?;
    let mut number = [0; N];
    let zeros = N.checked_sub(digits.len())?;
    number[zeros..].iter_mut().zip(digits).for_each(|(to, from)| *to = !from);
    *bytes = rest;
    Some(number)
}

/// A place behind all rows of the prefix, and before those of any later key.
pub(super) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(prefix.len() + 3);
    bytes.extend_from_slice(prefix);
    bytes.extend(BEHIND);
    bytes
}

/// The last row of a key that there can be is that of revision 0.0: 0xff twice.
pub(super) const BEHIND: [u8; 3] = [0xff; 3];

/// The prefix and the revision of a row of `keys`.
pub(super) fn split_version_key(bytes: &[u8]) -> Result<(&[u8], KeyRev), StoreError> {
    let len = prefix_len(bytes).ok_or_else(|| bad_version_key(bytes))?;
    Ok((&bytes[..len], decode_version_rev(bytes, len)?))
}

/// The revision of a row of `keys` whose prefix has `prefix_len` bytes.
pub(super) fn decode_version_rev(bytes: &[u8], prefix_len: usize) -> Result<KeyRev, StoreError> {
    let mut rest = &bytes[prefix_len..];
    let (main, sub) = (take_inverted(&mut rest), take_inverted(&mut rest));
    let (Some(main), Some(sub), []) = (main, sub, rest) else { return Err(bad_version_key(bytes)) };
    Ok(KeyRev { main: Revision(i64::from_be_bytes(main)), sub: u32::from_be_bytes(sub) })
}

fn bad_version_key(bytes: &[u8]) -> StoreError {
    corrupt(format!("the row \"{}\" in table keys", bytes.escape_ascii()))
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
pub(super) fn decode_record(rev: KeyRev, bytes: &[u8]) -> Result<Record<'_>, StoreError> {
    let body = unseal(&rev_key(rev), bytes)
        .ok_or_else(|| corrupt(format!("the record of revision {rev}: its checksum is wrong")))?;
    let Body { version, key, value } = postcard::from_bytes(body)
        .map_err(|error| corrupt(format!("the record of revision {rev}: {error}")))?;
    let Version { tombstone, create, version, lease } = version;
    Ok(Record { rev, key: key.0, value: value.0, create, version, lease, tombstone })
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
    encode(value, Vec::with_capacity(32))
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
        let (prefix, rev) = (b"ab\0\0", [0xfe, 0xfa, 0xff]);
        let bytes = version_key(b"ab", KeyRev::new(5, 0));
        assert_eq!(bytes, [&prefix[..], &rev].concat());
        assert_eq!(split_version_key(&bytes).expect("whole"), (&prefix[..], KeyRev::new(5, 0)));

        let (prefix, rev) = (b"a\0\xfeb\0\0", [0xfd, 0xfe, 0xd3, 0xfe, 0xfe]);
        let bytes = version_key(b"a\0b", KeyRev::new(300, 1));
        assert_eq!(bytes, [&prefix[..], &rev].concat());
        assert_eq!(split_version_key(&bytes).expect("whole"), (&prefix[..], KeyRev::new(300, 1)));
    }

    #[test]
    fn prefixes_keep_the_order_of_keys_and_give_them_back() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut keys: Vec<Vec<u8>> = (0..2000)
            .map(|_| (0..rng.usize(1..20)).map(|_| [0, 1, 0xfe, 0xff][rng.usize(..4)]).collect())
            .collect();
        keys.extend(keys_with_long_runs());
        keys.sort();
        keys.dedup();
        let prefixes: Vec<Vec<u8>> = keys.iter().map(|key| key_prefix(key)).collect();
        for (key, prefix) in keys.iter().zip(&prefixes) {
            assert_eq!(decode_prefix(prefix).expect("whole")[..], key[..]);
        }
        for pair in prefixes.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
            assert!(!pair[1].starts_with(&pair[0]) && behind(&pair[0]) < pair[1], "{pair:?}");
        }
        assert!(behind(prefixes.last().expect("many")) < END.to_vec());
    }

    /// Around the longest run that a code can speak of, once and twice, with all that can follow.
    fn keys_with_long_runs() -> Vec<Vec<u8>> {
        let runs = [1, 2, 125, 126, 127, 128, 129, 253, 254, 255, 256, 381, 382, 1022];
        let ends: [&[u8]; 4] = [b"", b"\x01", b"\xff", b"\x01\0"];
        runs.iter().flat_map(|&run| ends.map(|end| [&vec![0; run], end].concat())).collect()
    }

    #[test]
    fn rows_of_a_key_are_in_order_the_newest_first() {
        let mains = [0, 1, 255, 256, 65535, 65536, 1 << 24, i64::from(u32::MAX), 1 << 40, i64::MAX];
        let subs = [0, 1, 255, 256, 65535, 65536, u32::MAX];
        let revs = mains.iter().flat_map(|&main| subs.map(|sub| KeyRev { main: Revision(main), sub }));
        let revs: Vec<KeyRev> = revs.collect();
        let rows: Vec<Vec<u8>> = revs.iter().map(|&rev| version_key(b"k", rev)).collect();
        assert!(rows.windows(2).all(|pair| pair[0] > pair[1]));
        assert!(behind(&key_prefix(b"k")) > rows[0]);
        for (row, rev) in rows.iter().zip(revs) {
            assert_eq!(split_version_key(row).expect("whole"), (&b"k\0\0"[..], rev));
        }
    }

    #[test]
    fn a_row_that_is_no_version_key_is_refused() {
        let whole = version_key(b"a\0b", KeyRev::new(300, 1));
        for len in 0..whole.len() {
            assert!(split_version_key(&whole[..len]).is_err(), "{len} bytes");
        }
        assert!(split_version_key(&[&whole[..], &[0xff]].concat()).is_err(), "one byte more");
        assert!(split_version_key(b"a\0\0\0\0").is_err(), "a number of 255 bytes");
        assert!(decode_prefix(b"a\0\xff").is_err());
        assert!(decode_prefix(b"a\0").is_err());
    }

    #[test]
    fn the_longest_key_fits_a_page_of_4_kib() {
        let key: Vec<u8> = [0, 0xff].repeat(crate::types::limits::KEY_BYTES_MAX / 2);
        let longest = KeyRev { main: Revision(i64::MAX), sub: u32::MAX };
        assert_eq!(key_prefix(&key).len(), 1538);
        assert_eq!(version_key(&key, longest).len(), 1538 + SHORT_REV_BYTES_MAX);
        assert!(version_key(&key, longest).len() < 1982, "lmdb.h: MDB_MAXKEYSIZE at 4 KiB");
        assert_eq!(decode_prefix(&key_prefix(&key)).expect("whole")[..], key[..]);
    }

    #[test]
    fn a_damaged_record_is_seen() {
        let rev = KeyRev::new(7, 1);
        let version = Version { tombstone: false, create: Revision(3), version: 2, lease: LeaseId(-1) };
        let bytes = encode_record(rev, &version, b"k", b"v");
        assert_eq!(decode_record(rev, &bytes).expect("whole").value, b"v");
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
