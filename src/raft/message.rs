//! What nodes say to each other. Plain data; written to the wire in postcard's form, so the order of fields and variants
//! is a format: add at the end, never reorder, never reuse.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};

use crate::types::{Bytes, Entry, EntryId, Error, Index, MembershipChange, NodeId, ProposalId, Term, limits};

/// A message with its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub from: NodeId,
    pub to: NodeId,
    /// The sender's term, except around a pre-vote: the request, and the answer that grants it, carry the term that the
    /// election would be held in.
    pub term: Term,
    pub message: Message,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// With `pre`: would you vote for me? Nobody's term changes by it (Raft thesis 9.6). With `transfer`, the leader
    /// asked for this election, so it is no disturbance (thesis 4.2.3).
    VoteRequest {
        pre: bool,
        last: EntryId,
        transfer: bool,
    },
    VoteResponse {
        pre: bool,
        granted: bool,
    },
    /// Entries that follow `prev` without a gap; none is a probe, or news of the commit index.
    Append {
        prev: EntryId,
        #[serde(deserialize_with = "so_many")]
        entries: Vec<Entry>,
        commit: Index,
    },
    /// All up to `matched` is as the leader has it, and durable.
    AppendAccepted {
        matched: Index,
    },
    /// The Append after `prev` does not fit. `hint` is the last entry that still may: none behind it up to `prev` can.
    /// With `catching_up`, no Append is of use before the store has been filled.
    AppendRejected {
        prev: Index,
        hint: EntryId,
        catching_up: bool,
    },
    /// `commit` is never beyond what the receiver has acknowledged. Round 0 is news of it, and asks for no answer.
    Heartbeat {
        commit: Index,
        round: u64,
    },
    /// Round 0 acknowledges nothing: it only shows a later term to a leader that was left behind. `has_room`: this board
    /// would take proposals, should it lead.
    HeartbeatAck {
        round: u64,
        has_room: bool,
    },
    /// A follower's request, handed on once.
    Propose {
        id: ProposalId,
        data: Bytes,
    },
    ChangeMembers {
        id: ProposalId,
        change: MembershipChange,
        info: Bytes,
    },
    ReadIndex {
        id: ProposalId,
    },
    ReadIndexAt {
        id: ProposalId,
        index: Index,
    },
    /// The request was not taken here. With `is_certain`, it was not taken anywhere and will not be.
    Refuse {
        id: ProposalId,
        reason: Refusal,
        is_certain: bool,
    },
    /// Stand for election at once (thesis 3.10).
    TimeoutNow,
}

/// Why a leader, or who is taken for one, refuses a request that was handed on to it. The errors that Raft can cause, in
/// a form of fixed size for the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    TooManyRequests,
    NoLeader,
    NotLeader,
    LeaderChanged,
    MemberNotFound,
    MemberExists,
    MemberRemoved(NodeId),
    NotLearner,
    LearnerNotReady,
    MembershipBusy,
    LastVoter,
    NoSpace,
    /// This and what follows: by what the cluster knows of its members beside Raft. Of level 2.
    NameTaken,
    PeerUrlExists,
    TooManyLearners,
}

/// An entry takes far more memory than the three bytes that it may be on the wire: so many and no more are read.
fn so_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<Entry>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {} entries", limits::APPEND_ENTRIES_MAX)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Entry>, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = seq.next_element()? {
                if entries.len() == limits::APPEND_ENTRIES_MAX {
                    return Err(A::Error::custom("too many entries"));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_seq(Entries)
}

impl From<Refusal> for Error {
    fn from(reason: Refusal) -> Error {
        match reason {
            Refusal::TooManyRequests => Error::TooManyRequests,
            Refusal::NoLeader => Error::NoLeader,
            Refusal::NotLeader => Error::NotLeader,
            Refusal::LeaderChanged => Error::LeaderChanged,
            Refusal::MemberNotFound => Error::MemberNotFound,
            Refusal::MemberExists => Error::MemberExists,
            Refusal::MemberRemoved(id) => Error::MemberRemoved(id),
            Refusal::NotLearner => Error::NotLearner,
            Refusal::LearnerNotReady => Error::LearnerNotReady,
            Refusal::MembershipBusy => Error::MembershipBusy,
            Refusal::LastVoter => Error::NotEnoughStartedMembers,
            Refusal::NoSpace => Error::NoSpace,
            Refusal::NameTaken => Error::NameTaken,
            Refusal::PeerUrlExists => Error::PeerUrlExists,
            Refusal::TooManyLearners => Error::TooManyLearners,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Payload;

    #[test]
    fn more_entries_than_anybody_sends_are_not_read() {
        let entry = Entry { id: EntryId::new(1, 1), payload: Payload::Empty };
        let append = |count| Message::Append {
            prev: EntryId::default(),
            entries: vec![entry.clone(); count],
            commit: Index(0),
        };
        let read = |message: &Message| {
            let bytes = postcard::to_stdvec(message).expect("a vector takes what memory takes");
            postcard::from_bytes::<Message>(&bytes)
        };
        let most = append(limits::APPEND_ENTRIES_MAX);
        assert_eq!(read(&most), Ok(most));
        assert!(read(&append(limits::APPEND_ENTRIES_MAX + 1)).is_err());
    }
}
