//! What the core does that nobody asked for: leases that end, watchers that are behind, compactions, alarms about room.

use std::{rc::Rc, time::Instant};

use crate::{
    replica::{Answer, Event},
    types::{AlarmAction, AlarmKind, AlarmRequest, Command, Error, Outcome},
};

use super::{Core, Waiter, what_is};
use crate::member::{engine::Ask, news::ScanQuery, reply::Slot, store_thread::StoreJob};

impl Core {
    /// The lessor leads when this member does and serves; what it finds due is proposed.
    pub(super) fn keep_leases(&mut self) {
        let term = self.leader_term();
        if self.leases.led_by_us(term) {
            let request = self.wait(Waiter::Lead);
            self.feed(Event::Read { request });
        }
        for command in self.leases.due() {
            self.propose_lease(command, None);
        }
    }

    pub(super) fn propose_lease(&mut self, command: Command, slot: Option<Rc<Slot<Result<(), Error>>>>) {
        assert!(self.is_known_to_all(&command), "{command:?} proposed, and somebody does not know it");
        let data = command.encode();
        let request = self.wait(Waiter::Lease { command, slot });
        self.feed(Event::Propose { request, data });
    }

    pub(super) fn answer_lease(
        &mut self,
        command: &Command,
        slot: Option<Rc<Slot<Result<(), Error>>>>,
        answer: Answer,
    ) {
        match &answer {
            Answer::Refused(_) => self.leases.refused(command, false),
            Answer::Applied(Outcome::Refused(_)) => self.leases.refused(command, true),
            _ => {}
        }
        let result = self.result_of(answer).map(drop);
        slot.into_iter().for_each(|slot| slot.put(result.clone()));
    }

    pub(super) fn keep_watches(&mut self) {
        let now = self.leases.now();
        if let Some(scan) = self.watches.turn(now) {
            self.to_store.push(StoreJob::Query(Box::new(ScanQuery(scan))));
        }
    }

    pub(super) fn compact_by_itself(&mut self, now: Instant) {
        let is_leader = self.is_leader();
        let (revision, compacted) = (self.figures.revision, self.figures.compacted);
        let Some(compactor) = &mut self.compactor else { return };
        if let Some(revision) = compactor.tick(now, revision, is_leader).filter(|at| *at > compacted) {
            log::debug!("automatic compaction at revision {revision}");
            self.propose_own(&Command::Compact { revision });
        }
    }

    /// Proposes something that nobody asked for.
    pub(super) fn propose_own(&mut self, command: &Command) {
        assert!(self.is_known_to_all(command), "{command:?} proposed, and somebody does not know it");
        let (data, slot, asked_at) = (command.encode(), Slot::new(), Instant::now());
        self.ask(Ask::Propose { data, what: what_is(command), slot, asked_at });
    }

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

    fn has_own_alarm(&self) -> bool {
        self.alarms.contains(&(self.replica.node().id(), AlarmKind::NoSpace))
    }

    fn change_own_alarm(&mut self, action: AlarmAction) {
        self.alarm_asked = true;
        let member = self.replica.node().id();
        self.propose_own(&Command::Alarm(AlarmRequest { action, member, kind: AlarmKind::NoSpace }));
    }
}
