//! The first election after a start: nobody waits for a leader that is not there.
//!
//! A time-out gives a leader time to be heard. Where all boards have just got power there is none, and who is connected with
//! a majority of the voters, and has heard of nobody who leads or stands, need not wait that long: it asks soon, in turn.
//!
//! It may be told wrongly, late or never: it only asks sooner than it would, and it asks for pre-votes. Who hears a leader
//! ignores it. Once somebody has led or stood for election it is over, and who is connected means nothing any more: a link
//! that comes and goes must not make elections.

use std::collections::BTreeSet;

use crate::types::NodeId;

use super::{Node, quorum};

/// Voters that are connected. `None`: somebody has led or stood since the start.
pub(super) type Met = Option<BTreeSet<NodeId>>;

impl Node {
    /// There is a connection with this peer, in both directions.
    pub fn peer_met(&mut self, id: NodeId) {
        self.ask_soon(id);
        let own = self.options.id;
        let voters = &self.members.latest().voters;
        let Some(met) = &mut self.met else { return };
        if id == own || !voters.contains(&id) {
            return;
        }
        met.insert(id);
        if quorum::holds(voters, |voter| voter == own || met.contains(&voter)) {
            self.stand_in_turn(None);
        }
    }

    pub(super) fn peer_unmet(&mut self, id: NodeId) {
        if let Some(met) = &mut self.met {
            met.remove(&id);
        }
    }
}
