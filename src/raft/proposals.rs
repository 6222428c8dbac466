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

use std::collections::BTreeMap;

use crate::types::{NodeId, ProposalId};

/// Lives remembered in one term: a member that boots more often under one leader has other troubles. 150 bytes each; one
/// more is refused with "too many requests".
const LIVES_MAX: usize = 1024;

/// Proposals of one life that may overtake each other and still be told apart.
const WINDOW: u32 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

#[derive(Debug, Default)]
pub(super) struct Proposals {
    lives: BTreeMap<(NodeId, u32), Window>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    New,
    SeenOrTooOld,
    TooMany,
}

/// The newest count, and which of the `WINDOW` up to it were seen.
#[derive(Debug)]
struct Window {
    newest: u32,
    seen: [u64; WORDS],
}

impl Proposals {
    pub(super) fn note(&mut self, id: ProposalId) -> Noted {
        let (life, count) = ((id.number >> 32) as u32, id.number as u32);
        let known = self.lives.len();
        match self.lives.get_mut(&(id.origin, life)) {
            Some(window) => window.note(count),
            None if known >= LIVES_MAX => Noted::TooMany,
            None => {
                self.lives.insert((id.origin, life), Window::starting_at(count));
                Noted::New
            }
        }
    }
}

impl Window {
    fn starting_at(count: u32) -> Window {
        let mut window = Window { newest: count, seen: [0; WORDS] };
        window.set(count, true);
        window
    }

    fn note(&mut self, count: u32) -> Noted {
        if count > self.newest {
            // What comes into the window has not been seen.
            let fresh = (count - self.newest).min(WINDOW);
            (0..fresh).for_each(|back| self.set(count - back, false));
            self.newest = count;
        } else if self.newest - count >= WINDOW || self.get(count) {
            return Noted::SeenOrTooOld;
        }
        self.set(count, true);
        Noted::New
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
            assert_eq!(proposals.note(id(1, count)), Noted::New, "{count}");
            assert_eq!(proposals.note(id(1, count)), Noted::SeenOrTooOld, "{count} again");
        }
        assert_eq!(proposals.note(id(1, 6)), Noted::SeenOrTooOld, "never seen, but too old to be sure");
    }

    #[test]
    fn nothing_is_taken_twice_in_any_order() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut proposals, mut taken) = (Proposals::default(), std::collections::BTreeSet::new());
        let mut newest = 5_000_u32;
        for _ in 0..20_000 {
            newest += if rng.u8(..50) == 0 { rng.u32(..3 * WINDOW) } else { rng.u32(..3) };
            let count = newest - rng.u32(..2 * WINDOW);
            if proposals.note(id(1, count)) == Noted::New {
                assert!(taken.insert(count), "{count} taken twice");
            }
        }
        assert!(taken.len() > 5_000, "only {} taken", taken.len());
    }

    #[test]
    fn lives_are_apart_and_bounded() {
        let mut proposals = Proposals::default();
        for life in 0..LIVES_MAX as u32 {
            assert_eq!(proposals.note(id(life, 7)), Noted::New);
        }
        assert_eq!(proposals.note(id(LIVES_MAX as u32, 7)), Noted::TooMany);
        assert_eq!(proposals.note(id(0, 8)), Noted::New);
    }
}
