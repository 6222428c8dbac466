//! What a cluster knows of its members and has settled for all of them: the rows of the store's table `members`.
//!
//! ```text
//! | 0       | 1 ..             |
//! | version | postcard(fields) |     version 1: the fields up to `incarnation`, up to `level`; 2: all
//! ```
//!
//! A member's row stands at its id; row 0, nobody's, is the cluster's own. What has none of the fields of version 2 is written
//! as version 1, which builds of level 1 read.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Bytes, DecodeError};

/// Of `RoleChange`.
const ROLE_CHANGE: u8 = 1;

const FIRST: u8 = 1;
const WITH_AUTOPILOT: u8 = 2;

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
    /// SHA-256 of its public key, 32 bytes. Empty: certificates in files say who it is.
    pub key: Bytes,
    /// What tells its hardware from others': a board that comes back without its data is known by it. Empty: not known, or seen to
    /// tell it from nobody.
    pub board: Bytes,
    /// It was let in to hold the data only, and is never to vote.
    pub is_replica: bool,
    /// When it became what it is, voter or learner, in Unix seconds by the clock of who saw to it: for people to read. 0: not
    /// known.
    pub since_s: u64,
}

/// What the entry of a promotion or demotion says beside it, where all members are of level 2; others say nothing.
///
/// ```text
/// | 0       | 1 ..                            |
/// | version | postcard(since_s, why)          |     version = 1
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleChange {
    /// `MemberRow::since_s` from then on.
    pub since_s: u64,
    /// For who has to be told. Empty: somebody asked for it.
    pub why: String,
}

/// What holds for all members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// 0: not settled yet. So are the next two.
    pub heartbeat_ms: u32,
    pub election_ms: u32,
    /// Entries of newer kinds are not proposed: somebody would not know them. It never falls.
    pub level: u32,
    /// At most so many vote. 0: who votes is for people to say, as in etcd.
    pub voters_max: u32,
    /// A voter that could not be reached for so long is replaced.
    pub replace_after_s: u32,
    /// At most so many learners. 0: each member's own setting.
    pub learners_max: u32,
    /// The cluster is being founded by so many boards together, and takes no writes before they are in. 0: it is founded.
    pub forming: u32,
    /// The cluster whose authority and tokens this one has taken over, from a snapshot. 0: none.
    pub follows: u64,
}

impl MemberRow {
    pub fn encode(&self) -> Bytes {
        let first = (&self.name, &self.peer_urls, &self.client_urls, self.level, self.incarnation);
        let is_first = self.key.is_empty() && self.board.is_empty() && !self.is_replica && self.since_s == 0;
        if is_first { encode(FIRST, &first) } else { encode(WITH_AUTOPILOT, self) }
    }

    pub fn decode(bytes: &[u8]) -> Result<MemberRow, DecodeError> {
        match version(bytes)? {
            (FIRST, fields) => {
                let (name, peer_urls, client_urls, level, incarnation) = decode(fields)?;
                Ok(MemberRow { name, peer_urls, client_urls, level, incarnation, ..MemberRow::default() })
            }
            (_, fields) => decode(fields),
        }
    }

    pub fn has_served(&self) -> bool {
        !self.name.is_empty() && self.incarnation != 0
    }
}

impl RoleChange {
    pub fn encode(&self) -> Bytes {
        encode(ROLE_CHANGE, self)
    }

    /// What is none counts for nothing: so did all that older builds wrote there.
    pub fn decode(bytes: &[u8]) -> Option<RoleChange> {
        match bytes.split_first() {
            Some((&ROLE_CHANGE, fields)) => decode(fields).ok(),
            _ => None,
        }
    }
}

impl ClusterRow {
    /// In `forming`: so many boards never come. The founder is not ready yet to let the others in.
    pub const FORMING_BEGINS: u32 = u32::MAX;

    /// Heartbeat and election, in milliseconds, if they are settled.
    pub fn timeouts_ms(&self) -> Option<(u32, u32)> {
        Some((self.heartbeat_ms, self.election_ms))
            .filter(|(heartbeat, election)| *heartbeat > 0 && *election > 0)
    }

    pub fn encode(&self) -> Bytes {
        let settings = [self.voters_max, self.replace_after_s, self.learners_max, self.forming];
        let is_first = settings == [0; 4] && self.follows == 0;
        match is_first {
            true => encode(FIRST, &(self.heartbeat_ms, self.election_ms, self.level)),
            false => encode(WITH_AUTOPILOT, self),
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<ClusterRow, DecodeError> {
        match version(bytes)? {
            (FIRST, fields) => {
                let (heartbeat_ms, election_ms, level) = decode(fields)?;
                Ok(ClusterRow { heartbeat_ms, election_ms, level, ..ClusterRow::default() })
            }
            (_, fields) => decode(fields),
        }
    }
}

fn encode<T: Serialize>(version: u8, fields: &T) -> Bytes {
    postcard::to_extend(fields, vec![version]).expect("a vector takes what memory takes").into()
}

/// And what follows it.
fn version(bytes: &[u8]) -> Result<(u8, &[u8]), DecodeError> {
    match bytes.split_first() {
        Some((&version @ (FIRST | WITH_AUTOPILOT), fields)) => Ok((version, fields)),
        Some((&version, _)) => Err(DecodeError::Version(version)),
        None => Err(DecodeError::Empty),
    }
}

fn decode<T: DeserializeOwned>(fields: &[u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(fields) {
        Ok((row, [])) => Ok(row),
        Ok(_) => Err(DecodeError::Trailing),
        Err(error) => Err(DecodeError::Malformed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_roles_come_back_as_they_went() {
        let change = RoleChange { since_s: 300, why: "why".into() };
        let bytes = change.encode();
        assert_eq!(bytes[..], *b"\x01\xac\x02\x03why");
        assert_eq!(RoleChange::decode(&bytes), Some(change));
        for other in [&b""[..], b"\x01", b"\x02\x00\x00", b"\x01\x00\x00\x00", b"words"] {
            assert_eq!(RoleChange::decode(other), None, "{other:?}");
        }
    }

    #[test]
    fn rows_come_back_as_they_went() {
        let row = MemberRow {
            name: "a".into(),
            peer_urls: vec!["http://h:1".into()],
            client_urls: Vec::new(),
            level: 1,
            incarnation: 300,
            ..MemberRow::default()
        };
        let bytes = row.encode();
        assert_eq!(bytes[..], *b"\x01\x01a\x01\x0ahttp://h:1\x00\x01\xac\x02");
        assert_eq!(MemberRow::decode(&bytes), Ok(row.clone()));
        let joined = MemberRow { key: b"k".into(), board: b"b".into(), since_s: 3, ..row };
        let bytes = joined.encode();
        assert_eq!(bytes[..], *b"\x02\x01a\x01\x0ahttp://h:1\x00\x01\xac\x02\x01k\x01b\x00\x03");
        assert_eq!(MemberRow::decode(&bytes), Ok(joined));
        let cluster = ClusterRow { heartbeat_ms: 1, election_ms: 2, level: 3, ..ClusterRow::default() };
        assert_eq!(cluster.encode()[..], [1, 1, 2, 3]);
        assert_eq!(ClusterRow::decode(&[1, 1, 2, 3]), Ok(cluster.clone()));
        let led = ClusterRow { voters_max: 5, replace_after_s: 6, learners_max: 7, forming: 8, ..cluster };
        let led = ClusterRow { follows: 9, ..led };
        assert_eq!(led.encode()[..], [2, 1, 2, 3, 5, 6, 7, 8, 9]);
        assert_eq!(ClusterRow::decode(&led.encode()), Ok(led));
        assert_eq!(ClusterRow::decode(&[]), Err(DecodeError::Empty));
        assert_eq!(ClusterRow::decode(&[3, 0, 0, 0]), Err(DecodeError::Version(3)));
        assert_eq!(ClusterRow::decode(&[1, 0, 0, 0, 9]), Err(DecodeError::Trailing));
        assert!(matches!(ClusterRow::decode(&[1, 0]), Err(DecodeError::Malformed(_))));
    }
}
