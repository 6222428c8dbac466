//! The thread that would own the log: one write and sync at a time.

use std::mem;

use solder::{
    replica::{Append, Event},
    types::NodeId,
    wal::{Record, WalError},
};

use super::{
    super::{Micros, judges::Verdict, knobs::MILLI, world::World},
    Step,
};

impl World {
    pub(super) fn pump_log(&mut self, id: NodeId) -> Verdict {
        let Some(running) = self.running(id) else { return Ok(()) };
        if running.syncing.is_some() || running.appends.is_empty() {
            return Ok(());
        }
        let appends = mem::take(&mut running.appends);
        let ticket = appends.last().expect("not empty").ticket;
        let records: Vec<Record> = appends.iter().flat_map(records_of).collect();
        if records.is_empty() {
            return self.report(id, Event::Persisted(ticket));
        }
        match running.wal.write(&records, running.replica.node().membership()) {
            Ok(()) => {
                running.syncing = Some(ticket);
                running.writing = records;
                let delay = self.sync_time(id);
                self.later(id, delay, Step::Synced);
                Ok(())
            }
            Err(WalError::Full { .. }) => {
                running.appends = appends;
                self.set_log_room(id, false)
            }
            Err(WalError::Io { .. }) => self.die(id),
            Err(error) => Err(format!("{id} cannot write its log: {error}")),
        }
    }

    fn sync_time(&mut self, id: NodeId) -> Micros {
        let disk = &self.knobs.disk;
        let (usual, slow_max) = (self.rng.u64(disk.sync_min..=disk.sync_max), disk.slow_max);
        match self.boards[&id].slow_until > self.now {
            true => usual * 10 + self.rng.u64(..slow_max),
            false => usual,
        }
    }

    pub(super) fn synced(&mut self, id: NodeId) -> Verdict {
        let running = self.running(id).expect("it runs");
        let ticket = running.syncing.take().expect("a sync is under way");
        if running.wal.sync().is_err() {
            return self.die(id);
        }
        for record in running.writing.drain(..) {
            match record {
                Record::HardState(hard_state) => running.promises.hard_state_synced(hard_state),
                Record::LogStart(start) => running.promises.log_start_synced(start),
                Record::Entry(entry) => running.promises.entry_synced(entry.id),
            }
        }
        let room = running.wal.secure_room().is_ok();
        self.report(id, Event::Persisted(ticket))?;
        self.pump_log(id)?;
        self.set_log_room(id, room)
    }

    /// As long as there is no room, somebody looks again in a while.
    pub(super) fn try_log_again(&mut self, id: NodeId) -> Verdict {
        self.pump_log(id)?;
        let Some(running) = self.running(id) else { return Ok(()) };
        let idle = running.syncing.is_none() && running.appends.is_empty();
        let room = running.log_room || idle && running.wal.secure_room().is_ok();
        if !room {
            self.later(id, 300 * MILLI, Step::TryLogAgain);
        }
        self.set_log_room(id, room)
    }

    fn set_log_room(&mut self, id: NodeId, room: bool) -> Verdict {
        match self.running(id) {
            Some(running) if running.log_room != room => {
                running.log_room = room;
                if !room {
                    self.later(id, 300 * MILLI, Step::TryLogAgain);
                }
                self.feed(id, Event::LogRoom(room))
            }
            _ => Ok(()),
        }
    }
}

fn records_of(append: &Append) -> impl Iterator<Item = Record> + '_ {
    let head = append.hard_state.map(Record::HardState).into_iter();
    let start = append.log_start.map(Record::LogStart);
    head.chain(start).chain(append.entries.iter().cloned().map(Record::Entry))
}
