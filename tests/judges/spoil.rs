//! Ways to make a legal history illegal, each one thing that a wrong store could do.
//!
//! With the truth every one must be refused. Without it, some faults need a witness that a history may not have.

use solder::types::{Bytes, KeyRev, Revision};

use crate::{
    judges::{
        history::{Answer, At, Kv, Op},
        truth::Event,
    },
    model::{Run, Step},
};

pub(crate) struct Spoil {
    pub(crate) name: &'static str,
    /// Seen without the truth?
    pub(crate) sight: Sight,
    /// `false` where the history offers nothing to spoil in this way.
    pub(crate) apply: fn(&mut Run, &mut fastrand::Rng) -> bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    Always,
    Mostly { percent_min: u64 },
}

pub(crate) const SPOILS: [Spoil; 11] = [
    Spoil { name: "stale read", sight: Sight::Always, apply: stale_read },
    Spoil { name: "value of another write", sight: Sight::Always, apply: value_of_another },
    Spoil { name: "value of nobody", sight: Sight::Always, apply: value_of_nobody },
    Spoil { name: "two writes in each other's place", sight: Sight::Always, apply: swapped_writes },
    Spoil { name: "one revision for two writes", sight: Sight::Always, apply: shared_revision },
    Spoil { name: "refused, yet done", sight: Sight::Mostly { percent_min: 50 }, apply: refused_yet_done },
    Spoil { name: "acknowledged, yet lost", sight: Sight::Mostly { percent_min: 90 }, apply: acked_yet_lost },
    Spoil { name: "done twice", sight: Sight::Mostly { percent_min: 90 }, apply: done_twice },
    Spoil { name: "key not found", sight: Sight::Mostly { percent_min: 85 }, apply: not_found },
    Spoil { name: "old data under a new header", sight: Sight::Mostly { percent_min: 90 }, apply: torn_read },
    Spoil { name: "deleted by nobody", sight: Sight::Mostly { percent_min: 85 }, apply: deleted_by_nobody },
];

/// One of the steps of which `wanted` is true.
fn any(run: &Run, rng: &mut fastrand::Rng, wanted: impl Fn(&Step) -> bool) -> Option<usize> {
    let fitting: Vec<usize> = (0..run.steps.len()).filter(|&number| wanted(&run.steps[number])).collect();
    rng.choice(fitting)
}

fn is_newest_read(step: &Step) -> bool {
    let asks = matches!(step.op, Op::Get { at: At::Newest, serializable: false, .. });
    asks && matches!(step.answered, Some((_, Answer::Get { .. })))
}

fn made(step: &Step) -> Option<Revision> {
    step.answered.as_ref()?.1.wrote()
}

fn seen(step: &mut Step) -> Option<&mut Option<Kv>> {
    match &mut step.answered.as_mut()?.1 {
        Answer::Get { kv, .. } | Answer::CasElse { kv, .. } => Some(kv),
        _ => None,
    }
}

fn sees_a_key(step: &Step) -> bool {
    matches!(step.answered, Some((_, Answer::Get { kv: Some(_), .. } | Answer::CasElse { kv: Some(_), .. })))
}

fn set_made(step: &mut Step, to: Revision) {
    match step.answered.as_mut() {
        Some((
            _,
            Answer::Put { revision } | Answer::Delete { revision, .. } | Answer::CasDone { revision },
        )) => *revision = to,
        other => panic!("made nothing: {other:?}"),
    }
}

fn stale_read(run: &mut Run, rng: &mut fastrand::Rng) -> bool {
    let Some(number) = any(run, rng, |step| is_newest_read(step) && run.floor(step.invoked) > Revision(1))
    else {
        return false;
    };
    let revision = Revision(rng.i64(1..run.floor(run.steps[number].invoked).0));
    let kv = run.steps[number].op.key().and_then(|key| run.store.at(key, revision));
    let (_, answer) = run.steps[number].answered.as_mut().expect("a read with an answer");
    *answer = Answer::Get { revision, kv };
    true
}

fn value_of_another(run: &mut Run, rng: &mut fastrand::Rng) -> bool {
    let Some(number) = any(run, rng, sees_a_key) else { return false };
    let kv = seen(&mut run.steps[number]).and_then(|kv| kv.clone()).expect("sees a key");
    let other =
        any(run, rng, |step| made(step).is_some() && step.op.value().is_some_and(|value| *value != kv.value));
    let Some(value) = other.and_then(|other| run.steps[other].op.value().cloned()) else { return false };
    *seen(&mut run.steps[number]).expect("sees a key") = Some(Kv { value, ..kv });
    true
}

fn value_of_nobody(run: &mut Run, rng: &mut fastrand::Rng) -> bool {
    let Some(number) = any(run, rng, sees_a_key) else { return false };
    let kv = seen(&mut run.steps[number]).and_then(|kv| kv.as_mut()).expect("sees a key");
    kv.value = Bytes::from("?");
    true
}

/// One of two writes that follow each other in real time.
fn ordered_writes(run: &Run, rng: &mut fastrand::Rng) -> Option<(usize, usize)> {
    let later = any(run, rng, |step| made(step).is_some())?;
    let invoked = run.steps[later].invoked;
    let is_before = |step: &Step| step.answered.as_ref().is_some_and(|(at, _)| *at < invoked);
    let earlier = any(run, rng, |step| made(step).is_some() && is_before(step))?;
    Some((earlier, later))
}

fn swapped_writes(run: &mut Run, rng: &mut fastrand::Rng) -> bool {
    let Some((earlier, later)) = ordered_writes(run, rng) else { return false };
    let (one, two) = (made(&run.steps[earlier]), made(&run.steps[later]));
    set_made(&mut run.steps[earlier], two.expect("a write"));
    set_made(&mut run.steps[later], one.expect("a write"));
    true
}

fn shared_revision(run: &mut Run, rng: &mut fastrand::Rng) -> bool {
    let Some((earlier, later)) = ordered_writes(run, rng) else { return false };
    let revision = made(&run.steps[later]).expect("a write");
    set_made(&mut run.steps[earlier], revision);
    true
}

fn refused_yet_done(run: &mut Run, rng: &mut fastrand::Rng) -> bool {
    let Some(number) = any(run, rng, |step| made(step).is_some() && step.op.value().is_some()) else {
        return false;
    };
    run.steps[number].answered.as_mut().expect("a write with an answer").1 = Answer::Refused;
    true
}

fn acked_yet_lost(run: &mut Run, rng: &mut fastrand::Rng) -> bool {
    let refused = |step: &Step| matches!(step.answered, Some((_, Answer::Refused)));
    let Some(number) = any(run, rng, |step| refused(step) && matches!(step.op, Op::Put { .. })) else {
        return false;
    };
    let revision = Revision(rng.i64(2..=run.store.revision().0 + 1));
    run.steps[number].answered.as_mut().expect("an answer").1 = Answer::Put { revision };
    true
}

/// Applied again by all members, behind all the rest.
fn done_twice(run: &mut Run, rng: &mut fastrand::Rng) -> bool {
    let Some(first) = rng.choice(&run.events).filter(|event| event.value.is_some()).cloned() else {
        return false;
    };
    let next = run.store.revision().next();
    run.events.push(Event { at: KeyRev::new(next.0, 0), ..first.clone() });
    let before = run.store.at(&first.key, run.store.revision());
    let kv = Kv {
        value: first.value.expect("a put"),
        modified: next,
        created: before.as_ref().map_or(next, |kv| kv.created),
        version: before.as_ref().map_or(1, |kv| kv.version + 1),
    };
    let invoked = run.steps.iter().map(|step| step.invoked).max().expect("steps");
    let answer = Answer::Get { revision: next, kv: Some(kv) };
    let op = Op::Get { key: first.key, at: At::Newest, serializable: false };
    run.steps.push(Step { op, invoked, answered: Some((u64::MAX, answer)) });
    true
}

fn not_found(run: &mut Run, rng: &mut fastrand::Rng) -> bool {
    let Some(number) = any(run, rng, |step| sees_a_key(step) && is_newest_read(step)) else { return false };
    *seen(&mut run.steps[number]).expect("sees a key") = None;
    true
}

fn torn_read(run: &mut Run, rng: &mut fastrand::Rng) -> bool {
    let Some(number) = any(run, rng, is_newest_read) else { return false };
    let (_, answer) = run.steps[number].answered.clone().expect("a read with an answer");
    let Answer::Get { revision, kv } = answer else { panic!("not a read: {answer:?}") };
    let key = run.steps[number].op.key().expect("a read has a key");
    let differs = |newer: &i64| run.store.at(key, Revision(*newer)) != kv;
    let Some(newer) = rng.choice((revision.0..=run.store.revision().0).filter(differs).collect::<Vec<_>>())
    else {
        return false;
    };
    run.steps[number].answered.as_mut().expect("an answer").1 = Answer::Get { revision: Revision(newer), kv };
    true
}

/// A key goes though nobody who might have deleted it is left, and a last read finds it gone.
fn deleted_by_nobody(run: &mut Run, rng: &mut fastrand::Rng) -> bool {
    let key = Bytes::from(["a", "b", "c"][rng.usize(0..3)]);
    let newest = run.store.revision();
    let is_open = |step: &Step| step.answered.is_none() && step.op == Op::Delete { key: key.clone() };
    if run.store.at(&key, newest).is_none() || run.steps.iter().any(is_open) {
        return false;
    }
    let next = newest.next();
    run.events.push(Event { at: KeyRev::new(next.0, 0), key: key.clone(), value: None });
    let invoked = run.steps.iter().map(|step| step.invoked).max().expect("steps");
    let op = Op::Get { key, at: At::Newest, serializable: false };
    let answer = Answer::Get { revision: next, kv: None };
    run.steps.push(Step { op, invoked, answered: Some((u64::MAX, answer)) });
    true
}
