//! Alarms: the member's own about room, and what all are told of whatever alarm there is.
//!
//! ```text
//!   no room for what may be pending --> Activate, in this member's name      as soon as the store's thread says so
//!   room again                      --> Deactivate                           nobody but this board knows
//!   a member was removed            --> Deactivate its alarms                the leader: nobody else ever would
//! ```
//!
//! Only what is in the log changes what anybody accepts.

use std::time::Instant;

use super::Core;
use crate::{
    member::inbox::AppliedReport,
    types::{AlarmAction, AlarmKind, AlarmRequest, Command, NodeId},
};

impl Core {
    pub(super) fn set_database_room(&mut self, room: bool) {
        if self.quota.set_room(room) {
            self.raised_for_room |= !room;
            self.tend_room_alarm();
        }
    }

    /// What is lacking room for what may be pending is raised as an alarm, so that nobody acknowledges what this board could
    /// not keep; and lifted again, since nobody but this board knows when there is room.
    pub(super) fn tend_room_alarm(&mut self) {
        if !self.raised_for_room || self.alarm_asked {
            return;
        }
        match (self.quota.has_room(), self.has_own_alarm()) {
            (false, false) => self.change_own_alarm(AlarmAction::Activate),
            (true, true) => self.change_own_alarm(AlarmAction::Deactivate),
            (true, false) => self.raised_for_room = false,
            (false, true) => {}
        }
    }

    /// The store has become too large. What helps is named where it is raised, once.
    pub(in crate::member) fn raise_quota_alarm(&mut self) {
        if self.alarm_asked || self.has_own_alarm() {
            return;
        }
        log::error!(
            "the store has reached its quota of {} bytes, puts are refused (NOSPACE): `solder compaction REVISION`, then \
             `solder defrag`, then `solder alarm disarm`; or raise --quota-backend-bytes",
            self.figures.quota_bytes
        );
        self.change_own_alarm(AlarmAction::Activate);
    }

    /// What the store and the log of an earlier process hold. Which of its two reasons an alarm of this member's had is not
    /// kept; with a store that is far from its quota it was room, and this member is to lift it when there is some.
    pub(in crate::member) fn take_over_alarm(&mut self) {
        self.raised_for_room |= self.has_own_alarm() && !self.quota.is_nearly_used_up();
    }

    pub(super) fn heed_alarms(&mut self, report: &mut AppliedReport) {
        if let Some(alarms) = report.alarms.take() {
            let before = std::mem::replace(&mut self.alarms, alarms);
            self.heed_corruption(&before);
            self.tell_of_alarms(&before);
            let is_of_before = self.applied < self.replay_until || report.leases_anew.is_some();
            if is_of_before {
                self.take_over_alarm();
            }
            self.alarm_asked = false;
            self.tend_room_alarm();
        }
    }

    fn tell_of_alarms(&self, before: &[(NodeId, AlarmKind)]) {
        for alarm in self.alarms.iter().filter(|alarm| !before.contains(alarm)) {
            log::warn!("{}", self.explain(*alarm));
        }
        for (member, kind) in before.iter().filter(|alarm| !self.alarms.contains(alarm)) {
            log::info!("the alarm {} of {} is lifted", name(*kind), self.who(*member));
        }
    }

    /// For who asks how this member is: whose alarms there are, and what to do. A board alone knows whose it is: etcd's own
    /// field has it.
    pub(super) fn alarm_notes(&self) -> impl Iterator<Item = String> {
        let has_others = self.has_others();
        self.alarms.iter().filter(move |_| has_others).map(|alarm| self.explain(*alarm))
    }

    fn explain(&self, (member, kind): (NodeId, AlarmKind)) -> String {
        let (who, kind_name) = (self.who(member), name(kind));
        let alarm = format!("alarm {kind_name} of {who}");
        match kind {
            AlarmKind::NoSpace => format!(
                "{alarm}: puts are refused by all members. Where its disk is full, free some space: then it is lifted by itself. \
                 Where its store has reached its quota: `solder compaction REVISION`, `solder defrag`, `solder alarm disarm`.{}",
                match self.has_others() {
                    true => format!(" Or `solder member remove {member}`, which lifts it too"),
                    false => String::new(),
                }
            ),
            AlarmKind::Corrupt if member == NodeId(0) => format!(
                "{alarm}: writes are refused. Compare the members by `solder endpoint hashkv --cluster`, decide which to keep, \
                 make the others anew from it, then `solder alarm disarm`"
            ),
            AlarmKind::Corrupt => format!(
                "{alarm}: it does not hold what the others hold, and writes are refused. `solder member remove {member}` lifts \
                 it; clear that board's whole data directory, and {}",
                self.way_back()
            ),
        }
    }

    fn who(&self, member: NodeId) -> String {
        match self.roll.row(member).map(|row| row.name.as_str()) {
            _ if member == NodeId(0) => "the members together".to_owned(),
            Some(name) if !name.is_empty() => format!("member {member} ({name})"),
            _ => format!("member {member}"),
        }
    }

    /// By the leader, once the removal is applied: until then the entry may still be replaced.
    pub(super) fn lift_alarms_of_the_removed(&mut self) {
        if !self.is_leader() {
            return;
        }
        let removed = &self.replica.node().membership().removed;
        let has_gone = |id: NodeId| removed.contains(&id) && self.roll.row(id).is_none();
        let alarms: Vec<_> = self.alarms.iter().copied().filter(|(id, _)| has_gone(*id)).collect();
        let now = Instant::now();
        if alarms.is_empty() || self.lifted_at.is_some_and(|at| now - at < super::BEAT_EVERY) {
            return;
        }
        self.lifted_at = Some(now);
        for (member, kind) in alarms {
            let action = AlarmAction::Deactivate;
            self.propose_own(&Command::Alarm(AlarmRequest { action, member, kind }));
        }
    }

    fn has_own_alarm(&self) -> bool {
        self.alarms.contains(&(self.replica.node().id(), AlarmKind::NoSpace))
    }

    fn change_own_alarm(&mut self, action: AlarmAction) {
        self.alarm_asked = true;
        let member = self.replica.node().id();
        self.propose_own(&Command::Alarm(AlarmRequest { action, member, kind: AlarmKind::NoSpace }));
    }
}

fn name(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::NoSpace => "NOSPACE",
        AlarmKind::Corrupt => "CORRUPT",
    }
}
