//! Everything that anybody saw of a key, held against what is known to have become of it.

use solder::types::{Bytes, Revision};

use super::{
    super::{
        Verdict,
        history::{Answer, At, Call, Kv, Op},
    },
    chronicle::Fact,
    effects::Effects,
    lives::Gaps,
    needs::Needs,
};

/// One call's sight of one key.
struct Look<'a> {
    key: &'a Bytes,
    /// The state that was seen: all changes up to this revision.
    at: Revision,
    saw: Saw,
}

enum Saw {
    /// The key, last changed in this revision. What else was seen of it has been learnt already.
    Modified(Revision),
    /// The key, we are not told which.
    Something,
    Nothing,
}

pub(super) fn check(calls: &[Call], floors: &[Revision], effects: &Effects<'_>) -> Verdict {
    let mut gaps = Gaps::default();
    let mut needs = Needs::default();
    for (number, call) in calls.iter().enumerate() {
        check_call(call, effects, number, &mut gaps, &mut needs).map_err(|why| format!("{call}: {why}"))?;
    }
    for (key, facts) in effects.chronicle.keys() {
        let gone = facts.iter().filter(|(_, fact)| **fact == Fact::Gone).map(|(revision, _)| *revision);
        for revision in gone.filter(|revision| !is_deleted_by(effects.maker(*revision), key)) {
            needs.delete(key, revision);
        }
        if !effects.chronicle.is_complete() {
            gaps.check(key, facts, &mut needs).map_err(|why| format!("{key:?}: {why}"))?;
        }
    }
    needs.check(calls, floors, effects)
}

fn is_deleted_by(call: Option<&Call>, key: &Bytes) -> bool {
    call.is_some_and(|call| matches!(&call.op, Op::Delete { key: deleted } if deleted == key))
}

fn check_call<'a>(
    call: &'a Call,
    effects: &Effects<'a>,
    number: usize,
    gaps: &mut Gaps<'a>,
    needs: &mut Needs<'a>,
) -> Verdict {
    check_answer(call)?;
    match Look::of(call, effects.made(number)) {
        Some(look) => look.check(effects, gaps, needs),
        None => Ok(()),
    }
}

/// What is wrong by itself.
fn check_answer(call: &Call) -> Verdict {
    match (&call.op, call.answer()) {
        (Op::Cas { expect, .. }, Some(Answer::CasElse { kv, .. })) if modified(kv.as_ref()) == *expect => {
            Err("not done though its condition held".into())
        }
        (Op::Get { at: At::Revision(at), .. }, Some(Answer::Get { revision, .. })) if at > revision => {
            Err(format!("read revision {at}, which has yet to come"))
        }
        _ => Ok(()),
    }
}

/// As a transaction compares it: 0 is no key.
fn modified(kv: Option<&Kv>) -> Revision {
    kv.map_or(Revision(0), |kv| kv.modified)
}

impl<'a> Look<'a> {
    fn of(call: &'a Call, made: Option<Revision>) -> Option<Look<'a>> {
        let before = |revision: Revision| Revision(revision.0 - 1);
        let (at, saw) = match (&call.op, call.answer(), made) {
            (Op::Get { at: At::Revision(at), .. }, Some(Answer::Get { kv, .. }), _) => {
                (*at, Saw::modified(modified(kv.as_ref())))
            }
            (_, Some(Answer::Get { revision, kv } | Answer::CasElse { revision, kv }), _) => {
                (*revision, Saw::modified(modified(kv.as_ref())))
            }
            (Op::Cas { expect, .. }, _, Some(made)) => (before(made), Saw::modified(*expect)),
            (Op::Delete { .. }, _, Some(made)) => (before(made), Saw::Something),
            (Op::Delete { .. }, Some(Answer::Delete { revision, deleted: false }), _) => {
                (*revision, Saw::Nothing)
            }
            _ => return None,
        };
        Some(Look { key: call.op.key()?, at, saw })
    }

    fn check(&self, effects: &Effects<'a>, gaps: &mut Gaps<'a>, needs: &mut Needs<'a>) -> Verdict {
        let Look { key, at, .. } = *self;
        let last = effects.chronicle.last(key, at);
        let complete = effects.chronicle.is_complete();
        match (&self.saw, last) {
            (Saw::Modified(modified), _) if *modified > at => {
                return Err(format!("saw revision {modified} of {key:?} at revision {at}"));
            }
            (Saw::Modified(modified), Some((revision, Fact::Put { .. }))) if *modified == revision => {
                gaps.saw(key, revision, at);
            }
            (Saw::Modified(modified), last)
                if complete || last.is_some_and(|(last, _)| last >= *modified) =>
            {
                return Err(format!("saw revision {modified} of {key:?} at revision {at}, last is {last:?}"));
            }
            (Saw::Modified(modified), _) => needs.put_in(key, *modified),
            (Saw::Something, Some((_, Fact::Put { .. }))) => {}
            (Saw::Something, _) if complete => {
                return Err(format!("found {key:?} at revision {at}, last is {last:?}"));
            }
            (Saw::Something, _) => needs.put(key, at),
            (Saw::Nothing, Some((_, Fact::Put { .. }))) if complete => {
                return Err(format!("did not find {key:?} at revision {at}, last is {last:?}"));
            }
            (Saw::Nothing, last) => {
                gaps.missed(key, last.map_or(Revision(0), |(revision, _)| revision), at);
            }
        }
        Ok(())
    }
}

impl Saw {
    fn modified(revision: Revision) -> Saw {
        if revision == Revision(0) { Saw::Nothing } else { Saw::Modified(revision) }
    }
}
