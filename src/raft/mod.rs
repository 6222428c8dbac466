//! Raft: which entry stands where in the log, once and for all. Arithmetic, after Ongaro's thesis ("Consensus: Bridging
//! Theory and Practice", 2014), whose chapters the files cite.
//!
//! ```text
//!   tick, step, propose, change_members,        +------+
//!   read_index, transfer_leader      ---------> | Node | ---------> Ready: send, persist, send after that,
//!   persisted, applied               ---------> +------+            apply, reads, refused, catch up
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `node` | the state, what comes in, the views |
//! | `election`, `meeting` | who stands and who votes: pre-votes, votes; the first election after a start |
//! | `leader`, `progress`, `quorum` | the leader's side of replication; one peer's window; majorities |
//! | `replication` | the follower's side |
//! | `log`, `writes` | the tail in memory and how far it got; tickets under way |
//! | `reads`, `membership`, `transfer`, `catch_up` | the chapters of those names |
//! | `proposals` | which of those handed on were taken |
//! | `outbox`, `ready`, `message`, `options` | what goes out, and the words for it |
//!
//! What must hold, and does whatever is lost, doubled, delayed or reordered, and whoever crashes:
//! - one leader a term; a leader never replaces its own entries;
//! - two logs with the same entry at an index are equal up to there;
//! - what is committed is in the log of every later leader, and nobody applies anything else there;
//! - what a message promises is durable before it leaves.
//!
//! Nothing here fails: what could (disks, sockets) is the caller's, who ends the process. Time is ticks, chance is a seeded
//! generator. Here you will not find: sockets, files, clocks, threads, and what the commands in the log mean.

mod catch_up;
mod election;
mod leader;
mod log;
mod meeting;
mod membership;
mod message;
mod node;
mod options;
mod outbox;
mod progress;
mod proposals;
mod queue;
mod quorum;
mod reads;
mod ready;
mod replication;
mod transfer;
mod writes;

pub use message::{Envelope, Message, Refusal};
pub use node::{Node, PeerStatus, Role, Status};
pub use options::{Options, Restored};
pub use progress::Stage;
pub use ready::{Persist, ReadReady, Ready, Refused, Ticket};
