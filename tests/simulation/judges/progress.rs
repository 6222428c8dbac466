//! Once the faults have stopped, does the cluster serve again within a bound?
//!
//! Asked again and again while time goes on. The answer is yes for good, not yet, or too late with what is missing.

use solder::types::{Index, NodeId, Term};

/// How one live member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub node: NodeId,
    pub term: Term,
    pub is_leader: bool,
    pub applied: Index,
    /// A write that was asked of this member after the faults had stopped was acknowledged.
    pub probe_acked: bool,
}

/// The moment by which all must be well.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    start: u64,
    end: u64,
}

impl Deadline {
    /// `now` and `bound` in the caller's units of virtual time.
    pub fn after_faults(now: u64, bound: u64) -> Deadline {
        Deadline { start: now, end: now + bound }
    }

    /// `Ok(true)`: one leader in the newest term, every probe acknowledged, all applied equal. `Ok(false)`: not yet.
    pub fn check(&self, now: u64, members: &[Standing]) -> Result<bool, String> {
        let missing = missing(members);
        if missing.is_empty() {
            return Ok(true);
        }
        if now <= self.end {
            return Ok(false);
        }
        let waited = now - self.start;
        Err(format!("{waited} after the last fault: {}; members: {members:?}", missing.join(", ")))
    }
}

fn missing(members: &[Standing]) -> Vec<String> {
    let mut missing = Vec::new();
    let newest = members.iter().map(|member| member.term).max().unwrap_or_default();
    if !members.iter().any(|member| member.is_leader && member.term == newest) {
        missing.push(format!("no leader in term {newest}"));
    }
    for member in members.iter().filter(|member| !member.probe_acked) {
        missing.push(format!("no write acknowledged at {}", member.node));
    }
    let furthest = members.iter().map(|member| member.applied).max().unwrap_or_default();
    for member in members.iter().filter(|member| member.applied < furthest) {
        missing.push(format!("{} has applied {} of {furthest}", member.node, member.applied));
    }
    missing
}
