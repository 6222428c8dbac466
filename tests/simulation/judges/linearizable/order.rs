//! Real time: whoever was answered before a call was made had their effect before it.

use solder::types::Revision;

use super::{
    super::{
        Verdict,
        history::{Call, Op},
        truth::EMPTY,
    },
    effects::Effects,
};

/// By call: the newest revision that anybody had been told of when it was made. No revision is told before it is
/// committed, so this holds for what serializable reads were told as well.
pub(super) fn floors(calls: &[Call]) -> Vec<Revision> {
    let mut told: Vec<(u64, Revision)> = calls
        .iter()
        .filter_map(|call| call.answered.as_ref().and_then(|(at, answer)| Some((*at, answer.header()?))))
        .collect();
    told.sort_unstable();
    let mut told = told.into_iter().peekable();
    let mut floor = EMPTY;
    calls
        .iter()
        .map(|call| {
            while let Some((_, revision)) = told.next_if(|(at, _)| *at < call.invoked) {
                floor = floor.max(revision);
            }
            floor
        })
        .collect()
}

/// `newest` is the last revision of all, where it is known.
pub(super) fn check(
    calls: &[Call],
    floors: &[Revision],
    effects: &Effects<'_>,
    newest: Option<Revision>,
) -> Verdict {
    for (number, (call, &floor)) in calls.iter().zip(floors).enumerate() {
        check_call(call, floor, effects.made(number), newest).map_err(|why| format!("{call}: {why}"))?;
    }
    Ok(())
}

fn check_call(call: &Call, floor: Revision, made: Option<Revision>, newest: Option<Revision>) -> Verdict {
    if let Some(made) = made {
        return match made > floor {
            true => Ok(()),
            false => {
                Err(format!("took effect in revision {made}, but {floor} had been told before it was asked"))
            }
        };
    }
    let Some(header) = call.answer().and_then(|answer| answer.header()) else { return Ok(()) };
    if newest.is_some_and(|newest| header > newest) {
        return Err(format!("answered at revision {header}, which no member has"));
    }
    let may_be_stale = matches!(call.op, Op::Get { serializable: true, .. });
    if header < if may_be_stale { EMPTY } else { floor } {
        return Err(format!(
            "stale: answered at revision {header}, but {floor} had been told before it was asked"
        ));
    }
    Ok(())
}
