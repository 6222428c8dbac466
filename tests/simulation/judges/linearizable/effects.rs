//! Which call made which revision: by what it was told, and by its value, wherever that was seen.

use std::collections::{BTreeMap, BTreeSet};

use solder::types::{Bytes, Revision};

use super::{
    super::{
        Verdict,
        history::{Answer, Call, Kv},
        truth::Truth,
    },
    chronicle::{Chronicle, Fact, Life},
};

/// What took effect, as far as it is known.
#[derive(Debug)]
pub(super) struct Effects<'a> {
    pub(super) chronicle: Chronicle<'a>,
    calls: &'a [Call],
    /// By call: the revision that it made.
    made: Vec<Option<Revision>>,
    makers: BTreeMap<Revision, usize>,
    writers: BTreeMap<&'a Bytes, usize>,
}

impl<'a> Effects<'a> {
    pub(super) fn of(calls: &'a [Call], truth: Option<&'a Truth>) -> Result<Effects<'a>, String> {
        let keys = calls.iter().filter_map(|call| call.op.key()).collect();
        let mut effects = Effects {
            chronicle: truth.map(|truth| Chronicle::complete(truth, &keys)).unwrap_or_default(),
            calls,
            made: vec![None; calls.len()],
            makers: BTreeMap::new(),
            writers: writers(calls),
        };
        for (number, call) in calls.iter().enumerate() {
            effects.take_answer(number, call).map_err(|why| format!("{call}: {why}"))?;
        }
        if let Some(truth) = truth {
            effects.take_events(truth, &keys)?;
        }
        Ok(effects)
    }

    /// The revision that a call is known to have made.
    pub(super) fn made(&self, number: usize) -> Option<Revision> {
        self.made[number]
    }

    /// The call that is known to have made a revision.
    pub(super) fn maker(&self, revision: Revision) -> Option<&'a Call> {
        self.makers.get(&revision).map(|&number| &self.calls[number])
    }

    fn take_answer(&mut self, number: usize, call: &'a Call) -> Verdict {
        let (Some(answer), Some(key)) = (call.answer(), call.op.key()) else { return Ok(()) };
        if let Some(revision) = answer.wrote() {
            self.pin(number, revision)?;
            let fact = call.op.value().map_or(Fact::Gone, |value| Fact::Put { value, life: None });
            self.chronicle.learn(key, revision, fact)?;
        }
        match answer {
            Answer::Get { kv: Some(kv), .. } | Answer::CasElse { kv: Some(kv), .. } => {
                self.take_seen(key, kv)
            }
            _ => Ok(()),
        }
    }

    fn take_seen(&mut self, key: &'a Bytes, kv: &'a Kv) -> Verdict {
        let age = kv.modified.0 - kv.created.0;
        if kv.version < 1 || kv.version > age + 1 || (age == 0) != (kv.version == 1) {
            return Err("no key can have these revisions and this version".into());
        }
        self.pin_value(key, &kv.value, kv.modified)?;
        let life = Life { created: kv.created, version: kv.version };
        self.chronicle.learn(key, kv.modified, Fact::Put { value: &kv.value, life: Some(life) })
    }

    fn take_events(&mut self, truth: &'a Truth, keys: &BTreeSet<&Bytes>) -> Verdict {
        for event in truth.events().iter().filter(|event| keys.contains(&event.key)) {
            if let Some(value) = &event.value {
                self.pin_value(&event.key, value, event.at.main)?;
            }
        }
        Ok(())
    }

    fn pin_value(&mut self, key: &Bytes, value: &Bytes, revision: Revision) -> Verdict {
        let Some(&number) = self.writers.get(value) else {
            return Err(format!("{key:?} = {value:?} in revision {revision} was written by nobody"));
        };
        if self.calls[number].op.key() != Some(key) {
            return Err(format!("{value:?} stands at {key:?}, written by {}", self.calls[number]));
        }
        self.pin(number, revision)
    }

    fn pin(&mut self, number: usize, revision: Revision) -> Verdict {
        let call = &self.calls[number];
        if let Some(answer) = call.answer().filter(|answer| answer.wrote() != Some(revision)) {
            return Err(format!("took effect in revision {revision} in spite of {answer:?}: {call}"));
        }
        if let Some(other) = self.made[number].filter(|&other| other != revision) {
            return Err(format!("took effect twice, in revisions {other} and {revision}: {call}"));
        }
        if let Some(other) = self.maker(revision).filter(|&other| !std::ptr::eq(other, call)) {
            return Err(format!("revision {revision} was made twice: by {other}; by {call}"));
        }
        self.made[number] = Some(revision);
        self.makers.insert(revision, number);
        Ok(())
    }
}

/// Who writes a value.
fn writers(calls: &[Call]) -> BTreeMap<&Bytes, usize> {
    let mut writers = BTreeMap::new();
    for (number, call) in calls.iter().enumerate() {
        if let Some(value) = call.op.value() {
            let other = writers.insert(value, number);
            assert!(other.is_none(), "{value:?} is written by two calls, values must be unique: {call}");
        }
    }
    writers
}
