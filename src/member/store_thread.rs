//! The store's thread: applies, reads, starts flushes. It never waits for a sync.
//!
//! ```text
//!   Apply, Transfer   first, in order; stop while as much is pending as may be
//!   Query             one slice at a time; what has arrived meanwhile for the first line goes first
//!   flush             handed to the flush thread, one at a time, and taken back
//! ```
//!
//! Here you will not find: decisions about entries; waiting for anybody but the mailbox.

use std::{
    collections::VecDeque,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    replica::{TransferJob, jobs},
    store::{FlushReport, ReadError, SliceLimits, Store, StoreError},
    types::{
        Command, Entry, Error, Index, KeyRange, KeyRev, LeaseId, NodeId, Outcome, Payload, ProposalId,
        Revision, TxnPart,
    },
};

use super::{
    flush_thread::{Flush, FlushPlan},
    inbox::{AppliedReport, Inbox, News, Report, StoreState},
    mailbox::Mailbox,
    pins::{Pin, Pins},
    pulse::Beat,
    reply::{Answered, Query},
};

/// Answers are reported together, but none waits for longer than this while others are worked out.
const REPORT_AFTER: Duration = Duration::from_micros(300);

/// What changed is told along with "applied" up to this size; beyond it watchers read history.
const NEWS_LIMITS: SliceLimits = SliceLimits { rows: 4096, bytes: 1 << 20 };

/// A transfer whose step found no room, or a flush in its way, is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(20);

pub(super) enum StoreJob {
    /// The log has synced all up to `durable`.
    Apply {
        entries: Vec<Entry>,
        durable: Index,
        handed_at: Instant,
    },
    Durable(Index),
    Transfer(TransferJob),
    Query(Box<dyn Query>),
    Unpin(crate::store::PinId),
    FlushDone {
        result: Result<FlushReport, StoreError>,
        took: Duration,
    },
    /// Tell what changes from now on, or no longer.
    Watch(bool),
    /// Bring all that is pending into the database as soon as possible, rather than when it is due.
    FlushAll,
    Beat,
}

pub(super) struct Options {
    pub(super) origin: NodeId,
    pub(super) piece_bytes: u64,
    pub(super) flush_interval: Duration,
    pub(super) pending_bytes_max: u64,
}

/// Who has the store.
pub(super) struct Keeper {
    store: Store,
    options: Options,
    mailbox: Arc<Mailbox<StoreJob>>,
    inbox: Arc<Inbox>,
    beat: Beat,
    pins: Pins,
    work: VecDeque<Work>,
    queries: VecDeque<Box<dyn Query>>,
    answered: Vec<Arc<dyn Answered>>,
    flush: FlushPlan,
    durable: Index,
    has_room: bool,
    is_watched: bool,
    failed: bool,
    work_not_before: Option<Instant>,
}

enum Work {
    Apply { entries: VecDeque<Entry>, handed_at: Instant },
    Transfer(TransferJob),
}

impl Keeper {
    pub(super) fn new(
        store: Store,
        options: Options,
        mailbox: Arc<Mailbox<StoreJob>>,
        flushes: Arc<Mailbox<Flush>>,
        inbox: Arc<Inbox>,
        beat: Beat,
    ) -> Keeper {
        let flush = FlushPlan::new(flushes, options.flush_interval, options.pending_bytes_max);
        Keeper {
            store,
            options,
            mailbox,
            inbox,
            beat,
            pins: Pins::default(),
            work: VecDeque::new(),
            queries: VecDeque::new(),
            answered: Vec::new(),
            flush,
            durable: Index(0),
            has_room: true,
            is_watched: false,
            failed: false,
            work_not_before: None,
        }
    }

    pub(super) fn run(mut self) {
        let mut jobs = Vec::new();
        self.look_at_room();
        while !self.failed {
            let deadline = self.deadline();
            if !self.mailbox.take(&mut jobs, deadline) {
                break;
            }
            self.beat.moved();
            jobs.drain(..).for_each(|job| self.sort(job));
            self.turn();
        }
        self.flush.close();
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// What is readable at `revision` stays so, as long as the pin is used.
    pub(super) fn pin(&mut self, revision: Revision) -> Pin {
        self.pins.pin(&mut self.store, revision, &self.mailbox)
    }

    /// The reader of this pin gets on. Errors: it took too long to.
    pub(super) fn touch(&mut self, pin: &Pin) -> Result<(), ReadError> {
        match self.pins.touch(pin.id(), Instant::now()) {
            true => Ok(()),
            false => Err(Error::Timeout.into()),
        }
    }

    /// This board cannot go on.
    pub(super) fn fail(&mut self, error: &StoreError) {
        if !mem::replace(&mut self.failed, true) {
            self.inbox.send(Report::Failed(error.to_string()));
        }
    }

    fn deadline(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let pins = self.pins.expire(&mut self.store, now);
        [pins, self.flush.look_again_at(&self.store, now), self.work_not_before].into_iter().flatten().min()
    }

    fn sort(&mut self, job: StoreJob) {
        match job {
            StoreJob::Apply { entries, durable, handed_at } => {
                self.durable = durable;
                self.work.push_back(Work::Apply { entries: entries.into(), handed_at });
            }
            StoreJob::Durable(durable) => self.durable = durable,
            StoreJob::Transfer(job) => self.work.push_back(Work::Transfer(job)),
            StoreJob::Query(query) => self.queries.push_back(query),
            StoreJob::Unpin(id) => self.pins.unpin(&mut self.store, id),
            StoreJob::FlushDone { result, took } => self.flush_done(result, took),
            StoreJob::Watch(is_watched) => self.is_watched = is_watched,
            StoreJob::FlushAll => self.flush.hurry(),
            StoreJob::Beat => {}
        }
    }

    fn turn(&mut self) {
        let mut since = Instant::now();
        loop {
            self.do_work();
            self.start_flush();
            let Some(query) = self.queries.pop_front() else { break };
            let answered = query.run(self);
            self.answered.extend(answered);
            if self.failed {
                return;
            }
            if since.elapsed() >= REPORT_AFTER {
                self.report_answers();
                since = Instant::now();
            }
            self.look_into_mailbox();
        }
        self.report_answers();
    }

    fn look_into_mailbox(&mut self) {
        let mut jobs = Vec::new();
        self.mailbox.take_now(&mut jobs);
        jobs.drain(..).for_each(|job| self.sort(job));
    }

    fn report_answers(&mut self) {
        if !self.answered.is_empty() {
            self.inbox.send(Report::Answered(mem::take(&mut self.answered)));
        }
    }

    fn do_work(&mut self) {
        if self.work_not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.work_not_before = None;
        while let Some(work) = self.work.pop_front() {
            let left = match work {
                Work::Apply { entries, handed_at } => self.apply(entries, handed_at),
                Work::Transfer(job) => self.transfer(job),
            };
            if self.failed {
                return;
            }
            if let Some(work) = left {
                self.work.push_front(work);
                return;
            }
        }
    }

    /// Gives back what there was no room for.
    fn apply(&mut self, mut entries: VecDeque<Entry>, handed_at: Instant) -> Option<Work> {
        let started = Instant::now();
        let mut batch = Batch { before: self.store.revision(), ..Batch::default() };
        while !self.store.pending_full()
            && let Some(entry) = entries.pop_front()
        {
            if let Err(error) = self.apply_one(&entry, &mut batch) {
                self.fail(&error);
                return None;
            }
        }
        if batch.entries > 0
            && let Err(error) = self.report_applied(batch, handed_at, started)
        {
            self.fail(&error);
            return None;
        }
        self.set_room(entries.is_empty());
        (!entries.is_empty()).then_some(Work::Apply { entries, handed_at })
    }

    fn apply_one(&mut self, entry: &Entry, batch: &mut Batch) -> Result<(), StoreError> {
        let outcome = self.store.apply(entry)?;
        batch.entries += 1;
        let (Payload::Command { id, .. } | Payload::Membership { id, .. }) = entry.payload else {
            return Ok(());
        };
        batch.note_leases(entry);
        batch.alarms |= matches!(outcome, Outcome::Alarm { .. });
        if id.origin == self.options.origin {
            if let Some(revision) = names_places(&outcome) {
                let before = Revision(revision.0 - 1);
                batch.pin = Some(batch.pin.map_or(before, |pin| pin.min(before)));
            }
            batch.outcomes.push((id, outcome));
        }
        Ok(())
    }

    fn report_applied(
        &mut self,
        batch: Batch,
        handed_at: Instant,
        started: Instant,
    ) -> Result<(), StoreError> {
        let mut leases = Vec::with_capacity(batch.leases.len());
        for id in batch.leases {
            leases.push((id, self.store.lease(id)?));
        }
        let news = match self.is_watched && self.store.revision() > batch.before {
            true => Some(self.news(batch.before)?),
            false => None,
        };
        let pin = batch.pin.map(|revision| self.pin(revision));
        self.inbox.send(Report::Applied(Box::new(AppliedReport {
            index: self.store.applied().index,
            outcomes: batch.outcomes,
            pin,
            state: self.state(),
            handed_at,
            took: started.elapsed(),
            entries: batch.entries,
            leases,
            news,
            alarms: batch.alarms.then(|| self.store.alarms().collect()),
        })));
        Ok(())
    }

    fn news(&self, before: Revision) -> Result<News, StoreError> {
        let from = KeyRev { main: before.next(), sub: 0 };
        match self.store.history(from, &KeyRange::all(), NEWS_LIMITS) {
            Ok(slice) if slice.done => Ok(News { events: slice.events, whole: true }),
            // Compacted already by an entry of the same batch: history tells who asks.
            Ok(_) | Err(ReadError::Refused(_)) => Ok(News { events: Vec::new(), whole: false }),
            Err(ReadError::Store(error)) => Err(error),
        }
    }

    pub(super) fn state(&self) -> StoreState {
        StoreState {
            revision: self.store.revision(),
            compacted: self.store.compacted(),
            pending_bytes: self.store.pending_bytes(),
        }
    }

    fn set_room(&mut self, has_room: bool) {
        if mem::replace(&mut self.has_room, has_room) != has_room {
            self.inbox.send(Report::StoreRoom(has_room));
        }
    }

    fn transfer(&mut self, job: TransferJob) -> Option<Work> {
        if jobs::needs_quiet(&job) && self.flush.is_out() {
            // `FlushDone` comes.
            return Some(Work::Transfer(job));
        }
        match jobs::transfer(&mut self.store, job.clone(), self.options.piece_bytes) {
            Ok(done) => {
                done.into_iter().for_each(|done| self.inbox.send(Report::Transfer(done)));
                None
            }
            Err(StoreError::Full { .. }) => {
                self.work_not_before = Some(Instant::now() + TRY_AGAIN);
                Some(Work::Transfer(job))
            }
            Err(error) => {
                self.fail(&error);
                None
            }
        }
    }

    fn start_flush(&mut self) {
        self.flush.start(&mut self.store, self.durable, Instant::now());
    }

    fn flush_done(&mut self, result: Result<FlushReport, StoreError>, took: Duration) {
        match self.flush.done(&mut self.store, result, took, Instant::now()) {
            Ok(true) => self.report_flushed(took),
            Ok(false) => self.inbox.send(Report::DatabaseRoom(false)),
            Err(error) => self.fail(&error),
        }
    }

    fn report_flushed(&mut self, took: Duration) {
        let (index, usage) = (self.store.flushed().index, self.store.usage());
        self.inbox.send(Report::Flushed { index, usage, took });
        self.look_at_room();
    }

    fn look_at_room(&mut self) {
        match self.store.secure_room() {
            Ok(()) => self.inbox.send(Report::DatabaseRoom(true)),
            Err(StoreError::Full { what }) => {
                log::warn!("{what}");
                self.inbox.send(Report::DatabaseRoom(false));
            }
            Err(error) => self.fail(&error),
        }
    }
}

/// What some entries led to.
#[derive(Default)]
struct Batch {
    before: Revision,
    entries: u64,
    outcomes: Vec<(ProposalId, Outcome)>,
    pin: Option<Revision>,
    leases: Vec<LeaseId>,
    alarms: bool,
}

impl Batch {
    fn note_leases(&mut self, entry: &Entry) {
        let Payload::Command { data, .. } = &entry.payload else { return };
        // Only few commands are about leases, and their variant tells.
        const LEASE_COMMANDS: std::ops::RangeInclusive<u8> = 4..=6;
        if !data.get(1).is_some_and(|variant| LEASE_COMMANDS.contains(variant)) {
            return;
        }
        match Command::decode(data) {
            Ok(Command::LeaseGrant { id, .. } | Command::LeaseRevoke { id, .. }) => self.leases.push(id),
            Ok(Command::LeaseCheckpoint { leases, .. }) => {
                self.leases.extend(leases.iter().map(|lease| lease.id));
            }
            Ok(_) => unreachable!("the variants from 4 to 6 are about leases"),
            Err(error) => unreachable!("what was applied could be read: {error}"),
        }
    }
}

/// Does the outcome name places in history? Its revision.
pub(super) fn names_places(outcome: &Outcome) -> Option<Revision> {
    match outcome {
        Outcome::Put(put) => put.prev.map(|_| put.revision),
        Outcome::Delete(delete) => delete.prev.as_ref().map(|_| delete.revision),
        Outcome::Txn(txn) => txn.parts.iter().any(part_names_places).then_some(txn.revision),
        _ => None,
    }
}

fn part_names_places(part: &TxnPart) -> bool {
    match part {
        TxnPart::Range { .. } => true,
        TxnPart::Put(put) => put.prev.is_some(),
        TxnPart::Delete(delete) => delete.prev.is_some(),
        TxnPart::Txn { parts, .. } => parts.iter().any(part_names_places),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{AlarmAction, AlarmKind, AlarmRequest, LeaseRemaining, PutRequest};

    #[test]
    fn lease_commands_are_known_by_their_variant() {
        let lease = LeaseId(7);
        let commands = [
            (Command::LeaseGrant { id: lease, ttl_s: 5 }, true),
            (Command::LeaseRevoke { id: lease, only_in: None }, true),
            (
                Command::LeaseCheckpoint {
                    leases: vec![LeaseRemaining { id: lease, remaining_s: 1 }],
                    only_in: None,
                },
                true,
            ),
            (Command::Put(PutRequest { key: "a".into(), lease, ..PutRequest::default() }), false),
            (Command::Compact { revision: Revision(1) }, false),
            (
                Command::Alarm(AlarmRequest {
                    action: AlarmAction::Activate,
                    member: NodeId(1),
                    kind: AlarmKind::NoSpace,
                }),
                false,
            ),
        ];
        for (command, is_noted) in commands {
            let mut batch = Batch::default();
            let (id, data) = (ProposalId::default(), command.encode());
            batch.note_leases(&Entry { id: Default::default(), payload: Payload::Command { id, data } });
            assert_eq!(batch.leases, if is_noted { vec![lease] } else { vec![] }, "{command:?}");
        }
    }
}
