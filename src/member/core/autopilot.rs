//! Autopilot at work: the leader looks at the members once a second and proposes the one change that is due; and the cluster
//! takes no writes while the boards that found it are not all there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    autopilot::{self, Advice, Autopilot, STEADY, Sighting, Step},
    replica::{Answer, Event},
    types::{
        AutopilotChange, Bytes, Command, MemberRow, MembershipChange, NodeId, Payload, RoleChange, Term,
    },
};

use super::{Append, Core, Waiter};

/// Boards die more slowly, and looking costs what it costs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where nothing was settled.
pub(in crate::member) const REPLACE_AFTER_S: u32 = 600;

/// The level that brought it.
pub(in crate::member) const LEVEL: u32 = 2;

/// A learner that could not be given the authority's key for so long votes without it: that it is there counts for more.
const KEY_PATIENCE: Duration = Duration::from_secs(60);

/// What this member knows of it.
#[derive(Debug)]
pub(super) struct Pilot {
    autopilot: Autopilot,
    /// In which it has led since.
    term: Option<Term>,
    begun: Instant,
    looked_at: Option<Instant>,
    /// The first voters are found: nobody uses the cluster yet.
    is_founding: bool,
    whys: Vec<(NodeId, String)>,
    /// This board can give others the authority's key.
    gives_key: bool,
    /// Who has it, as this board was told.
    has_key: BTreeSet<NodeId>,
    /// Who is to have it before it votes.
    keyless: Vec<NodeId>,
    /// Since when, in this term.
    keyless_since: BTreeMap<NodeId, Instant>,
    /// Different boards of equal hardware, whose rows say so no more once that is in the log.
    distinct: Vec<NodeId>,
    /// This board voted when it was looked at last.
    was_voter: bool,
    /// Why it is to be a learner.
    demoted_because: String,
    /// What it knows of the cluster is of this life.
    has_heard: bool,
}

impl Pilot {
    /// `was_voter`: by what its disk says, for it may hear of more before its first tick.
    pub(super) fn new(now: Instant, was_voter: bool) -> Pilot {
        Pilot {
            autopilot: Autopilot::default(),
            term: None,
            begun: now,
            looked_at: None,
            is_founding: false,
            whys: Vec::new(),
            gives_key: false,
            has_key: BTreeSet::new(),
            keyless: Vec::new(),
            keyless_since: BTreeMap::new(),
            distinct: Vec::new(),
            was_voter,
            demoted_because: String::new(),
            has_heard: false,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.looked_at.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_EVERY)
    }

    /// A leader begins anew in each term.
    fn leads_in(&mut self, term: Option<Term>) {
        if self.term != term {
            self.term = term;
            self.autopilot.begin_reign();
            self.looked_at = None;
            self.whys.clear();
            self.keyless.clear();
            self.keyless_since.clear();
            self.distinct.clear();
        }
    }
}

impl Core {
    /// At each tick.
    pub(super) fn look_after_members(&mut self, now: Instant) {
        self.tell_own_role();
        let term = self.leader_term();
        self.pilot.leads_in(term);
        match self.chooses_voters() {
            true if self.pilot.is_due(now) => self.look_at_members(now),
            true => {}
            false => {
                self.pilot.whys.clear();
                self.note_keyless(Vec::new(), now);
            }
        }
    }

    /// This member leads a cluster that chooses its voters by itself.
    fn chooses_voters(&self) -> bool {
        self.is_leader() && self.roll.cluster.voters_max > 0
    }

    /// Is it time to be told who is connected? Who chooses voters hears who answers, and knows better.
    pub(in crate::member) fn wants_links(&self) -> bool {
        !self.chooses_voters() && self.has_others() && self.pilot.is_due(Instant::now())
    }

    /// Who has been here for how long is remembered by every member: it may be the next to lead.
    pub(in crate::member) fn note_links(&mut self, connected: &[NodeId]) {
        let now = Instant::now();
        let node = self.replica.node();
        let is_reached = |id| id == node.id() || node.leader() == Some(id) || connected.contains(&id);
        let members: Vec<_> = node.membership().members().map(|id| (id, is_reached(id))).collect();
        self.pilot.looked_at = Some(now);
        self.pilot.autopilot.notice(now.saturating_duration_since(self.pilot.begun), members);
    }

    fn look_at_members(&mut self, now: Instant) {
        self.pilot.looked_at = Some(now);
        self.pilot.is_founding |= self.roll.cluster.forming > 0;
        let me = self.replica.node().id();
        let sightings = self.sightings(now);
        let settings = self.autopilot_settings();
        let since = now.saturating_duration_since(self.pilot.begun);
        let Advice { step, whys, keyless, distinct } =
            self.pilot.autopilot.look(since, &settings, me, &sightings);
        self.pilot.whys = whys;
        self.note_keyless(keyless, now);
        self.note_distinct(distinct);
        match step {
            Some((step, why)) => self.propose_step(step, why),
            None if self.roll.cluster.forming == 0 && self.are_all_there(&sightings) => {
                self.pilot.is_founding = false;
            }
            None => {}
        }
    }

    fn note_keyless(&mut self, keyless: Vec<NodeId>, now: Instant) {
        let pilot = &mut self.pilot;
        if keyless == pilot.keyless {
            return;
        }
        keyless.iter().for_each(|id| {
            pilot.keyless_since.entry(*id).or_insert(now);
        });
        pilot.keyless = keyless;
        // Peers are told who may be given the key.
        self.roster_is_old = true;
    }

    /// Whom this member, which leads, is to give the authority's key.
    pub(in crate::member) fn keyless(&self) -> &[NodeId] {
        if self.is_leader() { &self.pilot.keyless } else { &[] }
    }

    /// What that came to.
    pub(in crate::member) fn note_key(&mut self, id: NodeId, has_key: bool) {
        if has_key {
            self.pilot.has_key.insert(id);
            self.pilot.keyless.retain(|keyless| *keyless != id);
            self.roster_is_old = true;
            // Nothing else is waited for.
            self.pilot.looked_at = None;
        } else if let Some(place) = self.pilot.keyless.iter().position(|keyless| *keyless == id) {
            let id = self.pilot.keyless.remove(place);
            self.pilot.keyless.push(id);
        }
    }

    pub(in crate::member) fn set_gives_key(&mut self, gives_key: bool) {
        self.pilot.gives_key = gives_key;
    }

    /// It has it, or it is no use to wait for that.
    fn has_key(&self, id: NodeId, now: Instant) -> bool {
        let pilot = &self.pilot;
        let is_late = |since: &Instant| now.saturating_duration_since(*since) >= KEY_PATIENCE;
        !pilot.gives_key || pilot.has_key.contains(&id) || pilot.keyless_since.get(&id).is_some_and(is_late)
    }

    fn note_distinct(&mut self, distinct: Vec<NodeId>) {
        if !distinct.is_empty() && distinct != self.pilot.distinct {
            let ids: Vec<String> = distinct.iter().map(NodeId::to_string).collect();
            log::warn!(
                "members {} have one serial number or network address, and are different boards: should one lose its data, its old \
                 member has to be removed by hand",
                ids.join(" and ")
            );
        }
        self.pilot.distinct = distinct;
    }

    fn sightings(&self, now: Instant) -> Vec<Sighting> {
        let node = self.replica.node();
        let membership = node.membership();
        let sighting = |id| {
            let is_me = id == node.id();
            let row = self.roll.row(id);
            let is_reached = is_me || node.hears(id);
            Sighting {
                id,
                is_voter: membership.voters.contains(&id),
                is_replica: row.is_some_and(|row| row.is_replica),
                board: row.map_or_else(Bytes::new, |row| row.board.clone()),
                is_reached,
                is_caught_up: is_me
                    || is_reached && row.is_some_and(MemberRow::has_served) && node.keeps_up(id),
                has_key: self.has_key(id, now),
            }
        };
        membership.members().map(sighting).collect()
    }

    fn are_all_there(&self, sightings: &[Sighting]) -> bool {
        sightings.iter().all(|sighting| sighting.is_caught_up)
    }

    fn autopilot_settings(&self) -> autopilot::Settings {
        let row = &self.roll.cluster;
        let replace_after_s = if row.replace_after_s == 0 { REPLACE_AFTER_S } else { row.replace_after_s };
        autopilot::Settings {
            voters_max: row.voters_max as usize,
            replace_after: Duration::from_secs(replace_after_s.into()),
            steady: if self.pilot.is_founding { Duration::ZERO } else { STEADY },
            blind: self.options.election * 2,
            bugs: self.options.bugs,
        }
    }

    fn propose_step(&mut self, step: Step, why: String) {
        let change = step.change();
        let info = RoleChange { since_s: now_s(), why: why.clone() }.encode();
        let request = self.wait(Waiter::Autopilot { step, why });
        self.feed(Event::ChangeMembers { request, change, info });
    }

    /// What was refused is looked at again in a second.
    pub(super) fn answer_step(&mut self, step: Step, why: &str, answer: &Answer) {
        if matches!(answer, Answer::Applied(_)) {
            // The next may be due: an even number is not for long.
            self.pilot.looked_at = None;
        }
        let id = step.change().node();
        let name = self.roll.row(id).map(|row| format!(" ({})", row.name)).unwrap_or_default();
        match (answer, step) {
            (Answer::Applied(_), Step::Promote(_)) => {
                log::info!("member {id}{name} votes from now on: {why}")
            }
            (Answer::Applied(_), Step::Demote(_)) => log::info!("member {id}{name} is a learner now: {why}"),
            (Answer::Applied(_), Step::Remove(_)) => log::info!("member {id}{name} was removed: {why}"),
            (answer, _) => log::debug!("autopilot: {step:?} came to nothing: {answer:?}"),
        }
    }

    /// Who votes no more is told so; the store may bring that, too, and does not say why.
    fn tell_own_role(&mut self) {
        let node = self.replica.node();
        let (me, members) = (node.id(), node.membership());
        let (is_voter, is_learner) = (members.voters.contains(&me), members.learners.contains(&me));
        if self.pilot.was_voter && is_learner {
            let why = match &*self.pilot.demoted_because {
                "" => "it did not vote while others could",
                why => why,
            };
            log::warn!("this board is a learner now: {why}");
        }
        self.pilot.was_voter = is_voter;
    }

    pub(super) fn note_demotion(&mut self, append: &Append) {
        let me = self.replica.node().id();
        for entry in &append.entries {
            if let Payload::Membership { change: MembershipChange::Demote(id), info, .. } = &entry.payload
                && *id == me
            {
                self.pilot.demoted_because =
                    RoleChange::decode(info).map(|role| role.why).unwrap_or_default();
            }
        }
    }

    /// What the leader has to say of each member; `None`: this one does not lead.
    pub(in crate::member) fn whys(&self) -> Option<Vec<(NodeId, String)>> {
        let waited_for = self.founding_note().map(|note| (self.replica.node().id(), note));
        let why = |(id, why): &(NodeId, String)| match &waited_for {
            Some((me, note)) if me == id => (*id, format!("{why}; {note}")),
            _ => (*id, why.clone()),
        };
        self.is_leader().then(|| self.pilot.whys.iter().map(why).collect())
    }

    /// Whom this cluster waits for.
    pub(super) fn founding_note(&self) -> Option<String> {
        let awaited = self.awaited_boards().filter(|(missing, size)| (1..=*size).contains(missing));
        awaited.map(|(missing, size)| format!("waiting for {missing} more of {size} boards"))
    }

    /// What a board that founds a cluster alone brings, until that is settled.
    pub(in crate::member) fn founding(&self) -> Option<AutopilotChange> {
        let node = self.replica.node();
        let founds = self.roll.cluster.voters_max == 0 && node.membership().members().eq([node.id()]);
        self.options.autopilot.filter(|_| founds)
    }

    /// The leader: what is to be settled now.
    pub(super) fn autopilot_news(&self) -> Option<Command> {
        if self.roll.cluster.level < LEVEL {
            return None;
        }
        if let Some(change) = self.founding() {
            return Some(Command::Autopilot(change));
        }
        if !self.pilot.distinct.is_empty() {
            let members = self.pilot.distinct.clone();
            return Some(Command::Amend { members, since_s: None, board: Some(Bytes::default()) });
        }
        let forming = self.roll.cluster.forming;
        let is_formed = forming > 0 && self.boards_count() >= forming;
        is_formed
            .then(|| Command::Autopilot(AutopilotChange { forming: Some(0), ..AutopilotChange::default() }))
    }

    /// That have served: who was let in may never come, or come again as another. Two of one mark are two boards while both are
    /// there.
    fn boards_count(&self) -> u32 {
        let (node, mut boards) = (self.replica.node(), BTreeMap::<Bytes, u32>::new());
        let mut unknown = 0;
        for id in node.membership().members() {
            let Some(row) = self.roll.row(id).filter(|row| row.has_served()) else { continue };
            let is_there = id == node.id() || node.hears(id);
            match row.board.is_empty() {
                true => unknown += 1,
                false => *boards.entry(row.board.clone()).or_default() += u32::from(is_there),
            }
        }
        unknown + boards.into_values().map(|there| there.max(1)).sum::<u32>()
    }

    /// How many are missing of how many that found the cluster. `None`: it is founded.
    pub(in crate::member) fn awaited_boards(&self) -> Option<(u32, u32)> {
        let size = match self.founding() {
            Some(change) => change.forming.unwrap_or(0),
            None => self.roll.cluster.forming,
        };
        (size > 0).then(|| (size.saturating_sub(self.boards_count()), size))
    }

    pub(in crate::member) fn knows_cluster(&self) -> bool {
        self.pilot.has_heard || self.roll.cluster.level > 0
    }

    pub(in crate::member) fn heard_of_cluster(&mut self) {
        self.pilot.has_heard = true;
    }
}

/// For people to read, by this board's clock.
pub(in crate::member) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
