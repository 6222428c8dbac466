//! What takes long is told: how far members are that catch up, and which time-outs would suit the links.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::Core;
use crate::{
    replica::{TransferDone, TransferJob},
    types::{NodeId, Revision},
};

/// Who waits wants to see that it goes on; a log of every piece would be of no use.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// As peers are pinged (`peer::Limits::beat`).
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The same advice is given again after this time.
const ADVISE_EVERY: Duration = Duration::from_secs(3600);

/// Transfers from this member, and to it.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    to: BTreeMap<NodeId, Moving>,
    here: Option<Moving>,
    /// Why what comes cannot be kept at present.
    stuck: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Moving {
    begun: Instant,
    told: Instant,
    records: u64,
    at: Revision,
}

impl Moving {
    fn new(now: Instant) -> Moving {
        Moving { begun: now, told: now, records: 0, at: Revision(0) }
    }

    /// True: it is time to say so.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = now.saturating_duration_since(self.told) >= TELL_EVERY;
        self.told = if due { now } else { self.told };
        due
    }
}

impl Transfers {
    pub(super) fn begins(&mut self, job: &TransferJob, newest: Revision) {
        let now = Instant::now();
        match job {
            TransferJob::Open { peer, .. } => {
                self.to.insert(*peer, Moving::new(now));
            }
            TransferJob::Read { peer, after, .. } => {
                let Some(moving) = self.to.get_mut(peer) else { return };
                moving.at = after.main;
                if moving.is_due(now) {
                    log::info!("{}", sending(*peer, moving, newest));
                }
            }
            TransferJob::Close { peer } => {
                if let Some(moving) = self.to.remove(peer).filter(|moving| moving.at > Revision(0)) {
                    let took = moving.begun.elapsed();
                    log::info!(
                        "bringing member {peer} up to date has ended, at revision {}, after {took:.1?}",
                        moving.at
                    );
                }
            }
            TransferJob::Begin { .. } => {
                log::info!("this member is too far behind for the log: it is being filled by the leader");
                self.here = Some(Moving::new(now));
            }
            TransferJob::Store { piece, .. } => {
                // After a restart it goes on where it was.
                let moving = self.here.get_or_insert_with(|| Moving::new(now));
                moving.records += piece.slice.records.len() as u64;
                moving.at = piece.slice.next.main;
                if moving.is_due(now) {
                    log::info!("{}", receiving(moving));
                }
            }
        }
    }

    pub(super) fn stand_still(&mut self, what: String) {
        let moving = self.here.unwrap_or_else(|| Moving::new(Instant::now()));
        self.stuck = Some(standing(&moving, &what));
        self.stuck.iter().for_each(|text| log::error!("{text}"));
    }

    pub(super) fn done(&mut self, done: &TransferDone) {
        let is_ours = matches!(
            done,
            TransferDone::Begun { .. } | TransferDone::Stored { .. } | TransferDone::Finished { .. }
        );
        if is_ours && self.stuck.take().is_some() {
            log::info!("there is room again: catching up goes on");
        }
        if matches!(done, TransferDone::Finished { .. })
            && let Some(moving) = self.here.take()
        {
            let took = moving.begun.elapsed();
            log::info!("caught up: {} records, up to revision {}, in {took:.1?}", moving.records, moving.at);
        }
    }

    fn notes(&self, newest: Revision) -> Vec<String> {
        let to = self.to.iter().map(|(peer, moving)| sending(*peer, moving, newest));
        self.stuck.iter().cloned().chain(self.here.iter().map(receiving)).chain(to).collect()
    }
}

fn sending(peer: NodeId, moving: &Moving, newest: Revision) -> String {
    let percent = 100 * moving.at.0.max(0) / newest.0.max(1);
    format!("bringing member {peer} up to date: revision {} of {newest} ({percent} %)", moving.at)
}

fn receiving(moving: &Moving) -> String {
    format!("catching up: {} records, up to revision {}, so far", moving.records, moving.at)
}

/// How much is to come is not known here, but to who sends it.
fn standing(moving: &Moving, what: &str) -> String {
    format!(
        "this member cannot be filled with the cluster's store, of which it has {} records so far: {what}. It needs as much room          as the others use (DB SIZE of `solder endpoint status --cluster`), and some more: free some space, or give it a larger          disk or --db-map-bytes; it goes on by itself, or when it is started again",
        moving.records
    )
}

impl Core {
    /// For who asks how this member is.
    pub(in crate::member) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.alarm_notes().collect();
        // `solder endpoint health` looks for it.
        notes.extend(self.founding_note().map(|note| format!("{note}, before which nothing is written")));
        notes.extend(self.transfers.notes(self.figures.revision));
        if self.is_leader() && self.has_others() {
            let suggestion = self.advice.suggest(self.heartbeat(), self.election());
            notes.extend(suggestion.map(|suggestion| suggestion.to_string()));
        }
        notes
    }

    /// Is it time to look at the links? As often as each is measured, so that nothing counts twice.
    pub(in crate::member) fn wants_round_trips(&mut self) -> bool {
        let now = Instant::now();
        let wants = self.has_others() && now.saturating_duration_since(self.last_look) >= LOOK_EVERY;
        self.last_look = if wants { now } else { self.last_look };
        wants
    }

    /// Of each voter's link, as it was last measured.
    pub(in crate::member) fn round_trips(&mut self, trips: impl Iterator<Item = (NodeId, Duration)>) {
        let now = Instant::now();
        self.advice.tick(now);
        let voters = &self.replica.node().membership().voters;
        trips.filter(|(id, _)| voters.contains(id)).for_each(|(_, took)| self.advice.round_trip(took));
        if !self.is_leader() || self.advised_at.is_some_and(|at| now - at < ADVISE_EVERY) {
            return;
        }
        if let Some(suggestion) = self.advice.suggest(self.heartbeat(), self.election()) {
            self.advised_at = Some(now);
            log::warn!("{suggestion}");
        }
    }
}
