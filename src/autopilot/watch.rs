//! Who has been here for how long, and since when each is as it is, as far as this board has seen.
//!
//! - Who came before whom, and who was reached last when, every member remembers, whoever leads: a board that comes back without its
//!   data may have led, and who leads next is to know that it was there before.
//! - How long somebody is away or fit only a leader sees, and a new one begins anew: who is away has to be away for as long
//!   again, and who is fit, fit. That errs on the side of doing nothing.

use std::{collections::BTreeMap, mem, time::Duration};

use super::{Advice, Member, STEADY, Settings, Sighting, plan::Plan, sentence};
use crate::types::NodeId;

/// Of one board, from its start to its end.
#[derive(Clone, Debug, Default)]
pub struct Autopilot {
    known: BTreeMap<NodeId, Known>,
    reign: Reign,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    first_seen: Duration,
    last_reached: Option<Duration>,
}

/// Of one leader in one term.
#[derive(Clone, Debug, Default)]
struct Reign {
    seen: BTreeMap<NodeId, Seen>,
    even_since: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    is_voter: bool,
    role_since: Duration,
    unreached_since: Option<Duration>,
    steady_since: Option<Duration>,
    /// Another member of its hardware is reached, too. Who has died counts as reached for a moment, and its board may be quick.
    beside_since: Option<Duration>,
    /// That was so for longer than a moment: two boards, whatever they say.
    is_distinct: bool,
}

impl Autopilot {
    /// Who is a member now, and which of them this board reaches, whoever leads; `look` does it, too. `now` from any beginning; it
    /// never falls.
    pub fn notice(&mut self, now: Duration, members: impl IntoIterator<Item = (NodeId, bool)>) {
        let before = mem::take(&mut self.known);
        let known = members.into_iter().map(|(id, is_reached)| {
            let known = before.get(&id).copied();
            let known = known.unwrap_or(Known { first_seen: now, last_reached: None });
            (id, Known { last_reached: is_reached.then_some(now).or(known.last_reached), ..known })
        });
        self.known = known.collect();
    }

    /// This board leads from now on, or in another term, or no more.
    pub fn begin_reign(&mut self) {
        self.reign = Reign::default();
    }

    /// `members`: all of them, in the order of their ids, among them `me`, which leads.
    pub fn look(&mut self, now: Duration, settings: &Settings, me: NodeId, members: &[Sighting]) -> Advice {
        self.notice(now, members.iter().map(|member| (member.id, member.is_reached)));
        self.reign.see_all(now, settings, members);
        let seen: Vec<Member> =
            members.iter().map(|sighting| self.member(now, settings, sighting, members)).collect();
        let even_for = self.reign.even_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        let plan = Plan { settings, me, members: &seen, even_for };
        let whys = seen.iter().map(|member| (member.id, sentence::of_member(&plan, member)));
        let is_distinct =
            |member: &&Sighting| !member.board.is_empty() && self.reign.seen[&member.id].is_distinct;
        let distinct = members.iter().filter(is_distinct).map(|member| member.id);
        Advice {
            step: plan.step(),
            whys: whys.collect(),
            keyless: plan.keyless(),
            distinct: distinct.collect(),
        }
    }

    fn member(
        &self,
        now: Duration,
        settings: &Settings,
        sighting: &Sighting,
        members: &[Sighting],
    ) -> Member {
        let seen = &self.reign.seen[&sighting.id];
        let time = |since: Option<Duration>| since.map(|since| now.saturating_sub(since));
        let steady_for = |id: NodeId| self.reign.seen.get(&id).and_then(|seen| time(seen.steady_since));
        let is_in = |twin: &&Sighting| steady_for(twin.id).is_some_and(|time| time >= settings.steady);
        let unreached_for = time(seen.unreached_since).filter(|_| !seen.is_distinct);
        let is_gone = |twin: &&Sighting| {
            // Two boards may have equal marks. Who came in as this one went is this one; who was there before may be another.
            let came_after = self.came_after(twin.id, sighting.id, moment(settings));
            let patience = if came_after { STEADY } else { settings.replace_after };
            unreached_for.is_some_and(|time| time >= patience.max(settings.steady))
        };
        Member {
            id: sighting.id,
            is_voter: sighting.is_voter,
            is_replica: sighting.is_replica,
            is_caught_up: sighting.is_caught_up,
            has_key: sighting.has_key,
            unreached_for: time(seen.unreached_since),
            steady_for: time(seen.steady_since),
            role_for: now.saturating_sub(seen.role_since),
            back_as: twins(sighting, members).filter(is_gone).find(is_in).map(|twin| twin.id),
        }
    }

    /// Did it come in after the other had, and since that went?
    fn came_after(&self, id: NodeId, gone: NodeId, moment: Duration) -> bool {
        let (Some(come), Some(gone)) = (self.known.get(&id), self.known.get(&gone)) else { return false };
        let since_it_went = gone.last_reached.is_none_or(|last| come.first_seen + moment >= last);
        come.first_seen > gone.first_seen && since_it_went
    }
}

impl Reign {
    fn see_all(&mut self, now: Duration, settings: &Settings, members: &[Sighting]) {
        self.seen.retain(|id, _| members.iter().any(|member| member.id == *id));
        members.iter().for_each(|sighting| self.see(now, settings, sighting, members));
        let is_even = members.iter().filter(|member| member.is_voter).count().is_multiple_of(2);
        self.even_since = is_even.then(|| self.even_since.unwrap_or(now));
    }

    fn see(&mut self, now: Duration, settings: &Settings, sighting: &Sighting, members: &[Sighting]) {
        let Sighting { is_voter, is_reached, .. } = *sighting;
        let seen = self.seen.entry(sighting.id).or_insert(Seen {
            is_voter,
            role_since: now,
            unreached_since: None,
            steady_since: None,
            beside_since: None,
            is_distinct: false,
        });
        if seen.is_voter != is_voter {
            (seen.is_voter, seen.role_since) = (is_voter, now);
        }
        seen.unreached_since = (!is_reached).then(|| seen.unreached_since.unwrap_or(now));
        let is_steady = is_reached && sighting.is_caught_up;
        seen.steady_since = is_steady.then(|| seen.steady_since.unwrap_or(now));
        let is_beside = is_reached && twins(sighting, members).any(|twin| twin.is_reached);
        seen.beside_since = is_beside.then(|| seen.beside_since.unwrap_or(now));
        let is_long = |since| now.saturating_sub(since) >= moment(settings);
        seen.is_distinct |= seen.beside_since.is_some_and(is_long);
    }
}

/// Who are reached together for longer cannot be one board, before and after it lost its data.
fn moment(settings: &Settings) -> Duration {
    settings.blind + STEADY
}

/// Other members on the same hardware.
fn twins<'a>(of: &'a Sighting, members: &'a [Sighting]) -> impl Iterator<Item = &'a Sighting> {
    members.iter().filter(|other| !of.board.is_empty() && other.id != of.id && other.board == of.board)
}
