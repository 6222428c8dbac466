//! Leases: what doors can ask for, and the lessor in the engine's loop.
//!
//! The lessor leads once a read of this member in its own term is answered: then all that earlier terms proposed is applied,
//! and the member serves. What it wants to be proposed goes into the log as everybody's commands do; it hears of those that
//! were refused, and of the others by what is applied.

use std::{
    mem,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    lease::{self, Change, Lessor, Options, Renewal},
    replica::{Question, Reply},
    store::{self, StoreError},
    types::{Bytes, Command, Error, LeaseId, Outcome, Term},
};

use super::{
    Member,
    engine::{Ask, Engine, within},
    reply::Slot,
};

/// What the log could not take now is proposed again after this time.
const AGAIN_SOON: Duration = Duration::from_millis(100);

/// What was in the log and refused there (the CORRUPT alarm): it costs an entry each time.
const AGAIN_LATER: Duration = Duration::from_secs(60);

/// Keys read at one time.
const KEYS: usize = 1000;

pub struct TimeToLive {
    /// Whole seconds left.
    pub ttl_s: i64,
    pub granted_ttl_s: i64,
    /// In order, if they were asked for.
    pub keys: Vec<Bytes>,
}

/// The lessor, its clock, and whether it leads.
pub(super) struct Leases {
    lessor: Lessor,
    since: Instant,
    /// The term in which a read is under way that will tell that the member serves.
    asked_in: Option<Term>,
}

impl Leases {
    pub(super) fn new(options: Options, store: &store::Store) -> Result<Leases, StoreError> {
        let mut leases = Leases { lessor: Lessor::new(options), since: Instant::now(), asked_in: None };
        leases.restore(store.leases()?);
        Ok(leases)
    }

    /// These are all there are.
    pub(super) fn restore(&mut self, leases: Vec<(LeaseId, store::Lease)>) {
        let leases = leases.into_iter();
        self.lessor.restore(leases.map(|(id, lease)| (id, lease.ttl_s, lease.remaining_s)));
    }

    /// The shortest TTL follows from it.
    pub(super) fn set_election(&mut self, election: Duration) {
        self.lessor.set_ttl_min(lease::ttl_min_s(election));
    }

    pub(super) fn now(&self) -> Duration {
        self.since.elapsed()
    }

    pub(super) fn at(&self, moment: Duration) -> Instant {
        self.since + moment
    }

    pub(super) fn lessor(&self) -> &Lessor {
        &self.lessor
    }

    pub(super) fn applied(&mut self, changes: &[Change]) {
        let now = self.now();
        changes.iter().for_each(|change| self.lessor.applied(change, now));
    }

    /// Raft's leader, and in which term: `None` if it is another member. True: a read must tell when this one serves.
    pub(super) fn led_by_us(&mut self, term: Option<Term>) -> bool {
        if self.lessor.leads() == term {
            return false;
        }
        self.lessor.demote();
        term.is_some() && mem::replace(&mut self.asked_in, term) != term
    }

    /// That read was answered: does this member lead still, and in which term?
    pub(super) fn serves(&mut self, serves: bool, term: Option<Term>) {
        let asked_in = self.asked_in.take();
        if serves
            && asked_in == term
            && let Some(term) = term
        {
            let now = self.now();
            self.lessor.promote(term, now);
        }
    }

    pub(super) fn due(&mut self) -> Vec<Command> {
        let now = self.now();
        self.lessor.due(now)
    }

    /// What came of a command of the lessor's, if it will not take effect.
    pub(super) fn refused(&mut self, command: &Command, was_in_log: bool) {
        let again = self.now() + if was_in_log { AGAIN_LATER } else { AGAIN_SOON };
        self.lessor.refused(command, again);
    }
}

impl Member {
    /// id 0: one is chosen. Answers the id and the TTL granted.
    pub async fn lease_grant(&self, id: LeaseId, ttl_s: i64) -> Result<(LeaseId, i64), Error> {
        let ttl_s = self.engine.look(|core| core.leases.lessor.ttl_s(ttl_s));
        loop {
            let chosen = if id.is_none() { LeaseId(fastrand::i64(1..)) } else { id };
            match self.engine.propose_for_client(&Command::LeaseGrant { id: chosen, ttl_s }).await {
                Ok(applied) => match applied.outcome {
                    Outcome::LeaseGranted { id, ttl_s, .. } => return Ok((id, ttl_s)),
                    outcome => unreachable!("a grant led to {outcome:?}"),
                },
                Err(Error::LeaseExists) if id.is_none() => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub async fn lease_revoke(&self, id: LeaseId) -> Result<(), Error> {
        self.engine.propose_for_client(&Command::LeaseRevoke { id, only_in: None }).await.map(drop)
    }

    /// The TTL granted; `None`: there is no such lease (any more).
    pub async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<i64>, Error> {
        match self.ask_lessor(Question::KeepAlive(id)).await? {
            Reply::KeptAlive(ttl_s) => Ok(ttl_s),
            reply => Err(not_a_reply(&reply)),
        }
    }

    pub async fn lease_time_to_live(&self, id: LeaseId, keys: bool) -> Result<Option<TimeToLive>, Error> {
        let left = match self.ask_lessor(Question::TimeLeft(id)).await? {
            Reply::TimeLeft(left) => left,
            reply => return Err(not_a_reply(&reply)),
        };
        let Some((ttl_s, granted_ttl_s)) = left else { return Ok(None) };
        let keys = if keys { self.lease_keys(id).await? } else { Vec::new() };
        Ok(Some(TimeToLive { ttl_s, granted_ttl_s, keys }))
    }

    /// In order of expiry.
    pub async fn leases(&self) -> Result<Vec<LeaseId>, Error> {
        match self.ask_lessor(Question::Leases).await? {
            Reply::Leases(leases) => Ok(leases),
            reply => Err(not_a_reply(&reply)),
        }
    }

    async fn ask_lessor(&self, question: Question) -> Result<Reply, Error> {
        if self.is_corrupt() {
            return Err(Error::Corrupt);
        }
        self.ask_leader(question, |member, question| async move { member.answer_as_leader(question).await })
            .await
    }

    /// What this member knows if it leads, having made sure of that.
    pub(super) async fn answer_as_leader(&self, question: Question) -> Result<Reply, Error> {
        match question {
            Question::KeepAlive(id) => self.keep_alive_here(id).await.map(Reply::KeptAlive),
            Question::TimeLeft(id) => {
                self.leads().await?;
                let left = self.engine.look(|core| core.leases.lessor.time_left(id, core.leases.now()));
                let left = left.map(|(left, granted_ttl_s)| (left.as_secs() as i64, granted_ttl_s));
                Ok(Reply::TimeLeft(left))
            }
            Question::Leases => {
                self.leads().await?;
                Ok(Reply::Leases(self.engine.look(|core| core.leases.lessor.ids())))
            }
            Question::Roles => {
                Ok(self.engine.look(|core| core.whys()).map_or(Reply::NotLeading, Reply::Roles))
            }
            // It has it, or asks for it by itself.
            Question::Authority => Ok(Reply::Authority(self.engine.has_authority_key())),
        }
    }

    async fn keep_alive_here(&self, id: LeaseId) -> Result<Option<i64>, Error> {
        loop {
            self.leads().await?;
            let renewal = self.engine.look(|core| {
                let now = core.leases.now();
                core.leases.lessor.keep_alive(id, now)
            });
            match renewal {
                Renewal::Renewed(ttl_s) => return Ok(Some(ttl_s)),
                Renewal::Unknown => return Ok(None),
                Renewal::Record(ttl_s, command) => {
                    let slot = Slot::new();
                    self.engine.ask(Ask::Lease { command, slot: Some(slot.clone()) });
                    return slot.get().await.map(|()| Some(ttl_s));
                }
                Renewal::Expiring => self.until_revoked(id).await?,
                Renewal::NotLeading => {}
            }
        }
    }

    async fn until_revoked(&self, id: LeaseId) -> Result<(), Error> {
        let gone = self.engine.until(|core| !core.leases.lessor.is_expiring(id, core.leases.now()));
        in_time(&self.engine, gone).await
    }

    /// Waits until this member counts the time of leases, having made sure that it leads.
    async fn leads(&self) -> Result<(), Error> {
        if !self.engine.look(|core| core.is_leader()) {
            return Err(Error::NotLeader);
        }
        self.read_barrier().await?;
        let settled = self.engine.until(|core| !core.is_leader() || core.leases.lessor.leads().is_some());
        in_time(&self.engine, settled).await?;
        let leads = self.engine.look(|core| core.leases.lessor.leads().is_some());
        if leads { Ok(()) } else { Err(Error::NotLeader) }
    }

    async fn lease_keys(&self, id: LeaseId) -> Result<Vec<Bytes>, Error> {
        self.read_barrier().await?;
        let mut keys: Vec<Bytes> = Vec::new();
        loop {
            let after = keys.last().cloned();
            let some =
                self.engine.query(move |keeper| Ok(keeper.store().lease_keys(id, after.as_deref(), KEYS)?));
            let some = some.await?;
            let is_all = some.len() < KEYS;
            keys.extend(some);
            if is_all {
                return Ok(keys);
            }
        }
    }
}

fn not_a_reply(reply: &Reply) -> Error {
    log::error!("a member of another build answered a question with {reply:?}");
    Error::NotLeader
}

async fn in_time(engine: &Rc<Engine>, work: impl Future<Output = ()>) -> Result<(), Error> {
    if within(engine.request_timeout(), work).await { Ok(()) } else { Err(Error::Timeout) }
}
