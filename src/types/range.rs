//! Key ranges, with etcd's rules for `range_end`, once.

use serde::{Deserialize, Serialize};

use super::Bytes;

/// The keys that a request is about: `[key, end)`, written as etcd writes it.
///
/// | `range_end` | means |
/// |---|---|
/// | empty | the one key |
/// | one zero byte | all keys >= key |
/// | anything else | all keys in `[key, range_end)`; none if `range_end <= key` |
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyRange {
    pub key: Bytes,
    pub range_end: Bytes,
}

/// Where a range ends, once `range_end` has been read by the rules above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeEnd<'a> {
    /// Exactly the start key.
    Single,
    /// All keys from the start.
    Open,
    /// Keys below this one.
    Before(&'a [u8]),
}

impl KeyRange {
    pub fn new(key: impl Into<Bytes>, range_end: impl Into<Bytes>) -> KeyRange {
        KeyRange { key: key.into(), range_end: range_end.into() }
    }

    pub fn single(key: impl Into<Bytes>) -> KeyRange {
        KeyRange::new(key, Bytes::new())
    }

    /// Every key there is.
    pub fn all() -> KeyRange {
        KeyRange::new(b"\0", b"\0")
    }

    /// Every key that starts with `prefix`; an empty prefix is every key.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        match prefix.iter().rposition(|&byte| byte != 0xff) {
            None if prefix.is_empty() => KeyRange::all(),
            None => KeyRange::new(prefix, b"\0"),
            Some(last) => {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                KeyRange::new(prefix, end)
            }
        }
    }

    pub fn end(&self) -> RangeEnd<'_> {
        match &self.range_end[..] {
            [] => RangeEnd::Single,
            [0] => RangeEnd::Open,
            end => RangeEnd::Before(end),
        }
    }

    /// Is it written as one key, rather than as a range that happens to hold one?
    pub fn is_single(&self) -> bool {
        self.range_end.is_empty()
    }

    /// Can no key be in it?
    pub fn is_empty(&self) -> bool {
        matches!(self.end(), RangeEnd::Before(end) if end <= &self.key[..])
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        match self.end() {
            RangeEnd::Single => key == &self.key[..],
            RangeEnd::Open => key >= &self.key[..],
            RangeEnd::Before(end) => key >= &self.key[..] && key < end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_end_rules() {
        type Keys = &'static [&'static [u8]];
        let cases: [(KeyRange, Keys, Keys); 6] = [
            (KeyRange::single(b"b"), &[b"b"], &[b"a", b"b\0", b"c", b""]),
            (KeyRange::new(b"b", b"\0"), &[b"b", b"b\0", b"\xff\xff"], &[b"a", b""]),
            (KeyRange::new(b"b", b"d"), &[b"b", b"c", b"c\xff"], &[b"a", b"d"]),
            (KeyRange::new(b"b", b"b"), &[], &[b"a", b"b", b"c"]),
            (KeyRange::new(b"\0", b"\0\0"), &[b"\0"], &[b"\0\0", b"a"]),
            (KeyRange::all(), &[b"\0", b"a", b"\xff"], &[b""]),
        ];
        for (range, inside, outside) in cases {
            assert!(inside.iter().all(|key| range.contains(key)), "{range:?}");
            assert!(!outside.iter().any(|key| range.contains(key)), "{range:?}");
        }
    }

    #[test]
    fn prefixes() {
        assert_eq!(KeyRange::prefix(b"ab"), KeyRange::new(b"ab", b"ac"));
        assert_eq!(KeyRange::prefix(b"a\xff"), KeyRange::new(b"a\xff", b"b"));
        assert_eq!(KeyRange::prefix(b"\xff\xff"), KeyRange::new(b"\xff\xff", b"\0"));
        assert_eq!(KeyRange::prefix(b""), KeyRange::all());
    }
}
