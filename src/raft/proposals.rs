//! Which proposals of other members a leader has taken in its term: a message that comes twice is taken once.
//!
//! A member numbers its proposals: the upper half of the number is drawn at random when it boots, the lower half counts.
//! Of each such life the newest count is remembered, and which of those shortly before it were seen; what is older is
//! taken for seen.
//!
//! ```text
//!   number:   | life, 32 bits | count, 32 bits |
//!   window:   .. seen or too old | 1024 bits: seen or not | newest
//! ```
//!
//! Here you will not find: other terms. What was sent in an earlier one is not taken at all (`Node::on_request`).

use std::collections::{BTreeMap, VecDeque};

use crate::types::{NodeId, ProposalId};

/// Lives of one member that are remembered, 150 bytes each. The oldest makes room: what is late from it would be taken as new,
/// but a member does not boot eight times while a message of its is under way.
const LIVES_MAX: usize = 8;

/// Proposals of one life that may overtake each other and still be told apart.
const WINDOW: u32 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// Of members only: their number bounds it.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    /// In the order in which they were first heard of.
    lives: BTreeMap<NodeId, VecDeque<(u32, Window)>>,
}

/// The newest count, and which of the `WINDOW` up to it were seen.
#[derive(Debug)]
struct Window {
    newest: u32,
    seen: [u64; WORDS],
}

impl Proposals {
    /// Is it new?
    pub(super) fn note(&mut self, id: ProposalId, is_member: impl Fn(NodeId) -> bool) -> bool {
        let (life, count) = ((id.number >> 32) as u32, id.number as u32);
        if !self.lives.contains_key(&id.origin) {
            self.lives.retain(|origin, _| is_member(*origin));
        }
        let lives = self.lives.entry(id.origin).or_default();
        if let Some((_, window)) = lives.iter_mut().find(|(known, _)| *known == life) {
            return window.note(count);
        }
        if lives.len() == LIVES_MAX {
            lives.pop_front();
        }
        lives.push_back((life, Window::starting_at(count)));
        true
    }
}

impl Window {
    fn starting_at(count: u32) -> Window {
        let mut window = Window { newest: count, seen: [0; WORDS] };
        window.set(count, true);
        window
    }

    /// False: seen, or too old to be sure.
    fn note(&mut self, count: u32) -> bool {
        if count > self.newest {
            // What comes into the window has not been seen.
            let fresh = (count - self.newest).min(WINDOW);
            (0..fresh).for_each(|back| self.set(count - back, false));
            self.newest = count;
        } else if self.newest - count >= WINDOW || self.get(count) {
            return false;
        }
        self.set(count, true);
        true
    }

    fn get(&self, count: u32) -> bool {
        let bit = count % WINDOW;
        self.seen[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }

    fn set(&mut self, count: u32, seen: bool) {
        let bit = count % WINDOW;
        let word = &mut self.seen[(bit / 64) as usize];
        *word = *word & !(1 << (bit % 64)) | u64::from(seen) << (bit % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(life: u32, count: u32) -> ProposalId {
        ProposalId { origin: NodeId(1), number: u64::from(life) << 32 | u64::from(count) }
    }

    #[test]
    fn each_is_new_once() {
        let mut proposals = Proposals::default();
        for count in [5, 3, 4, 9, 7, 8 + WINDOW, 10, 9 + WINDOW] {
            assert!(proposals.note(id(1, count), |_| true), "{count}");
            assert!(!proposals.note(id(1, count), |_| true), "{count} again");
        }
        assert!(!proposals.note(id(1, 6), |_| true), "never seen, but too old to be sure");
    }

    #[test]
    fn nothing_is_taken_twice_in_any_order() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut proposals, mut taken) = (Proposals::default(), std::collections::BTreeSet::new());
        let mut newest = 5_000_u32;
        for _ in 0..20_000 {
            newest += if rng.u8(..50) == 0 { rng.u32(..3 * WINDOW) } else { rng.u32(..3) };
            let count = newest - rng.u32(..2 * WINDOW);
            if proposals.note(id(1, count), |_| true) {
                assert!(taken.insert(count), "{count} taken twice");
            }
        }
        assert!(taken.len() > 5_000, "only {} taken", taken.len());
    }

    #[test]
    fn lives_are_apart_and_the_newest_are_remembered() {
        let mut proposals = Proposals::default();
        // Nobody is refused because its board has booted often.
        for life in 0..5_000 {
            assert!(proposals.note(id(life, 7), |_| true), "{life}");
            assert!(!proposals.note(id(life, 7), |_| true), "{life} again");
            let oldest = (life + 1).saturating_sub(LIVES_MAX as u32);
            assert!(!proposals.note(id(oldest, 7), |_| true), "{oldest} is remembered");
        }
        assert_eq!(proposals.lives[&NodeId(1)].len(), LIVES_MAX);
    }

    #[test]
    fn who_was_removed_is_forgotten() {
        let mut proposals = Proposals::default();
        for origin in 1..=1_000 {
            let id = ProposalId { origin: NodeId(origin), number: 1 << 32 };
            assert!(proposals.note(id, |id| id.0 + 3 > origin));
        }
        assert_eq!(proposals.lives.len(), 3);
    }
}
