//! Since when each member has been as it is, as far as this leader has seen.
//!
//! A new leader begins anew: who is away has to be away for as long again, and who is fit, fit. That errs on the side of doing
//! nothing.

use std::{collections::BTreeMap, time::Duration};

use super::{Advice, Member, STEADY, Settings, Sighting, plan::Plan, sentence};
use crate::types::NodeId;

/// Of one leader in one term.
#[derive(Clone, Debug, Default)]
pub struct Autopilot {
    seen: BTreeMap<NodeId, Seen>,
    /// Of the first look: who was in by then may have been in for long.
    begun: Option<Duration>,
    even_since: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    is_voter: bool,
    first_seen: Duration,
    last_reached: Option<Duration>,
    role_since: Duration,
    unreached_since: Option<Duration>,
    steady_since: Option<Duration>,
    /// Another member of its hardware is reached, too. Who has died counts as reached for a moment, and its board may be quick.
    beside_since: Option<Duration>,
    /// That was so for longer than a moment: two boards, whatever they say.
    is_distinct: bool,
}

impl Autopilot {
    /// `now` from any beginning; it never falls. `members`: all of them, in the order of their ids, among them `me`, which
    /// leads.
    pub fn look(&mut self, now: Duration, settings: &Settings, me: NodeId, members: &[Sighting]) -> Advice {
        self.begun.get_or_insert(now);
        self.seen.retain(|id, _| members.iter().any(|member| member.id == *id));
        members.iter().for_each(|sighting| self.see(now, sighting, members));
        let is_even = members.iter().filter(|member| member.is_voter).count().is_multiple_of(2);
        self.even_since = is_even.then(|| self.even_since.unwrap_or(now));
        let seen: Vec<Member> =
            members.iter().map(|sighting| self.member(now, settings, sighting, members)).collect();
        let even_for = self.even_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        let plan = Plan { settings, me, members: &seen, even_for };
        let whys = seen.iter().map(|member| (member.id, sentence::of_member(&plan, member)));
        Advice { step: plan.step(), whys: whys.collect() }
    }

    fn see(&mut self, now: Duration, sighting: &Sighting, members: &[Sighting]) {
        let Sighting { is_voter, is_reached, .. } = *sighting;
        let seen = self.seen.entry(sighting.id).or_insert(Seen {
            is_voter,
            first_seen: now,
            last_reached: None,
            role_since: now,
            unreached_since: None,
            steady_since: None,
            beside_since: None,
            is_distinct: false,
        });
        if seen.is_voter != is_voter {
            (seen.is_voter, seen.role_since) = (is_voter, now);
        }
        seen.last_reached = is_reached.then_some(now).or(seen.last_reached);
        seen.unreached_since = (!is_reached).then(|| seen.unreached_since.unwrap_or(now));
        let is_steady = is_reached && sighting.is_caught_up;
        seen.steady_since = is_steady.then(|| seen.steady_since.unwrap_or(now));
        let is_beside = is_reached && twins(sighting, members).any(|twin| twin.is_reached);
        seen.beside_since = is_beside.then(|| seen.beside_since.unwrap_or(now));
        seen.is_distinct |= seen.beside_since.is_some_and(|since| now.saturating_sub(since) >= STEADY);
    }

    fn member(
        &self,
        now: Duration,
        settings: &Settings,
        sighting: &Sighting,
        members: &[Sighting],
    ) -> Member {
        let seen = &self.seen[&sighting.id];
        let time = |since: Option<Duration>| since.map(|since| now.saturating_sub(since));
        let steady_for = |id: NodeId| self.seen.get(&id).and_then(|seen| time(seen.steady_since));
        let is_in = |twin: &&Sighting| steady_for(twin.id).is_some_and(|time| time >= settings.steady);
        let unreached_for = time(seen.unreached_since).filter(|_| !seen.is_distinct);
        let is_gone = |twin: &&Sighting| {
            // Two boards may have equal marks. Who came in as this one went is this one; who was there before may be another.
            let patience = if self.came_after(twin.id, seen) { STEADY } else { settings.replace_after };
            unreached_for.is_some_and(|time| time >= patience.max(settings.steady))
        };
        Member {
            id: sighting.id,
            is_voter: sighting.is_voter,
            is_replica: sighting.is_replica,
            is_caught_up: sighting.is_caught_up,
            unreached_for: time(seen.unreached_since),
            steady_for: time(seen.steady_since),
            role_for: now.saturating_sub(seen.role_since),
            back_as: twins(sighting, members).filter(is_gone).find(is_in).map(|twin| twin.id),
        }
    }
}

impl Autopilot {
    /// Did it come in since the other went? Who has died counts as reached for a moment longer.
    fn came_after(&self, id: NodeId, gone: &Seen) -> bool {
        let came = self.seen.get(&id).map(|seen| seen.first_seen).filter(|came| Some(*came) != self.begun);
        came.is_some_and(|came| gone.last_reached.is_none_or(|last| came + STEADY >= last))
    }
}

/// Other members on the same hardware.
fn twins<'a>(of: &'a Sighting, members: &'a [Sighting]) -> impl Iterator<Item = &'a Sighting> {
    members.iter().filter(|other| !of.board.is_empty() && other.id != of.id && other.board == of.board)
}
