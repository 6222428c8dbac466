//! Paths of discovery, and the keys behind them.
//!
//! ```text
//! /new
//! /<token>, /<token>/                 /_etcd/registry/<token>/...
//! /<token>/_config/size               /_etcd/registry/<token>/_config/size
//! /<token>/<id>                       /_etcd/registry/<token>/members/<id>
//!                                     /_solder/discovery/<token>              so that tokens can be counted
//! ```

use std::fmt;

use crate::types::{Bytes, KeyRange, hex};

const TOKEN_DIGITS: usize = 32;

/// Longer than any id of etcd's, which are numbers of 64 bits in hexadecimal.
const ID_BYTES_MAX: usize = 64;

/// The name of a token's size, below it.
pub(super) const SIZE: &str = "_config/size";

#[derive(Clone, Debug, PartialEq)]
pub(in crate::api) enum Place {
    New,
    /// Below a token: nothing (the token itself), `_config/size`, or whatever else stands there.
    Below(Token, String),
}

/// 32 hexadecimal digits, which name what is to become a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Token(String);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a path means, if it is one of ours.
pub(in crate::api) fn find(path: &str) -> Option<Place> {
    if path == "/new" {
        return Some(Place::New);
    }
    let (token, below) = path.strip_prefix('/')?.split_at_checked(TOKEN_DIGITS)?;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !token.bytes().all(is_digit) {
        return None;
    }
    let name = if below.is_empty() { "" } else { below.strip_prefix('/')? };
    Some(Place::Below(Token(token.to_owned()), name.to_owned()))
}

/// What a member can call itself: nothing that would have to be escaped, in a path or anywhere.
pub(super) fn is_id(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    (1..=ID_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain)
}

impl Token {
    pub fn new(drawn: [u8; 16]) -> Token {
        Token(hex(drawn))
    }

    /// One key for each token there is.
    pub(super) fn all() -> KeyRange {
        KeyRange::prefix(b"/_solder/discovery/")
    }

    pub(super) fn mark(&self) -> Bytes {
        format!("/_solder/discovery/{self}").into_bytes().into()
    }

    /// All that is below it.
    pub fn keys(&self) -> KeyRange {
        KeyRange::prefix(self.root().as_bytes())
    }

    pub fn members(&self) -> KeyRange {
        KeyRange::prefix(format!("{}members/", self.root()).as_bytes())
    }

    pub fn size(&self) -> Bytes {
        format!("{}{SIZE}", self.root()).into_bytes().into()
    }

    pub fn member(&self, id: &str) -> Bytes {
        format!("{}members/{id}", self.root()).into_bytes().into()
    }

    /// Whose key is it? `None`: nobody's.
    pub(super) fn id_of<'k>(&self, key: &'k [u8]) -> Option<&'k str> {
        let below = key.strip_prefix(self.root().as_bytes())?.strip_prefix(b"members/")?;
        std::str::from_utf8(below).ok().filter(|id| is_id(id))
    }

    fn root(&self) -> String {
        format!("/_etcd/registry/{self}/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        const TOKEN: &str = "0123456789abcdef0123456789abcdef";
        let below = |name: &str| Some(Place::Below(Token(TOKEN.to_owned()), name.to_owned()));
        let cases = [
            ("/new".to_owned(), Some(Place::New)),
            ("/new/".to_owned(), None),
            (format!("/{TOKEN}"), below("")),
            (format!("/{TOKEN}/"), below("")),
            (format!("/{TOKEN}/_config/size"), below("_config/size")),
            (format!("/{TOKEN}/8e9e05c52164694d"), below("8e9e05c52164694d")),
            (format!("/{TOKEN}/a/b"), below("a/b")),
            (format!("/{TOKEN}0"), None),
            (format!("/{}", TOKEN.to_ascii_uppercase()), None),
            (format!("/{}", &TOKEN[1..]), None),
            ("/0123456789abcdef0123456789abcde\u{fc}".to_owned(), None),
            ("/".to_owned(), None),
        ];
        for (path, place) in cases {
            assert_eq!(find(&path), place, "{path}");
        }
    }

    #[test]
    fn keys_and_ids() {
        let token = Token::new([0xab; 16]);
        let key = token.member("8e9e");
        assert_eq!(&key[..], format!("/_etcd/registry/{token}/members/8e9e").as_bytes());
        assert_eq!(token.id_of(&key), Some("8e9e"));
        assert_eq!(token.id_of(&token.size()), None);
        assert!(token.keys().contains(&token.size()) && token.keys().contains(&key));
        assert!(token.members().contains(&key) && !token.members().contains(&token.size()));
        for bad in ["", "_config", "a/b", "a%20b", &"a".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
