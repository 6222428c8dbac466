//! Boards: the real replica, log and store, and the threads that would own them.
//!
//! Log, store and flush each do one thing at a time, in order, and each takes its time. Between any two of these steps the
//! power can go.
//!
//! Here: what a board is, and how events come to its replica and effects from it. The rest by who does it: `power`, `log`,
//! `work`, `flush`; `news` of other boards; `content` for who compares.

mod content;
mod flush;
mod log;
mod news;
mod power;
mod work;

use std::{collections::VecDeque, sync::Arc};

use solder::{
    raft::{Envelope, Message, Node, Role, Ticket},
    replica::{Append, Effect, Event, PeerMessage, Replica, TransferDone, TransferJob},
    store::{Backend, FlushJob, FlushReport, Store, StoreError},
    types::{Entry, EntryId, HardState, Membership, NodeId},
    wal::{self, Record, Wal},
};

use super::{
    Micros,
    database::Database,
    judges::{Verdict, promises::Promises, raft_safety::View},
    knobs::Timing,
    network,
    pilot::Pilot,
    world::{Happening, World},
};

/// However long a disk stands still, no more than this waits for it.
const APPENDS_MAX: usize = 1024;

/// What is soldered together, and what of it survives a power cut.
pub(super) struct Board {
    pub(super) id: NodeId,
    genesis: Membership,
    pub(super) disk: wal::Twin,
    pub(super) database: Database,
    /// How much slower its clock is than others, in percent.
    pub(super) slow_clock: u64,
    /// As it was told last.
    timing: Timing,
    /// How many ticks there have been.
    pub(super) ticks: u64,
    /// Counts starts and ends, so that what was scheduled for one life does not happen in the next.
    life: u64,
    pub(super) running: Option<Running>,
    pub(super) paused_until: Micros,
    pub(super) slow_until: Micros,
    pub(super) full_until: Micros,
    /// Its disk is gone for good.
    pub(super) lost: bool,
    pub(super) probe: Probe,
}

/// A write asked of this board after the storm.
#[derive(Default)]
pub(super) struct Probe {
    pub(super) acked: bool,
    pub(super) asked_at: Option<Micros>,
}

/// What a board holds in memory.
pub(super) struct Running {
    pub(super) replica: Replica,
    pub(super) store: Store,
    backend: Arc<dyn Backend>,
    wal: Wal<wal::Twin>,
    appends: Vec<Append>,
    /// The log is at work up to this ticket.
    syncing: Option<Ticket>,
    log_room: bool,
    store_room: bool,
    work: VecDeque<Work>,
    working: bool,
    flush: Option<Flush>,
    /// What log and store have done and the replica has not been told yet: each tells in order.
    reports: VecDeque<Event>,
    last_report_at: Micros,
    /// What the log's write that is under way will make durable, and what is durable.
    writing: Vec<Record>,
    promises: Promises,
    pub(super) pilot: Pilot,
}

/// What waits for the store.
enum Work {
    Apply(VecDeque<Entry>),
    Transfer(TransferJob),
}

enum Flush {
    Out(FlushJob),
    Done(Result<FlushReport, StoreError>),
}

/// What a board's threads do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Tick,
    Synced,
    Report,
    TryLogAgain,
    Work,
    FlushDue,
    FlushRuns,
    FlushEnds,
}

impl Board {
    pub(super) fn is_down(&self) -> bool {
        self.running.is_none() && !self.lost
    }

    pub(super) fn tick(&self) -> Micros {
        self.timing.tick + self.timing.tick * self.slow_clock / 100
    }

    /// How long a learner that has all hears nothing of this board, should it lead.
    pub(super) fn seldom(&self) -> Micros {
        self.tick() * u64::from(self.timing.election_ticks / 2)
    }

    /// Everything that a fault had taken away is there again.
    pub(super) fn recover(&mut self, now: Micros) {
        self.paused_until = self.paused_until.min(now);
        self.slow_until = self.slow_until.min(now);
        self.full_until = self.full_until.min(now);
        self.disk.set_faults(wal::Faults::default());
        self.database.set_full(false);
    }
}

impl Running {
    pub(super) fn node(&self) -> &Node {
        self.replica.node()
    }
}

impl World {
    fn later(&mut self, id: NodeId, delay: Micros, step: Step) {
        let life = self.boards[&id].life;
        self.schedule(delay, Happening::OnBoard { board: id, life, step });
    }

    fn running(&mut self, id: NodeId) -> Option<&mut Running> {
        self.boards.get_mut(&id)?.running.as_mut()
    }

    pub(super) fn step(&mut self, id: NodeId, life: u64, step: Step) -> Verdict {
        if self.boards[&id].life != life || self.boards[&id].running.is_none() {
            return Ok(());
        }
        match step {
            Step::Tick => {
                let tick = self.boards[&id].tick();
                self.later(id, tick, Step::Tick);
                self.boards.get_mut(&id).expect("it runs").ticks += 1;
                self.feed(id, Event::Tick)?;
                self.pilot(id)
            }
            Step::Synced => self.synced(id),
            Step::Report => self.report_arrives(id),
            Step::TryLogAgain => self.try_log_again(id),
            Step::Work => self.work(id),
            Step::FlushDue => self.flush_due(id),
            Step::FlushRuns => self.flush_runs(id),
            Step::FlushEnds => self.flush_ends(id),
        }
    }

    /// Log and store tell the replica what they have done; how soon it listens is chance.
    fn report(&mut self, id: NodeId, event: Event) -> Verdict {
        let delay = self.rng.u64(..=self.knobs.disk.report_max);
        let now = self.now;
        let running = self.running(id).expect("it runs");
        let at = running.last_report_at.max(now + delay);
        running.last_report_at = at;
        running.reports.push_back(event);
        self.later(id, at - now, Step::Report);
        Ok(())
    }

    fn report_arrives(&mut self, id: NodeId) -> Verdict {
        let running = self.running(id).expect("it runs");
        let event = running.reports.pop_front().expect("one for each step");
        if let Event::Transfer(TransferDone::Finished { at, .. }) = &event {
            self.report.caught_up += 1;
            self.safety.placed(id, at.index)?;
        }
        self.feed(id, event)
    }

    /// Tells a board what happened, and starts what it wants done.
    pub(super) fn feed(&mut self, id: NodeId, event: Event) -> Verdict {
        let now = self.now;
        let Some(running) = self.running(id) else { return Ok(()) };
        let was_leader = running.replica.node().role() == Role::Leader;
        if let Event::Received(message) = &event {
            running.pilot.hears(network::ends(message).0, now);
        }
        let effects = running.replica.handle(event);
        let is_leader = running.replica.node().role() == Role::Leader;
        self.report.elections += u64::from(is_leader && !was_leader);
        for effect in effects {
            self.carry_out(id, effect)?;
        }
        self.pump_log(id)?;
        self.pump_work(id);
        self.look_at(id)
    }

    fn carry_out(&mut self, id: NodeId, effect: Effect) -> Verdict {
        match effect {
            Effect::Send(message) => {
                self.hear(id, &message)?;
                self.send(message);
            }
            Effect::Append(append) => self.running(id).expect("it runs").appends.push(append),
            Effect::Apply(entries) => {
                let term = self.running(id).expect("it runs").replica.node().term();
                for entry in &entries {
                    self.safety.committed(id, term, entry)?;
                }
                self.running(id).expect("it runs").work.push_back(Work::Apply(entries.into()));
            }
            Effect::Transfer(job) => {
                self.report.transfers += u64::from(matches!(job, TransferJob::Begin { .. }));
                self.running(id).expect("it runs").work.push_back(Work::Transfer(job));
            }
            Effect::Answer { request, answer } => self.answered(id, request, answer)?,
        }
        Ok(())
    }

    /// What a board promises must be on its disk.
    fn hear(&mut self, id: NodeId, message: &PeerMessage) -> Verdict {
        let PeerMessage::Raft(Envelope { to, term, message, .. }) = message else { return Ok(()) };
        let running = self.boards[&id].running.as_ref().expect("it runs");
        let is_closed = !(running.log_room && running.store_room);
        self.report.relieved += u64::from(*message == Message::TimeoutNow && is_closed);
        let verdict = match message {
            // To a leader of an earlier term it is still true, but the log in memory does not tell any more.
            Message::AppendAccepted { .. } if *term < running.replica.node().term() => Ok(()),
            Message::AppendAccepted { matched } => match running.replica.node().term_at(*matched) {
                Some(of) => running.promises.acknowledges(EntryId { term: of, index: *matched }, *term),
                // Older than the log in memory, so it is durable.
                None => Ok(()),
            },
            Message::VoteResponse { pre: false, granted: true } => {
                running.promises.votes(HardState { term: *term, vote: Some(*to) })
            }
            _ => Ok(()),
        };
        verdict.map_err(|reason| format!("{id} {reason}"))
    }

    /// The judges look at a board after each of its steps.
    fn look_at(&mut self, id: NodeId) -> Verdict {
        let Some(running) = self.boards.get(&id).and_then(|board| board.running.as_ref()) else {
            return Ok(());
        };
        if running.appends.len() > APPENDS_MAX {
            return Err(format!("{id} has {} writes wait for its disk", running.appends.len()));
        }
        let (node, view) = (running.replica.node(), view_of(id, running));
        self.safety.stepped(&view, |entry| node.term_at(entry.index) == Some(entry.term))
    }
}

pub(super) fn view_of(id: NodeId, running: &Running) -> View {
    let node = running.replica.node();
    View {
        node: id,
        term: node.term(),
        is_leader: node.role() == Role::Leader,
        commit: node.commit(),
        applied: node.applied_index(),
        last: node.last(),
    }
}
