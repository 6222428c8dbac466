//! The wires between boards: who hears whom, when, and how often.

use std::collections::BTreeSet;

use solder::{replica::PeerMessage, types::NodeId};

use super::{Micros, knobs};

/// Which wires are cut, one direction at a time.
#[derive(Default)]
pub struct Wires {
    cut: BTreeSet<(NodeId, NodeId)>,
}

impl Wires {
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.contains(&(from, to))
    }

    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// One more fault, of a kind drawn at random: two halves, one board alone, one direction only, one wire only.
    pub fn cut_somewhere(&mut self, boards: &[NodeId], rng: &mut fastrand::Rng) {
        if boards.len() < 2 {
            return;
        }
        let one = boards[rng.usize(..boards.len())];
        let other = boards[rng.usize(..boards.len())];
        match rng.u32(..5) {
            0 => self.cut_halves(boards, rng),
            1 => boards.iter().for_each(|&board| self.cut_both(one, board)),
            // It is heard, but hears nobody; or the other way round.
            2 => boards.iter().for_each(|&board| self.cut_one_way(board, one)),
            3 => boards.iter().for_each(|&board| self.cut_one_way(one, board)),
            _ => self.cut_both(one, other),
        }
    }

    /// These hear each other and nobody else.
    pub fn isolate(&mut self, some: &[NodeId], boards: &[NodeId]) {
        for &one in some {
            boards.iter().filter(|other| !some.contains(other)).for_each(|&other| self.cut_both(one, other));
        }
    }

    fn cut_halves(&mut self, boards: &[NodeId], rng: &mut fastrand::Rng) {
        let (left, right): (Vec<NodeId>, Vec<NodeId>) = boards.iter().partition(|_| rng.bool());
        for &a in &left {
            for &b in &right {
                self.cut_both(a, b);
            }
        }
    }

    fn cut_both(&mut self, a: NodeId, b: NodeId) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    fn cut_one_way(&mut self, from: NodeId, to: NodeId) {
        if from != to {
            self.cut.insert((from, to));
        }
    }
}

/// When the copies of one message arrive: none, one or two of them, each after its own delay.
pub fn arrivals(network: &knobs::Network, rng: &mut fastrand::Rng) -> Vec<Micros> {
    if rng.u32(..1000) < network.lost {
        return Vec::new();
    }
    let copies = 1 + usize::from(rng.u32(..1000) < network.doubled);
    (0..copies).map(|_| delay(network, rng)).collect()
}

fn delay(network: &knobs::Network, rng: &mut fastrand::Rng) -> Micros {
    match rng.u32(..1000) < network.straggling {
        true => rng.u64(network.delay_max..=network.delay_max + 3 * knobs::SECOND),
        false => rng.u64(network.delay_min..=network.delay_max),
    }
}

/// What the wire makes of a message: its bytes, and what the other side reads in them.
pub fn over_the_wire(message: &PeerMessage) -> PeerMessage {
    let bytes = postcard::to_stdvec(message).expect("a vector takes what memory takes");
    postcard::from_bytes(&bytes).expect("what was written can be read")
}

pub fn ends(message: &PeerMessage) -> (NodeId, NodeId) {
    message.ends()
}
