//! The core: what the engine knows and does in one turn. Events go to the replica, its effects to the threads, its answers to
//! who waits for them.
//!
//! Here you will not find: tasks, wakers, threads. `upkeep` has what nobody asked for.

mod admission;
mod alarms;
pub(super) mod autopilot;
mod cluster;
mod corruption;
mod peers;
mod progress;
#[cfg(test)]
mod tests;
mod upkeep;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    mem,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    autopilot::Step,
    logging::{LeftOut, Seldom},
    peer::PeerEvent,
    raft::Role,
    replica::{Answer, Append, DigestOf, Effect, Event, PeerMessage, Replica, RequestId},
    store::Store,
    types::{AlarmKind, Command, Error, Index, Membership, NodeId, Outcome, Revision, Term},
};

use self::{autopilot::Pilot, progress::Transfers};
use super::{
    Applied, Figures, Options,
    advice::Advice,
    compactor::Compactor,
    digests::Digests,
    directory::Identity,
    engine::{Ask, Failure},
    inbox::{AppliedReport, Report},
    leases::Leases,
    log_thread::LogJob,
    pins::Pin,
    quota::Quota,
    reply::{Query, Slot},
    roll::Roll,
    store_thread::{StoreJob, names_places},
    watches::Watches,
};

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
    /// And why.
    Autopilot {
        step: Step,
        why: String,
    },
    Done(Rc<Slot<Result<(), Error>>>),
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
    /// When alarms of members that are gone were to be lifted last.
    lifted_at: Option<Instant>,
    /// What the log held at the start ends before it.
    pub(super) replay_until: Index,
    pub(super) applied: Index,
    pub(super) flushed: Index,
    compactor: Option<Compactor>,
    waiting: HashMap<RequestId, Waiter>,
    next_request: u64,
    /// Proposals that wait for room in the store.
    held_back: VecDeque<Ask>,
    store_room: bool,
    members: Membership,
    pub(super) roll: Roll,
    /// Whose process has ended, and not been heard of since.
    gone: BTreeSet<NodeId>,
    /// Peers are to be told who the members are.
    roster_is_old: bool,
    options: Options,
    /// When something about the cluster was proposed last.
    cluster_told_at: Option<Instant>,
    /// The level that was last said to be the cluster's.
    level_told: u32,
    #[cfg(feature = "testing")]
    probed: bool,
    /// Of this board's data.
    incarnation: u64,
    /// See `Identity`.
    founded_s: u64,
    durable_told: Index,
    /// Of the report that is being handled.
    pin: Option<Rc<Pin>>,
    applied_times: (Instant, Duration),
    last_sync: Duration,
    slow_request: Duration,
    slow_told: Seldom,
    requests_max: usize,
    leader: Option<NodeId>,
    pub(super) reports: Vec<Report>,
    pub(super) to_log: Vec<LogJob>,
    pub(super) to_store: Vec<StoreJob>,
    digests: Digests,
    transfers: Transfers,
    pilot: Pilot,
    advice: Advice,
    advised_at: Option<Instant>,
    /// This member is not to be believed: it differs from a majority.
    pub(super) is_corrupt: bool,
    /// A compaction was applied: the keys at this revision are to be compared.
    pub(super) keys_to_check: Option<Revision>,
    pub(super) peer_events: Vec<PeerEvent>,
    pub(super) to_peers: Vec<PeerMessage>,
    /// It is no member any more: since when that is known, and what is to be said at the end.
    leaving: Option<(Instant, Failure)>,
    last_beat: Instant,
    /// When links were looked at last: peers are pinged as often.
    last_look: Instant,
}

/// An idle thread is asked for a sign of life so often.
pub const BEAT_EVERY: Duration = Duration::from_secs(5);

/// Nobody else can be elected where there is one voter: no need to wait for a time-out.
pub(super) fn stand_at_once(replica: &mut Replica, options: &Options) -> Vec<Effect> {
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
    pub(super) fn new(
        replica: Replica,
        store: &Store,
        roll: Roll,
        leases: Leases,
        identity: &Identity,
        options: &Options,
    ) -> Core {
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
        let node = replica.node();
        let was_voter = node.membership().voters.contains(&node.id());
        Core {
            members: replica.node().membership().clone(),
            roll,
            gone: BTreeSet::new(),
            roster_is_old: true,
            options: options.clone(),
            cluster_told_at: None,
            level_told: 0,
            #[cfg(feature = "testing")]
            probed: false,
            incarnation: identity.incarnation,
            founded_s: identity.founded_s,
            figures,
            quota,
            alarms: store.alarms().collect(),
            watches: Watches::new(store.revision(), store.compacted()),
            leases,
            alarm_asked: false,
            raised_for_room: false,
            lifted_at: None,
            replay_until: replica.node().last().index.next(),
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
            requests_max: options.requests_max,
            leader: None,
            reports: Vec::new(),
            to_log: Vec::new(),
            to_store: Vec::new(),
            digests: Digests::default(),
            transfers: Transfers::default(),
            pilot: Pilot::new(now, was_voter),
            advice: Advice::new(now),
            advised_at: None,
            is_corrupt: false,
            keys_to_check: None,
            peer_events: Vec::new(),
            to_peers: Vec::new(),
            leaving: None,
            last_beat: now,
            last_look: now,
            replica,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.held_back.is_empty()
    }

    pub(super) fn heartbeat(&self) -> Duration {
        self.options.heartbeat
    }

    pub(super) fn election(&self) -> Duration {
        self.options.election
    }

    /// Heartbeat and election.
    pub(super) fn timeouts_ms(&self) -> (u32, u32) {
        self.options.timeouts_ms()
    }

    pub(super) fn request_timeout(&self) -> Duration {
        self.options.request_timeout
    }

    pub(super) fn is_leader(&self) -> bool {
        self.replica.node().role() == Role::Leader
    }

    pub(super) fn turn(&mut self, ticked: bool, asked: Vec<Ask>) -> Result<(), Failure> {
        if ticked {
            self.tick();
        }
        self.hear_peers()?;
        self.leave_in_time()?;
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

    /// When there is something to do though nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (lease, watch) = (self.leases.lessor().deadline(), self.watches.hub().deadline());
        lease.into_iter().chain(watch).min().map(|moment| self.leases.at(moment))
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.feed(Event::Tick);
        while let Some(Ask::Propose { asked_at, .. } | Ask::ChangeMembers { asked_at, .. }) =
            self.held_back.front()
            && now.saturating_duration_since(*asked_at) >= self.options.request_timeout
        {
            let ask = self.held_back.pop_front().expect("there is a front");
            refuse(ask, Error::TooManyRequests);
        }
        if now.saturating_duration_since(self.last_beat) >= BEAT_EVERY {
            self.last_beat = now;
            // Should it have come to nothing.
            self.alarm_asked = false;
            self.tend_room_alarm();
            self.lift_alarms_of_the_removed();
            self.to_log.push(LogJob::Beat);
            self.to_store.push(StoreJob::Beat);
        }
        self.compact_by_itself(now);
        self.look_after_members(now);
        self.keep_cluster(now);
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
            Ask::ChangeMembers { .. } if !self.store_room => self.hold_back(ask),
            Ask::ChangeMembers { change, info, slot, .. }
                if let Some(reason) = self.misfit(change, &info) =>
            {
                slot.put(Err(reason.into()));
            }
            Ask::ChangeMembers { change, info, slot, asked_at } => {
                let request = self.wait(Waiter::Proposal { what: "change of the members", slot, asked_at });
                self.feed(Event::ChangeMembers { request, change, info });
            }
            Ask::TransferLeader { to, slot } => {
                let request = self.wait(Waiter::Done(slot));
                self.feed(Event::TransferLeader { request, to });
            }
            Ask::Lease { command, slot } => self.propose_lease(command, slot),
            Ask::Store(job) => self.to_store.push(job),
            Ask::Say(message) => self.to_peers.push(message),
        }
    }

    /// Whatever was acknowledged to anybody has been applied here: there is nobody else who could have acknowledged it, and
    /// of what was acknowledged in earlier terms all has been applied once anything of this one is. So a read need not wait
    /// for what is committed and, while the card is full, cannot be applied. (Whoever was removed may have acknowledged what
    /// came before that: its row goes when its removal is applied.)
    fn answers_alone(&self) -> bool {
        let node = self.replica.node();
        let is_alone = node.membership().members().eq([node.id()]) && !self.roll.knows_others(node.id());
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
            self.roster_is_old = true;
            self.figures.leader_changes += u64::from(leader.is_some());
        }
    }

    fn report(&mut self, report: Report) -> Result<(), Failure> {
        match report {
            Report::Persisted { ticket, took } => {
                self.last_sync = took;
                self.advice.sync(took);
                self.figures.log_syncs.add(took);
                self.feed(Event::Persisted(ticket));
            }
            Report::LogRoom(room) => self.feed(Event::LogRoom(room)),
            Report::StoreRoom(room) => self.set_store_room(room),
            Report::DatabaseRoom(room) => self.set_database_room(room),
            Report::Applied(report) => self.applied(*report)?,
            Report::Scanned(scanned) => self.watches.scanned(scanned),
            Report::Transfer(done) => {
                self.transfers.done(&done);
                self.feed(Event::Transfer(done));
            }
            Report::NoRoomForTransfer(what) => self.transfers.stand_still(what),
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

    fn applied(&mut self, mut report: AppliedReport) -> Result<(), Failure> {
        let figures = &mut self.figures;
        (figures.revision, figures.compacted) = (report.state.revision, report.state.compacted);
        figures.proposals_applied += report.entries;
        figures.slow_applies += u64::from(report.took >= self.slow_request);
        self.quota.applied(report.state.pending_bytes);
        let may_have_gone = report.alarms.is_some() || report.members.is_some();
        self.heed_alarms(&mut report);
        if let Some(members) = report.members {
            self.roll.update(&members);
            self.roll_changed()?;
        }
        if may_have_gone {
            self.lift_alarms_of_the_removed();
        }
        if let Some(leases) = report.leases_anew {
            self.leases.restore(leases);
        }
        for (entry, hash, revision) in report.compactions {
            self.compacted(DigestOf::Applied(entry), hash, revision);
        }
        self.applied = report.index;
        self.applied_times = (report.handed_at, report.took);
        self.watches.applied(report.news, &report.state);
        self.leases.applied(&report.leases);
        self.pin = report.pin.map(Rc::new);
        self.feed(Event::Applied { index: report.index, outcomes: report.outcomes });
        self.pin = None;
        Ok(())
    }

    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(message) => self.to_peers.push(message),
            Effect::Append(append) => {
                self.note_demotion(&append);
                let members = self.replica.node().membership();
                if *members != self.members {
                    self.roster_is_old = true;
                    self.members.clone_from(members);
                    self.to_log.push(LogJob::Members(members.clone()));
                }
                append.entries.iter().for_each(|entry| self.roll.appended(entry));
                self.to_log.push(LogJob::Append(append));
            }
            Effect::Apply(entries) => {
                let durable = self.replica.node().durable();
                self.durable_told = durable;
                self.to_store.push(StoreJob::Apply { entries, durable, handed_at: Instant::now() });
            }
            Effect::Transfer(job) => {
                self.transfers.begins(&job, self.figures.revision);
                self.to_store.push(StoreJob::Transfer(job));
            }
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
            Waiter::Autopilot { step, why } => self.answer_step(step, &why, &answer),
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
    if let Ask::Propose { slot, .. } | Ask::ChangeMembers { slot, .. } = ask {
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
        Command::Publish { .. } => "publishing of a member",
        Command::UpdateMember { .. } => "member update",
        Command::UpdateCluster(_) => "cluster update",
        Command::Identify { .. } => "identifying of a member",
        Command::Autopilot(_) => "autopilot",
        Command::Amend { .. } => "amendment of members",
        #[cfg(feature = "testing")]
        Command::Probe => "probe",
    }
}
