//! The thread that would own the store: what is to be applied, and transfers, one after the other.

use std::{collections::VecDeque, mem};

use solder::{
    replica::{Event, TransferDone, TransferJob, jobs},
    store::{SliceLimits, StoreError},
    types::{Entry, EntryId, KeyRange, KeyRev, NodeId, Payload},
};

use super::{
    super::{
        judges::{Verdict, truth},
        knobs::MILLI,
        world::World,
    },
    Step, Work,
};

impl World {
    pub(super) fn pump_work(&mut self, id: NodeId) {
        if let Some(running) = self.running(id)
            && !running.working
            && !running.work.is_empty()
        {
            running.working = true;
            let delay = self.rng.u64(..=self.knobs.disk.apply_max);
            self.later(id, delay, Step::Work);
        }
    }

    pub(super) fn work(&mut self, id: NodeId) -> Verdict {
        let running = self.running(id).expect("it runs");
        running.working = false;
        match running.work.pop_front() {
            None => Ok(()),
            Some(Work::Apply(entries)) => self.apply(id, entries),
            Some(Work::Transfer(job)) => self.transfer(id, job),
        }
    }

    /// Entry by entry, so that the judges see the state after each.
    fn apply(&mut self, id: NodeId, mut entries: VecDeque<Entry>) -> Verdict {
        let mut outcomes = Vec::new();
        while let Some(entry) = entries.front() {
            let running = self.boards.get_mut(&id).and_then(|board| board.running.as_mut()).expect("it runs");
            if running.store.pending_full() {
                break;
            }
            let event = jobs::apply(&mut running.store, entry, id)
                .map_err(|error| format!("{id} cannot apply {}: {error}", entry.id))?;
            let Some(event) = event else {
                self.report.parts += 1;
                break;
            };
            let Event::Applied { outcomes: more, index } = event else { unreachable!("it says so") };
            outcomes.extend(more);
            let hash = running.store.state_hash();
            if let Payload::Membership { .. } = entry.payload {
                let members = running.store.membership().clone();
                self.members_changed(entry.id, &members);
            }
            entries.pop_front();
            self.safety.applied(id, index, hash)?;
            self.learn(id)?;
        }
        let full = !entries.is_empty();
        let running = self.running(id).expect("it runs");
        if full {
            running.work.push_front(Work::Apply(entries));
        }
        let index = running.store.applied().index;
        let retry = full.then(|| mem::replace(&mut running.working, true));
        if retry.is_some() {
            self.later(id, 20 * MILLI, Step::Work);
        }
        self.report(id, Event::Applied { index, outcomes })?;
        self.pump_work(id);
        self.set_store_room(id, !full)
    }

    fn set_store_room(&mut self, id: NodeId, room: bool) -> Verdict {
        match self.running(id) {
            Some(running) if running.store_room != room => {
                running.store_room = room;
                self.feed(id, Event::StoreRoom(room))
            }
            _ => Ok(()),
        }
    }

    /// What this board has applied beyond what was known is what happened.
    fn learn(&mut self, id: NodeId) -> Verdict {
        let store = &self.boards[&id].running.as_ref().expect("it runs").store;
        self.report.committed = self.report.committed.max(store.applied().index.0);
        let known = self.truth.last();
        if store.revision() <= known {
            return Ok(());
        }
        let (limits, mut told) = (SliceLimits { rows: 1000, bytes: 1 << 20 }, Vec::new());
        let mut from = KeyRev { main: known.next(), sub: 0 };
        loop {
            let slice = store
                .history(from, &KeyRange::all(), limits)
                .map_err(|error| format!("{id} cannot tell what it has just applied: {error}"))?;
            told.extend(slice.events.into_iter().map(truth::Event::from_record));
            if slice.done {
                return self.truth.learn(&told);
            }
            from = slice.next;
        }
    }

    fn transfer(&mut self, id: NodeId, job: TransferJob) -> Verdict {
        let piece_bytes = self.knobs.bounds.piece_bytes;
        let running = self.running(id).expect("it runs");
        if jobs::needs_quiet(&job) && running.flush.is_some() {
            return self.work_later(id, Work::Transfer(job));
        }
        match jobs::transfer(&mut running.store, job.clone(), piece_bytes) {
            Ok(None) => {
                self.pump_work(id);
                Ok(())
            }
            Ok(Some(done)) => {
                if let TransferDone::Finished { at, .. } = &done {
                    let hash = running.store.state_hash();
                    self.placed(id, *at, hash)?;
                }
                self.report(id, Event::Transfer(done))?;
                self.pump_work(id);
                Ok(())
            }
            Err(StoreError::Full { .. }) => self.work_later(id, Work::Transfer(job)),
            Err(error) => Err(format!("{id} cannot do {job:?}: {error}")),
        }
    }

    fn work_later(&mut self, id: NodeId, work: Work) -> Verdict {
        let running = self.running(id).expect("it runs");
        running.work.push_front(work);
        running.working = true;
        self.later(id, 20 * MILLI, Step::Work);
        Ok(())
    }

    /// Catching up has placed a store behind `at`.
    fn placed(&mut self, id: NodeId, at: EntryId, hash: u32) -> Verdict {
        self.safety.applied(id, at.index, hash)?;
        let running = self.running(id).expect("it runs");
        let flushed = running.store.flushed().index;
        assert_eq!(flushed, at.index, "a board that caught up has it on its disk");
        running.promises.filled(at);
        Ok(())
    }
}
