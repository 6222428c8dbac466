//! The log as text: one line a record, and comments about where they stand.
//!
//! ```text
//! # segment 1 in wal/00.seg: after 0@0, term 0, no vote, voters 1; batches from 1
//! # batch 1 at 8192: 2 records, 57 bytes
//! hard-state  term=1 vote=1
//! entry       term=1 index=1 id=1/1 put "a" = "1"
//! # the log ends here: wal/00.seg at offset 12288
//! ```
//!
//! Keys and values are escaped, and cut where they are long: the lines are for eyes.

use std::fmt;

use crate::types::{
    Bytes, Command, DeleteRangeRequest, Entry, HardState, KeyRange, LeaseId, Membership, MembershipChange,
    NodeId, Payload, PutRequest, TxnOp, TxnRequest,
};

use super::{inspect::Found, record::Record};

/// What is shown of a key or value.
const TEXT_BYTES_MAX: usize = 48;
/// What is shown of a transaction's branch.
const OPS_MAX: usize = 8;

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment { file, header } => write!(
                f,
                "# segment {} in {file}: after {}, {}, {}; batches from {}",
                header.sequence,
                header.preceding,
                State(header.hard_state),
                Members(&header.members),
                header.first_batch
            ),
            Self::HeaderCopy { file, offset } => {
                write!(f, "# one copy of its header is not whole: {file} at offset {offset}")
            }
            Self::Batch { offset, header } => write!(
                f,
                "# batch {} at {offset}: {} records, {} bytes",
                header.number, header.records, header.payload_bytes
            ),
            Self::Record(record) => record.fmt(f),
            Self::Reused { file } => write!(f, "# {file} was written anew while it was read"),
            Self::Torn(torn) => write!(f, "# the log ends here: {torn}"),
            Self::End { file, offset } => write!(f, "# the log ends here: {file} at offset {offset}"),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HardState(HardState { term, vote: None }) => write!(f, "hard-state  term={term}"),
            Self::HardState(HardState { term, vote: Some(vote) }) => {
                write!(f, "hard-state  term={term} vote={vote}")
            }
            Self::LogStart(id) => write!(f, "log-start   term={} index={}", id.term, id.index),
            Self::Entry(entry) => {
                write!(f, "entry       term={} index={} ", entry.term(), entry.index())?;
                payload(f, entry)
            }
        }
    }
}

fn payload(f: &mut fmt::Formatter<'_>, entry: &Entry) -> fmt::Result {
    match &entry.payload {
        Payload::Empty => f.write_str("empty"),
        Payload::Command { id, data } => {
            write!(f, "id={id} ")?;
            match Command::decode(data) {
                Ok(asked) => command(f, &asked),
                Err(error) => write!(f, "({} bytes: {error}) {}", data.len(), Text(data)),
            }
        }
        Payload::Membership { id, change, info } => {
            let (what, node) = match change {
                MembershipChange::AddVoter(node) => ("add-voter", node),
                MembershipChange::AddLearner(node) => ("add-learner", node),
                MembershipChange::Promote(node) => ("promote", node),
                MembershipChange::Remove(node) => ("remove", node),
            };
            write!(f, "id={id} {what} {node} {}", Text(info))
        }
    }
}

fn command(f: &mut fmt::Formatter<'_>, command: &Command) -> fmt::Result {
    match command {
        Command::Put(request) => put(f, request),
        Command::DeleteRange(request) => delete(f, request),
        Command::Txn(request) => txn(f, request),
        Command::Compact { revision } => write!(f, "compact {revision}"),
        Command::LeaseGrant { id, ttl_s } => write!(f, "lease-grant {id} ttl_s={ttl_s}"),
        Command::LeaseRevoke { id, only_in: None } => write!(f, "lease-revoke {id}"),
        Command::LeaseRevoke { id, only_in: Some(term) } => write!(f, "lease-revoke {id} only_in={term}"),
        Command::LeaseCheckpoint { leases, .. } => write!(f, "lease-checkpoint {} leases", leases.len()),
        Command::Alarm(request) => {
            write!(f, "alarm {:?} {:?} member={}", request.action, request.kind, request.member)
        }
    }
}

fn put(f: &mut fmt::Formatter<'_>, request: &PutRequest) -> fmt::Result {
    write!(f, "put {}", Text(&request.key))?;
    if request.ignore_value {
        f.write_str(" ignore_value")?;
    } else {
        write!(f, " = {}", Text(&request.value))?;
    }
    if request.ignore_lease {
        f.write_str(" ignore_lease")?;
    } else if request.lease != LeaseId::NONE {
        write!(f, " lease={}", request.lease)?;
    }
    f.write_str(if request.prev_kv { " prev_kv" } else { "" })
}

fn delete(f: &mut fmt::Formatter<'_>, request: &DeleteRangeRequest) -> fmt::Result {
    write!(f, "delete {}{}", Range(&request.range), if request.prev_kv { " prev_kv" } else { "" })
}

fn txn(f: &mut fmt::Formatter<'_>, request: &TxnRequest) -> fmt::Result {
    write!(f, "txn {} compares then ", request.compare.len())?;
    branch(f, &request.success)?;
    f.write_str(" else ")?;
    branch(f, &request.failure)
}

fn branch(f: &mut fmt::Formatter<'_>, ops: &[TxnOp]) -> fmt::Result {
    f.write_str("[")?;
    for (at, op) in ops.iter().take(OPS_MAX).enumerate() {
        f.write_str(if at == 0 { "" } else { ", " })?;
        match op {
            TxnOp::Range(request) => write!(f, "range {}", Range(&request.range))?,
            TxnOp::Put(request) => put(f, request)?,
            TxnOp::DeleteRange(request) => delete(f, request)?,
            TxnOp::Txn(request) => write!(f, "txn of {}", request.success.len() + request.failure.len())?,
        }
    }
    match ops.len().saturating_sub(OPS_MAX) {
        0 => f.write_str("]"),
        more => write!(f, ", and {more} more]"),
    }
}

/// Escaped, and cut with its length if it is long.
struct Text<'a>(&'a Bytes);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..TEXT_BYTES_MAX) {
            Some(begin) if self.0.len() > TEXT_BYTES_MAX => {
                write!(f, "\"{}\".. ({} bytes)", begin.escape_ascii(), self.0.len())
            }
            _ => write!(f, "\"{}\"", self.0.escape_ascii()),
        }
    }
}

struct Range<'a>(&'a KeyRange);

impl fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_single() {
            true => Text(&self.0.key).fmt(f),
            false => write!(f, "[{}, {})", Text(&self.0.key), Text(&self.0.range_end)),
        }
    }
}

struct State(HardState);

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.vote {
            Some(vote) => write!(f, "term {}, vote {vote}", self.0.term),
            None => write!(f, "term {}, no vote", self.0.term),
        }
    }
}

struct Members<'a>(&'a Membership);

impl fmt::Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |ids: &mut dyn Iterator<Item = &NodeId>| ids.map(NodeId::to_string).collect::<Vec<_>>().join(",");
        if self.0.is_blank() {
            return f.write_str("voters unknown");
        }
        write!(f, "voters {}", list(&mut self.0.voters.iter()))?;
        match self.0.learners.is_empty() {
            true => Ok(()),
            false => write!(f, ", learners {}", list(&mut self.0.learners.iter())),
        }
    }
}

impl fmt::Display for super::inspect::Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} segments ({} spare), {} batches, {} records",
            self.segments, self.spares, self.batches, self.records
        )?;
        match self.last.index > self.start.index {
            true => writeln!(f, "entries {} to {}", self.start.index.next(), self.last)?,
            false => writeln!(f, "no entries after {}", self.start)?,
        }
        write!(f, "{}; {}", State(self.hard_state), Members(&self.members))
    }
}
