//! What the core hears of peers, and tells them of the members.

use std::{
    mem,
    time::{Duration, Instant},
};

use crate::{
    peer::{PeerEvent, Refusal, Roster},
    replica::{Event, PeerMessage},
    types::NodeId,
};

use super::Core;
use crate::member::engine::Failure;

/// etcd's: ten times its 100 ms.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Core {
    pub(super) fn hear_peers(&mut self) -> Result<(), Failure> {
        let mut events = mem::take(&mut self.peer_events);
        for event in events.drain(..) {
            match event {
                PeerEvent::Received(PeerMessage::Digest { from, of, hash, .. }) => {
                    self.hear_digest(of, from, hash);
                }
                PeerEvent::Received(message) => self.feed(Event::Received(message)),
                PeerEvent::Met(id) => self.feed(Event::PeerMet(id)),
                PeerEvent::Lost(id) => self.feed(Event::PeerLost(id)),
                PeerEvent::Refused { by, reason } => self.refused_by(by, reason)?,
            }
        }
        self.peer_events = events;
        Ok(())
    }

    /// Most reasons pass: of a member that is sure that this board is none, that it goes on is a waste.
    fn refused_by(&mut self, by: NodeId, reason: Refusal) -> Result<(), Failure> {
        let me = self.replica.node().id();
        match reason {
            Refusal::Removed => {
                let why = format!(
                    "member {me} was removed from the cluster, as member {by} says: to bring this board back, clear its data \
                     directory, add it with `solder member add` and start it with --initial-cluster-state existing"
                );
                self.leaving.get_or_insert_with(|| (Instant::now(), Failure(why)));
                Ok(())
            }
            Refusal::WipedDisk => Err(Failure(format!(
                "member {me} has already been bootstrapped, with other data than this board has, as member {by} says: what it \
                 voted for is lost with its disk, so it must not come back under its old id; remove it with `solder member \
                 remove {me}`, add the board with `solder member add`, clear its data directory and start it with \
                 --initial-cluster-state existing"
            ))),
            _ => Ok(()),
        }
    }

    /// A member that was removed goes, but not before who asked it for that has its answer.
    pub(super) fn leave_in_time(&self) -> Result<(), Failure> {
        match &self.leaving {
            Some((since, why)) if since.elapsed() >= LAST_WORDS => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// Who the members are, if that is not what was told last.
    pub(in crate::member) fn roster(&mut self) -> Option<Roster> {
        mem::take(&mut self.roster_is_old).then(|| {
            let node = self.replica.node();
            self.roll.roster(node.membership(), node.id(), self.is_leader())
        })
    }
}
