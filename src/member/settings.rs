//! What holds for all members of a cluster, and what of it can be.

use crate::types::{AutopilotChange, Error, NodeId, limits};

use super::core::autopilot::REPLACE_AFTER_S;

/// As all members use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Heartbeat and election.
    pub timeouts_ms: (u32, u32),
    /// 0: people say who votes.
    pub voters_max: u32,
    pub replace_after_s: u32,
    /// 0: each member's own.
    pub learners_max: u32,
}

/// `None`: as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterSettingsChange {
    pub heartbeat_ms: Option<u32>,
    pub election_ms: Option<u32>,
    pub voters_max: Option<u32>,
    pub replace_after_s: Option<u32>,
    pub learners_max: Option<u32>,
    /// With so many boards a cluster that is being founded is.
    pub size: Option<u32>,
}

/// Since when a member is what it is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRole {
    pub id: NodeId,
    /// Unix seconds; 0: not known.
    pub since_s: u64,
    pub why: String,
}

impl ClusterSettingsChange {
    pub(super) fn timeouts_ms(&self, known: (u32, u32)) -> Option<(u32, u32)> {
        let is_given = self.heartbeat_ms.is_some() || self.election_ms.is_some();
        is_given.then(|| (self.heartbeat_ms.unwrap_or(known.0), self.election_ms.unwrap_or(known.1)))
    }

    /// A cluster that is to choose its voters gets all that this needs.
    pub(super) fn autopilot(&self, known: &ClusterSettings) -> Result<Option<AutopilotChange>, Error> {
        let Self { voters_max, replace_after_s, learners_max, .. } = *self;
        within("voters", voters_max, 0, limits::VOTERS_MAX)?;
        within("replaceAfter", replace_after_s, limits::REPLACE_AFTER_S_MIN, limits::REPLACE_AFTER_S_MAX)?;
        within("maxLearners", learners_max, 1, limits::LEARNERS_MAX)?;
        let begins = voters_max.is_some_and(|voters| voters > 0);
        let or_else =
            |given: Option<u32>, known: u32, usual: u32| given.or((begins && known == 0).then_some(usual));
        let change = AutopilotChange {
            voters_max,
            replace_after_s: or_else(replace_after_s, known.replace_after_s, REPLACE_AFTER_S),
            learners_max: or_else(learners_max, known.learners_max, limits::LEARNERS_WITH_AUTOPILOT),
            forming: None,
        };
        Ok((change != AutopilotChange::default()).then_some(change))
    }
}

fn within(name: &'static str, given: Option<u32>, least: u32, most: u32) -> Result<(), Error> {
    match given {
        Some(given) if !(least..=most).contains(&given) => {
            Err(Error::OutOfRange { name, given, least, most })
        }
        _ => Ok(()),
    }
}

pub(super) fn check_timeouts_ms(heartbeat: u32, election: u32) -> Result<(), Error> {
    let fits = heartbeat > 0
        && (1..=limits::ELECTION_MS_MAX).contains(&election)
        && u64::from(election) >= u64::from(limits::HEARTBEATS_AN_ELECTION) * u64::from(heartbeat);
    if fits { Ok(()) } else { Err(Error::BadTimeouts { heartbeat, election }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_timeouts_fit() {
        for (heartbeat, election) in [(1, 5), (100, 1000), (10_000, 50_000)] {
            assert_eq!(check_timeouts_ms(heartbeat, election), Ok(()));
        }
        let text = |heartbeat, election| {
            check_timeouts_ms(heartbeat, election).map_err(|error| error.to_string()).unwrap_err()
        };
        assert_eq!(text(0, 1000), "--heartbeat-interval must be >0 (set to 0ms)");
        assert_eq!(text(100, 0), "--election-timeout must be >0 (set to 0ms)");
        assert_eq!(
            text(100, 50_001),
            "--election-timeout[50001ms] is too long, and should be set less than 50000ms"
        );
        assert_eq!(
            text(u32::MAX, 1000),
            "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[4294967295ms]"
        );
    }

    #[test]
    fn what_a_cluster_that_chooses_its_voters_gets() {
        let known =
            ClusterSettings { timeouts_ms: (100, 1000), voters_max: 0, replace_after_s: 0, learners_max: 0 };
        let change = ClusterSettingsChange { voters_max: Some(5), ..ClusterSettingsChange::default() };
        let all = AutopilotChange {
            voters_max: Some(5),
            replace_after_s: Some(600),
            learners_max: Some(100),
            forming: None,
        };
        assert_eq!(change.autopilot(&known), Ok(Some(all)));
        let known = ClusterSettings { replace_after_s: 60, learners_max: 7, ..known };
        let voters = AutopilotChange { voters_max: Some(5), ..AutopilotChange::default() };
        assert_eq!(change.autopilot(&known), Ok(Some(voters)));
        let off = ClusterSettingsChange { voters_max: Some(0), ..change };
        assert_eq!(off.autopilot(&known), Ok(Some(AutopilotChange { voters_max: Some(0), ..voters })));
        assert_eq!(ClusterSettingsChange::default().autopilot(&known), Ok(None));
        let text = |change: ClusterSettingsChange| change.autopilot(&known).unwrap_err().to_string();
        let default = ClusterSettingsChange::default();
        assert_eq!(
            text(ClusterSettingsChange { voters_max: Some(10), ..default }),
            "voters is 10, and can be 0 to 9"
        );
        assert_eq!(
            text(ClusterSettingsChange { replace_after_s: Some(1), ..default }),
            "replaceAfter is 1, and can be 5 to 2592000"
        );
        assert_eq!(
            text(ClusterSettingsChange { learners_max: Some(1001), ..default }),
            "maxLearners is 1001, and can be 1 to 1000"
        );
    }
}
