//! A store that cannot be wrong, and concurrent clients of it made by chance: every call gets a moment at which it
//! takes effect, and the store does them one by one in the order of these moments.

use std::collections::BTreeMap;

use solder::types::{Bytes, KeyRev, Revision};

use crate::judges::{
    history::{Answer, At, History, Kv, Op},
    truth::{EMPTY, Event, Truth},
};

/// One call and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) invoked: u64,
    /// `None`: the outcome stays unknown.
    pub(crate) answered: Option<(u64, Answer)>,
}

/// A history and what really happened.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) steps: Vec<Step>,
    pub(crate) events: Vec<Event>,
    pub(crate) store: Store,
}

/// All that ever happened to every key.
#[derive(Debug)]
pub(crate) struct Store {
    revision: Revision,
    compacted: Revision,
    keys: BTreeMap<Bytes, BTreeMap<Revision, Option<Kv>>>,
}

/// When a call is made, takes effect and is answered; a time that never comes is `None`.
struct Times {
    invoked: u64,
    effect: Option<u64>,
    answered: Option<u64>,
}

impl Run {
    pub(crate) fn by_chance(rng: &mut fastrand::Rng, calls: usize) -> Run {
        let spread = rng.u64(1..40);
        let mut times: Vec<Times> =
            (0..calls).map(|_| Times::by_chance(rng, 3 * calls as u64, spread)).collect();
        times.sort_by_key(|times| times.effect.unwrap_or(times.invoked));
        let mut run = Run { steps: Vec::new(), events: Vec::new(), store: Store::new() };
        for (number, times) in times.iter().enumerate() {
            run.step(rng, number, times);
        }
        run.steps.sort_by_key(|step| step.invoked);
        run
    }

    fn step(&mut self, rng: &mut fastrand::Rng, number: usize, times: &Times) {
        let op = self.store.op_by_chance(rng, number);
        let answer = match times.effect {
            Some(_) => self.store.apply(&op, rng, &mut self.events),
            None => Answer::Refused,
        };
        let answered = times.answered.map(|at| (at, answer));
        self.steps.push(Step { op, invoked: times.invoked, answered });
    }

    pub(crate) fn history(&self) -> History {
        let mut history = History::default();
        for (client, step) in (0..).zip(&self.steps) {
            let id = history.invoke(client, step.op.clone(), step.invoked);
            if let Some((at, answer)) = &step.answered {
                history.answer(id, answer.clone(), *at);
            }
        }
        history
    }

    pub(crate) fn truth(&self) -> Result<Truth, String> {
        let mut truth = Truth::default();
        truth.learn(&self.events)?;
        Ok(truth)
    }

    /// The newest revision told before `time`.
    pub(crate) fn floor(&self, time: u64) -> Revision {
        let told = self.steps.iter().filter_map(|step| step.answered.as_ref());
        told.filter(|(at, _)| *at < time).filter_map(|(_, answer)| answer.header()).max().unwrap_or(EMPTY)
    }
}

impl Times {
    fn by_chance(rng: &mut fastrand::Rng, end: u64, spread: u64) -> Times {
        let invoked = rng.u64(0..end);
        let effect = invoked + rng.u64(0..spread);
        let answered = effect + rng.u64(0..spread);
        match rng.u8(0..20) {
            0 => Times { invoked, effect: None, answered: Some(answered) },
            1 => Times { invoked, effect: None, answered: None },
            2 | 3 => Times { invoked, effect: Some(effect), answered: None },
            4 => Times { invoked, effect: Some(invoked + rng.u64(0..end)), answered: None },
            _ => Times { invoked, effect: Some(effect), answered: Some(answered) },
        }
    }
}

impl Store {
    fn new() -> Store {
        Store { revision: EMPTY, compacted: Revision(0), keys: BTreeMap::new() }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// The key as of a revision.
    pub(crate) fn at(&self, key: &Bytes, revision: Revision) -> Option<Kv> {
        self.keys.get(key)?.range(..=revision).next_back()?.1.clone()
    }

    fn op_by_chance(&self, rng: &mut fastrand::Rng, number: usize) -> Op {
        let key = Bytes::from(["a", "b", "c"][rng.usize(0..3)]);
        let value = Bytes::from(format!("v{number}").as_str());
        match rng.u8(0..16) {
            0..4 => Op::Put { key, value },
            4 | 5 => Op::Delete { key },
            6..8 => {
                let modified = self.at(&key, self.revision).map_or(Revision(0), |kv| kv.modified);
                let expect = if rng.u8(0..3) > 0 { modified } else { Revision(rng.i64(0..=self.revision.0)) };
                Op::Cas { key, expect, value }
            }
            8..12 => Op::Get { key, at: At::Newest, serializable: false },
            12 | 13 => Op::Get { key, at: At::Newest, serializable: true },
            14 => {
                let at = At::Revision(Revision(rng.i64(1..=self.revision.0)));
                Op::Get { key, at, serializable: rng.bool() }
            }
            _ => Op::Compact { revision: Revision(rng.i64(1..=self.revision.0)) },
        }
    }

    fn apply(&mut self, op: &Op, rng: &mut fastrand::Rng, events: &mut Vec<Event>) -> Answer {
        match op {
            Op::Put { key, value } => Answer::Put { revision: self.write(key, Some(value), events) },
            Op::Delete { key } => {
                let deleted = self.at(key, self.revision).is_some();
                let revision = if deleted { self.write(key, None, events) } else { self.revision };
                Answer::Delete { revision, deleted }
            }
            Op::Cas { key, expect, value } => {
                let kv = self.at(key, self.revision);
                match kv.as_ref().map_or(Revision(0), |kv| kv.modified) == *expect {
                    true => Answer::CasDone { revision: self.write(key, Some(value), events) },
                    false => Answer::CasElse { revision: self.revision, kv },
                }
            }
            Op::Get { key, at, serializable } => self.get(key, *at, *serializable, rng),
            Op::Compact { revision } if *revision <= self.compacted => Answer::Refused,
            Op::Compact { revision } => {
                self.compacted = *revision;
                Answer::Compact { revision: self.revision }
            }
        }
    }

    /// A serializable one as a member answers it that lags by any number of revisions.
    fn get(&self, key: &Bytes, at: At, serializable: bool, rng: &mut fastrand::Rng) -> Answer {
        let oldest = match at {
            At::Newest => EMPTY,
            At::Revision(at) => at,
        };
        let revision =
            if serializable { Revision(rng.i64(oldest.0..=self.revision.0)) } else { self.revision };
        match at {
            At::Newest => Answer::Get { revision, kv: self.at(key, revision) },
            At::Revision(at) if at < self.compacted => Answer::Compacted,
            At::Revision(at) => Answer::Get { revision, kv: self.at(key, at) },
        }
    }

    fn write(&mut self, key: &Bytes, value: Option<&Bytes>, events: &mut Vec<Event>) -> Revision {
        let before = self.at(key, self.revision);
        self.revision = self.revision.next();
        let modified = self.revision;
        let kv = value.map(|value| Kv {
            value: value.clone(),
            modified,
            created: before.as_ref().map_or(modified, |kv| kv.created),
            version: before.as_ref().map_or(1, |kv| kv.version + 1),
        });
        self.keys.entry(key.clone()).or_default().insert(modified, kv);
        events.push(Event { at: KeyRev::new(modified.0, 0), key: key.clone(), value: value.cloned() });
        modified
    }
}
