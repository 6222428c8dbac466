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

#[cfg(test)]
mod tests {
    use super::*;

    fn well(node: u64) -> Standing {
        let node = NodeId(node);
        Standing { node, term: Term(3), is_leader: node == NodeId(1), applied: Index(9), probe_acked: true }
    }

    #[track_caller]
    fn late(members: &[Standing], why: &str) {
        let deadline = Deadline::after_faults(100, 50);
        assert_eq!(deadline.check(150, members), Ok(false));
        let reason = deadline.check(151, members).unwrap_err();
        assert!(reason.contains("51 after the last fault"), "{reason}");
        assert!(reason.contains(why), "{reason}");
    }

    #[test]
    fn all_is_well() {
        let deadline = Deadline::after_faults(100, 50);
        assert_eq!(deadline.check(100, &[well(1), well(2)]), Ok(true));
        assert_eq!(deadline.check(1000, &[well(1), well(2)]), Ok(true));
        // Whoever still believes to lead in an older term will hear of it.
        let old = Standing { is_leader: true, term: Term(2), ..well(2) };
        assert_eq!(deadline.check(100, &[well(1), old]), Ok(true));
    }

    #[test]
    fn what_can_be_missing() {
        late(&[], "no leader");
        late(&[well(2), well(3)], "no leader in term 3");
        late(&[well(1), Standing { term: Term(4), ..well(2) }], "no leader in term 4");
        late(&[well(1), Standing { probe_acked: false, ..well(2) }], "no write acknowledged at 2");
        late(&[well(1), Standing { applied: Index(8), ..well(2) }], "2 has applied 8 of 9");
    }
}
