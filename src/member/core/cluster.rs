//! What the cluster knows of this member, and what holds for all: kept in the store, so that every member has the same.
//!
//! ```text
//!   this member's name, client URLs, level   --> Publish        whenever the roll says something else
//!   since when it votes, of a founder        --> Amend          if the roll does not say
//!   leader: the time-outs, if there are none --> UpdateCluster  the first board's; later boards take them over
//!   leader: what all members know            --> UpdateCluster  the level, raised once all have published it
//!   leader: what a founder brings, and its end -> Autopilot     once alone, and once all that found it are in
//! ```

use std::time::{Duration, Instant};

use crate::types::{ClusterChange, Command, MemberRow};

use super::Core;
use crate::member::{
    engine::Failure,
    open::{check_level, replica_options},
};

/// What came to nothing is proposed again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Core {
    /// One proposal at a time; what else there is to say is said when that is applied.
    pub(super) fn keep_cluster(&mut self, now: Instant) {
        let node = self.replica.node();
        let is_soon = self.cluster_told_at.is_some_and(|at| now.saturating_duration_since(at) < AGAIN_AFTER);
        if is_soon || node.leader().is_none() || node.is_catching_up() {
            return;
        }
        let command = self.own_news().or_else(|| self.cluster_news());
        #[cfg(feature = "testing")]
        let command = command.or_else(|| self.probe());
        if let Some(command) = command {
            self.cluster_told_at = Some(now);
            self.propose_own(&command);
        }
    }

    fn own_news(&self) -> Option<Command> {
        let me = self.replica.node().id();
        if !self.replica.node().membership().contains(me) {
            return None;
        }
        let level = Command::level_known();
        let row = self.roll.row(me).cloned().unwrap_or_default();
        if row.peer_urls.is_empty() {
            // The data is of a time before there were rows.
            let peer_urls = self.options.peer_urls.clone();
            return Some(Command::UpdateMember { member: me, peer_urls });
        }
        let (name, client_urls) = (self.options.name.clone(), self.options.client_urls.clone());
        let incarnation = self.incarnation;
        let is_known = (&row.name, &row.client_urls) == (&name, &client_urls)
            && (row.level, row.incarnation) == (level, incarnation);
        if !is_known {
            return Some(Command::Publish { member: me, name, client_urls, level, incarnation });
        }
        self.own_date(&row)
    }

    /// Who founded its cluster has voted since then, if nobody has said anything else of it. People ask where the cluster chooses
    /// its voters.
    fn own_date(&self, row: &MemberRow) -> Option<Command> {
        let me = self.replica.node().id();
        let is_asked = self.roll.cluster.voters_max > 0 && row.since_s == 0;
        let is_founder = self.founded_s > 0 && self.replica.node().membership().voters.contains(&me);
        let command = Command::Amend { members: vec![me], since_s: Some(self.founded_s), board: None };
        Some(command).filter(|command| is_asked && is_founder && self.is_known_to_all(command))
    }

    fn cluster_news(&self) -> Option<Command> {
        if !self.is_leader() {
            return None;
        }
        let membership = self.replica.node().membership();
        let settled = &self.roll.cluster;
        let own = self.options.timeouts_ms();
        let is_alone = membership.members().count() == 1;
        let is_settled = settled.timeouts_ms().is_some_and(|settled| !is_alone || settled == own);
        let timeouts_ms = (!is_settled).then_some(own);
        let level = Some(self.roll.level(membership)).filter(|level| *level > settled.level);
        let is_news = timeouts_ms.is_some() || level.is_some();
        let update = is_news.then_some(Command::UpdateCluster(ClusterChange { timeouts_ms, level }));
        update.or_else(|| self.autopilot_news())
    }

    /// Once, by each leader: tests of upgrades see by it that what is new is used as soon as all know it.
    #[cfg(feature = "testing")]
    fn probe(&mut self) -> Option<Command> {
        let is_due = self.is_leader() && !self.probed && self.is_known_to_all(&Command::Probe);
        self.probed |= is_due;
        is_due.then_some(Command::Probe)
    }

    /// Does every member know this kind of command? As long as nothing is settled, they know the first level.
    pub(in crate::member) fn is_known_to_all(&self, command: &Command) -> bool {
        command.level() <= self.roll.cluster.level.max(1)
    }

    /// The rows of members may have changed.
    ///
    /// Errors: what the members have agreed on is beyond this build. It was replaced by an older one since this member last
    /// told of itself.
    pub(in crate::member) fn roll_changed(&mut self) -> Result<(), Failure> {
        self.roster_is_old = true;
        check_level(self.roll.cluster.level).map_err(|error| Failure(error.to_string()))?;
        if self.roll.cluster.level > self.level_told {
            self.level_told = self.roll.cluster.level;
            log::info!("all members know entries of level {}", self.level_told);
        }
        self.cluster_told_at = None;
        if let Some(settled) = self.roll.cluster.timeouts_ms() {
            self.take_timeouts(settled);
        }
        Ok(())
    }

    /// The cluster's, whatever this board was started with.
    fn take_timeouts(&mut self, settled: (u32, u32)) {
        let running = (self.options.heartbeat, self.options.election);
        let [heartbeat, election] = [settled.0, settled.1].map(|ms| Duration::from_millis(ms.into()));
        if running == (heartbeat, election) {
            return;
        }
        log::info!(
            "the cluster's time-outs are used: heartbeat {heartbeat:?} and election {election:?}, not {:?} and {:?} \
             (`solder cluster set` changes them for all)",
            running.0,
            running.1
        );
        self.options.set_timeouts(heartbeat, election);
        self.replica.retime(&replica_options(&self.options, self.replica.node().id()));
        self.leases.set_election(election);
    }
}
