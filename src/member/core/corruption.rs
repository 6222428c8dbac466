//! What is done when members do not hold the same: an alarm, and no more answers from who is wrong.

use crate::{
    replica::{DigestOf, PeerMessage},
    types::{AlarmAction, AlarmKind, AlarmRequest, Command, NodeId, Revision},
};

use super::{Core, Event, Waiter};
use crate::member::{digests::Verdict, reply::Slot};

impl Core {
    /// A compaction has been applied here.
    pub(super) fn compacted(&mut self, of: DigestOf, hash: u32, revision: Revision) {
        if !self.has_others() {
            return;
        }
        self.digested(of, hash);
        self.keys_to_check = Some(revision);
    }

    /// The alarms may have changed: one about this member outlives its process, until an operator ends it.
    pub(in crate::member) fn heed_corruption(&mut self, alarms_before: &[(NodeId, AlarmKind)]) {
        let own = (self.replica.node().id(), AlarmKind::Corrupt);
        match (alarms_before.contains(&own), self.alarms.contains(&own)) {
            (true, false) => self.is_corrupt = false,
            // Alone it has the only copy there is.
            (false, true) if self.has_others() && !self.is_corrupt => {
                log::error!(
                    "this member answers nobody: it does not hold what the others hold, as the alarm CORRUPT says"
                );
                self.fall_silent();
            }
            _ => {}
        }
    }

    pub(super) fn has_others(&self) -> bool {
        let node = self.replica.node();
        node.membership().members().any(|id| id != node.id())
    }

    /// This member's own: the others are told, and what they have told is looked at.
    pub(in crate::member) fn digested(&mut self, of: DigestOf, hash: u32) {
        let node = self.replica.node();
        let from = node.id();
        let others = node.membership().members().filter(|id| *id != from);
        self.to_peers.extend(others.map(|to| PeerMessage::Digest { from, to, of, hash }));
        self.hear_digest(of, from, hash);
    }

    pub(super) fn hear_digest(&mut self, of: DigestOf, from: NodeId, hash: u32) {
        let node = self.replica.node();
        let (me, voters) = (node.id(), node.membership().voters.clone());
        self.digests.hear(of, from, hash);
        match self.digests.judge(of, me, &voters) {
            Verdict::WeDiffer if !self.is_corrupt => self.we_differ(of),
            Verdict::NobodyKnows if self.is_leader() => self.nobody_knows(of),
            _ => {}
        }
    }

    fn we_differ(&mut self, of: DigestOf) {
        let me = self.replica.node().id();
        log::error!(
            "this member does not hold what a majority of the others holds ({of}): it answers nobody any more (CORRUPT). To \
             repair it: `solder member remove {me}` at another member, stop this one, clear its whole data directory, and {}",
            self.way_back()
        );
        self.fall_silent();
        self.raise_corrupt(me);
        if self.is_leader() {
            let request = self.wait(Waiter::Done(Slot::new()));
            self.feed(Event::TransferLeader { request, to: None });
        }
    }

    /// No more answers; and who watches is told so, rather than told of what may never have happened.
    fn fall_silent(&mut self) {
        self.is_corrupt = true;
        self.watches.wake_all();
    }

    fn nobody_knows(&mut self, of: DigestOf) {
        if self.alarms.contains(&(NodeId(0), AlarmKind::Corrupt)) {
            return;
        }
        log::error!(
            "the members do not hold the same ({of}), and no majority agrees (CORRUPT): compare them by `solder endpoint \
             hashkv --cluster`, decide which to keep, and make the others anew from it"
        );
        self.raise_corrupt(NodeId(0));
    }

    fn raise_corrupt(&mut self, member: NodeId) {
        let action = AlarmAction::Activate;
        self.propose_own(&Command::Alarm(AlarmRequest { action, member, kind: AlarmKind::Corrupt }));
    }
}
