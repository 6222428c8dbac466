//! What travels on a connection once both sides have greeted: frames.
//!
//! ```text
//! | 0      | 4     | 8 ..    |
//! | length | crc32 | payload |     little endian; of the payload
//!
//! payload = postcard(Frame): one byte that says what it is, then its fields
//!
//! Ping 7:  02 00 00 00  1d b6 a6 c6  01 07
//!          length       crc32        |  number
//!                                    variant 1: Ping
//! ```
//!
//! The order of variants and fields is a format: add at the end, and only together with a new version of the greeting, or for
//! those only who have greeted as only newer builds can. TLS
//! keeps chance and malice out by itself; the checksum is for plain TCP, whose own misses one error in 65 536.

use std::{fmt, mem};

use serde::{Deserialize, Serialize};

use crate::{replica::PeerMessage, types::Bytes};

use super::{JoinFrame, RollCall};

pub const FRAME_HEADER_BYTES: usize = 8;

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Frame {
    Message(PeerMessage),
    /// To be answered at once, with the same number.
    Ping {
        number: u64,
    },
    Pong {
        number: u64,
    },
    /// Nothing follows.
    Bye(Bye),
    /// To a board that asked; nothing follows.
    RollCall(RollCall),
    /// Of a connection that joins. Boxed, because it is large and rare.
    Join(Box<JoinFrame>),
    /// To a voter that asked; nothing follows.
    AuthorityKey(AuthorityKey),
    /// A public key (SubjectPublicKeyInfo, DER), of a member that wants a certificate for it.
    Certify(Bytes),
    /// DER. To who asked for it; nothing follows.
    Certificate(Bytes),
}

/// PKCS #8, DER. Shown nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityKey(pub Bytes);

impl fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityKey({} bytes)", self.0.len())
    }
}

/// Why a connection ends in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bye {
    /// The process ends.
    Stopping,
    /// Nothing was sent for a while.
    Idle,
    /// A newer connection takes its place.
    Replaced,
    /// The receiver was removed from the cluster.
    Removed,
    /// The receiver is no member any more that the sender knows.
    NotMember,
    /// What came could not be read.
    Malformed,
    /// The receiver has another key by now than this connection was made with.
    WrongKey,
}

/// Why bytes are no frame. The connection is of no use any more: where the next frame begins is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadFrame {
    TooLong {
        bytes: u32,
        bytes_max: u32,
    },
    Checksum,
    Malformed(postcard::Error),
    /// Bytes behind the end of what the payload is.
    Trailing,
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadFrame::TooLong { bytes, bytes_max } => {
                write!(f, "a frame of {bytes} bytes, where {bytes_max} are allowed")
            }
            BadFrame::Checksum => f.write_str("a frame with a wrong checksum"),
            BadFrame::Malformed(error) => write!(f, "a frame that cannot be read: {error}"),
            BadFrame::Trailing => f.write_str("a frame with bytes behind its end"),
        }
    }
}

impl Frame {
    /// Appends the frame to `out`, unless its payload has more than `bytes_max` bytes.
    pub fn encode(&self, out: &mut Vec<u8>, bytes_max: u32) -> Result<(), BadFrame> {
        let begin = out.len();
        out.extend([0; FRAME_HEADER_BYTES]);
        *out = postcard::to_extend(self, mem::take(out)).expect("a vector takes what memory takes");
        let payload = &out[begin + FRAME_HEADER_BYTES..];
        let (bytes, sum) = (u32::try_from(payload.len()).unwrap_or(u32::MAX), crc32fast::hash(payload));
        if bytes > bytes_max {
            out.truncate(begin);
            return Err(BadFrame::TooLong { bytes, bytes_max });
        }
        out[begin..begin + 4].copy_from_slice(&bytes.to_le_bytes());
        out[begin + 4..begin + 8].copy_from_slice(&sum.to_le_bytes());
        Ok(())
    }

    /// The frame at the beginning of `bytes`, and how many of them it takes. `None`: not all of it has come.
    pub fn decode(bytes: &[u8], bytes_max: u32) -> Result<Option<(Frame, usize)>, BadFrame> {
        let Some(length) = Frame::length(bytes, bytes_max)? else { return Ok(None) };
        let Some(payload) = bytes.get(FRAME_HEADER_BYTES..length) else { return Ok(None) };
        let sum = [bytes[4], bytes[5], bytes[6], bytes[7]];
        if crc32fast::hash(payload) != u32::from_le_bytes(sum) {
            return Err(BadFrame::Checksum);
        }
        match postcard::take_from_bytes(payload) {
            Ok((frame, [])) => Ok(Some((frame, length))),
            Ok(_) => Err(BadFrame::Trailing),
            Err(error) => Err(BadFrame::Malformed(error)),
        }
    }

    /// How many bytes the frame takes that begins like this, with its header. `None`: too few to tell.
    pub fn length(bytes: &[u8], bytes_max: u32) -> Result<Option<usize>, BadFrame> {
        let Some(first) = bytes.first_chunk() else { return Ok(None) };
        let bytes = u32::from_le_bytes(*first);
        if bytes > bytes_max {
            return Err(BadFrame::TooLong { bytes, bytes_max });
        }
        Ok(Some(FRAME_HEADER_BYTES + bytes as usize))
    }
}

/// What a message takes on the wire.
pub(super) fn wire_bytes(message: &PeerMessage) -> u64 {
    let counted = postcard::serialize_with_flavor(message, postcard::ser_flavors::Size::default());
    // The kind, and the header.
    (counted.expect("counting takes no room") + 1 + FRAME_HEADER_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        raft::{Envelope, Message},
        types::{Index, NodeId, Term},
    };

    const MAX: u32 = 1 << 20;

    fn heartbeat() -> Frame {
        let message = Message::Heartbeat { commit: Index(300), round: 1 };
        Frame::Message(PeerMessage::Raft(Envelope { from: NodeId(1), to: NodeId(2), term: Term(3), message }))
    }

    fn bytes_of(frame: &Frame) -> Vec<u8> {
        let mut out = Vec::new();
        frame.encode(&mut out, MAX).expect("it is small");
        out
    }

    #[test]
    fn the_bytes_of_frames() {
        let ping = bytes_of(&Frame::Ping { number: 7 });
        assert_eq!(ping, [2, 0, 0, 0, 0x1d, 0xb6, 0xa6, 0xc6, 1, 7], "{ping:02x?}");
        let beat = bytes_of(&heartbeat());
        assert_eq!(beat[..4], [9, 0, 0, 0]);
        // Message, Raft, from, to, term, Heartbeat, commit as a varint, round.
        assert_eq!(beat[8..], [0, 0, 1, 2, 3, 5, 0xac, 2, 1], "{beat:02x?}");
        assert_eq!(bytes_of(&Frame::Bye(Bye::Malformed))[8..], [3, 5]);
    }

    #[test]
    fn frames_come_in_any_pieces() {
        let bytes = [bytes_of(&heartbeat()), bytes_of(&Frame::Pong { number: u64::MAX })].concat();
        let (frame, length) = Frame::decode(&bytes, MAX).expect("good").expect("whole");
        assert!(matches!(frame, Frame::Message(PeerMessage::Raft(_))));
        let rest = &bytes[length..];
        for end in 0..rest.len() {
            assert!(matches!(Frame::decode(&rest[..end], MAX), Ok(None)), "{end} bytes");
        }
        let (frame, length) = Frame::decode(rest, MAX).expect("good").expect("whole");
        assert!(matches!(frame, Frame::Pong { number: u64::MAX }) && length == rest.len());
    }

    #[test]
    fn bytes_that_are_no_frame() {
        let good = bytes_of(&heartbeat());
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x01;
            let decoded = Frame::decode(&bad, MAX);
            assert!(!matches!(decoded, Ok(Some(_))), "byte {place} is wrong: {decoded:?}");
        }
        let too_long = BadFrame::TooLong { bytes: u32::MAX, bytes_max: MAX };
        assert_eq!(Frame::decode(&[0xff; 4], MAX).err(), Some(too_long), "told before the rest has come");
        let with_sum = |payload: &[u8]| {
            let length = u32::try_from(payload.len()).expect("small").to_le_bytes();
            [&length[..], &crc32fast::hash(payload).to_le_bytes(), payload].concat()
        };
        assert!(matches!(Frame::decode(&with_sum(&[9]), MAX), Err(BadFrame::Malformed(_))));
        assert!(matches!(Frame::decode(&with_sum(&[]), MAX), Err(BadFrame::Malformed(_))));
        assert_eq!(Frame::decode(&with_sum(&[1, 7, 0]), MAX).err(), Some(BadFrame::Trailing));
    }

    #[test]
    fn what_is_too_long_is_not_sent() {
        let mut out = vec![1];
        let refused = heartbeat().encode(&mut out, 8);
        assert_eq!(refused, Err(BadFrame::TooLong { bytes: 9, bytes_max: 8 }));
        assert_eq!(out, [1]);
    }

    #[test]
    fn the_size_is_known_before() {
        let Frame::Message(message) = heartbeat() else { unreachable!("it is a message") };
        assert_eq!(wire_bytes(&message), bytes_of(&heartbeat()).len() as u64);
    }
}
