//! The store's thread: applies, reads, starts flushes. It never waits for a sync.
//!
//! ```text
//!   Apply, Transfer   first, in order; stop while as much is pending as may be. A command that changes very many keys is
//!                     applied in parts: a query, a flush, or both go between two of them
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
    lease::Change,
    replica::{TransferDone, TransferJob, jobs},
    store::{Applying, DefragmentReport, Defragmented, FlushReport, ReadError, Store, StoreError},
    types::{Entry, EntryId, Error, Index, NodeId, Outcome, Payload, ProposalId, Revision, TxnPart},
};

use super::{
    flush_thread::{Flush, FlushPlan},
    inbox::{AppliedReport, Inbox, Report, StoreState},
    mailbox::Mailbox,
    news::Teller,
    parts::Parts,
    pins::{Pin, Pins},
    pulse::Beat,
    reply::{Answered, Promise, Query},
};

/// A full disk is looked at so often.
const ROOM_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What keeping a piece may write, in pieces: two tables, and the pages that lead to their rows.
const PAGES_PER_PIECE: u64 = 4;

/// Answers are reported together, but none waits for longer than this while others are worked out.
const REPORT_AFTER: Duration = Duration::from_micros(300);

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
    Defragment(Promise<Result<(), String>>),
    DefragmentDone(Result<DefragmentReport, StoreError>),
    /// Bring all that is pending into the database as soon as possible, rather than when it is due.
    FlushAll,
    Beat,
}

pub(super) struct Options {
    pub(super) origin: NodeId,
    /// What the log held at the start, and the first entry after it. It is applied whatever is pending: until it is, nothing
    /// can be read, and on a full card that would be never. Its size was bounded when it was written. Only a command that is
    /// applied in parts waits for room in between, for nothing bounds what it changes.
    pub(super) replay_until: Index,
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
    teller: Teller,
    parts: Parts,
    /// A query that waits until the store is whole.
    put_off: Option<Box<dyn Query>>,
    failed: bool,
    /// Those who wait for a defragmentation, and whether it is under way.
    defragments: Vec<Promise<Result<(), String>>>,
    defragmenting: bool,
    work_not_before: Option<Instant>,
    /// What comes of another board's store has no room.
    transfer_stuck: bool,
    /// The disk lacks room: when to see whether somebody has made some.
    room_again_at: Option<Instant>,
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
        let teller = Teller::new(&store);
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
            teller,
            parts: Parts::default(),
            put_off: None,
            failed: false,
            defragments: Vec::new(),
            defragmenting: false,
            work_not_before: None,
            transfer_stuck: false,
            room_again_at: None,
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

    pub(super) fn teller_mut(&mut self) -> &mut Teller {
        &mut self.teller
    }

    pub(super) fn report(&self, report: Report) {
        self.inbox.send(report);
    }

    /// To be done once the store has been brought up to date. There is one such query at most.
    pub(super) fn put_off(&mut self, query: Box<dyn Query>) {
        let before = self.put_off.replace(query);
        assert!(before.is_none(), "two queries are put off");
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
        let room = self.room_again_at.filter(|_| !self.flush.is_out());
        let flush = self.flush.look_again_at(&self.store, now);
        let part = self.has_part_to_do().then_some(now);
        [pins, flush, self.work_not_before, room, part].into_iter().flatten().min()
    }

    /// A command has paused that can go on now.
    fn has_part_to_do(&self) -> bool {
        let is_next = matches!(self.work.front(), Some(Work::Apply { .. }));
        is_next && self.store.unfinished().is_some() && !self.store.pending_full()
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
            StoreJob::Defragment(promise) => self.defragments.push(promise),
            StoreJob::DefragmentDone(result) => self.defragment_done(result),
            StoreJob::FlushAll => self.flush.hurry(),
            StoreJob::Beat => {}
        }
    }

    fn turn(&mut self) {
        let mut since = Instant::now();
        self.look_again_at_room();
        loop {
            self.beat.moved();
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
        let started = self.parts.since().unwrap_or_else(Instant::now);
        let mut batch = Batch::default();
        while let Some(entry) = entries.front()
            && self.may_apply(entry.index())
        {
            match self.apply_one(entry, &mut batch) {
                Ok(Applied::Whole) => entries.pop_front(),
                Ok(Applied::InPart) => break,
                Err(error) => {
                    self.fail(&error);
                    return None;
                }
            };
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

    fn may_apply(&self, index: Index) -> bool {
        let is_replayed = index <= self.options.replay_until && self.store.unfinished().is_none();
        is_replayed || !self.store.pending_full()
    }

    fn apply_one(&mut self, entry: &Entry, batch: &mut Batch) -> Result<Applied, StoreError> {
        if is_compaction(entry) {
            // What watchers are to be told of must still be there.
            self.teller.look(&self.store)?;
            self.keep_all();
        }
        let Applying::Done(outcome) = self.store.apply(entry)? else {
            self.parts.paused(&self.store, Instant::now());
            return Ok(Applied::InPart);
        };
        self.parts.done(&self.store, Instant::now());
        batch.entries += 1;
        let (Payload::Command { id, .. } | Payload::Membership { id, .. }) = entry.payload else {
            return Ok(Applied::Whole);
        };
        if let Payload::Command { data, .. } = &entry.payload {
            batch.leases.extend(Change::of(data, &outcome));
        }
        if matches!(outcome, Outcome::Compacted { .. }) {
            let compacted = (self.store.applied(), self.store.state_hash(), self.store.compacted());
            batch.compactions.push(compacted);
        }
        batch.alarms |= matches!(outcome, Outcome::Alarm { .. });
        batch.members |= matches!(outcome, Outcome::ClusterChanged { .. });
        batch.members |= matches!(entry.payload, Payload::Membership { .. });
        if id.origin == self.options.origin {
            if let Some(revision) = names_places(&outcome) {
                let before = Revision(revision.0 - 1);
                batch.pin = Some(batch.pin.map_or(before, |pin| pin.min(before)));
            }
            batch.outcomes.push((id, outcome));
        }
        Ok(Applied::Whole)
    }

    /// All that is known of the store is to be looked at anew.
    fn report_replaced(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        let anew = Batch { alarms: true, members: true, replaced: true, ..Batch::default() };
        self.report_applied(anew, now, now)
    }

    fn report_applied(
        &mut self,
        batch: Batch,
        handed_at: Instant,
        started: Instant,
    ) -> Result<(), StoreError> {
        self.teller.look(&self.store)?;
        let news = self.teller.take();
        let pin = batch.pin.map(|revision| self.pin(revision));
        self.inbox.send(Report::Applied(Box::new(AppliedReport {
            index: self.store.applied().index,
            outcomes: batch.outcomes,
            pin,
            state: self.state(),
            handed_at,
            took: started.elapsed(),
            entries: batch.entries,
            leases: batch.leases,
            compactions: batch.compactions,
            leases_anew: if batch.replaced { Some(self.store.leases()?) } else { None },
            news,
            alarms: batch.alarms.then(|| self.store.alarms().collect()),
            members: if batch.members { Some(self.store.members()?) } else { None },
        })));
        Ok(())
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
        let secured = self.secure_room_for(&job);
        let done =
            secured.and_then(|()| jobs::transfer(&mut self.store, job.clone(), self.options.piece_bytes));
        match done {
            Ok(done) => {
                self.transfer_stuck = false;
                let is_finished = matches!(done, Some(TransferDone::Finished { .. }));
                // First of all, for Raft has to know that its log begins anew, where what is applied ends.
                done.into_iter().for_each(|done| self.inbox.send(Report::Transfer(done)));
                if is_finished && let Err(error) = self.report_replaced() {
                    self.fail(&error);
                    return None;
                }
                if self.store.receive_mark().is_none() {
                    self.queries.extend(self.put_off.take());
                }
                None
            }
            Err(StoreError::Full { what }) => {
                if !mem::replace(&mut self.transfer_stuck, true) {
                    self.inbox.send(Report::NoRoomForTransfer(what));
                }
                self.work_not_before = Some(Instant::now() + ROOM_AGAIN_AFTER);
                Some(Work::Transfer(job))
            }
            Err(error) => {
                self.fail(&error);
                None
            }
        }
    }

    /// Before the disk is full to the last block: the log, and whoever else lives there, need some. (What begins a transfer may
    /// be what gives room.)
    fn secure_room_for(&self, job: &TransferJob) -> Result<(), StoreError> {
        match job {
            TransferJob::Store { .. } => {
                self.store.secure_room_for(PAGES_PER_PIECE * self.options.piece_bytes)
            }
            _ => Ok(()),
        }
    }

    fn start_flush(&mut self) {
        if !self.defragments.is_empty() && !self.defragmenting {
            self.start_defragment();
        }
        self.flush.start(&mut self.store, self.durable, Instant::now());
    }

    fn flush_done(&mut self, result: Result<FlushReport, StoreError>, took: Duration) {
        match self.flush.done(&mut self.store, result, took, Instant::now()) {
            Ok(true) => self.report_flushed(Some(took)),
            Ok(false) => self.inbox.send(Report::DatabaseRoom(false)),
            Err(error) => self.fail(&error),
        }
    }

    fn start_defragment(&mut self) {
        if self.store.receive_mark().is_some() {
            return self.answer_defragments(&Err(Error::NotReady.to_string()));
        }
        // Else a flush is out, and its end comes here again.
        self.defragmenting = self.flush.start_defragment(&mut self.store);
    }

    fn defragment_done(&mut self, result: Result<DefragmentReport, StoreError>) {
        self.defragmenting = false;
        let answer = match self.flush.defragment_done(&mut self.store, result) {
            Ok(Defragmented { before, after }) => {
                log::info!(
                    "defragmented: the database had {} bytes, it has {}",
                    before.file_bytes,
                    after.file_bytes
                );
                Ok(())
            }
            Err(StoreError::Full { what }) => Err(what),
            Err(error) => return self.fail(&error),
        };
        self.answer_defragments(&answer);
        self.report_flushed(None);
    }

    fn answer_defragments(&mut self, answer: &Result<(), String>) {
        let waiting = mem::take(&mut self.defragments);
        self.answered.extend(waiting.into_iter().map(|promise| promise.keep(answer.clone())));
    }

    fn report_flushed(&mut self, took: Option<Duration>) {
        let (index, usage) = (self.store.flushed().index, self.store.usage());
        self.inbox.send(Report::Flushed { index, usage, took });
        self.look_at_room();
    }

    /// While puts are refused for want of room nothing is flushed that could find some.
    fn look_again_at_room(&mut self) {
        let is_due = self.room_again_at.is_some_and(|at| Instant::now() >= at);
        if is_due && !self.flush.is_out() {
            self.look_at_room();
        }
    }

    fn look_at_room(&mut self) {
        match self.store.secure_room() {
            Ok(()) => {
                self.room_again_at = None;
                self.inbox.send(Report::DatabaseRoom(true));
            }
            Err(StoreError::Full { what }) => {
                if self.room_again_at.replace(Instant::now() + ROOM_AGAIN_AFTER).is_none() {
                    log::warn!("{what}");
                }
                self.inbox.send(Report::DatabaseRoom(false));
            }
            Err(error) => self.fail(&error),
        }
    }
}

/// How much of an entry.
enum Applied {
    Whole,
    InPart,
}

/// What some entries led to.
#[derive(Default)]
struct Batch {
    entries: u64,
    outcomes: Vec<(ProposalId, Outcome)>,
    pin: Option<Revision>,
    leases: Vec<Change>,
    compactions: Vec<(EntryId, u32, Revision)>,
    alarms: bool,
    members: bool,
    /// Another board's store came in the place of this one.
    replaced: bool,
}

/// Is it a command that makes history shorter? Its variant tells.
fn is_compaction(entry: &Entry) -> bool {
    const COMPACT: u8 = 3;
    matches!(&entry.payload, Payload::Command { data, .. } if data.get(1) == Some(&COMPACT))
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
    use crate::types::{Command, PutRequest};

    #[test]
    fn a_compaction_is_known_by_its_variant() {
        let put = Command::Put(PutRequest { key: "a".into(), ..PutRequest::default() });
        let grant = Command::LeaseGrant { id: crate::types::LeaseId(3), ttl_s: 3 };
        for (command, expected) in
            [(Command::Compact { revision: Revision(1) }, true), (put, false), (grant, false)]
        {
            let (id, data) = (ProposalId::default(), command.encode());
            let entry = Entry { id: Default::default(), payload: Payload::Command { id, data } };
            assert_eq!(is_compaction(&entry), expected, "{command:?}");
        }
    }
}
