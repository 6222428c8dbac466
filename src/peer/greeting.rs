//! The first bytes on a connection, one greeting each way: who speaks to whom, and what both can do.
//!
//! ```text
//! | 0     | 8      | 10     | 12      | 14      | 15      | 16      | 24   | 32 | 40              | 44          |
//! | magic | length | lowest | highest | purpose | verdict | cluster | from | to | frame_bytes_max | incarnation |
//! | 52       | 60     | 61    |
//! | known_as | is_led | crc32 |
//!
//! magic "SolderPe"; all numbers little endian; `length` is that of the whole greeting, 65 here; an earlier build wrote none of
//! what follows `incarnation`, a later one may put more fields before the CRC, which is always last and covers all before it
//! lowest, highest   protocol versions that the sender speaks; the highest that both speak is used
//! purpose           0 urgent, 1 bulk, 2 ask: who is nobody yet (cluster, from and to are 0) wants to know the members,
//!                   3 join: and wants to be one, 4 authority: a voter wants the key of the cluster's authority,
//!                   5 certificate: a member wants that authority's word about a new key of its own
//! verdict           0 in the first greeting and in an answer that welcomes; else why the answer refuses
//! frame_bytes_max   the longest payload of a frame that the sender takes
//! incarnation       drawn with the sender's data directory: a board whose disk was wiped has another
//! known_as          the incarnation by which the sender knows the receiver; 0: by none yet
//! is_led            1: the sender knows a leader, so a majority of its cluster is at work
//!
//! member 1 of cluster 5 to member 2, which it knows as 7; urgent, 4 MiB, incarnation 9, led:
//!   53 6f 6c 64 65 72 50 65 41 00 01 00 01 00 00 00  magic, 65, versions 1 to 1, urgent, welcome
//!   05 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00  cluster, from
//!   02 00 00 00 00 00 00 00 00 00 40 00              to, frame_bytes_max
//!   09 00 00 00 00 00 00 00                          incarnation
//!   07 00 00 00 00 00 00 00 01 ea db 98 52           known_as, is_led, crc32
//! ```
//!
//! Who dialled speaks first. Nothing behind a greeting is looked at before both are known and fit.

use std::{fmt, ops::RangeInclusive};

use crate::types::{ClusterId, NodeId};

const MAGIC: &[u8; 8] = b"SolderPe";

/// What this build writes.
pub const GREETING_BYTES: usize = 65;

/// What the first builds wrote.
const GREETING_BYTES_MIN: usize = 56;

/// What a later build may come to write. No more is read of a stranger.
pub const GREETING_BYTES_MAX: usize = 256;

/// Of the length field's end: so many bytes tell how many there are.
pub const GREETING_HEAD_BYTES: usize = 10;

/// The protocol versions that this build speaks. A version is what `frame` draws.
pub const VERSIONS: RangeInclusive<u16> = 1..=1;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    pub lowest: u16,
    pub highest: u16,
    pub purpose: Purpose,
    pub verdict: Option<Refusal>,
    pub cluster: ClusterId,
    pub from: NodeId,
    pub to: NodeId,
    pub frame_bytes_max: u32,
    pub incarnation: u64,
    pub known_as: u64,
    pub is_led: bool,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// What must not wait: votes, heartbeats, appends of ordinary size.
    Urgent,
    /// What may take its time: catching up, and single large entries.
    Bulk,
    /// One question, from a board that is no member yet: who are the members? See `ask`.
    Ask,
    /// A board that is no member wants to become one. See `join`.
    Join,
    /// One question, from a voter: what is the key of the cluster's authority? See `authority`.
    Authority,
    /// One question, from a member that renews its key: a certificate for the new one. See `certifying`.
    Certificate,
}

impl Purpose {
    /// Those of members, between which connections stay.
    pub(super) const LANES: [Purpose; 2] = [Purpose::Urgent, Purpose::Bulk];

    const fn code(self) -> u8 {
        match self {
            Purpose::Urgent => 0,
            Purpose::Bulk => 1,
            Purpose::Ask => 2,
            Purpose::Join => 3,
            Purpose::Authority => 4,
            Purpose::Certificate => 5,
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Purpose::Urgent => "urgent",
            Purpose::Bulk => "bulk",
            Purpose::Ask => "asking",
            Purpose::Join => "joining",
            Purpose::Authority => "authority",
            Purpose::Certificate => "certificate",
        })
    }
}

/// Why a connection is not wanted. The numbers are a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No version that both speak.
    Version,
    OtherCluster,
    /// Somebody else was called.
    WrongMember,
    /// The caller was a member once, and is not any more, for good.
    Removed,
    /// The caller is no member, and who refuses is sure of it.
    NotMember,
    /// The caller has the id of the called.
    SameMember,
    /// Too many that are not known yet are connected.
    Busy,
    /// The caller has lost what its id stands for: its data directory is another than that of the member of this id.
    WipedDisk,
    /// One of the two is another board than the list of members says: it has not shown the key that stands there.
    WrongKey,
    /// The caller has shown no certificate of the cluster's authority.
    NoCertificate,
    /// Joining needs TLS.
    Plain,
    /// The caller may not have what it asks for: it does not vote.
    NotVoter,
    /// The called does not have what it is asked for.
    NoAuthority,
    /// A reason that only newer builds know.
    Unknown(u8),
}

impl Refusal {
    fn code(self) -> u8 {
        match self {
            Refusal::Version => 1,
            Refusal::OtherCluster => 2,
            Refusal::WrongMember => 3,
            Refusal::Removed => 4,
            Refusal::NotMember => 5,
            Refusal::SameMember => 6,
            Refusal::Busy => 7,
            Refusal::WipedDisk => 8,
            Refusal::WrongKey => 9,
            Refusal::NoCertificate => 10,
            Refusal::Plain => 11,
            Refusal::NotVoter => 12,
            Refusal::NoAuthority => 13,
            Refusal::Unknown(code) => code,
        }
    }

    fn from_code(code: u8) -> Option<Refusal> {
        Some(match code {
            0 => return None,
            1 => Refusal::Version,
            2 => Refusal::OtherCluster,
            3 => Refusal::WrongMember,
            4 => Refusal::Removed,
            5 => Refusal::NotMember,
            6 => Refusal::SameMember,
            7 => Refusal::Busy,
            8 => Refusal::WipedDisk,
            9 => Refusal::WrongKey,
            10 => Refusal::NoCertificate,
            11 => Refusal::Plain,
            12 => Refusal::NotVoter,
            13 => Refusal::NoAuthority,
            code => Refusal::Unknown(code),
        })
    }

    /// For whom `caller` and `called` are the two greetings: what is wrong, and what to do.
    pub(super) fn explain(self, caller: &Greeting, called: &Greeting) -> String {
        match self {
            Refusal::Version => format!(
                "member {} speaks protocol versions {} to {}, member {} {} to {}: install the newer build on both, one after \
                 the other",
                caller.from, caller.lowest, caller.highest, called.from, called.lowest, called.highest
            ),
            Refusal::OtherCluster => format!(
                "member {} belongs to cluster {}, member {} to cluster {}: a peer URL leads to a board of another cluster, or \
                 a board has the data of an earlier one",
                caller.from, caller.cluster, called.from, called.cluster
            ),
            Refusal::WrongMember => format!(
                "member {} was called, but member {} lives there: correct the peer URL with `solder member update`",
                caller.to, called.from
            ),
            Refusal::Removed => format!(
                "member {} was removed from the cluster: to have it back, stop it, clear its whole data directory, and start it with \
                 a URL of `solder invite`; or, where members were named to each other, add it with `solder member add`",
                caller.from
            ),
            Refusal::NotMember => format!(
                "member {} is not in the cluster's list of members: let it in with a URL of `solder invite`; or, where members \
                 were named to each other, add it with `solder member add`",
                caller.from
            ),
            Refusal::SameMember => format!(
                "two boards are member {}: a data directory was copied, or a peer URL leads back to its own board; only one \
                 may run",
                caller.from
            ),
            Refusal::Busy => {
                format!("member {} is connected with too many that it does not know yet", called.from)
            }
            Refusal::WipedDisk => format!(
                "member {} has already been bootstrapped, with other data than this board has: what it voted for is lost \
                 with its disk, so it must not come back under its old id: remove it with `solder member remove {}`, clear \
                 its whole data directory and start it with a URL of `solder invite`; or, where members were named to each other, \
                 add it with `solder member add`, and start it with --initial-cluster-state existing",
                caller.from, caller.from
            ),
            Refusal::WrongKey => format!(
                "who calls as member {} has not shown the key that the list of members has for it, nor a certificate for that id: it is another board, or its \
                 tls folder is: put back the one that it had, or clear its data directory and let it join anew",
                caller.from
            ),
            Refusal::NoCertificate => format!(
                "member {} takes only who shows a certificate of its cluster: reach it at an https:// peer URL, as a board that \
                 has joined with the URL of `solder invite`",
                called.from
            ),
            Refusal::Plain => {
                "joining needs TLS: use a URL that `solder invite` has printed, with https://".into()
            }
            Refusal::NotVoter => {
                format!("member {} does not vote, as member {} knows", caller.from, called.from)
            }
            Refusal::NoAuthority => {
                format!("member {} does not have the authority's key itself", called.from)
            }
            Refusal::Unknown(code) => {
                format!("member {} refuses for reason {code}, which only newer builds know", called.from)
            }
        }
    }
}

/// Why bytes are no greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadGreeting {
    /// Another protocol, or none.
    Magic,
    Length(u16),
    Checksum,
    Purpose(u8),
    /// The lowest version above the highest.
    Versions,
}

impl fmt::Display for BadGreeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadGreeting::Magic => f.write_str("it does not speak the peer protocol"),
            BadGreeting::Length(length) => write!(f, "a greeting of {length} bytes"),
            BadGreeting::Checksum => f.write_str("a greeting with a wrong checksum"),
            BadGreeting::Purpose(code) => write!(f, "a greeting for the unknown purpose {code}"),
            BadGreeting::Versions => f.write_str("a greeting without a version"),
        }
    }
}

impl Greeting {
    pub fn encode(&self) -> [u8; GREETING_BYTES] {
        let mut bytes = [0; GREETING_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&(GREETING_BYTES as u16).to_le_bytes());
        bytes[10..12].copy_from_slice(&self.lowest.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.highest.to_le_bytes());
        bytes[14] = self.purpose.code();
        bytes[15] = self.verdict.map_or(0, Refusal::code);
        bytes[16..24].copy_from_slice(&self.cluster.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.from.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.to.0.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.frame_bytes_max.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[52..60].copy_from_slice(&self.known_as.to_le_bytes());
        bytes[60] = self.is_led.into();
        let sum = crc32fast::hash(&bytes[..61]);
        bytes[61..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// How long the greeting is that begins like this, of [`GREETING_HEAD_BYTES`] or more.
    pub fn length(head: &[u8]) -> Result<usize, BadGreeting> {
        let head = head.get(..GREETING_HEAD_BYTES).ok_or(BadGreeting::Length(0))?;
        if !head.starts_with(MAGIC) {
            return Err(BadGreeting::Magic);
        }
        let length = u16::from_le_bytes([head[8], head[9]]);
        match usize::from(length) {
            bytes @ GREETING_BYTES_MIN..=GREETING_BYTES_MAX => Ok(bytes),
            _ => Err(BadGreeting::Length(length)),
        }
    }

    /// Of exactly as many bytes as `length` says.
    pub fn decode(bytes: &[u8]) -> Result<Greeting, BadGreeting> {
        let length = Greeting::length(bytes)?;
        let (fields, sum) = match bytes.split_last_chunk() {
            Some((fields, sum)) if bytes.len() == length => (fields, u32::from_le_bytes(*sum)),
            _ => return Err(BadGreeting::Length(u16::try_from(bytes.len()).unwrap_or(u16::MAX))),
        };
        if crc32fast::hash(fields) != sum {
            return Err(BadGreeting::Checksum);
        }
        let purpose = match fields[14] {
            0 => Purpose::Urgent,
            1 => Purpose::Bulk,
            2 => Purpose::Ask,
            3 => Purpose::Join,
            4 => Purpose::Authority,
            5 => Purpose::Certificate,
            code => return Err(BadGreeting::Purpose(code)),
        };
        let (lowest, highest) = (number(&fields[10..12]) as u16, number(&fields[12..14]) as u16);
        if lowest > highest {
            return Err(BadGreeting::Versions);
        }
        Ok(Greeting {
            lowest,
            highest,
            purpose,
            verdict: Refusal::from_code(fields[15]),
            cluster: ClusterId(number(&fields[16..24])),
            from: NodeId(number(&fields[24..32])),
            to: NodeId(number(&fields[32..40])),
            frame_bytes_max: number(&fields[40..44]) as u32,
            incarnation: number(&fields[44..52]),
            known_as: fields.get(52..60).map_or(0, number),
            is_led: fields.get(60).is_some_and(|is_led| *is_led != 0),
        })
    }

    /// The highest version that both speak.
    pub fn common_version(&self, other: &Greeting) -> Option<u16> {
        let highest = self.highest.min(other.highest);
        (highest >= self.lowest.max(other.lowest)).then_some(highest)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREETING: Greeting = Greeting {
        lowest: 1,
        highest: 1,
        purpose: Purpose::Urgent,
        verdict: None,
        cluster: ClusterId(5),
        from: NodeId(1),
        to: NodeId(2),
        frame_bytes_max: 4 << 20,
        incarnation: 9,
        known_as: 7,
        is_led: true,
    };

    #[test]
    fn the_bytes_of_a_greeting() {
        let bytes = GREETING.encode();
        let drawn = [
            0x53, 0x6f, 0x6c, 0x64, 0x65, 0x72, 0x50, 0x65, 0x41, 0, 1, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0,
            0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0,
            0, 0, 0, 0, 0, 0, 1, 0xea, 0xdb, 0x98, 0x52,
        ];
        assert_eq!(bytes, drawn, "{bytes:02x?}");
        assert_eq!(Greeting::decode(&bytes), Ok(GREETING));
    }

    #[test]
    fn every_reason_has_its_number() {
        for code in 0..=255 {
            let verdict = Refusal::from_code(code);
            assert_eq!(verdict.map_or(0, Refusal::code), code);
            let greeting = Greeting { verdict, purpose: Purpose::Bulk, ..GREETING };
            assert_eq!(Greeting::decode(&greeting.encode()), Ok(greeting));
        }
    }

    #[test]
    fn every_purpose_has_its_number() {
        let purposes = [
            Purpose::Urgent,
            Purpose::Bulk,
            Purpose::Ask,
            Purpose::Join,
            Purpose::Authority,
            Purpose::Certificate,
        ];
        for (code, purpose) in (0..).zip(purposes) {
            assert_eq!(purpose.code(), code);
            let greeting = Greeting { purpose, ..GREETING };
            assert_eq!(Greeting::decode(&greeting.encode()), Ok(greeting));
        }
    }

    #[test]
    fn a_longer_greeting_of_a_later_build_is_understood() {
        let mut bytes = GREETING.encode()[..61].to_vec();
        bytes.extend(b"more");
        bytes[8] += 4;
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        assert_eq!(Greeting::decode(&bytes), Ok(GREETING));
    }

    #[test]
    fn a_shorter_greeting_of_an_earlier_build_is_understood() {
        let mut bytes = GREETING.encode()[..52].to_vec();
        bytes[8] = 56;
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        assert_eq!(Greeting::decode(&bytes), Ok(Greeting { known_as: 0, is_led: false, ..GREETING }));
    }

    #[test]
    fn bytes_that_are_no_greeting() {
        let bytes = GREETING.encode();
        for place in 0..GREETING_BYTES {
            let mut bad = bytes;
            bad[place] ^= 0x10;
            assert!(Greeting::decode(&bad).is_err(), "byte {place} is wrong");
            assert!(Greeting::decode(&bytes[..place]).is_err(), "{place} bytes");
        }
        assert_eq!(Greeting::length(b"GET / HTTP/1.1"), Err(BadGreeting::Magic));
        assert_eq!(Greeting::length(b"SolderPe\xff\xff"), Err(BadGreeting::Length(0xffff)));
        let upside_down = Greeting { lowest: 2, highest: 1, ..GREETING };
        assert_eq!(Greeting::decode(&upside_down.encode()), Err(BadGreeting::Versions));
    }

    #[test]
    fn the_highest_version_that_both_speak() {
        let of = |lowest, highest| Greeting { lowest, highest, ..GREETING };
        assert_eq!(of(1, 3).common_version(&of(2, 5)), Some(3));
        assert_eq!(of(2, 5).common_version(&of(1, 3)), Some(3));
        assert_eq!(of(1, 1).common_version(&of(2, 5)), None);
    }
}
