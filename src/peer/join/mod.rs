//! Joining: how a board that nobody knows becomes one that the members let in.
//!
//! ```text
//!   newcomer                                   a member
//!   TLS, showing nothing  ------------------>  shows member.crt, ca.crt
//!   the pin of the URL fits ca.crt, if there is one
//!   greeting: join; no ids  ---------------->
//!                         <-----------------   greeting
//!   Proof: token, HMAC of "newcomer"  ------>  the secret of that token? the same HMAC?
//!   the same HMAC?        <-----------------   Proof: HMAC of "member", or Refused
//!   JoinRequest  --------------------------->  admits it: through the log
//!                         <-----------------   JoinAnswer                              both close
//! ```
//!
//! - The secret of the URL is never sent. What is sent is worth nothing on another connection (`proof`): who stands between
//!   the two has two connections.
//! - A newcomer says nothing of itself before the member has proven that it knows the secret, and a member does nothing for
//!   it before it has.
//! - A joiner is a stranger until it has proven, and pushes nobody out after it: those have their own, few places.
//! - All is bounded, in bytes and time (`limits`).
//!
//! Here you will not find: which tokens there are, ids, the list of members (`Reception`).

mod member;
mod newcomer;
mod proof;

use std::{fmt, future::Future, pin::Pin};

use serde::{Deserialize, Serialize};

use crate::types::{Bytes, ClusterId, NodeId};

use super::RollCall;

pub(super) use self::member::Joining;
pub use self::newcomer::{Joiner, Reached};

/// What a join URL holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Pass {
    /// Names the secret at the members; not secret itself.
    pub token: String,
    pub secret: [u8; 16],
    /// SHA-256 of the cluster's authority's certificate. `None`: the URL is older than the authority.
    pub pin: Option<Bytes>,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pass({})", self.token)
    }
}

/// Who wants to come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    pub name: String,
    /// Nobody chose the name: if it is taken, another will do.
    pub is_default_name: bool,
    /// Four digits of the board's, to be appended to a default name that is taken.
    pub suffix: String,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Bytes,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    /// What tells its hardware from others' (`MemberRow::board`).
    pub board: Bytes,
    /// The newest kind of entry that its build knows.
    pub level: u32,
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinAnswer {
    Welcome {
        cluster: ClusterId,
        member: NodeId,
        /// As which it was entered.
        name: String,
        /// The authority's certificate, DER.
        ca: Bytes,
        /// Its own, DER.
        certificate: Bytes,
        roll: RollCall,
    },
    /// Others can let it in, at these peer URLs.
    Elsewhere { urls: Vec<String> },
    /// It may work if it asks again.
    Later { why: String },
    /// It will not work.
    Refused { why: String },
}

/// Why there is no answer that could be believed. Each is one line that says what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// Nobody is there, or what is there does not speak of joining: it may later.
    Unreachable(String),
    /// A board of another cluster than the URL's.
    WrongPin(String),
    /// One side does not know the secret.
    NotProven(String),
    /// Joining this way will not work.
    Refused(String),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Unreachable(text)
            | JoinError::WrongPin(text)
            | JoinError::NotProven(text)
            | JoinError::Refused(text) => f.write_str(text),
        }
    }
}

pub type LocalBoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Who knows the tokens and lets boards in. Given by [`super::Peers::set_reception`].
pub trait Reception {
    /// Of the token that a joiner names. Errors: why it cannot be used, in one line.
    fn secret(&self, token: &str) -> LocalBoxFuture<'_, Result<[u8; 16], String>>;

    /// Who asks has proven that it knows that secret. It may have gone, or have asked before: admitting is done once for a key.
    fn admit(&self, token: &str, request: JoinRequest) -> LocalBoxFuture<'_, JoinAnswer>;
}

/// What is said on a connection that joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinFrame {
    Proof {
        token: String,
        mac: Bytes,
    },
    /// In place of the member's proof, and so not proven itself.
    Refused {
        reason: NoProof,
        why: String,
    },
    Request(JoinRequest),
    Answer(JoinAnswer),
}

/// Why a member does not prove itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoProof {
    /// It cannot let anybody in now.
    Later,
    /// The token is unknown, has ended, or is used up.
    Token,
    /// The newcomer's proof is wrong.
    Secret,
}
