//! Autopilot: who should vote. The leader asks it now and then, and proposes what it says.
//!
//! ```text
//!   what the leader sees --Sighting--> Autopilot --Member--> plan --Step--> one change of the members, or none
//!   of each member                     since when             '---- why --> a sentence about each, for people
//! ```
//!
//! - An odd number of boards votes: one more does not help until there are two, since a majority of 2 is 2, of 4 is 3. So two
//!   learners are promoted, one after the other, where both are fit for it, and an even number stays only while it must.
//! - A voter that was away for long makes room first, then another is promoted: with one voter less a majority needs fewer,
//!   and a promotion that turns out badly does no harm then.
//! - Nothing is done that a majority of the voters could not agree to, or after which those that are reached would be none.
//! - Who votes has the authority's key, from before it does: else the loss of who has it could end joining for ever.
//! - Nothing is done twice to and fro: a board has to be fit for a while before it votes, one that comes back is a learner like
//!   others, and where the number is right and all are there, nothing happens.
//!
//! Here you will not find: I/O, clocks, threads, Raft. Time is what the caller says it is.

mod plan;
mod sentence;
#[cfg(test)]
mod tests;
mod watch;

use std::time::Duration;

use crate::types::{Bugs, Bytes, MembershipChange, NodeId};

pub use self::watch::Autopilot;

/// How long a learner has to be there and caught up, without a break, before it may vote. One that comes and goes would cost
/// the cluster its majority each time it goes.
pub const STEADY: Duration = Duration::from_secs(5);

/// What the cluster has settled.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// At most so many vote; of an even number, one less.
    pub voters_max: usize,
    /// A voter that was not reached for so long is replaced.
    pub replace_after: Duration,
    /// `STEADY`; nothing where a cluster is being founded, which nobody uses yet.
    pub steady: Duration,
    /// For so long who has died may count as reached.
    pub blind: Duration,
    pub bugs: Bugs,
}

/// What the leader sees of one member at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub id: NodeId,
    pub is_voter: bool,
    /// It holds the data only, and is never to vote.
    pub is_replica: bool,
    /// By what its hardware is known; empty: by nothing.
    pub board: Bytes,
    /// It is connected, or answers. The leader reaches itself.
    pub is_reached: bool,
    /// It has nearly all that the leader has.
    pub is_caught_up: bool,
    /// It has the key that voters let boards in with, or nobody could give it one.
    pub has_key: bool,
}

/// One change of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Promote(NodeId),
    Demote(NodeId),
    Remove(NodeId),
}

impl Step {
    pub fn change(self) -> MembershipChange {
        match self {
            Step::Promote(id) => MembershipChange::Promote(id),
            Step::Demote(id) => MembershipChange::Demote(id),
            Step::Remove(id) => MembershipChange::Remove(id),
        }
    }
}

/// What is to be done now, and why each member is what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// And why.
    pub step: Option<(Step, String)>,
    /// In the order of their ids.
    pub whys: Vec<(NodeId, String)>,
    /// Who may vote soon, and has to have the key before. The first is wanted first.
    pub keyless: Vec<NodeId>,
    /// Members that are different boards, and say of their hardware what others say of theirs: that is to count no more.
    pub distinct: Vec<NodeId>,
}

/// A member, and how long it has been as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    id: NodeId,
    is_voter: bool,
    is_replica: bool,
    is_caught_up: bool,
    has_key: bool,
    /// `None`: it is reached.
    unreached_for: Option<Duration>,
    /// Reached and caught up without a break; `None`: it is not.
    steady_for: Option<Duration>,
    /// For how long it has been what it is, voter or learner, as far as was seen.
    role_for: Duration,
    /// The board came back without its data, as this member.
    back_as: Option<NodeId>,
}

/// The largest odd number that is no larger.
fn odd(count: usize) -> usize {
    count.saturating_sub((count + 1) % 2)
}
