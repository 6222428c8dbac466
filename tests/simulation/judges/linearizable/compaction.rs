//! What is compacted is refused, and nothing else is.

use solder::types::Revision;

use super::super::{
    Verdict,
    history::{Answer, At, Call, Op},
};

/// Which compactions there were, when.
struct Compactions {
    /// When asked, and the highest revision asked for by then.
    asked: Vec<(u64, Revision)>,
    /// When acknowledged, and the highest revision acknowledged by then.
    done: Vec<(u64, Revision)>,
}

pub(super) fn check(calls: &[Call]) -> Verdict {
    let compactions = Compactions::of(calls);
    for call in calls {
        compactions.check_call(call).map_err(|why| format!("{call}: {why}"))?;
    }
    Ok(())
}

impl Compactions {
    fn of(calls: &[Call]) -> Compactions {
        let mut asked = Vec::new();
        let mut done = Vec::new();
        for call in calls {
            let Op::Compact { revision } = call.op else { continue };
            if !call.is_refused() {
                asked.push((call.invoked, revision));
            }
            if let Some((at, Answer::Compact { .. })) = call.answered {
                done.push((at, revision));
            }
        }
        done.sort_unstable();
        Compactions { asked: rising(asked), done: rising(done) }
    }

    fn check_call(&self, call: &Call) -> Verdict {
        let Some((answered, answer)) = &call.answered else { return Ok(()) };
        let done = highest(&self.done, |at| at < call.invoked);
        match (&call.op, answer) {
            (Op::Get { at: At::Revision(at), .. }, Answer::Compacted) => {
                let asked = highest(&self.asked, |asked| asked <= *answered);
                if *at < asked { Ok(()) } else { Err(format!("only {asked} was to be compacted")) }
            }
            (Op::Get { at: At::Revision(at), serializable: false, .. }, Answer::Get { .. }) if *at < done => {
                Err(format!("read what was compacted, up to {done}"))
            }
            (Op::Compact { revision }, Answer::Compact { revision: header }) if revision > header => {
                Err("compacted what has yet to come".into())
            }
            (Op::Compact { revision }, Answer::Compact { .. }) if *revision <= done => {
                Err(format!("{done} was compacted before it was asked"))
            }
            _ => Ok(()),
        }
    }
}

/// Each with the highest revision up to it.
fn rising(mut list: Vec<(u64, Revision)>) -> Vec<(u64, Revision)> {
    let mut highest = Revision(0);
    for (_, revision) in &mut list {
        highest = highest.max(*revision);
        *revision = highest;
    }
    list
}

fn highest(list: &[(u64, Revision)], counts: impl Fn(u64) -> bool) -> Revision {
    match list.partition_point(|(at, _)| counts(*at)) {
        0 => Revision(0),
        count => list[count - 1].1,
    }
}
