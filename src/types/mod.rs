//! The words that every floor shares: ids, log entries, commands and their outcomes, key ranges, errors, limits.
//!
//! Plain data with the arithmetic that means something, nothing else. What is written here reaches disks and wires in
//! postcard's form, so field and variant order is a format: add at the end, never reorder, never reuse.
//!
//! Here you will not find: sockets, files, clocks, threads, chance.

mod bugs;
mod bytes;
mod command;
mod entry;
mod error;
mod hex;
mod histogram;
mod id;
pub mod limits;
mod member;
mod membership;
mod outcome;
mod range;
mod step;

pub use bugs::{Bug, Bugs};
pub use bytes::Bytes;
pub use command::{
    AlarmAction, AlarmKind, AlarmRequest, AutopilotChange, ClusterChange, Command, Compare, CompareResult,
    CompareValue, DecodeError, DeleteRangeRequest, LeaseRemaining, PutRequest, RangeRequest, SortOrder,
    SortTarget, TxnOp, TxnRequest,
};
pub use entry::{Entry, EntryId, HardState, Payload};
pub use error::Error;
pub use hex::{from_hex, hex};
pub use histogram::Histogram;
pub use id::{ClusterId, Index, KeyRev, LeaseId, NodeId, ProposalId, Revision, Term};
pub use member::{ClusterRow, MemberRow, RoleChange};
pub use membership::{Membership, MembershipChange};
pub use outcome::{DeleteOutcome, Outcome, PutOutcome, RangeAt, TxnOutcome, TxnPart};
pub use range::{KeyRange, RangeEnd};
pub use step::step;
