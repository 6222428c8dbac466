//! Autopilot in the simulated clusters: each leader looks at the members and asks for what it is told; a judge looks at the
//! wires, and at who has power, and knows better than any leader.

use std::{collections::BTreeMap, time::Duration};

use solder::{
    autopilot::{Advice, Autopilot, Settings, Sighting, Step},
    raft::{Node, Role},
    replica::Event,
    types::{Bytes, Membership, NodeId, RoleChange, Term},
};

use super::{
    Micros,
    boards::Board,
    clients::Asker,
    judges::{
        Verdict,
        roles::{self, Roles},
    },
    knobs::SECOND,
    world::World,
};

/// Whoever was heard of by now is reached. Learners that have all are asked seldom (`Board::seldom`), and get that much longer.
const HEARD_WITHIN: Micros = 2 * SECOND;

/// How old what a leader knows of voters can be: a message that took long, a pause, and what counts as heard.
pub(super) const BLIND_MAX: Micros = 12 * SECOND;

const LOOK_EVERY: Micros = SECOND;

/// What a board knows of the others in one life.
#[derive(Default)]
pub(super) struct Pilot {
    autopilot: Autopilot,
    term: Option<Term>,
    looked_at: Option<Micros>,
    heard: BTreeMap<NodeId, Micros>,
}

impl Pilot {
    pub(super) fn hears(&mut self, from: NodeId, now: Micros) {
        self.heard.insert(from, now);
    }

    fn reaches(&self, id: NodeId, now: Micros, within: Micros) -> bool {
        self.heard.get(&id).is_some_and(|at| now - at <= within)
    }
}

fn sightings(node: &Node, pilot: &Pilot, now: Micros, seldom: Micros) -> Vec<Sighting> {
    let members = node.membership();
    let sighting = |id| {
        let is_me = id == node.id();
        let within = if members.voters.contains(&id) { HEARD_WITHIN } else { HEARD_WITHIN + seldom };
        let is_reached = is_me || pilot.reaches(id, now, within);
        Sighting {
            id,
            is_voter: members.voters.contains(&id),
            is_replica: false,
            board: Bytes::new(),
            is_reached,
            is_caught_up: is_me || is_reached && node.keeps_up(id),
            has_key: true,
        }
    };
    members.members().map(sighting).collect()
}

impl World {
    /// At each tick of a board.
    pub(super) fn pilot(&mut self, id: NodeId) -> Verdict {
        let Some(knobs) = self.knobs.autopilot else { return Ok(()) };
        self.note_links(id);
        let (now, bugs) = (self.now, self.bugs);
        let settings = Settings {
            voters_max: knobs.voters_max,
            replace_after: Duration::from_micros(knobs.replace_after),
            steady: Duration::from_secs(2),
            blind: Duration::from_secs(4),
            bugs,
        };
        let Some(board) = self.boards.get_mut(&id) else { return Ok(()) };
        let seldom = board.seldom();
        let Some(running) = board.running.as_mut() else { return Ok(()) };
        let (node, pilot) = (running.replica.node(), &mut running.pilot);
        let term = (node.role() == Role::Leader).then(|| node.term());
        if pilot.term != term {
            (pilot.term, pilot.looked_at) = (term, None);
            pilot.autopilot.begin_reign();
        }
        if term.is_none() || pilot.looked_at.is_some_and(|at| now - at < LOOK_EVERY) {
            return Ok(());
        }
        pilot.looked_at = Some(now);
        let seen = sightings(node, pilot, now, seldom);
        let members = node.membership().clone();
        let Advice { step, .. } = pilot.autopilot.look(Duration::from_micros(now), &settings, id, &seen);
        match step {
            Some((step, why)) => {
                let blind = if matches!(step, Step::Promote(_)) { BLIND_MAX + seldom } else { BLIND_MAX };
                self.take_step(id, &members, step, why, blind)
            }
            None => Ok(()),
        }
    }

    fn take_step(
        &mut self,
        leader: NodeId,
        members: &Membership,
        step: Step,
        why: String,
        blind: Micros,
    ) -> Verdict {
        let since = self.now.saturating_sub(blind);
        let links = &self.links;
        let was_there =
            |id| id == leader || links.get(&(leader, id)).is_some_and(|linked_at| *linked_at >= since);
        let change = step.change();
        let after = members.with(change).ok_or_else(|| format!("{change:?} does not fit {members:?}"))?;
        roles::step(&members.voters, &after.voters, was_there)
            .map_err(|reason| format!("{leader} asks for {change:?} ({why}): {reason}"))?;
        self.report.roles_changed += 1;
        self.report.demoted += u64::from(matches!(step, Step::Demote(_)));
        let request = self.take(leader, Asker::Operator, None);
        let info = RoleChange { since_s: self.now / SECOND, why }.encode();
        self.feed(leader, Event::ChangeMembers { request, change, info })
    }

    /// Whom this board could talk to at this moment, both ways.
    fn note_links(&mut self, id: NodeId) {
        let is_up = |board: &Board| board.running.is_some() && board.paused_until <= self.now;
        let others = self.boards.values().filter(|board| board.id != id && is_up(board));
        let linked = others
            .map(|board| board.id)
            .filter(|other| !self.wires.is_cut(id, *other) && !self.wires.is_cut(*other, id));
        let linked: Vec<NodeId> = linked.collect();
        self.links.extend(linked.into_iter().map(|other| ((id, other), self.now)));
    }

    /// After the storm: are the roles what they should be?
    pub(super) fn roles_are_settled(&self) -> Result<(), String> {
        let Some(knobs) = self.knobs.autopilot else { return Ok(()) };
        let nodes = self.boards.values().filter_map(|board| Some(board.running.as_ref()?.replica.node()));
        let leaders = nodes.filter(|node| node.role() == Role::Leader);
        let Some(leader) = leaders.max_by_key(|node| node.term()) else { return Err("no leader".into()) };
        let members = leader.membership();
        let is_lost = |id: &&NodeId| self.boards.get(*id).is_none_or(|board| board.lost);
        let roles = Roles {
            voters: members.voters.len(),
            lost_voters: members.voters.iter().filter(is_lost).count(),
            learners: members.learners.iter().filter(|id| !is_lost(id)).count(),
            voters_max: knobs.voters_max,
        };
        roles.check().map_err(|reason| format!("{reason}: {members:?}"))
    }
}
