//! Boards: the real replica, log and store, and the threads that would own them.
//!
//! Log, store and flush each do one thing at a time, in order, and each takes its time. Between any two of these steps the
//! power can go.

use std::{collections::VecDeque, mem, sync::Arc};

use solder::{
    raft::{self, Envelope, Message, Role, Ticket},
    replica::{self, Append, Effect, Event, PeerMessage, Replica, TransferDone, TransferJob, boot, jobs},
    store::{self, Backend, FlushJob, FlushReport, RangeCursor, RevRecord, SliceLimits, Store, StoreError},
    types::{
        Bugs, ClusterId, Entry, EntryId, HardState, Index, KeyRange, KeyRev, Membership, NodeId, Payload,
        RangeRequest,
    },
    wal::{self, Record, Wal, WalError},
};

use super::{
    Micros,
    database::Database,
    judges::{Verdict, promises::Promises, raft_safety::View, truth},
    knobs::{Bounds, MILLI, SECOND, Timing},
    network,
    pilot::Pilot,
    world::{Happening, World},
};

const CLUSTER: ClusterId = ClusterId(0x50_1d);
/// However long a disk stands still, no more than this waits for it.
const APPENDS_MAX: usize = 1024;

/// What is soldered together, and what of it survives a power cut.
pub(super) struct Board {
    pub(super) id: NodeId,
    genesis: Membership,
    pub(super) disk: wal::Twin,
    pub(super) database: Database,
    /// How much slower its clock is than others, in percent.
    slow_clock: u64,
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

    fn tick(&self) -> Micros {
        self.timing.tick + self.timing.tick * self.slow_clock / 100
    }

    /// Everything that a fault had taken away is there again.
    pub(super) fn recover(&mut self, now: Micros) {
        self.paused_until = self.paused_until.min(now);
        self.slow_until = self.slow_until.min(now);
        self.full_until = self.full_until.min(now);
        self.disk.set_faults(wal::Faults::default());
        self.database.set_full(false);
    }

    /// What clients can see of the store, as text.
    /// While a command is half done, the keys that a lease holds may show it: then they are left out.
    pub(super) fn content(&self, with_held_keys: bool) -> Result<String, String> {
        let store = &self.running.as_ref().ok_or("it is not running")?.store;
        let mut text = format!(
            "revision {} compacted {} members {:?}\n",
            store.revision(),
            store.compacted(),
            store.membership()
        );
        let show = |error: &dyn std::fmt::Display| error.to_string();
        let limits = SliceLimits { rows: 1000, bytes: 1 << 20 };
        let all = RangeRequest { range: KeyRange::all(), ..RangeRequest::default() };
        let mut cursor = RangeCursor::new(store.range_at(&all).map_err(|e| show(&e))?);
        loop {
            let slice = store.range(&mut cursor, limits).map_err(|e| show(&e))?;
            slice.rows.iter().for_each(|row| text += &format!("{:?}\n", RevRecord::from(row)));
            if slice.end.is_some() {
                break;
            }
        }
        for (id, lease) in store.leases().map_err(|e| show(&e))? {
            let rows = if with_held_keys { 1000 } else { 0 };
            let keys = store.lease_keys(id, None, rows).map_err(|e| show(&e))?;
            text += &format!("lease {id} {lease:?} {keys:?}\n");
        }
        let mut hash = store.hash_at(store.revision()).map_err(|e| show(&e))?;
        loop {
            if let Some(at) = store.hash(&mut hash, limits).map_err(|e| show(&e))? {
                text += &format!("hash {:08x} state {:08x}", at.hash, store.state_hash());
                return Ok(text);
            }
        }
    }
}

fn replica_options(id: NodeId, bounds: &Bounds, timing: Timing, bugs: Bugs) -> replica::Options {
    replica::Options {
        raft: raft::Options {
            id,
            election_ticks: timing.election_ticks,
            heartbeat_ticks: 1,
            append_bytes_max: bounds.append_bytes,
            window_bytes: bounds.window_bytes,
            uncommitted_bytes_max: bounds.uncommitted_bytes,
            tail_bytes_max: bounds.tail_bytes,
            apply_bytes_max: bounds.unapplied_bytes,
            reads_max: 64,
            bugs,
        },
        request_timeout_ticks: timing.request_ticks,
        requests_max: 256,
        transfers_max: 2,
        transfer_piece_bytes: bounds.piece_bytes,
        transfer_resend_ticks: 3,
        transfer_give_up_ticks: 50,
    }
}

impl World {
    pub(super) fn add_board(&mut self, id: NodeId, genesis: Membership) {
        let slow_clock = self.rng.u64(..=self.knobs.slow_clock);
        let board = Board {
            id,
            slow_clock,
            timing: self.timing,
            ticks: 0,
            genesis,
            disk: wal::Twin::new(),
            database: Database::new(self.knobs.lmdb),
            life: 0,
            running: None,
            paused_until: 0,
            slow_until: 0,
            full_until: 0,
            lost: false,
            probe: Probe::default(),
        };
        self.boards.insert(id, board);
    }

    fn later(&mut self, id: NodeId, delay: Micros, step: Step) {
        let life = self.boards[&id].life;
        self.schedule(delay, Happening::OnBoard { board: id, life, step });
    }

    /// Power on.
    pub(super) fn start(&mut self, id: NodeId) -> Verdict {
        let board = &self.boards[&id];
        if !board.is_down() {
            return Ok(());
        }
        match self.boot(id) {
            Ok(running) => {
                let applied = running.store.applied().index;
                self.safety.started(id, applied)?;
                self.boards.get_mut(&id).expect("it is there").running = Some(running);
                let phase = self.rng.u64(..self.boards[&id].tick());
                self.later(id, phase, Step::Tick);
                self.later(id, phase, Step::FlushDue);
                Ok(())
            }
            Err(Trouble::Passing) => {
                self.boards.get_mut(&id).expect("it is there").disk.crash(&mut self.rng);
                self.schedule(SECOND, Happening::Start(id));
                Ok(())
            }
            Err(Trouble::Fatal(reason)) => Err(format!("{id} does not start: {reason}")),
        }
    }

    fn boot(&mut self, id: NodeId) -> Result<Running, Trouble> {
        let (bugs, bounds) = (self.bugs, self.knobs.bounds.clone());
        let board = self.boards.get_mut(&id).expect("it is there");
        board.life += 1;
        let backend = board.database.open()?;
        let options = store::Options { pending_bytes_max: bounds.pending_bytes, flush_pages_max: 64, bugs };
        let mut store = Store::open(backend.clone(), options)?;
        if !store.is_initialised() {
            store.init(CLUSTER, board.genesis.clone())?;
        }
        let options =
            wal::Options { segment_bytes: bounds.segment_bytes, cluster: CLUSTER, member: id, bugs };
        let known = wal::Known {
            applied: store.applied().index,
            catching_up: store.receive_mark().is_some(),
            members: store.membership(),
        };
        let (mut wal, found) = Wal::open(board.disk.clone(), options, known, self.rng.fork())?;
        self.report.torn += u64::from(found.warning.is_some());
        let log = boot::Log { hard_state: found.hard_state, start: found.start, entries: found.entries };
        let boot = boot::reconcile(&store, log).map_err(|gap| Trouble::Fatal(gap.to_string()))?;
        if let Some(start) = boot.log_start {
            wal.write(&[Record::LogStart(start)], store.membership())?;
            wal.sync()?;
        }
        let on_disk = boot.restored.entries.iter().map(|entry| entry.id);
        let promises = Promises::new(store.applied().index, on_disk, found.hard_state);
        let options = replica_options(id, &bounds, board.timing, bugs);
        let replica = Replica::new(options, boot, self.rng.fork());
        Ok(Running {
            replica,
            store,
            backend,
            wal,
            appends: Vec::new(),
            syncing: None,
            log_room: true,
            store_room: true,
            work: VecDeque::new(),
            working: false,
            flush: None,
            reports: VecDeque::new(),
            last_report_at: 0,
            writing: Vec::new(),
            promises,
            pilot: Pilot::default(),
        })
    }

    /// Power off, in the middle of everything.
    pub(super) fn cut_power(&mut self, id: NodeId) {
        let board = self.boards.get_mut(&id).expect("it is there");
        if let Some(running) = board.running.take() {
            self.report.crashes_writing += u64::from(running.syncing.is_some());
            self.report.crashes_in_parts += u64::from(running.store.unfinished().is_some());
            self.report.crashes_catching_up += u64::from(running.store.receive_mark().is_some());
            if let (Some(Flush::Out(job)), true) = (&running.flush, self.rng.bool()) {
                // In the middle of a transaction: it is never committed.
                board.database.set_full(true);
                let aborted = job.run(&*running.backend);
                assert!(aborted.is_err(), "a transaction that is not committed does not succeed");
                board.database.set_full(false);
            }
            drop(running);
            board.life += 1;
            board.disk.crash(&mut self.rng);
            self.report.crashes += 1;
            self.requests.retain(|_, asked| asked.board != id);
            self.tell_of_loss(id);
        }
    }

    /// Of a process that has ended, or a link that was cut, the systems of the others may hear: some, at once or late.
    pub(super) fn tell_of_loss(&mut self, lost: NodeId) {
        let others: Vec<NodeId> = self.boards.keys().copied().filter(|id| *id != lost).collect();
        for board in others {
            if self.rng.u32(..1000) < self.knobs.network.told_of_losses {
                let delay = if self.rng.u32(..5) == 0 { 3 * SECOND } else { 2 * MILLI };
                let delay = self.rng.u64(..delay);
                self.schedule(delay, Happening::Loses { board, lost });
            }
        }
    }

    /// The cluster's time-outs, as this board hears of them.
    pub(super) fn retime(&mut self, id: NodeId) {
        let (timing, bugs, bounds) = (self.timing, self.bugs, self.knobs.bounds.clone());
        let Some(board) = self.boards.get_mut(&id) else { return };
        board.timing = timing;
        if let Some(running) = &mut board.running {
            running.replica.retime(&replica_options(id, &bounds, timing, bugs));
            self.report.retimed += 1;
        }
    }

    /// This board's fault: its process ends and is started again.
    fn die(&mut self, id: NodeId) -> Verdict {
        self.cut_power(id);
        let delay = self.rng.u64(10 * MILLI..2 * SECOND);
        self.schedule(delay, Happening::Start(id));
        Ok(())
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

    // The log.

    fn pump_log(&mut self, id: NodeId) -> Verdict {
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

    fn synced(&mut self, id: NodeId) -> Verdict {
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
    fn try_log_again(&mut self, id: NodeId) -> Verdict {
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

    // The store.

    fn pump_work(&mut self, id: NodeId) {
        if let Some(running) = self.running(id)
            && !running.working
            && !running.work.is_empty()
        {
            running.working = true;
            let delay = self.rng.u64(..=self.knobs.disk.apply_max);
            self.later(id, delay, Step::Work);
        }
    }

    fn work(&mut self, id: NodeId) -> Verdict {
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

    // The flush.

    fn flush_due(&mut self, id: NodeId) -> Verdict {
        let every = self.knobs.disk.flush_every;
        self.later(id, every, Step::FlushDue);
        let running = self.running(id).expect("it runs");
        if running.flush.is_none() && running.store.receive_mark().is_none() {
            let durable = running.replica.node().durable();
            if let Some(job) = running.store.start_flush(durable) {
                running.flush = Some(Flush::Out(job));
                let delay = self.rng.u64(..=self.knobs.disk.flush_max);
                self.later(id, delay, Step::FlushRuns);
            }
        }
        Ok(())
    }

    fn flush_runs(&mut self, id: NodeId) -> Verdict {
        let running = self.running(id).expect("it runs");
        let Some(Flush::Out(job)) = running.flush.take() else { unreachable!("a flush is out") };
        running.flush = Some(Flush::Done(job.run(&*running.backend)));
        let delay = self.rng.u64(..=self.knobs.disk.flush_max);
        self.later(id, delay, Step::FlushEnds);
        Ok(())
    }

    fn flush_ends(&mut self, id: NodeId) -> Verdict {
        let running = self.running(id).expect("it runs");
        let Some(Flush::Done(result)) = running.flush.take() else { unreachable!("a flush has run") };
        match running.store.finish_flush(result) {
            // Nothing was changed; the next flush tries the same again.
            Err(StoreError::Full { .. }) => Ok(()),
            Ok(()) => {
                let flushed: Index = running.store.flushed().index;
                running.wal.release(flushed);
                Ok(())
            }
            Err(StoreError::Io { .. }) => self.die(id),
            Err(error) => Err(format!("{id} cannot flush: {error}")),
        }
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

/// What keeps a board from starting.
enum Trouble {
    /// No room, or a disk that fails: goes by.
    Passing,
    Fatal(String),
}

impl From<WalError> for Trouble {
    fn from(error: WalError) -> Trouble {
        match error {
            WalError::Full { .. } | WalError::Io { .. } => Trouble::Passing,
            error => Trouble::Fatal(error.to_string()),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        match error {
            StoreError::Full { .. } => Trouble::Passing,
            error => Trouble::Fatal(error.to_string()),
        }
    }
}

fn records_of(append: &Append) -> impl Iterator<Item = Record> + '_ {
    let head = append.hard_state.map(Record::HardState).into_iter();
    let start = append.log_start.map(Record::LogStart);
    head.chain(start).chain(append.entries.iter().cloned().map(Record::Entry))
}
