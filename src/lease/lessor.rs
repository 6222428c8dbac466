//! The lessor: counts the time of leases while its member leads.

use std::{collections::BTreeMap, time::Duration};

use crate::types::{Command, LeaseId, LeaseRemaining, Term};

use super::{Change, Options, PACE, queue::Queue};

/// Of a very long lease a hundredth may be given twice: an idle board need not write every five minutes to say that a week has
/// not passed.
const LONGEST_SHARE: u32 = 100;

pub struct Lessor {
    options: Options,
    leases: BTreeMap<LeaseId, Lease>,
    /// The term that it leads in.
    leads: Option<Term>,
    /// When leases run out; those about to be revoked are not in it.
    expiring: Queue,
    /// When long leases are to be recorded.
    recording: Queue,
    /// Revocations proposed since then.
    pace: (Duration, usize),
}

struct Lease {
    ttl_s: i64,
    /// What the next leader would count from, if less than all.
    recorded_s: Option<i64>,
    /// A leader's count: when it runs out.
    ends: Duration,
    /// Where it stands in `expiring` and `recording`.
    expires: Option<Duration>,
    records: Option<Duration>,
    /// Records of it that were proposed, and are neither applied nor refused.
    records_under_way: u32,
}

/// What came of the wish to renew a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// For so many seconds.
    Renewed(i64),
    /// It will be, for so many seconds, once this is applied: less than all is recorded.
    Record(i64, Command),
    /// It has run out; that is true for all once its revocation is applied. Wait until it is gone, or nobody leads here.
    Expiring,
    /// There is no such lease.
    Unknown,
    NotLeading,
}

impl Lessor {
    pub fn new(options: Options) -> Lessor {
        Lessor {
            options,
            leases: BTreeMap::new(),
            leads: None,
            expiring: Queue::default(),
            recording: Queue::default(),
            pace: (Duration::ZERO, 0),
        }
    }

    /// The TTL that is granted to who asks for one. What is too long is for the store to refuse.
    pub fn ttl_s(&self, asked_s: i64) -> i64 {
        asked_s.max(self.options.ttl_min_s)
    }

    /// Of leases that are granted from now on.
    pub fn set_ttl_min(&mut self, ttl_min_s: i64) {
        self.options.ttl_min_s = ttl_min_s;
    }

    /// These are all leases there are: id, full TTL, and what is recorded of it. Nobody leads.
    pub fn restore(&mut self, leases: impl IntoIterator<Item = (LeaseId, i64, Option<i64>)>) {
        self.demote();
        self.leases.clear();
        for (id, ttl_s, recorded_s) in leases {
            let lease =
                Lease { recorded_s: recorded_s.filter(|&left_s| left_s < ttl_s), ..Lease::new(ttl_s) };
            self.leases.insert(id, lease);
        }
    }

    /// This member leads, and serves, from now on. What was proposed in earlier terms has been applied, or never will be.
    pub fn promote(&mut self, term: Term, now: Duration) {
        self.demote();
        self.leads = Some(term);
        for id in self.leases.keys().copied().collect::<Vec<_>>() {
            let lease = &self.leases[&id];
            let left_s = lease.recorded_s.unwrap_or(lease.ttl_s);
            self.count(id, left_s, now);
        }
    }

    /// This member does not lead any more: what it counted is void.
    pub fn demote(&mut self) {
        self.leads = None;
        self.expiring.clear();
        self.recording.clear();
        for lease in self.leases.values_mut() {
            (lease.expires, lease.records, lease.records_under_way) = (None, None, 0);
        }
    }

    pub fn applied(&mut self, change: &Change, now: Duration) {
        match change {
            Change::Granted { id, ttl_s } => self.granted(*id, *ttl_s, now),
            Change::Revoked { id } => self.revoked(*id),
            Change::Recorded(leases) => {
                for &LeaseRemaining { id, remaining_s } in leases {
                    self.recorded(id, remaining_s, now);
                }
            }
        }
    }

    fn granted(&mut self, id: LeaseId, ttl_s: i64, now: Duration) {
        let before = self.leases.insert(id, Lease::new(ttl_s));
        assert!(before.is_none(), "lease {id} was granted twice");
        if self.leads.is_some() {
            self.count(id, ttl_s, now);
        }
    }

    fn revoked(&mut self, id: LeaseId) {
        let lease =
            self.leases.remove(&id).unwrap_or_else(|| panic!("lease {id} was revoked and is not there"));
        self.expiring.shift(id, lease.expires, None);
        self.recording.shift(id, lease.records, None);
    }

    /// Leases that are gone by now are passed over.
    fn recorded(&mut self, id: LeaseId, remaining_s: i64, now: Duration) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        lease.recorded_s = Some(remaining_s).filter(|&left_s| left_s < lease.ttl_s);
        lease.records_under_way = lease.records_under_way.saturating_sub(1);
        if self.leads.is_some() {
            self.plan_record(id, now);
        }
    }

    /// From now on a lease has so much left.
    fn count(&mut self, id: LeaseId, left_s: i64, now: Duration) {
        let ends = now + seconds(left_s);
        let lease = self.leases.get_mut(&id).expect("a lease that is there");
        lease.ends = ends;
        self.expiring.shift(id, lease.expires.replace(ends), Some(ends));
        self.plan_record(id, now);
    }

    /// A lease with much left is recorded in a while: the longer it lives, the less often.
    fn plan_record(&mut self, id: LeaseId, now: Duration) {
        let lease = self.leases.get_mut(&id).expect("a lease that is there");
        let interval = self.options.checkpoint_interval.max(seconds(lease.ttl_s) / LONGEST_SHARE);
        let due = (lease.ends > now + interval).then_some(now + interval);
        self.recording.shift(id, std::mem::replace(&mut lease.records, due), due);
    }

    pub fn keep_alive(&mut self, id: LeaseId, now: Duration) -> Renewal {
        let Some(term) = self.leads else { return Renewal::NotLeading };
        let Some(lease) = self.leases.get_mut(&id) else { return Renewal::Unknown };
        let ttl_s = lease.ttl_s;
        let to_record = lease.recorded_s.is_some() || lease.records_under_way > 0;
        if lease.has_ended(now) {
            return Renewal::Expiring;
        }
        lease.records_under_way += u32::from(to_record);
        self.count(id, ttl_s, now);
        if !to_record {
            return Renewal::Renewed(ttl_s);
        }
        let full = LeaseRemaining { id, remaining_s: ttl_s };
        Renewal::Record(ttl_s, Command::LeaseCheckpoint { leases: vec![full], only_in: Some(term) })
    }

    /// What is to be proposed now. Nothing is proposed again unless `refused` says that it came to nothing; a proposal of
    /// which nothing is known is in the log, or its term is over.
    pub fn due(&mut self, now: Duration) -> Vec<Command> {
        let Some(term) = self.leads else { return Vec::new() };
        let mut commands = self.due_revokes(term, now);
        commands.extend(self.due_records(term, now));
        commands
    }

    fn due_revokes(&mut self, term: Term, now: Duration) -> Vec<Command> {
        if now >= self.pace.0 + PACE {
            self.pace = (now, 0);
        }
        let room = self.options.revokes_per_pace_max - self.pace.1;
        let ended: Vec<LeaseId> = self.expiring.until(now).take(room).collect();
        self.pace.1 += ended.len();
        for &id in &ended {
            let lease = self.leases.get_mut(&id).expect("a lease that is there");
            self.expiring.shift(id, lease.expires.take(), None);
            self.recording.shift(id, lease.records.take(), None);
        }
        ended.into_iter().map(|id| Command::LeaseRevoke { id, only_in: Some(term) }).collect()
    }

    fn due_records(&mut self, term: Term, now: Duration) -> Vec<Command> {
        if self.recording.first().is_none_or(|(due, _)| due > now) {
            return Vec::new();
        }
        let together: Vec<LeaseId> = self.recording.until(now + self.options.checkpoint_together).collect();
        let mut records = Vec::with_capacity(together.len());
        for id in together {
            let lease = self.leases.get_mut(&id).expect("a lease that is there");
            self.recording.shift(id, lease.records.take(), None);
            lease.records_under_way += 1;
            records.push(LeaseRemaining { id, remaining_s: lease.left_s_ceil(now) });
        }
        let batches = records.chunks(self.options.checkpoint_leases_max);
        batches.map(|some| Command::LeaseCheckpoint { leases: some.to_vec(), only_in: Some(term) }).collect()
    }

    /// What `due` or `keep_alive` said to propose was refused for certain: it did not happen, and will not. What is still to
    /// be done is due again at `again`.
    pub fn refused(&mut self, command: &Command, again: Duration) {
        if self.leads.is_none() {
            return;
        }
        match command {
            Command::LeaseRevoke { id, only_in } if *only_in == self.leads => self.not_revoked(*id, again),
            Command::LeaseCheckpoint { leases, only_in } if *only_in == self.leads => {
                for lease in leases {
                    self.not_recorded(lease, again);
                }
            }
            _ => {}
        }
    }

    fn not_revoked(&mut self, id: LeaseId, again: Duration) {
        let Some(lease) = self.leases.get_mut(&id).filter(|lease| lease.expires.is_none()) else { return };
        lease.expires = Some(again);
        self.expiring.shift(id, None, lease.expires);
    }

    fn not_recorded(&mut self, record: &LeaseRemaining, again: Duration) {
        let Some(lease) = self.leases.get_mut(&record.id) else { return };
        lease.records_under_way = lease.records_under_way.saturating_sub(1);
        let renewed_since = lease.records.is_some() || record.remaining_s >= lease.ttl_s;
        if lease.expires.is_some() && !renewed_since {
            lease.records = Some(again);
            self.recording.shift(record.id, None, lease.records);
        }
    }

    /// When `due` has something to say.
    pub fn deadline(&self) -> Option<Duration> {
        let (pace, proposed) = self.pace;
        let next_ration =
            if proposed >= self.options.revokes_per_pace_max { pace + PACE } else { Duration::ZERO };
        let revoke = self.expiring.first().map(|(moment, _)| moment.max(next_ration));
        let record = self.recording.first().map(|(moment, _)| moment);
        revoke.into_iter().chain(record).min()
    }

    /// The term that it leads in.
    pub fn leads(&self) -> Option<Term> {
        self.leads
    }

    /// Has it run out, and is still there?
    pub fn is_expiring(&self, id: LeaseId, now: Duration) -> bool {
        self.leads.is_some() && self.leases.get(&id).is_some_and(|lease| lease.has_ended(now))
    }

    pub fn len(&self) -> usize {
        self.leases.len()
    }

    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// What a lease has left, and its full TTL in seconds. Only who leads knows what is left.
    pub fn time_left(&self, id: LeaseId, now: Duration) -> Option<(Duration, i64)> {
        let lease = self.leases.get(&id)?;
        Some((lease.ends.saturating_sub(now), lease.ttl_s))
    }

    /// All leases, in order of expiry.
    pub fn ids(&self) -> Vec<LeaseId> {
        let mut all: Vec<(Duration, LeaseId)> =
            self.leases.iter().map(|(id, lease)| (lease.ends, *id)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }
}

impl Lease {
    fn new(ttl_s: i64) -> Lease {
        Lease {
            ttl_s,
            recorded_s: None,
            ends: Duration::ZERO,
            expires: None,
            records: None,
            records_under_way: 0,
        }
    }

    fn has_ended(&self, now: Duration) -> bool {
        self.ends <= now
    }

    /// In whole seconds, rather too many than too few.
    fn left_s_ceil(&self, now: Duration) -> i64 {
        let left = self.ends.saturating_sub(now);
        left.as_secs() as i64 + i64::from(left.subsec_nanos() > 0)
    }
}

fn seconds(number: i64) -> Duration {
    Duration::from_secs(u64::try_from(number).unwrap_or(0))
}
