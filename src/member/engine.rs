//! The engine: the loop of the main thread that feeds the replica and carries out what it wants.
//!
//! ```text
//!   doors ---- asked ---+                      +--> to_log    one burst, one wake
//!   threads -- inbox ---+--> Replica::handle --+--> to_store  one burst, one wake
//!   clock ----- tick ---+                      +--> answers
//! ```
//!
//! All that has come since the last turn is handled in one; what is to be done leaves at its end, so that many requests at
//! one time become one sync and one step of the store.
//!
//! Here you will not find: waiting for a disk. The future is polled first whenever the main thread wakes.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    fmt,
    future::poll_fn,
    mem,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use async_io::Timer;

use crate::{
    logging::{LeftOut, Seldom},
    raft::Role,
    replica::{Answer, Effect, Event, Replica, RequestId},
    store::Store,
    types::{
        AlarmAction, AlarmKind, AlarmRequest, Bytes, Command, Error, Index, Membership, NodeId, Outcome, Term,
    },
};

use super::{
    Applied, Figures, Header, Options,
    compactor::Compactor,
    directory::{DataDir, Identity},
    inbox::{AppliedReport, Inbox, Report},
    leases::Leases,
    log_thread::LogJob,
    news::ScanQuery,
    open::{Opened, TRANSFER_PIECE_BYTES},
    pins::Pin,
    pulse::{Beats, Pulse},
    quota::Quota,
    reply::{Query, Slot},
    store_thread::{self, StoreJob, names_places},
    threads::Threads,
    watches::Watches,
};

/// Why a member ended that was not asked to: what happened to this board, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// What somebody on the main thread wants.
pub(super) enum Ask {
    Propose {
        data: Bytes,
        what: &'static str,
        slot: Rc<Slot<Result<Applied, Error>>>,
        asked_at: Instant,
    },
    /// To be read once that is linearizable.
    Read(Box<dyn Query>),
    /// To be read as it is.
    ReadAny(Box<dyn Query>),
    Barrier(Rc<Slot<Result<(), Error>>>),
    TransferLeader {
        to: Option<NodeId>,
        slot: Rc<Slot<Result<(), Error>>>,
    },
    /// The lessor's.
    Lease {
        command: Command,
        slot: Option<Rc<Slot<Result<(), Error>>>>,
    },
    Store(StoreJob),
}

/// Who waits for the replica's answer.
enum Waiter {
    Proposal {
        what: &'static str,
        slot: Rc<Slot<Result<Applied, Error>>>,
        asked_at: Instant,
    },
    Read(Box<dyn Query>),
    Lease {
        command: Command,
        slot: Option<Rc<Slot<Result<(), Error>>>>,
    },
    /// The lessor: may it lead?
    Lead,
    Done(Rc<Slot<Result<(), Error>>>),
}

/// See the module. Shared by the member's handles and its future.
pub(super) struct Engine {
    pub(super) options: Options,
    pub(super) identity: Identity,
    core: RefCell<Core>,
    asked: RefCell<Vec<Ask>>,
    /// The engine's own, to be woken when something is asked.
    waker: RefCell<Option<Waker>>,
    /// Those who wait for a change of what can be seen of the engine.
    watching: RefCell<Vec<Waker>>,
    pub(super) header: Cell<Header>,
    pub(super) queries: Cell<usize>,
    stage: Cell<Stage>,
    threads: Threads,
    inbox: Arc<Inbox>,
    beats: Beats,
    /// Held as long as anything of the member lives.
    _dir: DataDir,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// No new requests.
    Stopping,
    Stopped,
}

/// What changes from turn to turn.
pub(super) struct Core {
    pub(super) replica: Replica,
    pub(super) figures: Figures,
    pub(super) quota: Quota,
    pub(super) alarms: Vec<(NodeId, AlarmKind)>,
    pub(super) watches: Watches,
    pub(super) leases: Leases,
    /// It has been proposed, and nothing has come of it yet.
    alarm_asked: bool,
    /// This board's alarm is about room that was lacking.
    raised_for_room: bool,
    pub(super) applied: Index,
    pub(super) flushed: Index,
    compactor: Option<Compactor>,
    waiting: HashMap<RequestId, Waiter>,
    next_request: u64,
    /// Proposals that wait for room in the store.
    held_back: VecDeque<Ask>,
    store_room: bool,
    members: Membership,
    durable_told: Index,
    /// Of the report that is being handled.
    pin: Option<Rc<Pin>>,
    applied_times: (Instant, Duration),
    last_sync: Duration,
    slow_request: Duration,
    slow_told: Seldom,
    request_timeout: Duration,
    requests_max: usize,
    leader: Option<NodeId>,
    reports: Vec<Report>,
    to_log: Vec<LogJob>,
    to_store: Vec<StoreJob>,
    last_beat: Instant,
}

/// An idle thread is asked for a sign of life so often.
pub const BEAT_EVERY: Duration = Duration::from_secs(5);

impl Engine {
    pub(super) fn start(opened: Opened) -> Rc<Engine> {
        let inbox = Arc::new(Inbox::default());
        let beats = Beats::new();
        let Opened { options, identity, mut replica, store, leases, backend, log, dir } = opened;
        let header = Header {
            cluster: identity.cluster,
            member: identity.member,
            revision: store.revision(),
            term: replica.node().term(),
        };
        let effects = stand_at_once(&mut replica, &options);
        let mut core = Core::new(replica, &store, leases, &options);
        let replay_until = core.replica.node().last().index.next();
        let keeper = store_thread::Options {
            origin: identity.member,
            replay_until,
            piece_bytes: TRANSFER_PIECE_BYTES,
            flush_interval: options.flush_interval,
            pending_bytes_max: options.store.pending_bytes_max,
        };
        let threads = Threads::start(keeper, store, backend, log, &inbox, &beats);
        effects.into_iter().for_each(|effect| core.carry_out(effect));
        Rc::new(Engine {
            options,
            identity,
            core: RefCell::new(core),
            asked: RefCell::default(),
            waker: RefCell::default(),
            watching: RefCell::default(),
            header: Cell::new(header),
            queries: Cell::new(0),
            stage: Cell::new(Stage::Running),
            threads,
            inbox,
            beats,
            _dir: dir,
        })
    }

    /// To be done in the next turn.
    pub(super) fn ask(&self, ask: Ask) {
        let mut asked = self.asked.borrow_mut();
        asked.push(ask);
        if asked.len() == 1 {
            self.nudge();
        }
    }

    /// There is something to do that nobody asked for: a turn is made soon.
    pub(super) fn nudge(&self) {
        let waker = self.waker.borrow();
        waker.iter().for_each(Waker::wake_by_ref);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stage.get() != Stage::Running
    }

    pub(super) fn pulse(&self) -> Pulse {
        self.beats.pulse()
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Core) -> T) -> T {
        look(&mut self.core.borrow_mut())
    }

    /// Waits until what is to be seen holds.
    pub(super) async fn until(&self, mut holds: impl FnMut(&mut Core) -> bool) {
        poll_fn(|context| {
            if holds(&mut self.core.borrow_mut()) {
                return Poll::Ready(());
            }
            self.watching.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Takes no more requests; answers those under way; brings what is pending into the database. Each takes no longer
    /// than it may.
    pub(super) async fn stop(&self) {
        if self.is_stopping() {
            return self.until_stopped().await;
        }
        self.stage.set(Stage::Stopping);
        let no_longer = self.options.request_timeout;
        within(no_longer, self.until(|core| core.is_idle())).await;
        self.ask(Ask::Store(StoreJob::FlushAll));
        let flushed = within(STOP_FLUSH_MAX, self.until(|core| core.flushed >= core.applied)).await;
        if !flushed {
            log::warn!("stopping without a last flush: the log holds what it would have written");
        }
        self.stage.set(Stage::Stopped);
        self.wake_watching();
        self.ask(Ask::Store(StoreJob::Beat));
    }

    async fn until_stopped(&self) {
        let stopped = || self.stage.get() == Stage::Stopped;
        self.until(|_| stopped()).await;
    }

    fn wake_watching(&self) {
        let watching = mem::take(&mut *self.watching.borrow_mut());
        watching.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, context: &mut Context<'_>, clock: &mut Clock) -> Poll<Result<(), Failure>> {
        self.keep_waker(context.waker());
        if self.stage.get() == Stage::Stopped {
            return Poll::Ready(Ok(()));
        }
        let ticked = self.poll_timer(context, &mut clock.tick);
        let mut core = self.core.borrow_mut();
        self.inbox.take(&mut core.reports, context.waker());
        let asked = mem::take(&mut *self.asked.borrow_mut());
        let is_news = ticked || !core.reports.is_empty();
        if let Err(failure) = core.turn(ticked, asked) {
            return Poll::Ready(Err(failure));
        }
        self.threads.log.send_all(&mut core.to_log);
        self.threads.store.send_all(&mut core.to_store);
        self.show(&core);
        clock.wake_at(core.deadline(), context);
        drop(core);
        if is_news {
            self.wake_watching();
        }
        Poll::Pending
    }

    fn poll_timer(&self, context: &mut Context<'_>, timer: &mut Timer) -> bool {
        if std::pin::Pin::new(&mut *timer).poll(context).is_pending() {
            return false;
        }
        self.beats.engine.moved();
        // From now, not from when it was due: a process that was stopped has not lived the time between.
        timer.set_after(self.options.heartbeat);
        // So that it wakes this future.
        let _ = std::pin::Pin::new(timer).poll(context);
        true
    }

    fn keep_waker(&self, waker: &Waker) {
        let mut kept = self.waker.borrow_mut();
        match &*kept {
            Some(kept) if kept.will_wake(waker) => {}
            _ => *kept = Some(waker.clone()),
        }
    }

    fn show(&self, core: &Core) {
        let mut header = self.header.get();
        header.revision = core.figures.revision;
        header.term = core.replica.node().term();
        self.header.set(header);
    }
}

/// What the engine wakes for by itself.
struct Clock {
    tick: Timer,
    /// For what is due at its own moment: leases, watches that want to hear of progress.
    alarm: Timer,
    alarm_at: Option<Instant>,
}

impl Clock {
    fn wake_at(&mut self, moment: Option<Instant>, context: &mut Context<'_>) {
        if moment == self.alarm_at {
            return;
        }
        self.alarm_at = moment;
        match moment {
            Some(moment) => self.alarm.set_at(moment),
            None => self.alarm = Timer::never(),
        }
        if std::pin::Pin::new(&mut self.alarm).poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}

/// How long a stop may flush. systemd kills after 90 s unless it is told otherwise.
const STOP_FLUSH_MAX: Duration = Duration::from_secs(20);

/// Was it done in time?
pub(super) async fn within(time: Duration, work: impl Future<Output = ()>) -> bool {
    let done = async {
        work.await;
        true
    };
    let late = async {
        Timer::after(time).await;
        false
    };
    futures_lite::future::or(done, late).await
}

/// The member's life.
pub(super) async fn run(engine: Rc<Engine>) -> Result<(), Failure> {
    let mut clock =
        Clock { tick: Timer::after(engine.options.heartbeat), alarm: Timer::never(), alarm_at: None };
    poll_fn(|context| engine.poll(context, &mut clock)).await
}

/// Nobody else can be elected where there is one voter: no need to wait for a time-out.
fn stand_at_once(replica: &mut Replica, options: &Options) -> Vec<Effect> {
    let mut effects = Vec::new();
    let voters = &replica.node().membership().voters;
    if voters.len() == 1 && voters.contains(&replica.node().id()) {
        let patience_max = 2 * options.ticks(options.election);
        for _ in 0..patience_max {
            if replica.node().role() != Role::Follower {
                break;
            }
            effects.extend(replica.handle(Event::Tick));
        }
    }
    effects
}

impl Core {
    fn new(replica: Replica, store: &Store, leases: Leases, options: &Options) -> Core {
        let usage = store.usage();
        let now = Instant::now();
        let quota = Quota::new(options.quota_bytes, usage.used_bytes, store.pending_bytes());
        let figures = Figures {
            revision: store.revision(),
            compacted: store.compacted(),
            db_file_bytes: usage.file_bytes,
            db_used_bytes: usage.used_bytes,
            quota_bytes: options.quota_bytes,
            ..Figures::default()
        };
        Core {
            members: replica.node().membership().clone(),
            figures,
            quota,
            alarms: store.alarms().collect(),
            watches: Watches::new(store.revision(), store.compacted()),
            leases,
            alarm_asked: false,
            raised_for_room: false,
            applied: store.applied().index,
            flushed: store.flushed().index,
            compactor: options.auto_compaction.and_then(Compactor::new),
            waiting: HashMap::new(),
            next_request: 0,
            held_back: VecDeque::new(),
            store_room: true,
            durable_told: Index(0),
            pin: None,
            applied_times: (now, Duration::ZERO),
            last_sync: Duration::ZERO,
            slow_request: options.slow_request,
            slow_told: Seldom::default(),
            request_timeout: options.request_timeout,
            requests_max: options.requests_max,
            leader: None,
            reports: Vec::new(),
            to_log: Vec::new(),
            to_store: Vec::new(),
            last_beat: now,
            replica,
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.held_back.is_empty()
    }

    pub(super) fn is_leader(&self) -> bool {
        self.replica.node().role() == Role::Leader
    }

    fn turn(&mut self, ticked: bool, asked: Vec<Ask>) -> Result<(), Failure> {
        if ticked {
            self.tick();
        }
        let mut reports = mem::take(&mut self.reports);
        for report in reports.drain(..) {
            self.report(report)?;
        }
        self.reports = reports;
        asked.into_iter().for_each(|ask| self.ask(ask));
        self.keep_leases();
        self.keep_watches();
        self.tell_durable();
        Ok(())
    }

    fn leader_term(&self) -> Option<Term> {
        self.is_leader().then(|| self.replica.node().term())
    }

    /// The lessor leads when this member does and serves; what it finds due is proposed.
    fn keep_leases(&mut self) {
        let term = self.leader_term();
        if self.leases.led_by_us(term) {
            let request = self.wait(Waiter::Lead);
            self.feed(Event::Read { request });
        }
        for command in self.leases.due() {
            self.propose_lease(command, None);
        }
    }

    fn propose_lease(&mut self, command: Command, slot: Option<Rc<Slot<Result<(), Error>>>>) {
        let data = command.encode();
        let request = self.wait(Waiter::Lease { command, slot });
        self.feed(Event::Propose { request, data });
    }

    fn answer_lease(&mut self, command: &Command, slot: Option<Rc<Slot<Result<(), Error>>>>, answer: Answer) {
        match &answer {
            Answer::Refused(_) => self.leases.refused(command, false),
            Answer::Applied(Outcome::Refused(_)) => self.leases.refused(command, true),
            _ => {}
        }
        let result = self.result_of(answer).map(drop);
        slot.into_iter().for_each(|slot| slot.put(result.clone()));
    }

    fn keep_watches(&mut self) {
        let now = self.leases.now();
        if let Some(scan) = self.watches.turn(now) {
            self.to_store.push(StoreJob::Query(Box::new(ScanQuery(scan))));
        }
    }

    /// When there is something to do though nothing happens.
    fn deadline(&self) -> Option<Instant> {
        let (lease, watch) = (self.leases.lessor().deadline(), self.watches.hub().deadline());
        lease.into_iter().chain(watch).min().map(|moment| self.leases.at(moment))
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.feed(Event::Tick);
        while let Some(Ask::Propose { asked_at, .. }) = self.held_back.front()
            && now.saturating_duration_since(*asked_at) >= self.request_timeout
        {
            let ask = self.held_back.pop_front().expect("there is a front");
            refuse(ask, Error::TooManyRequests);
        }
        if now.saturating_duration_since(self.last_beat) >= BEAT_EVERY {
            self.last_beat = now;
            // Should it have come to nothing.
            self.alarm_asked = false;
            self.tend_room_alarm();
            self.to_log.push(LogJob::Beat);
            self.to_store.push(StoreJob::Beat);
        }
        self.compact_by_itself(now);
    }

    fn compact_by_itself(&mut self, now: Instant) {
        let is_leader = self.is_leader();
        let (revision, compacted) = (self.figures.revision, self.figures.compacted);
        let Some(compactor) = &mut self.compactor else { return };
        if let Some(revision) = compactor.tick(now, revision, is_leader).filter(|at| *at > compacted) {
            log::debug!("automatic compaction at revision {revision}");
            self.propose_own(&Command::Compact { revision });
        }
    }

    /// Proposes something that nobody asked for.
    fn propose_own(&mut self, command: &Command) {
        let (data, slot, asked_at) = (command.encode(), Slot::new(), Instant::now());
        self.ask(Ask::Propose { data, what: what_is(command), slot, asked_at });
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Propose { .. } if !self.store_room => self.hold_back(ask),
            Ask::Propose { data, what, slot, asked_at } => {
                let request = self.wait(Waiter::Proposal { what, slot, asked_at });
                self.feed(Event::Propose { request, data });
            }
            Ask::Read(query) if self.answers_alone() => self.to_store.push(StoreJob::Query(query)),
            Ask::Read(query) => {
                let request = self.wait(Waiter::Read(query));
                self.feed(Event::Read { request });
            }
            Ask::ReadAny(query) => self.to_store.push(StoreJob::Query(query)),
            Ask::Barrier(slot) if self.answers_alone() => slot.put(Ok(())),
            Ask::Barrier(slot) => {
                let request = self.wait(Waiter::Done(slot));
                self.feed(Event::Read { request });
            }
            Ask::TransferLeader { to, slot } => {
                let request = self.wait(Waiter::Done(slot));
                self.feed(Event::TransferLeader { request, to });
            }
            Ask::Lease { command, slot } => self.propose_lease(command, slot),
            Ask::Store(job) => self.to_store.push(job),
        }
    }

    /// Whatever was acknowledged to anybody has been applied here: there is nobody else who could have acknowledged it, and
    /// of what was acknowledged in earlier terms all has been applied once anything of this one is. So a read need not wait
    /// for what is committed and, while the card is full, cannot be applied.
    fn answers_alone(&self) -> bool {
        let node = self.replica.node();
        let is_alone = node.membership().members().eq([node.id()]);
        is_alone && self.is_leader() && node.term_at(node.applied_index()) == Some(node.term())
    }

    /// The flush is behind: who puts waits for it.
    fn hold_back(&mut self, ask: Ask) {
        if self.held_back.len() >= self.requests_max {
            refuse(ask, Error::TooManyRequests);
        } else {
            self.held_back.push_back(ask);
        }
    }

    fn wait(&mut self, waiter: Waiter) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.waiting.insert(request, waiter);
        request
    }

    fn feed(&mut self, event: Event) {
        let effects = self.replica.handle(event);
        effects.into_iter().for_each(|effect| self.carry_out(effect));
        let leader = self.replica.node().leader();
        if leader != self.leader {
            self.leader = leader;
            self.figures.leader_changes += u64::from(leader.is_some());
        }
    }

    fn report(&mut self, report: Report) -> Result<(), Failure> {
        match report {
            Report::Persisted { ticket, took } => {
                self.last_sync = took;
                self.figures.log_syncs.add(took);
                self.feed(Event::Persisted(ticket));
            }
            Report::LogRoom(room) => self.feed(Event::LogRoom(room)),
            Report::StoreRoom(room) => self.set_store_room(room),
            Report::DatabaseRoom(room) => self.set_database_room(room),
            Report::Applied(report) => self.applied(*report),
            Report::Scanned(scanned) => self.watches.scanned(scanned),
            Report::Transfer(done) => self.feed(Event::Transfer(done)),
            Report::Answered(answered) => answered.iter().for_each(|answered| answered.wake()),
            Report::Flushed { index, usage, took } => {
                self.flushed = index;
                took.into_iter().for_each(|took| self.figures.flushes.add(took));
                self.figures.db_file_bytes = usage.file_bytes;
                self.figures.db_used_bytes = usage.used_bytes;
                self.quota.flushed(usage.used_bytes);
                self.to_log.push(LogJob::Release(index));
            }
            Report::Failed(reason) => return Err(Failure(reason)),
        }
        Ok(())
    }

    fn set_store_room(&mut self, room: bool) {
        self.store_room = room;
        self.feed(Event::StoreRoom(room));
        while self.store_room
            && let Some(ask) = self.held_back.pop_front()
        {
            self.ask(ask);
        }
    }

    fn set_database_room(&mut self, room: bool) {
        if self.quota.set_room(room) {
            self.raised_for_room |= !room;
            self.tend_room_alarm();
        }
    }

    /// What is lacking room for what may be pending is raised as an alarm, so that nobody acknowledges what this board could
    /// not keep; and lifted again, since nobody but this board knows when there is room.
    fn tend_room_alarm(&mut self) {
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
    pub(super) fn raise_quota_alarm(&mut self) {
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

    fn applied(&mut self, report: AppliedReport) {
        let figures = &mut self.figures;
        (figures.revision, figures.compacted) = (report.state.revision, report.state.compacted);
        figures.proposals_applied += report.entries;
        figures.slow_applies += u64::from(report.took >= self.slow_request);
        self.quota.applied(report.state.pending_bytes);
        if let Some(alarms) = report.alarms {
            self.alarms = alarms;
            self.alarm_asked = false;
            self.tend_room_alarm();
        }
        self.applied = report.index;
        self.applied_times = (report.handed_at, report.took);
        self.watches.applied(report.news, &report.state);
        self.leases.applied(&report.leases);
        self.pin = report.pin.map(Rc::new);
        self.feed(Event::Applied { index: report.index, outcomes: report.outcomes });
        self.pin = None;
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            // No peers yet; a message may always be lost.
            Effect::Send(_) => {}
            Effect::Append(append) => {
                let members = self.replica.node().membership();
                if *members != self.members {
                    self.members.clone_from(members);
                    self.to_log.push(LogJob::Members(members.clone()));
                }
                self.to_log.push(LogJob::Append(append));
            }
            Effect::Apply(entries) => {
                let durable = self.replica.node().durable();
                self.durable_told = durable;
                self.to_store.push(StoreJob::Apply { entries, durable, handed_at: Instant::now() });
            }
            Effect::Transfer(job) => self.to_store.push(StoreJob::Transfer(job)),
            Effect::Answer { request, answer } => self.answer(request, answer),
        }
    }

    /// The store flushes only what this board's log has.
    fn tell_durable(&mut self) {
        let durable = self.replica.node().durable();
        if durable != self.durable_told {
            self.durable_told = durable;
            self.to_store.push(StoreJob::Durable(durable));
        }
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        let waiter = self.waiting.remove(&request);
        match waiter.unwrap_or_else(|| panic!("{request:?} is answered twice, with {answer:?}")) {
            Waiter::Proposal { what, slot, asked_at } => {
                self.name_if_slow(what, asked_at);
                let result = self.result_of(answer);
                self.figures.proposals_failed += u64::from(result.is_err());
                slot.put(result);
            }
            Waiter::Read(query) => match answer {
                Answer::ReadAt(_) => self.to_store.push(StoreJob::Query(query)),
                answer => query.refuse(error_of(answer)),
            },
            Waiter::Lease { command, slot } => self.answer_lease(&command, slot, answer),
            Waiter::Lead => {
                let term = self.leader_term();
                self.leases.serves(matches!(answer, Answer::ReadAt(_)), term);
            }
            Waiter::Done(slot) => slot.put(match answer {
                Answer::ReadAt(_) | Answer::Accepted => Ok(()),
                answer => Err(error_of(answer)),
            }),
        }
    }

    fn result_of(&self, answer: Answer) -> Result<Applied, Error> {
        match answer {
            Answer::Applied(Outcome::Refused(error)) => Err(error),
            Answer::Applied(outcome) => {
                let pin = names_places(&outcome).and(self.pin.clone());
                Ok(Applied { outcome, _pin: pin })
            }
            answer => Err(error_of(answer)),
        }
    }

    /// `None`: it was quick, or there is nothing to be said of it now. Each slow one is counted.
    pub(super) fn is_to_be_named(&mut self, took: Duration) -> Option<LeftOut> {
        if took < self.slow_request {
            return None;
        }
        self.figures.slow_requests += 1;
        self.slow_told.may(Instant::now())
    }

    fn name_if_slow(&mut self, what: &'static str, asked_at: Instant) {
        let took = asked_at.elapsed();
        if let Some(left_out) = self.is_to_be_named(took) {
            let (handed_at, apply) = self.applied_times;
            log::warn!(
                "slow request: {what} took {} ms: to be committed {} ms (last sync {} ms), to be applied {} ms{left_out}",
                took.as_millis(),
                handed_at.saturating_duration_since(asked_at).as_millis(),
                self.last_sync.as_millis(),
                apply.as_millis(),
            );
        }
    }

    pub(super) fn figures(&self) -> Figures {
        let (node, hub) = (self.replica.node(), self.watches.hub());
        Figures {
            watchers: hub.watchers() as u64,
            slow_watchers: hub.slow_watchers() as u64,
            watch_streams: hub.streams() as u64,
            pending_events: hub.held_events() as u64,
            has_leader: node.leader().is_some(),
            is_leader: self.is_leader(),
            proposals_committed: node.commit().0,
            proposals_pending: (self.waiting.len() + self.held_back.len()) as u64,
            pending_bytes: self.quota.pending_bytes(),
            ..self.figures.clone()
        }
    }
}

fn refuse(ask: Ask, error: Error) {
    if let Ask::Propose { slot, .. } = ask {
        slot.put(Err(error));
    }
}

fn error_of(answer: Answer) -> Error {
    match answer {
        Answer::Refused(error) | Answer::Unknown(error) => error,
        answer => unreachable!("not an answer to this request: {answer:?}"),
    }
}

/// A command's name, for people.
pub(super) fn what_is(command: &Command) -> &'static str {
    match command {
        Command::Put(_) => "put",
        Command::DeleteRange(_) => "delete",
        Command::Txn(_) => "transaction",
        Command::Compact { .. } => "compaction",
        Command::LeaseGrant { .. } => "lease grant",
        Command::LeaseRevoke { .. } => "lease revoke",
        Command::LeaseCheckpoint { .. } => "lease checkpoint",
        Command::Alarm(_) => "alarm",
    }
}
