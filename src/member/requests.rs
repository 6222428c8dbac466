//! What doors can ask of a member, but for watches, leases and snapshots.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    store::{self, HashAt, ReadError, RevRecord},
    types::{
        AlarmKind, AlarmRequest, Command, Error, KeyRev, NodeId, Outcome, RangeAt, RangeRequest, Revision,
        TxnOp,
    },
};

use super::{
    Applied, Figures, Header, Member, Pulse, RangeReader, Status,
    core::what_is,
    engine::{Ask, Engine, within},
    range,
    reply::{self, Slot},
    store_thread::{Keeper, StoreJob},
};

/// How often to look whether what was compacted is gone.
const LOOK_FOR_REMOVAL: Duration = Duration::from_millis(20);

impl Engine {
    /// Has the store do something with what it holds by now.
    pub(super) async fn query<T: Send + 'static>(
        self: &Rc<Self>,
        work: impl FnOnce(&mut Keeper) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Error> {
        let _place = Place::take(self)?;
        let (query, reply) = reply::query(work);
        self.ask(Ask::ReadAny(query));
        reply.get().await
    }

    /// As `query`, once the store holds all that was acknowledged before.
    pub(super) async fn query_newest<T: Send + 'static>(
        self: &Rc<Self>,
        work: impl FnOnce(&mut Keeper) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Error> {
        let _place = Place::take(self)?;
        let (query, reply) = reply::query(work);
        self.ask(Ask::Read(query));
        reply.get().await
    }

    pub(super) async fn propose(&self, command: &Command) -> Result<Applied, Error> {
        if self.is_stopping() {
            return Err(Error::NoLeader);
        }
        if self.look(|core| core.is_corrupt) {
            return Err(Error::Corrupt);
        }
        let data = command.encode();
        // etcd looks at the size before anything else.
        if needs_room(command) {
            self.check_room(data.len() as u64)?;
        }
        store::check(command)?;
        if !self.look(|core| core.is_known_to_all(command)) {
            return Err(Error::NotCapable);
        }
        let slot = Slot::new();
        let (what, asked_at) = (what_is(command), Instant::now());
        self.ask(Ask::Propose { data, what, slot: slot.clone(), asked_at });
        slot.get().await
    }

    /// For a client: what changes keys or leases waits until the cluster is founded, so that nothing is acknowledged that only
    /// one board of those that found it has.
    pub(super) async fn propose_for_client(&self, command: &Command) -> Result<Applied, Error> {
        if is_of_data(command) {
            self.founded().await?;
        }
        self.propose(command).await
    }

    async fn founded(&self) -> Result<(), Error> {
        // A board that has just joined may not have heard of it yet.
        if self.look(|core| !core.knows_cluster()) {
            self.barrier().await?;
            self.look(|core| core.heard_of_cluster());
        }
        if self.look(|core| core.awaited_boards().is_none()) {
            return Ok(());
        }
        let founded = self.until(|core| core.awaited_boards().is_none());
        within(FOUNDED_WITHIN.min(self.request_timeout()), founded).await;
        match self.look(|core| core.awaited_boards()) {
            Some((missing, size)) => Err(Error::Founding { missing, size }),
            None => Ok(()),
        }
    }

    fn check_room(&self, bytes: u64) -> Result<(), Error> {
        self.look(|core| {
            if core.quota.allows(bytes) {
                return if core.quota.has_room() { Ok(()) } else { Err(Error::NoSpace) };
            }
            core.raise_quota_alarm();
            Err(Error::NoSpace)
        })
    }

    async fn barrier(&self) -> Result<(), Error> {
        let slot = Slot::new();
        self.ask(Ask::Barrier(slot.clone()));
        slot.get().await
    }
}

/// Who writes waits so long for the boards that are missing, and is told of how many there are before it loses its own patience.
const FOUNDED_WITHIN: Duration = Duration::from_secs(2);

/// A place among those who ask the store, as long as the answer is waited for.
struct Place<'a>(&'a Cell<usize>);

impl Place<'_> {
    fn take(engine: &Engine) -> Result<Place<'_>, Error> {
        let taken = &engine.queries;
        if engine.is_stopping() {
            return Err(Error::NoLeader);
        }
        if engine.look(|core| core.is_corrupt) {
            return Err(Error::Corrupt);
        }
        if taken.get() >= engine.options.queries_max {
            return Err(Error::TooManyRequests);
        }
        taken.set(taken.get() + 1);
        Ok(Place(taken))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// What etcd holds against the quota: puts, transactions with a put at their top level, new leases.
fn needs_room(command: &Command) -> bool {
    match command {
        Command::Put(_) | Command::LeaseGrant { .. } => true,
        Command::Txn(txn) => txn.success.iter().chain(&txn.failure).any(|op| matches!(op, TxnOp::Put(_))),
        _ => false,
    }
}

/// Does it change what clients keep here?
fn is_of_data(command: &Command) -> bool {
    match command {
        Command::Put(_)
        | Command::DeleteRange(_)
        | Command::Compact { .. }
        | Command::LeaseGrant { .. }
        | Command::LeaseRevoke { .. } => true,
        Command::Txn(txn) => txn.writes(),
        _ => false,
    }
}

impl Member {
    pub(super) fn new(engine: Rc<Engine>) -> Member {
        Member { engine }
    }

    pub fn header(&self) -> Header {
        self.engine.header.get()
    }

    /// Proposes; answers once it is durable and applied. `outcome` is never `Refused`: that is the error.
    /// `Error::Timeout`: nobody knows whether it takes effect. `Error::Founding`: the cluster is not founded yet.
    pub async fn propose(&self, command: Command) -> Result<Applied, Error> {
        self.engine.propose_for_client(&command).await
    }

    /// Waits until what was acknowledged before this call can be read here.
    pub async fn read_barrier(&self) -> Result<(), Error> {
        self.engine.barrier().await
    }

    /// Has it no other members to ask?
    pub fn is_alone(&self) -> bool {
        self.engine.look(|core| core.replica.node().membership().members().eq([self.engine.identity.member]))
    }

    /// Waits until this member can serve.
    pub async fn ready(&self) {
        loop {
            if self.engine.barrier().await.is_ok() {
                return;
            }
            self.engine.until(|core| core.replica.node().leader().is_some()).await;
        }
    }

    /// A range, linearizable or of what is here. Pinned until the reader is dropped.
    pub async fn range(&self, request: RangeRequest, serializable: bool) -> Result<RangeReader, Error> {
        RangeReader::begin(&self.engine, request, serializable).await
    }

    /// A range that an outcome names; call it while the `Applied` lives.
    pub async fn range_at(&self, at: RangeAt) -> Result<RangeReader, Error> {
        RangeReader::begin_at(&self.engine, at).await
    }

    /// A record that an outcome names; call it while the `Applied` lives.
    pub async fn record(&self, at: KeyRev) -> Result<RevRecord, Error> {
        range::record(&self.engine, at).await
    }

    /// revision 0: the newest. The hash of all keys at it, pinned and read in slices.
    pub async fn hash_kv(&self, revision: Revision) -> Result<HashAt, Error> {
        range::hash_kv(&self.engine, revision).await
    }

    /// `physical`: answers only once what was compacted is gone from the database.
    pub async fn compact(&self, revision: Revision, physical: bool) -> Result<(), Error> {
        self.propose(Command::Compact { revision }).await?;
        if physical {
            self.engine.ask(Ask::Store(StoreJob::FlushAll));
            while !self.engine.query(move |keeper| Ok(keeper.store().is_removed(revision))).await? {
                async_io::Timer::after(LOOK_FOR_REMOVAL).await;
            }
        }
        Ok(())
    }

    /// The alarm touched, if any.
    pub async fn change_alarm(&self, request: AlarmRequest) -> Result<Option<AlarmRequest>, Error> {
        match self.propose(Command::Alarm(request)).await?.outcome {
            Outcome::Alarm { touched, .. } => Ok(touched),
            outcome => unreachable!("an alarm led to {outcome:?}"),
        }
    }

    pub async fn alarms(&self) -> Result<Vec<(NodeId, AlarmKind)>, Error> {
        self.read_barrier().await?;
        Ok(self.engine.look(|core| core.alarms.clone()))
    }

    /// Waits until `to` leads. Errors: `NotLeader`, for it is the leader who must be asked.
    pub async fn transfer_leadership(&self, to: NodeId) -> Result<(), Error> {
        let (leads, is_voter) = self
            .engine
            .look(|core| (core.is_leader(), core.replica.node().membership().voters.contains(&to)));
        if !leads {
            return Err(Error::NotLeader);
        }
        if !is_voter {
            return Err(Error::BadLeaderTransferee);
        }
        if to == self.id() {
            return Ok(());
        }
        let slot = Slot::new();
        self.engine.ask(Ask::TransferLeader { to: Some(to), slot: slot.clone() });
        slot.get().await?;
        // After one election it is given up; another one may follow, and be won by anybody.
        let no_longer = 2 * self.engine.look(|core| core.election());
        let led = self.engine.until(|core| core.replica.node().leader() == Some(to));
        match within(no_longer, led).await {
            true => Ok(()),
            false => Err(Error::TransferTimeout),
        }
    }

    pub async fn status(&self) -> Result<Status, Error> {
        Ok(self.engine.look(|core| {
            let (node, figures) = (core.replica.node(), core.figures());
            Status {
                db_size_bytes: figures.db_file_bytes,
                db_in_use_bytes: figures.db_used_bytes,
                quota_bytes: figures.quota_bytes,
                leader: node.leader(),
                raft_index: node.commit().0,
                applied_index: core.applied.0,
                term: node.term(),
                is_learner: node.membership().learners.contains(&node.id()),
                alarms: core.alarms.clone(),
                notes: core.notes(),
            }
        }))
    }

    pub fn figures(&self) -> Figures {
        self.engine.look(|core| core.figures())
    }

    /// How long ago each part got round, for a watchdog.
    pub fn pulse(&self) -> Pulse {
        self.engine.pulse()
    }

    /// Takes no more requests, answers those under way, and brings what is pending into the database; then the member's
    /// future ends.
    pub async fn stop(&self) {
        self.engine.stop().await;
    }
}
