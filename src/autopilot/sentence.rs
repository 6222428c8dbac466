//! Why: a sentence for people about each member, and about each change.

use std::time::Duration;

use super::{Member, Step, plan::Plan};

/// Why the change is made.
pub(super) fn of_step(plan: &Plan<'_>, step: Step) -> String {
    let find = |id| plan.members.iter().find(|member| member.id == id);
    let voters = plan.voters().count();
    match step {
        Step::Promote(_) if voters.is_multiple_of(2) => {
            format!("it has caught up, and makes {} voters", voters + 1)
        }
        Step::Promote(_) => format!("two have caught up, and make {} voters one after the other", voters + 2),
        Step::Demote(_) if voters > plan.voters_max() => {
            format!("as many as {} vote, and {} may", voters, plan.voters_max())
        }
        Step::Demote(id) => {
            match find(id).filter(|member| plan.is_dead(member)).and_then(|member| member.unreached_for) {
                Some(time) => format!("it was not reached for {}, and another can vote", span(time)),
                None => format!("an even number of voters ({voters}) would stop with one more failure"),
            }
        }
        Step::Remove(id) => match find(id).and_then(|member| member.back_as) {
            Some(back) => format!("its board is back without its data, as member {back}"),
            None => "its board is back without its data".to_owned(),
        },
    }
}

/// Why it is what it is.
pub(super) fn of_member(plan: &Plan<'_>, member: &Member) -> String {
    match member.is_voter {
        true => format!("voter: {}", of_voter(plan, member)),
        false => format!("learner: {}", of_learner(plan, member)),
    }
}

fn of_voter(plan: &Plan<'_>, member: &Member) -> String {
    let voters = plan.voters().count();
    let replace_after = span(plan.settings.replace_after);
    match (member.unreached_for, member.back_as) {
        (_, Some(back)) => format!("its board is back as member {back}, it is to be removed"),
        (Some(time), _) if !plan.has_majority() => {
            format!("not reached for {}, and without it no majority is there", span(time))
        }
        (Some(time), _) if plan.is_dead(member) => {
            format!("not reached for {}, to be replaced as soon as a learner can vote", span(time))
        }
        (Some(time), _) => format!("not reached for {}, replaced after {replace_after}", span(time)),
        _ if voters > plan.voters_max() => format!("one of {voters}, and {} may vote", plan.voters_max()),
        _ if voters.is_multiple_of(2) => format!("one of {voters}, until one more can vote"),
        _ if voters == 1 => "the only one".to_owned(),
        _ => format!("one of {voters}"),
    }
}

fn of_learner(plan: &Plan<'_>, member: &Member) -> String {
    let voters = plan.voters().count();
    let max = plan.voters_max();
    let all_there = plan.voters().all(|voter| voter.unreached_for.is_none());
    match (member.unreached_for, member.back_as) {
        (_, Some(back)) => format!("its board is back as member {back}, it is to be removed"),
        (Some(time), _) => format!("not reached for {}", span(time)),
        _ if member.is_replica => "it is to hold the data only".to_owned(),
        _ if !member.is_caught_up => "catching up".to_owned(),
        _ if plan.wanted() > voters && plan.is_fit(member) && all_there => {
            "it can vote, and is about to".to_owned()
        }
        _ if voters >= max => format!("as many vote as may ({max})"),
        _ if !plan.is_fit(member) => "caught up, but not for long enough yet".to_owned(),
        _ if !all_there => "a voter is not reached, and no others are added meanwhile".to_owned(),
        _ => "an even number of voters would stop with one more failure".to_owned(),
    }
}

/// In words, as exact as people want it.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
