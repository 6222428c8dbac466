//! The lessor: its rules one by one, and at random against a model of what clients were promised.
//!
//! `SEED=n cargo test --test lease random` repeats one run; `SEEDS=n` makes so many.

#[path = "seeds/mod.rs"]
pub mod seeds;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use solder::{
    lease::{self, Change, Lessor, Options, Renewal},
    types::{Command, LeaseId, LeaseRemaining, Outcome, Revision, Term},
};

const TERM: Term = Term(3);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn granted(id: i64, ttl_s: i64) -> Change {
    Change::Granted { id: LeaseId(id), ttl_s }
}

fn revoke(id: i64) -> Command {
    Command::LeaseRevoke { id: LeaseId(id), only_in: Some(TERM) }
}

fn record(leases: &[(i64, i64)]) -> Command {
    let leases = leases.iter().map(|&(id, remaining_s)| LeaseRemaining { id: LeaseId(id), remaining_s });
    Command::LeaseCheckpoint { leases: leases.collect(), only_in: Some(TERM) }
}

fn recorded(command: &Command) -> Change {
    match command {
        Command::LeaseCheckpoint { leases, .. } => Change::Recorded(leases.clone()),
        other => panic!("{other:?} records nothing"),
    }
}

/// Leads since 0.
fn lessor() -> Lessor {
    let mut lessor = Lessor::new(Options::default());
    lessor.promote(TERM, s(0));
    lessor
}

#[test]
fn a_lease_runs_out_on_time_and_is_revoked_once() {
    let mut lessor = lessor();
    lessor.applied(&granted(1, 5), s(1));
    lessor.applied(&granted(2, 4), s(3));
    assert_eq!(lessor.ids(), [LeaseId(1), LeaseId(2)]);
    assert_eq!(lessor.deadline(), Some(s(6)));
    assert_eq!(lessor.due(s(6) - Duration::from_nanos(1)), []);
    assert_eq!(lessor.due(s(6)), [revoke(1)]);
    assert_eq!((lessor.due(s(6)), lessor.deadline()), (vec![], Some(s(7))));
    lessor.applied(&Change::Revoked { id: LeaseId(1) }, s(6));
    assert_eq!(lessor.time_left(LeaseId(1), s(6)), None);
    assert_eq!(lessor.time_left(LeaseId(2), s(6)), Some((s(1), 4)));
}

#[test]
fn what_was_refused_is_proposed_again_and_what_is_unknown_is_not() {
    let mut lessor = lessor();
    lessor.applied(&granted(1, 5), s(0));
    assert_eq!(lessor.due(s(5)), [revoke(1)]);
    lessor.refused(&revoke(1), ms(5100));
    assert_eq!((lessor.due(ms(5099)), lessor.deadline()), (vec![], Some(ms(5100))));
    assert_eq!(lessor.due(ms(5100)), [revoke(1)]);
    assert_eq!((lessor.due(s(1000)), lessor.deadline()), (vec![], None));
    // The word of another term says nothing about this one.
    lessor.refused(&Command::LeaseRevoke { id: LeaseId(1), only_in: Some(Term(2)) }, s(1001));
    assert_eq!(lessor.due(s(2000)), []);
}

#[test]
fn who_asks_for_little_gets_the_minimum() {
    assert_eq!([-1, 0, 1, 2, 3].map(|asked| lessor().ttl_s(asked)), [2, 2, 2, 2, 3]);
    assert_eq!([100, 1000, 1400].map(|election| lease::ttl_min_s(ms(election))), [1, 2, 3]);
}

#[test]
fn keeping_alive_writes_nothing() {
    let mut lessor = lessor();
    lessor.applied(&granted(1, 5), s(0));
    lessor.applied(&granted(2, 5000), s(0));
    for second in (4..4000).step_by(4) {
        assert_eq!(lessor.keep_alive(LeaseId(1), s(second)), Renewal::Renewed(5));
        assert_eq!(lessor.keep_alive(LeaseId(2), s(second)), Renewal::Renewed(5000));
        assert_eq!(lessor.due(s(second)), []);
    }
    assert_eq!(lessor.keep_alive(LeaseId(9), s(0)), Renewal::Unknown);
}

/// etcd#15247: a client is told that its lease is gone only when it is, and never that it lives when it may be revoked.
#[test]
fn a_lease_that_has_run_out_is_not_renewed() {
    let mut lessor = lessor();
    lessor.applied(&granted(1, 5), s(0));
    assert_eq!(lessor.keep_alive(LeaseId(1), s(5)), Renewal::Expiring, "before it is proposed, too");
    assert_eq!(lessor.due(s(5)), [revoke(1)]);
    assert_eq!(lessor.keep_alive(LeaseId(1), s(5)), Renewal::Expiring);
    assert!(lessor.is_expiring(LeaseId(1), s(5)));
    lessor.demote();
    assert!(!lessor.is_expiring(LeaseId(1), s(5)));
    assert_eq!(lessor.keep_alive(LeaseId(1), s(5)), Renewal::NotLeading);
    assert_eq!((lessor.due(s(9)), lessor.deadline()), (vec![], None), "who does not lead proposes nothing");
}

#[test]
fn long_leases_are_recorded_together() {
    let mut lessor = lessor();
    lessor.applied(&granted(1, 300), s(0));
    lessor.applied(&granted(2, 1000), s(10));
    lessor.applied(&granted(3, 2000), s(60));
    lessor.applied(&granted(4, 3000), s(100));
    // Lease 1 has run out before the first is due.
    assert_eq!(lessor.due(s(300)), [revoke(1)]);
    assert_eq!(lessor.deadline(), Some(s(310)));
    let first = record(&[(2, 700), (3, 1750)]);
    assert_eq!(lessor.due(s(310)), std::slice::from_ref(&first));
    assert_eq!(lessor.deadline(), Some(s(400)));
    lessor.applied(&recorded(&first), s(311));
    assert_eq!(lessor.due(ms(400_500)), [record(&[(4, 2700)])], "rather too much than too little");
    // Recorded once more as long as much is left.
    assert_eq!(lessor.due(s(611)), [record(&[(2, 399), (3, 1449)])]);
}

#[test]
fn a_lease_that_is_recorded_is_recorded_anew_when_it_is_renewed() {
    let mut lessor = lessor();
    lessor.applied(&granted(1, 1000), s(0));
    let less = record(&[(1, 700)]);
    assert_eq!(lessor.due(s(300)), std::slice::from_ref(&less));
    // It may be recorded already, though this is not known yet.
    let full = record(&[(1, 1000)]);
    assert_eq!(lessor.keep_alive(LeaseId(1), s(301)), Renewal::Record(1000, full.clone()));
    lessor.applied(&recorded(&less), s(302));
    assert_eq!(lessor.keep_alive(LeaseId(1), s(302)), Renewal::Record(1000, full.clone()));
    lessor.applied(&recorded(&full), s(303));
    lessor.applied(&recorded(&full), s(303));
    assert_eq!(lessor.keep_alive(LeaseId(1), s(304)), Renewal::Renewed(1000));
    // What was refused is not recorded.
    assert_eq!(lessor.due(s(604)), [record(&[(1, 700)])]);
    lessor.refused(&record(&[(1, 700)]), ms(604_100));
    assert_eq!(lessor.due(ms(604_100)), [record(&[(1, 700)])]);
    lessor.refused(&record(&[(1, 700)]), ms(604_200));
    assert_eq!(lessor.keep_alive(LeaseId(1), ms(604_150)), Renewal::Renewed(1000));
}

#[test]
fn who_begins_to_lead_counts_from_what_is_recorded() {
    let mut lessor = Lessor::new(Options::default());
    lessor.restore([(LeaseId(1), 5, None), (LeaseId(2), 1000, Some(7)), (LeaseId(3), 6, Some(100))]);
    assert_eq!((lessor.due(s(50)), lessor.deadline()), (vec![], None));
    lessor.promote(TERM, s(100));
    assert_eq!(lessor.ids(), [LeaseId(1), LeaseId(3), LeaseId(2)]);
    let left = [1, 2, 3].map(|id| lessor.time_left(LeaseId(id), s(100)).expect("it is there").0);
    assert_eq!(left, [s(5), s(7), s(6)], "at most the full TTL");
    // A new term counts anew.
    lessor.promote(Term(4), s(103));
    assert_eq!(lessor.deadline(), Some(s(108)));
}

#[test]
fn revocations_come_a_thousand_a_second() {
    let mut lessor = lessor();
    for id in 1..=2500 {
        lessor.applied(&granted(id, 10), s(0));
    }
    let (mut now, mut revoked) = (s(10), 0);
    while let Some(deadline) = lessor.deadline() {
        now = now.max(deadline);
        let due = lessor.due(now);
        assert!(!due.is_empty() && due.len() <= 100, "{} at {now:?}", due.len());
        revoked += due.len();
    }
    assert_eq!((revoked, now), (2500, s(10) + ms(2400)));
}

#[test]
fn as_many_leases_as_there_may_be() {
    let mut lessor = Lessor::new(Options::default());
    lessor.restore((1..=65_536).map(|id| (LeaseId(id), 100 + id % 1000, None)));
    lessor.promote(TERM, s(0));
    for id in 1..=65_536 {
        assert!(matches!(lessor.keep_alive(LeaseId(id), s(50)), Renewal::Renewed(_)));
    }
    assert_eq!(lessor.deadline(), Some(s(150)));
    assert_eq!(lessor.ids().len(), 65_536);
    let long = (1..=65_536).filter(|id| 100 + id % 1000 > 300).count();
    assert_eq!(
        lessor.due(s(350)).len(),
        100 + long.div_ceil(1000),
        "a ration of revocations, and what to record"
    );
}

#[test]
fn what_a_command_did_to_leases() {
    let revision = Revision(1);
    let grant = Command::LeaseGrant { id: LeaseId(1), ttl_s: 2 }.encode();
    let done = Outcome::LeaseGranted { revision, id: LeaseId(1), ttl_s: 2 };
    assert_eq!(Change::of(&grant, &done), Some(granted(1, 2)));
    assert_eq!(
        Change::of(&revoke(1).encode(), &Outcome::LeaseRevoked { revision }),
        Some(Change::Revoked { id: LeaseId(1) })
    );
    let full = record(&[(1, 2)]);
    assert_eq!(Change::of(&full.encode(), &Outcome::LeasesCheckpointed { revision }), Some(recorded(&full)));
    let refused = Outcome::Refused(solder::types::Error::LeaseNotFound);
    assert_eq!(Change::of(&revoke(1).encode(), &refused), None);
}

#[test]
fn random() {
    let mut seen = Seen::default();
    for seed in seeds::asked_for(0..300) {
        let run = std::panic::catch_unwind(|| {
            let mut board = Board::new(seed);
            (0..1500).for_each(|_| board.step());
            board.seen
        });
        let run = run.unwrap_or_else(|cause| {
            eprintln!("repeat it with: SEED={seed} cargo test --test lease random");
            std::panic::resume_unwind(cause)
        });
        seen.revoked += run.revoked;
        seen.restarts += run.restarts;
        seen.recorded += run.recorded;
    }
    let Seen { revoked, restarts, recorded } = seen;
    assert!(
        revoked > 10 && restarts > 3 && recorded > 3,
        "{revoked}, {restarts}, {recorded}: that tries little"
    );
}

#[derive(Default)]
struct Seen {
    revoked: usize,
    restarts: usize,
    recorded: usize,
}

fn revokes(command: &Command) -> Option<LeaseId> {
    match command {
        Command::LeaseRevoke { id, .. } => Some(*id),
        _ => None,
    }
}

/// A board that proposes, applies late, refuses, crashes and starts again.
struct Board {
    rng: fastrand::Rng,
    options: Options,
    lessor: Lessor,
    now: Duration,
    term: Term,
    next_id: i64,
    /// Applied: id, TTL, what is recorded.
    store: BTreeMap<LeaseId, (i64, Option<i64>)>,
    /// Proposed, to be applied in this order. What a keep-alive waits for is told with it.
    log: VecDeque<(Command, Option<Duration>)>,
    /// Until when, by this board's clock, clients may count on a lease.
    promised: BTreeMap<LeaseId, Duration>,
    /// By when it must be gone, if nobody renews it.
    at_most: BTreeMap<LeaseId, Duration>,
    seen: Seen,
}

/// What refusals, rations and the size of a step may add until it is in the log.
const SLACK: Duration = Duration::from_secs(20);

impl Board {
    fn new(seed: u64) -> Board {
        let rng = fastrand::Rng::with_seed(seed);
        let options = Options {
            checkpoint_interval: s(30),
            checkpoint_together: s(5),
            checkpoint_leases_max: 3,
            revokes_per_pace_max: 2,
            ..Options::default()
        };
        let mut lessor = Lessor::new(options);
        lessor.promote(Term(1), s(0));
        Board {
            rng,
            options,
            lessor,
            now: s(0),
            term: Term(1),
            next_id: 1,
            store: BTreeMap::new(),
            log: VecDeque::new(),
            promised: BTreeMap::new(),
            at_most: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    fn step(&mut self) {
        match self.rng.u32(..100) {
            0..10 => {
                let ttl_s = [2, 5, 20, 31, 60, 300][self.rng.usize(..6)];
                self.log.push_back((Command::LeaseGrant { id: LeaseId(self.next_id), ttl_s }, None));
                self.next_id += 1;
            }
            10..30 => self.keep_alive(),
            30..32 => {
                if let Some(id) = self.some_lease() {
                    self.log.push_back((Command::LeaseRevoke { id, only_in: None }, None));
                }
            }
            32..33 => self.restart(),
            33..55 => self.apply(),
            _ => self.pass(),
        }
        self.propose_due();
        for (id, at_most) in &self.at_most {
            let late = self.now > *at_most + SLACK;
            let proposed = || self.log.iter().any(|(command, _)| revokes(command) == Some(*id));
            assert!(!late || proposed(), "lease {id} lives at {:?}, it was to end at {at_most:?}", self.now);
        }
    }

    fn some_lease(&mut self) -> Option<LeaseId> {
        let place = self.rng.usize(..self.store.len().max(1));
        self.store.keys().nth(place).copied()
    }

    fn pass(&mut self) {
        let most = [10, 500, 3000][self.rng.usize(..3)];
        self.now += ms(self.rng.u64(..most));
    }

    fn propose_due(&mut self) {
        for command in self.lessor.due(self.now) {
            if let Command::LeaseRevoke { id, only_in } = &command {
                assert_eq!(*only_in, Some(self.term));
                assert!(
                    self.promised[id] <= self.now,
                    "{id} is promised until {:?}, not {:?}",
                    self.promised[id],
                    self.now
                );
                let twice = self.log.iter().any(|(other, _)| *other == command);
                assert!(!twice, "{command:?} is under way already");
            }
            self.propose(command, None);
        }
        let overdue = self.lessor.deadline().is_some_and(|deadline| deadline <= self.now);
        assert!(!overdue, "nothing more is due now, but {:?} <= {:?}", self.lessor.deadline(), self.now);
    }

    /// The log takes it, or refuses at once.
    fn propose(&mut self, command: Command, renewed: Option<Duration>) {
        if self.rng.u8(..10) == 0 {
            self.lessor.refused(&command, self.now + ms(100));
        } else {
            self.log.push_back((command, renewed));
        }
    }

    fn keep_alive(&mut self) {
        let Some(id) = self.some_lease() else { return };
        match self.lessor.keep_alive(id, self.now) {
            Renewal::Renewed(ttl_s) => {
                let (recorded_ttl_s, recorded) = self.store[&id];
                assert_eq!((ttl_s, recorded), (recorded_ttl_s, None));
                self.promise(id, self.now, ttl_s);
            }
            Renewal::Record(ttl_s, command) => {
                let until = self.now + s(ttl_s as u64);
                self.at_most.insert(id, until);
                self.propose(command, Some(until));
            }
            Renewal::Expiring => assert!(self.promised[&id] <= self.now),
            other => panic!("{id} is there, and we lead: {other:?}"),
        }
    }

    fn promise(&mut self, id: LeaseId, from: Duration, ttl_s: i64) {
        let until = from + s(ttl_s as u64);
        self.promised.insert(id, until);
        self.at_most.insert(id, until);
    }

    fn apply(&mut self) {
        for _ in 0..self.rng.usize(1..6) {
            let Some((command, renewed)) = self.log.pop_front() else { return };
            self.apply_one(command, renewed);
        }
    }

    fn apply_one(&mut self, command: Command, renewed: Option<Duration>) {
        let change = match &command {
            Command::LeaseGrant { id, ttl_s } => {
                self.store.insert(*id, (*ttl_s, None));
                self.promise(*id, self.now, *ttl_s);
                granted(id.0, *ttl_s)
            }
            Command::LeaseRevoke { id, only_in } => {
                if self.store.remove(id).is_none() {
                    return self.lessor.refused(&command, self.now + s(60));
                }
                self.seen.revoked += usize::from(only_in.is_some());
                self.promised.remove(id);
                self.at_most.remove(id);
                Change::Revoked { id: *id }
            }
            command => {
                self.record(command, renewed);
                recorded(command)
            }
        };
        self.lessor.applied(&change, self.now);
    }

    fn record(&mut self, command: &Command, renewed: Option<Duration>) {
        let Command::LeaseCheckpoint { leases, .. } = command else { panic!("{command:?}") };
        for &LeaseRemaining { id, remaining_s } in leases {
            let Some(lease) = self.store.get_mut(&id) else { continue };
            lease.1 = Some(remaining_s).filter(|&left_s| left_s < lease.0);
            self.seen.recorded += usize::from(renewed.is_none());
            if let Some(until) = renewed {
                let promised = self.promised.get_mut(&id).expect("it was granted");
                *promised = until.max(*promised);
            }
        }
    }

    /// What is not applied may be lost, or be applied first. Time goes by, and does not count.
    fn restart(&mut self) {
        self.seen.restarts += 1;
        let kept = self.rng.usize(..=self.log.len());
        let log: Vec<_> = self.log.drain(..).take(kept).collect();
        let crashed = self.now;
        log.into_iter().for_each(|(command, _)| self.apply_one(command, None));
        self.now += s(self.rng.u64(..100));
        self.term = self.term.next();
        self.lessor = Lessor::new(self.options);
        self.lessor.restore(self.store.iter().map(|(id, (ttl_s, recorded_s))| (*id, *ttl_s, *recorded_s)));
        self.lessor.promote(self.term, self.now);
        for (id, (ttl_s, _)) in &self.store {
            let promised = self.promised.get_mut(id).expect("it was granted");
            *promised = self.now + promised.saturating_sub(crashed);
            // What goes by between two records is given twice; of a short one, all of it.
            let given_twice =
                (self.options.checkpoint_interval + self.options.checkpoint_together).min(s(*ttl_s as u64));
            let at_most = self.at_most.get_mut(id).expect("it was granted");
            let left = at_most.saturating_sub(crashed);
            *at_most = self.now + (left + given_twice + SLACK).min(s(*ttl_s as u64));
        }
    }
}
