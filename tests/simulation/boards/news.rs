//! What a board hears of others that is no message: who is there, and who has gone.

use solder::{replica::Event, types::NodeId};

use super::super::{
    judges::Verdict,
    knobs::{MILLI, SECOND},
    world::{Happening, World},
};

impl World {
    /// Of a process that has ended, or a link that was cut, the systems of the others may hear: some, at once or late.
    pub(in super::super) fn tell_of_loss(&mut self, lost: NodeId) {
        let others: Vec<NodeId> = self.boards.keys().copied().filter(|id| *id != lost).collect();
        for board in others {
            self.tell_of_peer(Happening::Loses { board, lost });
        }
    }

    /// Who has power is connected with others: some hear of it, and it of some of them, be they there or not.
    pub(super) fn tell_of_meeting(&mut self, id: NodeId) {
        let others: Vec<NodeId> = self.boards.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            self.tell_of_peer(Happening::Meets { board: id, met: other });
            self.tell_of_peer(Happening::Meets { board: other, met: id });
        }
    }

    /// At once, late, or never.
    fn tell_of_peer(&mut self, happening: Happening) {
        if self.rng.u32(..1000) < self.knobs.network.told_of_peers {
            let delay = if self.rng.u32(..5) == 0 { 3 * SECOND } else { 2 * MILLI };
            let delay = self.rng.u64(..delay);
            self.schedule(delay, happening);
        }
    }

    pub(in super::super) fn meets(&mut self, id: NodeId, met: NodeId) -> Verdict {
        let is_unled = self.running(id).is_some_and(|running| running.replica.node().leader().is_none());
        self.report.met += u64::from(is_unled);
        self.feed(id, Event::PeerMet(met))
    }
}
