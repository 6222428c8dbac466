//! What the core does that nobody asked for: leases that end, watchers that are behind, compactions. (`alarms` has theirs.)

use std::{rc::Rc, time::Instant};

use crate::{
    replica::{Answer, Event},
    types::{Command, Error, Outcome},
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
}
