//! What it says of clusters at rest and in motion, and what must hold of any.

use std::{collections::BTreeSet, time::Duration};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn settings(voters_max: usize) -> Settings {
    Settings {
        voters_max,
        replace_after: 10 * MINUTE,
        steady: STEADY,
        blind: 2 * SECOND,
        bugs: Bugs::default(),
    }
}

/// A cluster as words: `1 2 -3 | 4 5~ 6r -7`: voters, then learners; `-`: not reached, `~`: catching up, `r`: a replica.
/// `=b` behind one: its board.
fn cluster(text: &str) -> Vec<Sighting> {
    let (voters, learners) = text.split_once('|').unwrap_or((text, ""));
    let voters = voters.split_whitespace().map(|word| sighting(word, true));
    let mut members: Vec<Sighting> =
        voters.chain(learners.split_whitespace().map(|word| sighting(word, false))).collect();
    members.sort_by_key(|member| member.id);
    members
}

fn sighting(word: &str, is_voter: bool) -> Sighting {
    let (word, board) = word.split_once('=').unwrap_or((word, ""));
    let digits: String = word.chars().filter(char::is_ascii_digit).collect();
    let is_reached = !word.starts_with('-');
    Sighting {
        id: NodeId(digits.parse().expect("a number")),
        is_voter,
        is_replica: word.ends_with('r'),
        board: Bytes::from(board),
        is_reached,
        is_caught_up: is_reached && !word.ends_with('~'),
    }
}

/// Member 1 leads a cluster that stays as it is, but for what autopilot does to it.
struct World {
    autopilot: Autopilot,
    now: Duration,
    settings: Settings,
    members: Vec<Sighting>,
}

impl World {
    fn new(settings: Settings, text: &str) -> World {
        World { autopilot: Autopilot::default(), now: SECOND, settings, members: cluster(text) }
    }

    fn look(&mut self) -> Advice {
        self.autopilot.look(self.now, &self.settings, NodeId(1), &self.members)
    }

    /// Looks once a second; what comes first, and when.
    fn first(&mut self, within: Duration) -> Option<(Step, Duration)> {
        let begun = self.now;
        while self.now <= begun + within {
            if let Some((step, _)) = self.look().step {
                return Some((step, self.now - begun));
            }
            self.now += SECOND;
        }
        None
    }

    fn take(&mut self, step: Step) {
        let id = step.change().node();
        match step {
            Step::Remove(_) => self.members.retain(|member| member.id != id),
            Step::Promote(_) | Step::Demote(_) => {
                let member = self.members.iter_mut().find(|member| member.id == id).expect("a member");
                let becomes_voter = matches!(step, Step::Promote(_));
                assert_ne!(member.is_voter, becomes_voter, "{step:?}");
                member.is_voter = becomes_voter;
            }
        }
    }

    /// All that happens within the time, as `+4` (promoted), `-3` (demoted), `x3` (removed), with the second of each.
    fn story(&mut self, within: Duration) -> String {
        let end = self.now + within;
        let mut story = Vec::new();
        while let Some((step, _)) = self.first(end.saturating_sub(self.now)) {
            let sign = match step {
                Step::Promote(_) => '+',
                Step::Demote(_) => '-',
                Step::Remove(_) => 'x',
            };
            story.push(format!("{sign}{}@{}", step.change().node(), self.now.as_secs() - 1));
            self.take(step);
            assert!(story.len() < 100, "no end: {story:?}");
        }
        story.join(" ")
    }

    fn why(&mut self, id: u64) -> String {
        let whys = self.look().whys;
        whys.into_iter().find(|(of, _)| *of == NodeId(id)).expect("a member").1
    }
}

#[track_caller]
fn tells(voters_max: usize, text: &str, story: &str) {
    assert_eq!(World::new(settings(voters_max), text).story(30 * MINUTE), story, "{text}");
}

#[test]
fn odd_numbers() {
    let odds: Vec<usize> = (0..8).map(odd).collect();
    assert_eq!(odds, [0, 1, 1, 3, 3, 5, 5, 7]);
}

#[test]
fn an_odd_number_votes() {
    tells(5, "1", "");
    tells(5, "1 | 2", "");
    tells(5, "1 | 2 3", "+2@5 +3@5");
    tells(5, "1 | 2 3 4", "+2@5 +3@5");
    tells(5, "1 | 2 3 4 5", "+2@5 +3@5 +4@5 +5@5");
    tells(5, "1 2 3 4 5 | 6 7", "");
    tells(3, "1 | 2 3 4 5", "+2@5 +3@5");
    tells(4, "1 | 2 3 4 5", "+2@5 +3@5");
    tells(1, "1 | 2 3", "");
}

#[test]
fn who_is_not_fit_does_not_vote() {
    tells(5, "1 | 2 3~", "");
    tells(5, "1 | 2 -3", "");
    tells(5, "1 | 2 3r", "");
    tells(5, "1 | 2 3r 4", "+2@5 +4@5");
    tells(5, "1 2 -3 | 4 5 6r", "-3@600 +4@600");
}

#[test]
fn a_cluster_that_is_founded_does_not_wait() {
    let founding = Settings { steady: Duration::ZERO, ..settings(5) };
    assert_eq!(World::new(founding, "1 | 2 3").story(MINUTE), "+2@0 +3@0");
}

#[test]
fn the_second_of_two_may_fail_between() {
    let mut world = World::new(settings(5), "1 | 2 3");
    assert_eq!(world.first(MINUTE), Some((Step::Promote(NodeId(2)), STEADY)));
    world.take(Step::Promote(NodeId(2)));
    world.members[2].is_reached = false;
    assert_eq!(world.look().step, None, "it may come back");
    assert_eq!(world.why(2), "voter: one of 2, until one more can vote");
    assert_eq!(world.first(20 * MINUTE), Some((Step::Demote(NodeId(2)), 10 * MINUTE)));
    world.take(Step::Demote(NodeId(2)));
    assert_eq!(world.story(20 * MINUTE), "");
    world.members[2].is_reached = true;
    assert_eq!(world.first(MINUTE), Some((Step::Promote(NodeId(2)), STEADY)));
}

#[test]
fn a_dead_voter_is_replaced() {
    tells(3, "1 2 -3 | 4", "-3@600 +4@600");
    tells(3, "1 2 -3 | 4 5", "-3@600 +4@600");
    tells(5, "1 2 3 -4 -5 | 6 7", "-5@600 +6@600 -4@600 +7@600");
    // One for two: an odd number is left.
    tells(5, "1 2 3 -4 -5 | 6", "-5@600 -4@600");
}

#[test]
fn nobody_is_there_to_replace_it() {
    tells(3, "1 2 -3", "");
    tells(3, "1 2 -3 | 4~ -5 6r", "");
    tells(5, "1 2 3 4 -5", "");
    // No majority could agree to it.
    tells(3, "1 -2 -3 | 4 5", "");
    tells(5, "1 2 -3 -4 -5 | 6 7 8", "");
}

#[test]
fn none_are_added_while_a_voter_is_away() {
    tells(5, "1 2 -3 | 4 5", "-3@600 +4@600");
    tells(5, "1 2 -3 | 4 5 6", "-3@600 +4@600 +5@600 +6@600");
}

#[test]
fn who_comes_back_is_a_learner_like_others() {
    let mut world = World::new(settings(3), "1 2 -3 | 4");
    assert_eq!(world.story(30 * MINUTE), "-3@600 +4@600");
    let three = world.members.iter_mut().find(|member| member.id == NodeId(3)).expect("a member");
    (three.is_reached, three.is_caught_up) = (true, true);
    assert_eq!(world.story(60 * MINUTE), "");
    assert_eq!(world.why(3), "learner: as many vote as may (3)");
}

/// What the last leader saw of one that is away may be wrong by now.
#[test]
fn who_leads_next_waits_for_as_long_again() {
    let mut world = World::new(settings(3), "1 2 -3 | 4");
    assert_eq!(world.story(9 * MINUTE), "");
    world.autopilot.begin_reign();
    assert_eq!(world.first(30 * MINUTE), Some((Step::Demote(NodeId(3)), 10 * MINUTE)));
}

#[test]
fn who_comes_back_in_time_stays() {
    let mut world = World::new(settings(3), "1 2 -3 | 4");
    for _ in 0..10 {
        assert_eq!(world.story(9 * MINUTE), "");
        world.members[2].is_reached = true;
        assert_eq!(world.story(SECOND), "");
        world.members[2].is_reached = false;
    }
}

#[test]
fn who_comes_and_goes_is_never_fit() {
    let mut world = World::new(settings(3), "1 | 2 3");
    for _ in 0..100 {
        world.members[2].is_caught_up ^= true;
        assert_eq!(world.story(3 * SECOND), "");
    }
}

#[test]
fn fewer_may_vote() {
    tells(3, "1 2 3 4 5", "-5@0 -4@0");
    tells(3, "1 2 -3 4 5", "-3@0 -5@0");
    tells(1, "1 2 3", "-3@0 -2@0");
    tells(3, "1 -2 -3 4 5", "-3@0 -2@0");
    tells(3, "1 -2 -3 -4 5", "");
}

#[test]
fn an_even_number_is_waited_for_and_ended() {
    tells(5, "1 2", "-2@600");
    tells(5, "1 2 | 3", "+3@5");
    tells(5, "1 2 3 4 | 5~", "-4@600");
    tells(5, "1 2 3 -4", "-4@600");
    tells(5, "1 2 3 -4 | 5", "+5@5");
    tells(5, "1 -2", "");
}

#[test]
fn a_board_that_came_back_without_its_data() {
    // Who was there at this leader's first look may be another board with an equal mark: that takes as long as any.
    tells(3, "1 2 -3=b | 4=b", "x3@600 +4@600");
    tells(3, "1 2 3 | -4=b 5=b", "x4@600");
    tells(3, "1 2 -3=b | 4~=b", "");
    tells(3, "1 -2 -3=b | 4=b", "");
    // Who comes in while it is away is the same board.
    let mut world = World::new(settings(3), "1 2 -3=b");
    world.look();
    world.now += Duration::from_secs(1);
    world.members.extend(World::new(settings(3), "1 2 3 | 4=b").members.pop());
    assert_eq!(world.story(MINUTE), "x3@6 +4@6");
    tells(3, "1 2 -3=b | 4=c", "-3@600 +4@600");
}

/// Two that say that they are the same board, and cannot be.
#[test]
fn boards_with_equal_marks() {
    let mut world = World::new(settings(3), "1 2 3 | 4=b 5=b 6=c");
    assert_eq!(world.look().distinct, []);
    assert_eq!(world.story(MINUTE), "");
    assert_eq!(world.look().distinct, [NodeId(4), NodeId(5)], "what their rows say is to count no more");
    world.members[4].is_reached = false;
    assert_eq!(world.story(60 * MINUTE), "", "this leader knows");
    // The next ones have rows that say nothing.
    world.autopilot.begin_reign();
    world.members[3].board = Bytes::default();
    world.members[4].board = Bytes::default();
    assert_eq!(world.story(60 * MINUTE), "");
    assert_eq!(world.look().distinct, []);
}

/// Who has died counts as reached for a moment, and its board may be back by then.
#[test]
fn who_is_quickly_back_is_one_board() {
    let mut world = World::new(settings(3), "1 2 3=b | 4=b");
    let four = world.members.pop().expect("four");
    assert_eq!(world.story(SECOND), "");
    world.members.push(four);
    assert_eq!(world.story(2 * SECOND), "");
    world.members[2].is_reached = false;
    assert_eq!(world.story(MINUTE), "x3@10 +4@10");
}

/// A leader that lost its data: who leads next was not told by anybody which of the two was there first.
#[test]
fn who_leads_next_remembers_who_was_there_first() {
    let story = |before: [&str; 2]| {
        let mut world = World::new(settings(3), "1 2 -3=b | 4=b");
        for text in before {
            for _ in 0..10 {
                let members = cluster(text).into_iter();
                world.autopilot.notice(world.now, members.map(|member| (member.id, member.is_reached)));
                world.now += SECOND;
            }
        }
        world.autopilot.begin_reign();
        world.story(30 * MINUTE)
    };
    assert_eq!(story(["1 2 3=b", "1 2 3=b"]), "x3@25 +4@25");
    assert_eq!(story(["1 2 3=b", "1 2 -3=b | 4=b"]), "x3@25 +4@25");
    assert_eq!(story(["1 2 -3=b", "1 2 -3=b | 4=b"]), "x3@25 +4@25", "this board has never reached it");
    assert_eq!(story(["1 2 | 4=b", "1 2 -3=b | 4=b"]), "x3@620 +4@620", "four is perhaps another");
    assert_eq!(story(["1 2 -3=b | 4=b"; 2]), "x3@620 +4@620", "nobody knows who came first");
    assert_eq!(story(["1 2 3=b", "1 2 3=b | 4=b"]), "x3@620 +4@620", "they were there together");
}

#[test]
fn only_a_voter_leads() {
    tells(3, "2 3 | 1 4", "");
}

#[test]
fn why_members_are_what_they_are() {
    let cases = [
        (5, "1", 1, "voter: the only one"),
        (5, "1 | 2", 2, "learner: an even number of voters would stop with one more failure"),
        (5, "1 2 3 | 4", 4, "learner: an even number of voters would stop with one more failure"),
        (5, "1 2 3 | 4 -5", 5, "learner: not reached for 60 s"),
        (5, "1 2 3 | 4r", 4, "learner: it is to hold the data only"),
        (5, "1 2 3 | 4~", 4, "learner: catching up"),
        (3, "1 2 3 | 4", 4, "learner: as many vote as may (3)"),
        (3, "1 2 3 | 4", 2, "voter: one of 3"),
        (3, "1 2 -3 | 4", 3, "voter: not reached for 60 s, replaced after 10 min"),
        (5, "1 2 -3 | 4", 4, "learner: a voter is not reached, and no others are added meanwhile"),
        (3, "1 -2 -3 | 4", 3, "voter: not reached for 60 s, and without it no majority is there"),
        (3, "1 2 3 4", 4, "voter: one of 4, and 3 may vote"),
        (5, "1 2 3 4", 4, "voter: one of 4, until one more can vote"),
        (3, "1 -2=b -3 | 4=b", 2, "voter: not reached for 60 s, and without it no majority is there"),
        (3, "1 2 3 | -4=b 5=b", 4, "learner: not reached for 60 s"),
        (5, "1 | 2 3", 2, "learner: it can vote, and is about to"),
    ];
    for (voters_max, text, id, why) in cases {
        let mut world = World::new(settings(voters_max), text);
        world.look();
        world.now += MINUTE;
        assert_eq!(world.why(id), why, "{text}");
    }
    let mut world = World::new(settings(5), "1 | 2 3");
    assert_eq!(world.why(2), "learner: caught up, but not for long enough yet");
    let mut world = World::new(settings(3), "1 2 -3");
    world.look();
    world.now += 180 * MINUTE;
    assert_eq!(world.why(3), "voter: not reached for 3 h, to be replaced as soon as a learner can vote");
}

#[test]
fn why_a_change_is_made() {
    let cases = [
        (5, "1 | 2 3", "two have caught up, and make 3 voters one after the other"),
        (5, "1 2 | 3", "it has caught up, and makes 3 voters"),
        (3, "1 2 3 4 5", "as many as 5 vote, and 3 may"),
        (3, "1 2 -3 | 4", "it was not reached for 11 min, and another can vote"),
        (3, "1 2", "an even number of voters (2) would stop with one more failure"),
        (3, "1 2 -3=b | 4=b", "its board is back without its data, as member 4"),
    ];
    for (voters_max, text, why) in cases {
        let mut world = World::new(settings(voters_max), text);
        world.look();
        world.now += 11 * MINUTE;
        assert_eq!(world.look().step.map(|(_, why)| why), Some(why.to_owned()), "{text}");
    }
}

/// Boards of any kind come, go and return, and autopilot does what it says.
#[test]
fn any_world() {
    arbtest::arbtest(|source| {
        let count = source.int_in_range(1..=9)?;
        let mut members = Vec::new();
        for id in 1..=count {
            let mut member = sighting(&id.to_string(), id == 1 || source.ratio(1, 2)?);
            member.is_replica = !member.is_voter && source.ratio(1, 8)?;
            if source.ratio(1, 4)? {
                member.board = Bytes::from(["a", "b"][source.choose_index(2)?]);
            }
            members.push(member);
        }
        let settings = settings(source.int_in_range(1..=9)?);
        let mut world = World { autopilot: Autopilot::default(), now: SECOND, settings, members };
        for _ in 0..source.int_in_range(0..=40)? {
            let place = source.choose_index(world.members.len())?;
            if source.ratio(1, 2)? && world.members[place].id != NodeId(1) {
                let member = &mut world.members[place];
                member.is_reached = source.arbitrary()?;
                member.is_caught_up = member.is_reached && source.arbitrary()?;
            }
            world.now += Duration::from_secs(source.int_in_range(0..=700)?);
            step(&mut world);
        }
        rests(&mut world);
        Ok(())
    });
}

fn has_majority(members: &[Sighting]) -> bool {
    let voters: Vec<&Sighting> = members.iter().filter(|member| member.is_voter).collect();
    voters.iter().filter(|voter| voter.is_reached).count() > voters.len() / 2
}

fn step(world: &mut World) -> Option<Step> {
    let before = world.members.clone();
    let (step, _) = world.look().step?;
    assert!(has_majority(&before), "{step:?} could not be committed: {before:?}");
    let member = before.iter().find(|member| member.id == step.change().node()).expect("of a member");
    match step {
        Step::Promote(_) => {
            assert!(member.is_reached && member.is_caught_up && !member.is_replica, "{member:?}")
        }
        Step::Demote(id) => assert_ne!(id, NodeId(1), "the leader itself"),
        Step::Remove(_) => assert!(!member.is_reached, "{member:?}"),
    }
    world.take(step);
    assert!(has_majority(&world.members), "{step:?} left no majority of {before:?}");
    Some(step)
}

/// With nothing that changes any more, it ends; and by then the number is odd, no more vote than may, and who is gone does not
/// vote if another can.
fn rests(world: &mut World) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for _ in 0..200 {
        world.now += MINUTE;
        if step(world).is_some() {
            let roles: Vec<_> = world.members.iter().map(|member| (member.id, member.is_voter)).collect();
            assert!(known.insert(format!("{roles:?}")), "to and fro: {:?}", world.members);
        }
    }
    assert_eq!(step(world), None, "no end: {:?}", world.members);
    if !has_majority(&world.members) {
        return;
    }
    let voters = world.members.iter().filter(|member| member.is_voter).count();
    assert!(voters % 2 == 1 && voters <= odd(world.settings.voters_max), "{:?}", world.members);
    let fit = |member: &&Sighting| !member.is_voter && !member.is_replica && member.is_caught_up;
    let fit = world.members.iter().filter(fit).count();
    let is_one_gone = world.members.iter().any(|member| member.is_voter && !member.is_reached);
    assert!(!is_one_gone || fit == 0, "{:?}", world.members);
    assert!(is_one_gone || fit < 2 || voters + 2 > world.settings.voters_max, "{:?}", world.members);
}
