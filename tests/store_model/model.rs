//! The store as simple as it can be said: a list of all changes ever made, looked through from end to end.

use std::collections::{BTreeMap, BTreeSet};

use solder::{
    store::{self, Lease, RangeDone, RevRecord},
    types::*,
};

#[derive(Clone)]
pub(crate) struct Model {
    /// All changes, as they happened. Never compacted: only `compacted` says what may not be read.
    pub(crate) changes: Vec<RevRecord>,
    pub(crate) revision: Revision,
    pub(crate) compacted: Revision,
    pub(crate) leases: BTreeMap<LeaseId, Lease>,
    pub(crate) alarms: BTreeSet<(NodeId, AlarmKind)>,
    pub(crate) membership: Membership,
    pub(crate) members: BTreeMap<NodeId, Bytes>,
}

impl Model {
    pub(crate) fn new() -> Model {
        Model {
            changes: Vec::new(),
            revision: Revision(1),
            compacted: Revision(-1),
            leases: BTreeMap::new(),
            alarms: BTreeSet::new(),
            membership: Membership::of_voters([NodeId(1)]),
            members: BTreeMap::new(),
        }
    }

    pub(crate) fn end(&self) -> KeyRev {
        KeyRev::end_of(self.revision)
    }

    /// The newest change of a key that is not behind `at`, if it is a value.
    pub(crate) fn get(&self, key: &[u8], at: KeyRev) -> Option<&RevRecord> {
        let newest = self.changes.iter().rev().find(|change| change.rev <= at && change.key[..] == *key);
        newest.filter(|change| !change.tombstone)
    }

    pub(crate) fn all(&self, range: &KeyRange, at: KeyRev) -> Vec<RevRecord> {
        let mut newest = BTreeMap::new();
        for change in self.changes.iter().filter(|change| change.rev <= at && range.contains(&change.key)) {
            newest.insert(&change.key, change);
        }
        newest.into_values().filter(|change| !change.tombstone).cloned().collect()
    }

    /// etcd's server/etcdserver/txn/range.go, line by line.
    pub(crate) fn range(&self, RangeAt { request, at }: &RangeAt) -> (Vec<RevRecord>, RangeDone) {
        let mut rows = self.all(&request.range, *at);
        let count = rows.len() as u64;
        if request.count_only {
            return (Vec::new(), RangeDone { count, more: false });
        }
        let limit = usize::try_from(request.limit).ok().filter(|&limit| limit > 0);
        let bounds = [
            request.min_mod_revision,
            request.max_mod_revision,
            request.min_create_revision,
            request.max_create_revision,
        ];
        let fetch_all = request.sort_order != SortOrder::None || bounds.iter().any(|bound| bound.0 != 0);
        if let (Some(limit), false) = (limit, fetch_all) {
            rows.truncate(limit + 1);
        }
        let [min_mod, max_mod, min_create, max_create] = bounds;
        rows.retain(|row| max_mod.0 == 0 || row.rev.main <= max_mod);
        rows.retain(|row| min_mod.0 == 0 || row.rev.main >= min_mod);
        rows.retain(|row| max_create.0 == 0 || row.create <= max_create);
        rows.retain(|row| min_create.0 == 0 || row.create >= min_create);
        sort(&mut rows, request);
        let more = limit.is_some_and(|limit| rows.len() > limit);
        rows.truncate(limit.unwrap_or(usize::MAX));
        if request.keys_only {
            rows.iter_mut().for_each(|row| row.value = Bytes::new());
        }
        (rows, RangeDone { count, more })
    }

    pub(crate) fn history(&self, from: KeyRev, range: &KeyRange) -> Vec<RevRecord> {
        let wanted = self.changes.iter().filter(|change| change.rev >= from && range.contains(&change.key));
        wanted.cloned().collect()
    }

    pub(crate) fn lease_keys(&self, id: LeaseId) -> Vec<Bytes> {
        let all = self.all(&KeyRange::all(), self.end());
        all.into_iter().filter(|row| row.lease == id).map(|row| row.key).collect()
    }

    pub(crate) fn apply(&mut self, command: &Command, term: Term) -> Outcome {
        let before = self.changes.len();
        match store::check(command).and_then(|()| self.try_apply(command, term)) {
            Ok(outcome) => {
                if self.changes.len() > before {
                    self.revision = self.revision.next();
                }
                outcome
            }
            Err(error) => {
                assert_eq!(
                    self.changes.len(),
                    before,
                    "the model changed something and then refused: {error}"
                );
                Outcome::Refused(error)
            }
        }
    }

    pub(crate) fn change_members(&mut self, change: MembershipChange, info: &Bytes) {
        self.membership = self.membership.with(change).expect("a change that fits");
        match change {
            MembershipChange::AddVoter(id) | MembershipChange::AddLearner(id) => {
                self.members.insert(id, info.clone());
            }
            MembershipChange::Remove(id) => {
                self.members.remove(&id);
            }
            MembershipChange::Promote(id) | MembershipChange::Demote(id) => {
                if let Some(role) = RoleChange::decode(info) {
                    let mut row =
                        self.members.get(&id).and_then(|row| MemberRow::decode(row).ok()).unwrap_or_default();
                    row.since_s = role.since_s;
                    self.members.insert(id, row.encode());
                }
            }
        }
    }

    fn try_apply(&mut self, command: &Command, term: Term) -> Result<Outcome, Error> {
        self.check_alarms(command)?;
        let revision = self.revision;
        let stale = |only_in: &Option<Term>| only_in.is_some_and(|only| only != term);
        Ok(match command {
            Command::Put(put) => {
                if !put.lease.is_none() && !self.leases.contains_key(&put.lease) {
                    return Err(Error::LeaseNotFound);
                }
                if (put.ignore_lease || put.ignore_value) && self.get(&put.key, self.end()).is_none() {
                    return Err(Error::KeyNotFound);
                }
                Outcome::Put(self.put(put))
            }
            Command::DeleteRange(delete) => Outcome::Delete(self.delete(delete)),
            Command::Txn(txn) => {
                let before = self.clone();
                before.check_path(txn, true, &mut Vec::new())?;
                before.check_path(txn, false, &mut Vec::new())?;
                let (succeeded, parts) = self.run(txn, &before);
                Outcome::Txn(TxnOutcome { revision: self.here().0, succeeded, parts })
            }
            Command::Compact { revision: at } => {
                if *at <= self.compacted {
                    return Err(Error::Compacted(self.compacted));
                }
                if *at > revision {
                    return Err(Error::FutureRevision);
                }
                self.compacted = *at;
                Outcome::Compacted { revision }
            }
            Command::LeaseGrant { id, ttl_s } => {
                if self.leases.contains_key(id) {
                    return Err(Error::LeaseExists);
                }
                self.leases.insert(*id, Lease { ttl_s: *ttl_s, remaining_s: None });
                Outcome::LeaseGranted { revision, id: *id, ttl_s: *ttl_s }
            }
            Command::LeaseRevoke { only_in, .. } | Command::LeaseCheckpoint { only_in, .. }
                if stale(only_in) =>
            {
                return Err(Error::LeaderChanged);
            }
            Command::LeaseRevoke { id, .. } => {
                if !self.leases.contains_key(id) {
                    return Err(Error::LeaseNotFound);
                }
                for key in self.lease_keys(*id) {
                    self.remove(&key);
                }
                self.leases.remove(id);
                Outcome::LeaseRevoked { revision: self.here().0 }
            }
            Command::LeaseCheckpoint { leases, .. } => {
                for LeaseRemaining { id, remaining_s } in leases {
                    if let Some(lease) = self.leases.get_mut(id) {
                        lease.remaining_s = Some(*remaining_s);
                    }
                }
                Outcome::LeasesCheckpointed { revision }
            }
            Command::Alarm(alarm) => {
                let named = (alarm.member, alarm.kind);
                let touched = match alarm.action {
                    AlarmAction::Activate => {
                        self.alarms.insert(named);
                        true
                    }
                    AlarmAction::Deactivate => self.alarms.remove(&named),
                };
                Outcome::Alarm { revision, touched: touched.then_some(*alarm) }
            }
            Command::Publish { member, name, client_urls, level, incarnation } => {
                let mut row = self.member_row(*member)?;
                if ![0, *incarnation].contains(&row.incarnation) {
                    return Err(Error::MemberNotFound);
                }
                (row.name, row.client_urls, row.level) = (name.clone(), client_urls.clone(), *level);
                row.incarnation = *incarnation;
                self.members.insert(*member, row.encode());
                Outcome::ClusterChanged { revision }
            }
            Command::UpdateMember { member, peer_urls } => {
                let mut row = self.member_row(*member)?;
                row.peer_urls.clone_from(peer_urls);
                self.members.insert(*member, row.encode());
                Outcome::ClusterChanged { revision }
            }
            Command::Identify { member, key, board } => {
                let mut row = self.member_row(*member)?;
                (row.key, row.board) = (key.clone(), board.clone());
                self.members.insert(*member, row.encode());
                Outcome::ClusterChanged { revision }
            }
            Command::Autopilot(change) => {
                let mut row = self.cluster_row();
                let AutopilotChange { voters_max, replace_after_s, learners_max, forming } = *change;
                row.voters_max = voters_max.unwrap_or(row.voters_max);
                row.replace_after_s = replace_after_s.unwrap_or(row.replace_after_s);
                row.learners_max = learners_max.unwrap_or(row.learners_max);
                row.forming = forming.unwrap_or(row.forming);
                self.members.insert(NodeId(0), row.encode());
                Outcome::ClusterChanged { revision }
            }
            Command::Amend { members, since_s, board } => {
                for id in members {
                    let Ok(mut row) = self.member_row(*id) else { continue };
                    row.since_s = if row.since_s == 0 { since_s.unwrap_or_default() } else { row.since_s };
                    row.board = board.clone().unwrap_or(row.board);
                    self.members.insert(*id, row.encode());
                }
                Outcome::ClusterChanged { revision }
            }
            Command::UpdateCluster(ClusterChange { timeouts_ms, level }) => {
                let mut row = self.cluster_row();
                (row.heartbeat_ms, row.election_ms) =
                    timeouts_ms.unwrap_or((row.heartbeat_ms, row.election_ms));
                row.level = row.level.max(level.unwrap_or_default());
                self.members.insert(NodeId(0), row.encode());
                Outcome::ClusterChanged { revision }
            }
            Command::Probe => Outcome::None,
        })
    }

    fn cluster_row(&self) -> ClusterRow {
        let row = self.members.get(&NodeId(0)).map(|row| ClusterRow::decode(row).expect("a row"));
        row.unwrap_or_default()
    }

    fn member_row(&self, id: NodeId) -> Result<MemberRow, Error> {
        if !self.membership.contains(id) {
            return Err(Error::MemberNotFound);
        }
        Ok(self.members.get(&id).and_then(|row| MemberRow::decode(row).ok()).unwrap_or_default())
    }

    fn check_alarms(&self, command: &Command) -> Result<(), Error> {
        let on = |kind| self.alarms.iter().any(|alarm| alarm.1 == kind);
        let ops = |txn: &TxnRequest| txn.success.iter().chain(&txn.failure).cloned().collect::<Vec<_>>();
        let writes = match command {
            Command::Txn(txn) => ops(txn).iter().any(|op| !matches!(op, TxnOp::Range(_))),
            Command::Alarm(_) | Command::LeaseCheckpoint { .. } => false,
            // About members: etcd's applierV3Corrupt lets them through, too.
            Command::Publish { .. } | Command::UpdateMember { .. } | Command::UpdateCluster(_) => false,
            Command::Identify { .. } | Command::Autopilot(_) | Command::Amend { .. } => false,
            _ => true,
        };
        let puts = match command {
            Command::Txn(txn) => ops(txn).iter().any(|op| matches!(op, TxnOp::Put(_))),
            Command::Put(_) | Command::LeaseGrant { .. } => true,
            _ => false,
        };
        match () {
            () if writes && on(AlarmKind::Corrupt) => Err(Error::Corrupt),
            () if puts && on(AlarmKind::NoSpace) => Err(Error::NoSpace),
            () => Ok(()),
        }
    }

    /// The revision as a transaction's next operation sees it, and the place in history.
    fn here(&self) -> (Revision, KeyRev) {
        match self.changes.last() {
            Some(last) if last.rev.main > self.revision => (last.rev.main, last.rev),
            _ => (self.revision, self.end()),
        }
    }

    fn push(&mut self, change: RevRecord) {
        let main = self.revision.next();
        let sub = self.changes.iter().rev().take_while(|change| change.rev.main == main).count() as u32;
        self.changes.push(RevRecord { rev: KeyRev { main, sub }, ..change });
    }

    fn put(&mut self, put: &PutRequest) -> PutOutcome {
        let main = self.revision.next();
        let old = self.get(&put.key, self.here().1).cloned();
        self.push(RevRecord {
            rev: KeyRev::default(),
            key: put.key.clone(),
            value: if put.ignore_value {
                old.as_ref().expect("checked").value.clone()
            } else {
                put.value.clone()
            },
            create: old.as_ref().map_or(main, |old| old.create),
            version: old.as_ref().map_or(1, |old| old.version + 1),
            lease: if put.ignore_lease { old.as_ref().expect("checked").lease } else { put.lease },
            tombstone: false,
        });
        PutOutcome { revision: main, prev: old.filter(|_| put.prev_kv).map(|old| old.rev) }
    }

    fn remove(&mut self, key: &Bytes) {
        self.push(RevRecord {
            rev: KeyRev::default(),
            key: key.clone(),
            value: Bytes::new(),
            create: Revision(0),
            version: 0,
            lease: LeaseId::NONE,
            tombstone: true,
        });
    }

    fn delete(&mut self, delete: &DeleteRangeRequest) -> DeleteOutcome {
        let at = self.here().1;
        let rows = self.all(&delete.range, at);
        rows.iter().for_each(|row| self.remove(&row.key));
        let request = RangeRequest { range: delete.range.clone(), ..RangeRequest::default() };
        let prev = (delete.prev_kv && !rows.is_empty()).then_some(RangeAt { request, at });
        DeleteOutcome { revision: self.here().0, deleted: rows.len() as u64, prev }
    }

    fn branch<'r>(&self, txn: &'r TxnRequest) -> (bool, &'r [TxnOp]) {
        let succeeded = txn.compare.iter().all(|compare| self.compare(compare));
        (succeeded, if succeeded { &txn.success } else { &txn.failure })
    }

    /// `emptied`: a delete without end has taken all keys from here on.
    fn check_path<'r>(
        &self,
        txn: &'r TxnRequest,
        puts: bool,
        emptied: &mut Vec<&'r Bytes>,
    ) -> Result<(), Error> {
        for op in self.branch(txn).1 {
            match op {
                TxnOp::Txn(inner) => self.check_path(inner, puts, emptied)?,
                TxnOp::DeleteRange(delete) if delete.range.range_end[..] == [0] => {
                    emptied.push(&delete.range.key)
                }
                TxnOp::Put(put) if puts => {
                    let is_gone = emptied.iter().any(|from| put.key >= **from)
                        || self.get(&put.key, self.end()).is_none();
                    if (put.ignore_value || put.ignore_lease) && is_gone {
                        return Err(Error::KeyNotFound);
                    }
                    if !put.lease.is_none() && !self.leases.contains_key(&put.lease) {
                        return Err(Error::LeaseNotFound);
                    }
                }
                TxnOp::Range(range) if !puts && range.revision.0 != 0 => {
                    if range.revision > self.revision {
                        return Err(Error::FutureRevision);
                    }
                    if range.revision < self.compacted {
                        return Err(Error::Compacted(self.compacted));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn run(&mut self, txn: &TxnRequest, before: &Model) -> (bool, Vec<TxnPart>) {
        let (succeeded, ops) = before.branch(txn);
        let mut parts = Vec::new();
        for op in ops {
            parts.push(match op {
                TxnOp::Range(request) => {
                    let (revision, here) = self.here();
                    let at = if request.revision.0 > 0 { KeyRev::end_of(request.revision) } else { here };
                    TxnPart::Range { revision, range: RangeAt { request: request.clone(), at } }
                }
                TxnOp::Put(put) => TxnPart::Put(self.put(put)),
                TxnOp::DeleteRange(delete) => TxnPart::Delete(self.delete(delete)),
                TxnOp::Txn(inner) => {
                    let (succeeded, parts) = self.run(inner, before);
                    TxnPart::Txn { succeeded, parts }
                }
            });
        }
        (succeeded, parts)
    }

    fn compare(&self, compare: &Compare) -> bool {
        let rows = self.all(&compare.range, self.end());
        let holds = |row: Option<&RevRecord>| {
            let order = match &compare.value {
                CompareValue::Version(given) => row.map_or(0, |row| row.version).cmp(given),
                CompareValue::Create(given) => row.map_or(Revision(0), |row| row.create).cmp(given),
                CompareValue::Mod(given) => row.map_or(Revision(0), |row| row.rev.main).cmp(given),
                CompareValue::Lease(given) => row.map_or(LeaseId(0), |row| row.lease).cmp(given),
                CompareValue::Value(given) => match row {
                    Some(row) => row.value.cmp(given),
                    None => return false,
                },
            };
            match compare.result {
                CompareResult::Equal => order.is_eq(),
                CompareResult::Greater => order.is_gt(),
                CompareResult::Less => order.is_lt(),
                CompareResult::NotEqual => order.is_ne(),
                CompareResult::Unknown => true,
            }
        };
        if rows.is_empty() { holds(None) } else { rows.iter().all(|row| holds(Some(row))) }
    }
}

fn sort(rows: &mut [RevRecord], request: &RangeRequest) {
    let descend = request.sort_order == SortOrder::Descend;
    if request.sort_order == SortOrder::None && request.sort_target == SortTarget::Key {
        return;
    }
    rows.sort_by(|a, b| {
        let order = match request.sort_target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create.cmp(&b.create),
            SortTarget::Mod => a.rev.main.cmp(&b.rev.main),
            SortTarget::Value => a.value.cmp(&b.value),
        };
        if descend { order.reverse() } else { order }
    });
}
