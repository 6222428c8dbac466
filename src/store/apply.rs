//! Applies commands: in memory, in order, the same on every board.
//!
//! ```text
//!   check (stateless) -> alarms -> what the command needs -> changes of rows -> state
//! ```
//!
//! - A command is refused before its first change or not at all.
//! - Every change of a row goes through `Apply::set_near`, which adds it to the hash of the state.
//! - Between two changes a command may pause (`unfinished`). What it does then when it goes on, it does once.
//! - Changes made so far are seen by what comes later in the same command: it reads at `here()`.

use crc32fast::Hasher;

use super::{
    Lease, Snapshot, StoreError, Table, check, format,
    format::Version,
    layer::{FAR_APART, Pending},
    learned::Learned,
    state::{AsOf, State},
    unfinished::{Course, Pace, UnderWay, Unfinished},
    view::{Found, View},
};
use crate::types::{
    AlarmAction, AlarmKind, AlarmRequest, Command, EntryId, Error, KeyRev, LeaseId, LeaseRemaining, NodeId,
    Outcome, PutOutcome, PutRequest, Revision, Term, limits,
};

pub(super) struct Apply<'a> {
    pub(super) base: &'a dyn Snapshot,
    pub(super) pending: &'a mut Pending,
    pub(super) state: &'a mut State,
    pub(super) learned: &'a mut Learned,
    pub(super) course: Course,
    pub(super) pace: Pace,
    pub(super) hasher: Hasher,
    /// The changes of keys made so far: the next one's place in its revision.
    pub(super) changes: u32,
}

/// Refused by a rule, stopped by this board, or paused.
pub(super) enum Stop {
    Refused(Error),
    Broken(StoreError),
    Paused(Box<Unfinished>),
}

/// What came of one execution of a command.
pub(super) enum Executed {
    Done(Outcome),
    Paused(Box<Unfinished>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Refused(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Broken(error)
    }
}

impl<'a> Apply<'a> {
    pub(super) fn command(&mut self, command: &Command, term: Term) -> Result<Executed, StoreError> {
        let done = check::check(command)
            .and_then(|()| self.check_alarms(command))
            .map_err(Stop::Refused)
            .and_then(|()| self.dispatch(command, term));
        match done {
            Ok(outcome) => Ok(Executed::Done(outcome)),
            Err(Stop::Refused(error)) => {
                let changes = self.changes.max(self.course.done());
                assert_eq!(changes, 0, "refused ({error}) after changes: {command:?}");
                Ok(Executed::Done(Outcome::Refused(error)))
            }
            Err(Stop::Paused(unfinished)) => Ok(Executed::Paused(unfinished)),
            Err(Stop::Broken(error)) => Err(error),
        }
    }

    /// The entry is applied: what is true of the store from now on.
    pub(super) fn finish(mut self, applied: EntryId) {
        self.state.applied = applied;
        self.state.revision = self.revision();
        let ends = (applied, self.state.revision, self.state.compacted);
        self.hasher.update(&format::encode_plain(&ends));
        self.state.hash = self.hasher.finalize();
    }

    /// The revision as a reader inside the command sees it.
    pub(super) fn revision(&self) -> Revision {
        if self.changes == 0 { self.state.revision } else { self.state.revision.next() }
    }

    /// The place in history that has been reached.
    pub(super) fn here(&self) -> KeyRev {
        match self.changes.checked_sub(1) {
            None => KeyRev::end_of(self.state.revision),
            Some(sub) => KeyRev { main: self.state.revision.next(), sub },
        }
    }

    pub(super) fn view(&self) -> View<'_> {
        View { pending: self.pending, base: self.base }
    }

    fn check_alarms(&self, command: &Command) -> Result<(), Error> {
        let (puts, writes) = match command {
            Command::Put(_) | Command::LeaseGrant { .. } => (true, true),
            Command::DeleteRange(_) | Command::LeaseRevoke { .. } | Command::Compact { .. } => (false, true),
            Command::Txn(txn) => (txn.puts_at_top(), txn.writes()),
            _ => (false, false),
        };
        if writes && self.state.has_alarm(AlarmKind::Corrupt) {
            return Err(Error::Corrupt);
        }
        if puts && self.state.has_alarm(AlarmKind::NoSpace) {
            return Err(Error::NoSpace);
        }
        Ok(())
    }

    fn dispatch(&mut self, command: &Command, term: Term) -> Result<Outcome, Stop> {
        match command {
            Command::Put(put) => self.put_alone(put).map(Outcome::Put),
            Command::DeleteRange(delete) => Ok(Outcome::Delete(self.delete_range(delete)?)),
            Command::Txn(txn) => self.txn(txn).map(Outcome::Txn),
            Command::Compact { revision } => self.compact(*revision),
            Command::LeaseGrant { id, ttl_s } => self.grant(*id, *ttl_s),
            Command::LeaseRevoke { id, only_in } => self.revoke(*id, *only_in, term),
            Command::LeaseCheckpoint { leases, only_in } => self.checkpoint(leases, *only_in, term),
            Command::Alarm(alarm) => self.alarm(alarm),
            Command::Publish { member, name, client_urls, level, incarnation } => {
                self.change_member(*member, |row| {
                    let is_other = row.incarnation != 0 && row.incarnation != *incarnation;
                    (row.name, row.client_urls) = (name.clone(), client_urls.clone());
                    (row.level, row.incarnation) = (*level, *incarnation);
                    // Its data is gone, and what it voted for: nobody may go on under its id.
                    if is_other { Err(Error::MemberNotFound) } else { Ok(()) }
                })
            }
            Command::UpdateMember { member, peer_urls } => self.change_member(*member, |row| {
                row.peer_urls.clone_from(peer_urls);
                Ok(())
            }),
            Command::UpdateCluster(change) => self.update_cluster(change),
            Command::Identify { member, key, board } => self.change_member(*member, |row| {
                (row.key, row.board) = (key.clone(), board.clone());
                Ok(())
            }),
            Command::Autopilot(change) => self.set_autopilot(change),
            Command::Amend { members, since_s, board } => self.amend(members, *since_s, board.as_ref()),
            #[cfg(feature = "testing")]
            Command::Probe => Ok(Outcome::None),
        }
    }

    fn put_alone(&mut self, put: &PutRequest) -> Result<PutOutcome, Stop> {
        self.need_lease(put.lease)?;
        let before = self.view().live_at(&put.key, self.here())?;
        if before.is_none() && (put.ignore_value || put.ignore_lease) {
            return Err(Error::KeyNotFound.into());
        }
        Ok(self.put_over(put, before)?)
    }

    pub(super) fn need_lease(&self, id: LeaseId) -> Result<(), Stop> {
        if !id.is_none() && self.view().lease(id)?.is_none() {
            return Err(Error::LeaseNotFound.into());
        }
        Ok(())
    }

    /// A put whose needs have been checked.
    pub(super) fn put(&mut self, put: &PutRequest) -> Result<PutOutcome, StoreError> {
        // What is done is passed over, and not looked up again for nothing.
        let is_done = self.changes < self.course.done();
        let before =
            if is_done && !put.prev_kv { None } else { self.view().live_at(&put.key, self.here())? };
        self.put_over(put, before)
    }

    fn put_over(&mut self, put: &PutRequest, before: Option<Found>) -> Result<PutOutcome, StoreError> {
        let main = self.state.revision.next();
        if self.changes < self.course.done() {
            self.changes += 1;
        } else {
            self.make_put(put, before, main)?;
        }
        Ok(PutOutcome { revision: main, prev: before.filter(|_| put.prev_kv).map(|found| found.rev) })
    }

    fn make_put(
        &mut self,
        put: &PutRequest,
        before: Option<Found>,
        main: Revision,
    ) -> Result<(), StoreError> {
        let old = before.map(|found| found.version);
        let value = match &before {
            Some(found) if put.ignore_value => self.view().record_of(found)?.value.into(),
            _ => put.value.clone(),
        };
        let version = Version {
            tombstone: false,
            create: old.map_or(main, |old| old.create),
            version: old.map_or(1, |old| old.version.saturating_add(1)),
            lease: old.filter(|_| put.ignore_lease).map_or(put.lease, |old| old.lease),
        };
        let held_before = old.map_or(LeaseId::NONE, |old| old.lease);
        self.hold(&put.key, held_before, version.lease, FAR_APART);
        self.change(&put.key, &version, &value, FAR_APART);
        Ok(())
    }

    /// A key moves from one lease to another; `NONE` is no lease. `apart_bytes`: see `Layer::set`.
    pub(super) fn hold(&mut self, key: &[u8], before: LeaseId, after: LeaseId, apart_bytes: u64) {
        if before == after {
            return;
        }
        if !before.is_none() {
            self.set_near(Table::LeaseKeys, format::held_key(before, key), None, apart_bytes);
        }
        if !after.is_none() {
            self.set(Table::LeaseKeys, format::held_key(after, key), Some(Vec::new()));
        }
    }

    /// The next change of this command's revision.
    pub(super) fn change(&mut self, key: &[u8], version: &Version, value: &[u8], apart_bytes: u64) {
        let rev = KeyRev { main: self.state.revision.next(), sub: self.changes };
        let prefix = format::key_prefix(key);
        self.learned.changed(&prefix, version);
        let row = format::with_rev(prefix, rev);
        self.set_near(Table::Keys, row, Some(format::encode_version(version)), apart_bytes);
        let record = format::encode_record(rev, version, key, value);
        self.set(Table::Revs, format::rev_key(rev).to_vec(), Some(record));
        self.changes += 1;
    }

    /// Between two changes: closes a layer that is large enough, and pauses when it is time to, but never before
    /// something was done that had not been. `under_way`: the key that was deleted last, and how many have been.
    pub(super) fn breathe(&mut self, under_way: Option<(&[u8], u32)>) -> Result<(), Stop> {
        let changes = self.changes.saturating_sub(self.course.done());
        if changes == 0 {
            return Ok(());
        }
        let under_way = || under_way.map(|(key, deleted)| UnderWay { after: key.into(), deleted });
        if self.pace.closes_layer(self.pending) {
            let unfinished = Some(self.mark(under_way()));
            self.pending.seal(AsOf { state: self.state.clone(), unfinished });
        }
        if self.pace.pauses(self.pending, changes) {
            return Err(Stop::Paused(Box::new(self.mark(under_way()))));
        }
        Ok(())
    }

    fn mark(&self, under_way: Option<UnderWay>) -> Unfinished {
        self.course.mark(self.changes, self.hasher.clone().finalize(), under_way)
    }

    pub(super) fn set(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.set_near(table, key, value, FAR_APART);
    }

    fn set_near(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>, apart_bytes: u64) {
        let value_len = value.as_ref().map_or(u32::MAX, |value| value.len() as u32);
        self.hasher.update(&[table as u8]);
        self.hasher.update(&(key.len() as u32).to_le_bytes());
        self.hasher.update(&key);
        self.hasher.update(&value_len.to_le_bytes());
        self.hasher.update(value.as_deref().unwrap_or_default());
        self.pending.active.set(table, key, value, apart_bytes);
    }

    fn compact(&mut self, revision: Revision) -> Result<Outcome, Stop> {
        if revision <= self.state.compacted {
            return Err(Error::Compacted(self.state.compacted).into());
        }
        if revision > self.state.revision {
            return Err(Error::FutureRevision.into());
        }
        self.state.compacted = revision;
        Ok(Outcome::Compacted { revision: self.state.revision })
    }

    fn grant(&mut self, id: LeaseId, ttl_s: i64) -> Result<Outcome, Stop> {
        if self.view().lease(id)?.is_some() {
            return Err(Error::LeaseExists.into());
        }
        if self.state.leases as usize >= limits::LEASES_MAX {
            return Err(Error::TooManyLeases.into());
        }
        self.state.leases += 1;
        self.set_lease(id, &Lease { ttl_s, remaining_s: None });
        Ok(Outcome::LeaseGranted { revision: self.state.revision, id, ttl_s })
    }

    fn set_lease(&mut self, id: LeaseId, lease: &Lease) {
        self.set(Table::Leases, format::lease_key(id).to_vec(), Some(format::encode_plain(lease)));
    }

    /// Leases that are gone by now are passed over.
    fn checkpoint(
        &mut self,
        leases: &[LeaseRemaining],
        only_in: Option<Term>,
        term: Term,
    ) -> Result<Outcome, Stop> {
        need_term(only_in, term)?;
        for &LeaseRemaining { id, remaining_s } in leases {
            if let Some(lease) = self.view().lease(id)? {
                self.set_lease(id, &Lease { remaining_s: Some(remaining_s), ..lease });
            }
        }
        Ok(Outcome::LeasesCheckpointed { revision: self.state.revision })
    }

    fn alarm(&mut self, alarm: &AlarmRequest) -> Result<Outcome, Stop> {
        let named = (alarm.member, alarm.kind);
        let touched = match alarm.action {
            AlarmAction::Activate => {
                self.need_room_for(named)?;
                self.state.alarms.insert(named);
                true
            }
            AlarmAction::Deactivate => self.state.alarms.remove(&named),
        };
        self.hasher.update(&format::encode_plain(alarm));
        Ok(Outcome::Alarm { revision: self.state.revision, touched: touched.then_some(*alarm) })
    }

    fn need_room_for(&self, alarm: (NodeId, AlarmKind)) -> Result<(), Error> {
        let State { alarms, membership, .. } = &*self.state;
        let room =
            alarms.len() < limits::ALARMS_MAX || alarms.contains(&alarm) || membership.contains(alarm.0);
        if room { Ok(()) } else { Err(Error::TooManyAlarms) }
    }
}

/// What a leader proposed on its own account does not outlive its term.
pub(super) fn need_term(only_in: Option<Term>, term: Term) -> Result<(), Error> {
    if only_in.is_some_and(|only| only != term) { Err(Error::LeaderChanged) } else { Ok(()) }
}
