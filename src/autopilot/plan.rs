//! What to do now: one change, or none.

use std::{cmp::Reverse, time::Duration};

use super::{Member, Settings, Step, odd, sentence};
use crate::types::{Bug, NodeId};

/// The members as of now, seen by the one that leads.
pub(super) struct Plan<'a> {
    pub(super) settings: &'a Settings,
    pub(super) me: NodeId,
    /// In the order of their ids.
    pub(super) members: &'a [Member],
    /// For how long the number of voters has been even.
    pub(super) even_for: Duration,
}

impl<'a> Plan<'a> {
    pub(super) fn voters(&self) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(|member| member.is_voter)
    }

    fn learners(&self) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(|member| !member.is_voter)
    }

    /// So many may vote.
    pub(super) fn voters_max(&self) -> usize {
        odd(self.settings.voters_max)
    }

    /// It has been away for as long as is waited for.
    pub(super) fn is_dead(&self, member: &Member) -> bool {
        member.unreached_for.is_some_and(|time| time >= self.settings.replace_after)
    }

    /// It could vote from now on.
    pub(super) fn is_fit(&self, member: &Member) -> bool {
        let is_steady = member.steady_for.is_some_and(|time| time >= self.settings.steady);
        !member.is_voter && !member.is_replica && is_steady
    }

    fn fit(&self) -> impl Iterator<Item = &'a Member> {
        self.learners().filter(|member| self.is_fit(member))
    }

    /// It can vote now.
    fn ready(&self) -> impl Iterator<Item = &'a Member> {
        self.fit().filter(|member| member.has_key)
    }

    /// Of those that would be promoted by now, or one soon, who has no key yet. Nobody where nobody is to be promoted.
    pub(super) fn keyless(&self) -> Vec<NodeId> {
        let voters = self.voters().count();
        let wanted = self.wanted().saturating_sub(voters).max(usize::from(self.dead().next().is_some()));
        let mut fit: Vec<&Member> = self.fit().collect();
        fit.sort_by_key(|member| (Reverse(member.steady_for), member.id));
        let missing = wanted.min(2).saturating_sub(self.ready().count());
        fit.iter().filter(|member| !member.has_key).take(missing).map(|member| member.id).collect()
    }

    fn dead(&self) -> impl Iterator<Item = &'a Member> {
        self.voters().filter(|member| self.is_dead(member))
    }

    /// So many should vote, by what there is.
    pub(super) fn wanted(&self) -> usize {
        let alive = self.voters().count() - self.dead().count();
        odd(self.voters_max().min(alive + self.fit().count()))
    }

    /// Are those that are reached a majority of the voters?
    pub(super) fn has_majority(&self) -> bool {
        self.reached() > self.voters().count() / 2
    }

    fn reached(&self) -> usize {
        self.voters().filter(|voter| voter.unreached_for.is_none()).count()
    }

    /// And why. Nothing where it could not be committed, or where nobody could agree to anything any more once it is.
    pub(super) fn step(&self) -> Option<(Step, String)> {
        let leads = self.voters().any(|voter| voter.id == self.me);
        let step = if leads && self.has_majority() { self.next() } else { None };
        let step = step.filter(|step| self.is_safe(*step)).map(|step| self.or_a_living_one(step));
        step.map(|step| (step, sentence::of_step(self, step)))
    }

    /// Only a deliberate bug changes what was decided.
    fn or_a_living_one(&self, step: Step) -> Step {
        let is_other = |voter: &&Member| voter.id != self.me && voter.unreached_for.is_none();
        match self.voters().find(is_other) {
            Some(living)
                if self.settings.bugs.has(Bug::DemoteTheLiving) && matches!(step, Step::Demote(_)) =>
            {
                Step::Demote(living.id)
            }
            _ => step,
        }
    }

    fn is_safe(&self, step: Step) -> bool {
        let (voters, reached) = (self.voters().count(), self.reached());
        let is_reached =
            |id| self.members.iter().any(|member| member.id == id && member.unreached_for.is_none());
        let is_voter = |id| self.voters().any(|voter| voter.id == id);
        let (voters, reached) = match step {
            Step::Promote(id) => (voters + 1, reached + usize::from(is_reached(id))),
            Step::Demote(id) | Step::Remove(id) if is_voter(id) => {
                (voters - 1, reached - usize::from(is_reached(id)))
            }
            Step::Demote(_) | Step::Remove(_) => (voters, reached),
        };
        reached > voters / 2
    }

    fn next(&self) -> Option<Step> {
        let voters = self.voters().count();
        if let Some(member) = self.members.iter().find(|member| member.back_as.is_some()) {
            return Some(Step::Remove(member.id));
        }
        if voters > self.voters_max() {
            return self.least().map(Step::Demote);
        }
        match voters % 2 {
            0 => self.of_even(voters),
            _ => self.of_odd(voters),
        }
    }

    /// One more makes it odd, or one less. Who is not fit for the moment is waited for.
    fn of_even(&self, voters: usize) -> Option<Step> {
        if self.wanted() > voters {
            return self.best().map(Step::Promote);
        }
        let is_due = self.even_for >= self.settings.replace_after || self.dead().next().is_some();
        if is_due { self.least().map(Step::Demote) } else { None }
    }

    fn of_odd(&self, voters: usize) -> Option<Step> {
        if let Some(dead) = self.longest_dead() {
            let is_replaced = self.ready().next().is_some();
            return is_replaced.then_some(Step::Demote(dead));
        }
        let all_there = self.reached() == voters;
        // Two at a time, and the second may not be long in coming.
        let grows = self.wanted() > voters && all_there && self.ready().count() >= 2;
        if grows { self.best().map(Step::Promote) } else { None }
    }

    fn longest_dead(&self) -> Option<NodeId> {
        self.dead().max_by_key(|member| (member.unreached_for, member.id)).map(|member| member.id)
    }

    /// The learner that has been fit for longest; of equals, the one with the smallest id.
    fn best(&self) -> Option<NodeId> {
        self.ready().max_by_key(|member| (member.steady_for, Reverse(member.id))).map(|member| member.id)
    }

    /// The voter that is missed least, never this one: who has been away for longest, else who came last.
    fn least(&self) -> Option<NodeId> {
        let others = self.voters().filter(|voter| voter.id != self.me);
        others
            .max_by_key(|voter| (voter.unreached_for, Reverse(voter.role_for), voter.id))
            .map(|voter| voter.id)
    }
}
