//! One member of a cluster: a pure core that is told what happened and says what to do.
//!
//! ```text
//!            Event                                Effect
//!   ticks ----------+                    +----> Send      to a peer
//!   peers ----------+    +-----------+   +----> Append    wal: write and sync, then Event::Persisted
//!   clients --------+--> |  Replica  | --+----> Apply     store: in memory, then Event::Applied
//!   wal, store -----+    | raft core |   +----> Transfer  store: catching up, then Event::Transfer
//!                        +-----------+   +----> Answer    to a client
//! ```
//!
//! - `event`, `effect`: all that can happen to a member, all it can ask for. A log of them is a flight recorder; events
//!   drawn from a seed are a simulation.
//! - `core`: passes events to Raft and its `Ready` on as effects, in the order that `Ready` demands.
//! - `waiting`: which client waits for which proposal or read, and until when.
//! - `catch_up`: the conversation by which a member that is older than the log gets the leader's store.
//! - `jobs`: what the owner of the store does for `Effect::Apply` and `Effect::Transfer`.
//! - `boot`: what log and store say after a restart, brought together.
//!
//! Here you will not find: sockets, files, clocks, threads. Who owns those feeds events in and carries effects out;
//! effects of one kind must be carried out in order, effects of different kinds need not wait for each other.

pub mod boot;
mod catch_up;
mod core;
mod effect;
mod event;
pub mod jobs;
mod question;
mod reads;
mod unplaced;
mod waiting;

pub use self::{
    core::{Options, Replica},
    effect::{Answer, Append, Effect, TransferJob},
    event::{DigestOf, Event, PeerMessage, Piece, RequestId, Session, TransferDone, TransferMessage},
    question::{Question, Reply},
};
