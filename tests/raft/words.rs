//! How the scripts write messages and entries.

use std::fmt::Write as _;

use solder::raft::{Envelope, Message, PeerStatus, Persist, Status};
use solder::types::{Entry, Index, Membership, MembershipChange, NodeId, Payload};

pub(crate) fn envelope(envelope: &Envelope) -> String {
    let Envelope { from, to, term, message } = envelope;
    format!("{from}→{to} {} (term {term})", words(message))
}

pub(crate) fn kind(message: &Message) -> &'static str {
    match message {
        Message::VoteRequest { pre: true, .. } => "PreVoteRequest",
        Message::VoteRequest { pre: false, .. } => "VoteRequest",
        Message::VoteResponse { pre: true, .. } => "PreVoteResponse",
        Message::VoteResponse { pre: false, .. } => "VoteResponse",
        Message::Append { .. } => "Append",
        Message::AppendAccepted { .. } => "AppendAccepted",
        Message::AppendRejected { .. } => "AppendRejected",
        Message::Heartbeat { .. } => "Heartbeat",
        Message::HeartbeatAck { .. } => "HeartbeatAck",
        Message::Propose { .. } => "Propose",
        Message::ChangeMembers { .. } => "ChangeMembers",
        Message::ReadIndex { .. } => "ReadIndex",
        Message::ReadIndexAt { .. } => "ReadIndexAt",
        Message::Refuse { .. } => "Refuse",
        Message::TimeoutNow => "TimeoutNow",
    }
}

fn words(message: &Message) -> String {
    let kind = kind(message);
    match message {
        Message::VoteRequest { last, transfer, .. } => {
            format!("{kind} last {last}{}", if *transfer { " for a transfer" } else { "" })
        }
        Message::VoteResponse { granted, .. } => format!("{kind} {}", if *granted { "yes" } else { "no" }),
        Message::Append { prev, entries, commit } => format!("{kind} {prev}{} commit {commit}", run(entries)),
        Message::AppendAccepted { matched } => format!("{kind} {matched}"),
        Message::AppendRejected { prev, hint, catching_up } => {
            format!("{kind} {prev} hint {hint}{}", if *catching_up { " catching up" } else { "" })
        }
        Message::Heartbeat { commit, round } => format!("{kind} commit {commit} round {round}"),
        Message::HeartbeatAck { round, has_room } => {
            format!("{kind} round {round}{}", if *has_room { "" } else { ", no room" })
        }
        Message::Propose { id, .. } | Message::ReadIndex { id } => format!("{kind} {id}"),
        Message::ChangeMembers { id, change, .. } => format!("{kind} {id} {}", self::change(*change)),
        Message::ReadIndexAt { id, index } => format!("{kind} {id} at {index}"),
        Message::Refuse { id, reason, is_certain } => {
            let doubt = if *is_certain { "" } else { " perhaps" };
            format!("{kind} {id} {reason:?}{doubt}")
        }
        Message::TimeoutNow => kind.to_string(),
    }
}

fn run(entries: &[Entry]) -> String {
    match entries {
        [] => String::new(),
        [only] => format!(" + {}", only.id),
        [first, .., last] => format!(" + {} … {}", first.id, last.id),
    }
}

pub(crate) fn entry(entry: &Entry) -> String {
    match &entry.payload {
        Payload::Empty => entry.id.to_string(),
        Payload::Command { data, .. } if data.len() > 16 => format!("{} ({} bytes)", entry.id, data.len()),
        Payload::Command { data, .. } => format!("{} {data:?}", entry.id),
        Payload::Membership { change, .. } => format!("{} {}", entry.id, self::change(*change)),
    }
}

fn change(change: MembershipChange) -> String {
    match change {
        MembershipChange::AddVoter(id) => format!("add-voter {id}"),
        MembershipChange::AddLearner(id) => format!("add-learner {id}"),
        MembershipChange::Promote(id) => format!("promote {id}"),
        MembershipChange::Remove(id) => format!("remove {id}"),
        MembershipChange::Demote(id) => format!("demote {id}"),
    }
}

pub(crate) fn persist(persist: &Persist) -> String {
    let mut text = format!("#{}", persist.ticket.0);
    if let Some(hard_state) = persist.hard_state {
        let vote = hard_state.vote.map_or_else(String::new, |vote| format!(" vote {vote}"));
        write!(text, " term {}{vote}", hard_state.term).expect("a string takes all");
    }
    if let Some(start) = persist.log_start {
        write!(text, " log starts after {start}").expect("a string takes all");
    }
    text.push_str(&run(&persist.entries));
    text
}

pub(crate) fn membership(membership: &Membership) -> String {
    let ids = |ids: &std::collections::BTreeSet<NodeId>| {
        ids.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ")
    };
    let mut text = format!("voters {}", ids(&membership.voters));
    if !membership.learners.is_empty() {
        write!(text, ", learners {}", ids(&membership.learners)).expect("a string takes all");
    }
    if !membership.removed.is_empty() {
        write!(text, ", removed {}", ids(&membership.removed)).expect("a string takes all");
    }
    text
}

pub(crate) fn status(status: &Status) -> String {
    let leader = status.leader.map_or_else(|| "nobody".into(), |id| id.to_string());
    let mut text = format!(
        "{} {:?} in term {} of {leader}, log {} … {} durable {} commit {} applied {}",
        status.id,
        status.role,
        status.term,
        Index(status.before.index.0 + 1),
        status.last,
        status.durable,
        status.commit,
        status.applied
    );
    if status.catching_up {
        text.push_str(", catching up");
    }
    for PeerStatus { id, stage, matched, next } in &status.peers {
        write!(text, "\n  {id} {stage:?} matched {matched} next {next}").expect("a string takes all");
    }
    text
}
