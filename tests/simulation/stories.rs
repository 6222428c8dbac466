//! Stories: situations that chance brings about too seldom, played scene by scene.
//!
//! A story looks at the boards every millisecond and does what its next scene needs. What does not come about in time is given
//! up: all have power and hear each other, and the story begins anew.

use solder::{
    raft::{Node, Role},
    replica::Event,
    types::{Index, NodeId},
};

use super::{
    Micros,
    boards::Running,
    clients::{Asked, Asker},
    judges::{Verdict, history::Op},
    knobs::{MILLI, SECOND},
    nemesis::Fault,
    world::{Happening, World},
};

/// Of three boards.
#[derive(Clone, Copy, Debug)]
pub enum Story {
    /// Raft thesis, figure 3.7: an entry of an older term reaches a majority, and who never had it is elected.
    FigureEight,
    /// A leader with a slow clock stands still with its round of heartbeats answered; meanwhile others lead and write.
    StandingLeader,
}

/// Who has a slow clock in `StandingLeader`.
const SLOW: NodeId = NodeId(1);
const SLOW_PERCENT: u64 = 300;

/// Longer than an election takes.
const PATIENCE: Micros = 6 * SECOND;

/// By then what was under way has arrived: longer than any message takes in these worlds.
const UNDER_WAY: Micros = 150 * MILLI;

/// Where a story has come to.
#[derive(Clone, Copy, Debug, Default)]
enum Scene {
    #[default]
    Peace,
    /// The leader is cut off, and takes writes that nobody else gets.
    CutOff {
        first: NodeId,
    },
    /// It has no power. Entries from `only` on are its own.
    Orphans {
        first: NodeId,
        only: Index,
    },
    /// The second has been elected, and nobody hears of it.
    Second(Cast),
    /// The first is back with the third, to lead in a later term.
    Return(Cast),
    /// The third has acknowledged an older entry, and neither it nor the first has power.
    Dark(Cast),
    /// The second is back with the third.
    Revenge(Cast),
    /// The slow one is to lead.
    HandingOver,
    /// The slow one leads, and has ticked so often.
    Leads {
        ticks: u64,
    },
    StandsStill,
}

#[derive(Clone, Copy, Debug)]
struct Cast {
    first: NodeId,
    second: NodeId,
    third: NodeId,
    only: Index,
}

#[derive(Default)]
pub(super) struct Tale {
    scene: Scene,
    since: Micros,
}

impl World {
    pub(super) fn begin_story(&mut self) {
        let Some(story) = self.knobs.story else { return };
        if let Story::StandingLeader = story {
            for board in self.boards.values_mut() {
                board.slow_clock = if board.id == SLOW { SLOW_PERCENT } else { 0 };
            }
        }
        self.schedule(SECOND, Happening::Strikes(Fault::Story(story)));
    }

    pub(super) fn tell_on(&mut self, story: Story) -> Verdict {
        self.schedule(MILLI, Happening::Strikes(Fault::Story(story)));
        let Tale { scene, since } = self.tale;
        let lasts = self.now - since;
        let next = match story {
            Story::FigureEight => self.figure_eight(scene, lasts)?,
            Story::StandingLeader => self.standing_leader(scene, lasts)?,
        };
        match next {
            Some(scene) => self.tale = Tale { scene, since: self.now },
            None if lasts < PATIENCE => {}
            None => {
                self.all_is_well()?;
                self.tale = Tale { scene: Scene::Peace, since: self.now };
            }
        }
        Ok(())
    }

    fn all_is_well(&mut self) -> Verdict {
        self.wires.heal();
        self.with_disk().into_iter().try_for_each(|id| self.start(id))
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.boards[&id].running.as_ref().map(Running::node)
    }

    fn figure_eight(&mut self, scene: Scene, lasts: Micros) -> Result<Option<Scene>, String> {
        match scene {
            Scene::Peace => Ok(self.newest_leader().map(|first| {
                self.wires.isolate(&[first], &self.with_disk());
                Scene::CutOff { first }
            })),
            Scene::CutOff { first } if lasts > UNDER_WAY => Ok(self.orphan(first)),
            Scene::Orphans { first, only } => Ok(self.hide_successor(first, only)),
            Scene::Second(cast) if lasts > UNDER_WAY => self.bring_back(cast),
            Scene::Return(cast) => Ok(self.cut_before_own_entry(cast)),
            Scene::Dark(cast) if lasts > UNDER_WAY => {
                self.start(cast.second)?;
                self.start(cast.third)?;
                Ok(Some(Scene::Revenge(cast)))
            }
            Scene::Revenge(cast) => match self.node(cast.second) {
                Some(second) if second.role() == Role::Leader && second.commit() > cast.only => {
                    self.all_is_well()?;
                    Ok(Some(Scene::Peace))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Once it has something durable that nobody else has, the first loses its power.
    fn orphan(&mut self, first: NodeId) -> Option<Scene> {
        let others = self.with_disk().into_iter().filter(|id| *id != first);
        let known = others.filter_map(|id| Some(self.node(id)?.last().index)).max()?;
        if self.node(first)?.durable() <= known {
            return None;
        }
        self.cut_power(first);
        self.wires.heal();
        Some(Scene::Orphans { first, only: known.next() })
    }

    /// Who is elected now is heard by nobody: the third, whose vote is on its disk, loses what is on its way to it.
    fn hide_successor(&mut self, first: NodeId, only: Index) -> Option<Scene> {
        let second = self.newest_leader()?;
        let third = self.with_disk().into_iter().find(|id| *id != first && *id != second)?;
        self.wires.isolate(&[second], &self.with_disk());
        self.cut_power(third);
        Some(Scene::Second(Cast { first, second, third, only }))
    }

    fn bring_back(&mut self, cast: Cast) -> Result<Option<Scene>, String> {
        if self.node(cast.second).is_none_or(|second| second.durable() < cast.only) {
            return Ok(None);
        }
        self.cut_power(cast.second);
        self.wires.heal();
        self.start(cast.first)?;
        self.start(cast.third)?;
        Ok(Some(Scene::Return(cast)))
    }

    /// The third has what only the first had, and nothing of its new term yet.
    fn cut_before_own_entry(&mut self, cast: Cast) -> Option<Scene> {
        let first = self.node(cast.first)?;
        let has_it = first.progress_of(cast.third)?.matched >= cast.only;
        if !has_it || self.node(cast.third)?.last().term == first.term() {
            return None;
        }
        self.cut_power(cast.first);
        self.cut_power(cast.third);
        Some(Scene::Dark(cast))
    }

    fn standing_leader(&mut self, scene: Scene, lasts: Micros) -> Result<Option<Scene>, String> {
        let leads = self.newest_leader();
        let ticks = self.boards[&SLOW].ticks;
        match scene {
            Scene::Peace | Scene::HandingOver if leads == Some(SLOW) => Ok(Some(Scene::Leads { ticks })),
            Scene::Peace => match leads {
                Some(leader) => {
                    let request = self.take(leader, Asker::Operator, None);
                    self.feed(leader, Event::TransferLeader { request, to: Some(SLOW) })?;
                    Ok(Some(Scene::HandingOver))
                }
                None => Ok(None),
            },
            Scene::Leads { .. } if leads != Some(SLOW) => Ok(Some(Scene::Peace)),
            // A round has just begun.
            Scene::Leads { ticks: before } if ticks > before => match self.is_asked_to_read(SLOW) {
                true => Ok(Some(self.stand_still())),
                false => Ok(Some(Scene::Leads { ticks })),
            },
            Scene::StandsStill if lasts > SECOND => Ok(Some(Scene::Peace)),
            _ => Ok(None),
        }
    }

    fn is_asked_to_read(&self, board: NodeId) -> bool {
        let reads = |asked: &Asked| asked.board == board && matches!(asked.op, Some(Op::Get { .. }));
        self.requests.values().any(reads)
    }

    /// Until just before its next tick, which would begin another round. The others are told that it has ended, once they
    /// have its heartbeats.
    fn stand_still(&mut self) -> Scene {
        let until = self.now + self.boards[&SLOW].tick() - 3 * MILLI;
        self.board(SLOW).paused_until = until;
        self.report.pauses += 1;
        let arrived = self.knobs.network.delay_max + MILLI;
        for board in self.with_disk().into_iter().filter(|id| *id != SLOW) {
            self.schedule(arrived, Happening::Loses { board, lost: SLOW });
        }
        Scene::StandsStill
    }
}
