//! What a cluster knows of its members and has settled for all of them: the rows of the store's table `members`.
//!
//! ```text
//! | 0       | 1 ..             |
//! | version | postcard(fields) |     version = 1
//! ```
//!
//! A member's row stands at its id; row 0, nobody's, is the cluster's own.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Bytes, DecodeError};

/// The format that is written. All that is read: 1.
const VERSION: u8 = 1;

/// What is known of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// Empty: it was added, and has never served yet.
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    /// The newest kind of entry that its build knows (`Command::LEVEL`); 0 before it has served.
    pub level: u32,
    /// Drawn with its data directory: tells whether a board that has its id has its data, too. 0 before it has served.
    pub incarnation: u64,
}

/// What holds for all members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// 0: not settled yet. So are the next two.
    pub heartbeat_ms: u32,
    pub election_ms: u32,
    /// Entries of newer kinds are not proposed: somebody would not know them. It never falls.
    pub level: u32,
}

impl MemberRow {
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<MemberRow, DecodeError> {
        decode(bytes)
    }

    pub fn has_served(&self) -> bool {
        !self.name.is_empty()
    }
}

impl ClusterRow {
    /// Heartbeat and election, in milliseconds, if they are settled.
    pub fn timeouts_ms(&self) -> Option<(u32, u32)> {
        Some((self.heartbeat_ms, self.election_ms))
            .filter(|(heartbeat, election)| *heartbeat > 0 && *election > 0)
    }

    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<ClusterRow, DecodeError> {
        decode(bytes)
    }
}

fn encode<T: Serialize>(row: &T) -> Bytes {
    postcard::to_extend(row, vec![VERSION]).expect("a vector takes what memory takes").into()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((row, [])) => Ok(row),
            Ok(_) => Err(DecodeError::Trailing),
            Err(error) => Err(DecodeError::Malformed(error)),
        },
        Some((&version, _)) => Err(DecodeError::Version(version)),
        None => Err(DecodeError::Empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_went() {
        let row = MemberRow {
            name: "a".into(),
            peer_urls: vec!["http://h:1".into()],
            client_urls: Vec::new(),
            level: 1,
            incarnation: 300,
        };
        let bytes = row.encode();
        assert_eq!(bytes[..], *b"\x01\x01a\x01\x0ahttp://h:1\x00\x01\xac\x02");
        assert_eq!(MemberRow::decode(&bytes), Ok(row));
        assert_eq!(ClusterRow::decode(&[]), Err(DecodeError::Empty));
        assert_eq!(ClusterRow::decode(&[2, 0, 0, 0]), Err(DecodeError::Version(2)));
        assert_eq!(ClusterRow::decode(&[1, 0, 0, 0, 9]), Err(DecodeError::Trailing));
        assert!(matches!(ClusterRow::decode(&[1, 0]), Err(DecodeError::Malformed(_))));
    }
}
