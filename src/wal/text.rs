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
    AutopilotChange, Bytes, Command, DeleteRangeRequest, Entry, HardState, KeyRange, LeaseId, Membership,
    MembershipChange, NodeId, Payload, PutRequest, TxnOp, TxnRequest,
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
                MembershipChange::Demote(node) => ("demote", node),
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
        Command::Publish { member, name, client_urls, level, incarnation } => {
            let urls = client_urls.join(",");
            write!(f, "publish {member} {name:?} {urls} level={level} incarnation={incarnation:x}")
        }
        Command::UpdateMember { member, peer_urls } => {
            write!(f, "update-member {member} {}", peer_urls.join(","))
        }
        Command::UpdateCluster(change) => {
            f.write_str("update-cluster")?;
            if let Some((heartbeat, election)) = change.timeouts_ms {
                write!(f, " heartbeat_ms={heartbeat} election_ms={election}")?;
            }
            change.level.map_or(Ok(()), |level| write!(f, " level={level}"))
        }
        Command::Identify { member, key, .. } => {
            write!(f, "identify {member} key={}", Hex(&key[..key.len().min(4)]))
        }
        Command::Autopilot(change) => autopilot(f, change),
        Command::Amend { members, since_s, board } => amend(f, members, *since_s, board.as_ref()),
        #[cfg(feature = "testing")]
        Command::Probe => f.write_str("probe"),
    }
}

fn autopilot(f: &mut fmt::Formatter<'_>, change: &AutopilotChange) -> fmt::Result {
    f.write_str("autopilot")?;
    let AutopilotChange { voters_max, replace_after_s, learners_max, forming } = change;
    let fields = [
        ("voters_max", voters_max),
        ("replace_after_s", replace_after_s),
        ("learners_max", learners_max),
        ("forming", forming),
    ];
    for (name, value) in fields {
        value.map_or(Ok(()), |value| write!(f, " {name}={value}"))?;
    }
    Ok(())
}

fn amend(
    f: &mut fmt::Formatter<'_>,
    members: &[NodeId],
    since_s: Option<u64>,
    board: Option<&Bytes>,
) -> fmt::Result {
    f.write_str("amend")?;
    members.iter().try_for_each(|member| write!(f, " {member}"))?;
    since_s.map_or(Ok(()), |since_s| write!(f, " since_s={since_s}"))?;
    board.map_or(Ok(()), |board| write!(f, " board={}", Hex(&board[..board.len().min(4)])))
}

/// Bytes that are no text.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{
        AlarmAction, AlarmKind, AlarmRequest, EntryId, LeaseRemaining, ProposalId, RangeRequest, Revision,
        Term,
    };

    fn line(data: Bytes) -> String {
        let id = ProposalId { origin: NodeId(10), number: 3 };
        let entry = Entry { id: EntryId::new(2, 7), payload: Payload::Command { id, data } };
        let line = Record::Entry(entry).to_string();
        let begin = "entry       term=2 index=7 id=a/3 ";
        line.strip_prefix(begin).expect("it begins like every entry").to_owned()
    }

    fn put_of(key: &[u8], value: &str) -> PutRequest {
        PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() }
    }

    #[test]
    fn commands() {
        let lease = PutRequest { lease: LeaseId(16), prev_kv: true, ..put_of(b"\x00k\"", "v") };
        let keep = PutRequest { ignore_value: true, ignore_lease: true, ..put_of(b"k", "") };
        let alarm =
            AlarmRequest { action: AlarmAction::Activate, member: NodeId(2), kind: AlarmKind::NoSpace };
        let remaining = vec![LeaseRemaining { id: LeaseId(1), remaining_s: 5 }];
        let cases = [
            (Command::Put(lease), r#"put "\x00k\"" = "v" lease=10 prev_kv"#),
            (Command::Put(keep), r#"put "k" ignore_value ignore_lease"#),
            (
                Command::DeleteRange(DeleteRangeRequest { range: KeyRange::prefix(b"a/"), prev_kv: false }),
                r#"delete ["a/", "a0")"#,
            ),
            (Command::Compact { revision: Revision(9) }, "compact 9"),
            (Command::LeaseGrant { id: LeaseId(255), ttl_s: 60 }, "lease-grant ff ttl_s=60"),
            (Command::LeaseRevoke { id: LeaseId(1), only_in: None }, "lease-revoke 1"),
            (Command::LeaseRevoke { id: LeaseId(1), only_in: Some(Term(4)) }, "lease-revoke 1 only_in=4"),
            (Command::LeaseCheckpoint { leases: remaining, only_in: None }, "lease-checkpoint 1 leases"),
            (Command::Alarm(alarm), "alarm Activate NoSpace member=2"),
        ];
        for (command, expected) in cases {
            assert_eq!(line(command.encode()), expected);
        }
    }

    #[test]
    fn a_transaction_is_cut_where_it_is_long() {
        let range = RangeRequest { range: KeyRange::single(b"r"), ..RangeRequest::default() };
        let inner = TxnOp::Txn(Box::default());
        let success = vec![TxnOp::Range(range), TxnOp::Put(put_of(b"k", "v")), inner];
        let failure = vec![TxnOp::Put(put_of(b"k", "v")); OPS_MAX + 2];
        let line = line(Command::Txn(TxnRequest { success, failure, ..TxnRequest::default() }).encode());
        let begin = r#"txn 0 compares then [range "r", put "k" = "v", txn of 0] else [put "k" = "v", put"#;
        assert!(line.starts_with(begin) && line.ends_with(r#"put "k" = "v", and 2 more]"#), "{line}");
    }

    #[test]
    fn what_is_no_command_is_shown_all_the_same() {
        assert_eq!(
            line(b"\x63hi".into()),
            "(3 bytes: a command of format 99, this build knows up to 1: install the newer build) \"chi\""
        );
        assert_eq!(
            Text(&Bytes::from(vec![b'x'; TEXT_BYTES_MAX])).to_string().len(),
            TEXT_BYTES_MAX + 2,
            "not cut"
        );
    }
}
