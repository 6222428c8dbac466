//! Leases: which one runs out when, and what is to be proposed about it.
//!
//! ```text
//!   log --applied grants, revokes, checkpoints--> Lessor --due: revoke, checkpoint--> log
//!                                                   ^
//!   keep-alives: in memory only --------------------+
//! ```
//!
//! What is applied is the truth: a lease is there from its grant to its revocation, whatever the time. Only a leader counts
//! time; what it finds to have run out it proposes to revoke, in its own term only. Whoever begins to lead gives each
//! lease what was last recorded of it, at most its full TTL, counted from that moment: time during which nobody led
//! does not count.
//!
//! - A lease is never revoked early: not before the time last promised, by a grant or a renewal, has gone by here.
//! - Renewing writes nothing, unless less than the full TTL is or may be recorded: then a restart would count from
//!   that, so the full TTL is recorded first and the renewal answered after that.
//! - Short leases are never recorded. Of long ones at most the time between two checkpoints is given twice.
//!
//! Here you will not find: clocks, threads, the keys that leases hold. Time is a number that only grows.

mod lessor;
mod queue;

use std::time::Duration;

pub use lessor::{Lessor, Renewal};

use crate::types::{Command, LeaseId, LeaseRemaining, Outcome};

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Shorter ones are made so long.
    pub ttl_min_s: i64,
    /// Leases longer than this are recorded so often.
    pub checkpoint_interval: Duration,
    /// When something is recorded, so is what would be due within this time: one entry in the log for many.
    pub checkpoint_together: Duration,
    /// Leases in one entry of checkpoints, at most. As in etcd.
    pub checkpoint_leases_max: usize,
    /// Revocations proposed in one `PACE`, at most: with ten in a second etcd's thousand. When a site loses its power,
    /// thousands run out at once, and others want to write too.
    pub revokes_per_pace_max: usize,
}

/// As etcd: one and a half election timeouts, rounded up, because nobody can be sure to renew faster than leaders change.
pub fn ttl_min_s(election: Duration) -> i64 {
    i64::try_from((election * 3 / 2).as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
}

/// How long one ration of revocations must do.
const PACE: Duration = Duration::from_millis(100);

impl Default for Options {
    fn default() -> Options {
        Options {
            ttl_min_s: 2,
            checkpoint_interval: Duration::from_secs(300),
            checkpoint_together: Duration::from_secs(60),
            checkpoint_leases_max: 1000,
            revokes_per_pace_max: 100,
        }
    }
}

/// What an applied command did to leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Granted { id: LeaseId, ttl_s: i64 },
    Revoked { id: LeaseId },
    Recorded(Vec<LeaseRemaining>),
}

impl Change {
    /// Of a command, encoded, and what came of it; only commands about leases are decoded.
    pub fn of(data: &[u8], outcome: &Outcome) -> Option<Change> {
        match outcome {
            Outcome::LeaseGranted { id, ttl_s, .. } => Some(Change::Granted { id: *id, ttl_s: *ttl_s }),
            Outcome::LeaseRevoked { .. } | Outcome::LeasesCheckpointed { .. } => {
                match Command::decode(data) {
                    Ok(Command::LeaseRevoke { id, .. }) => Some(Change::Revoked { id }),
                    Ok(Command::LeaseCheckpoint { leases, .. }) => Some(Change::Recorded(leases)),
                    other => panic!("{outcome:?} came of {other:?}"),
                }
            }
            _ => None,
        }
    }
}
