//! What the core hears of peers, and tells them of the members.

use std::{
    mem,
    time::{Duration, Instant},
};

use crate::{
    peer::{PeerEvent, PeerUrl, Refusal, RollCall, Roster},
    replica::{Event, PeerMessage},
    types::{NodeId, Revision},
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
                PeerEvent::Received(message) => match self.turned_away(&message) {
                    Some(answer) => self.to_peers.push(answer),
                    None => self.feed(Event::Received(message)),
                },
                PeerEvent::Met(id) => {
                    self.gone.remove(&id);
                    self.feed(Event::PeerMet(id));
                }
                PeerEvent::Lost(id) => {
                    self.gone.insert(id);
                    self.feed(Event::PeerLost(id));
                }
                PeerEvent::Refused { by, reason } => self.refused_by(by, reason)?,
                PeerEvent::Disowned { by, is_led } => self.disowned_by(by, is_led)?,
            }
        }
        self.peer_events = events;
        Ok(())
    }

    /// Most reasons pass: of a member that is sure that this board is none, that it goes on is a waste.
    fn refused_by(&mut self, by: NodeId, reason: Refusal) -> Result<(), Failure> {
        match reason {
            Refusal::Removed => {
                self.is_removed_by(by);
                Ok(())
            }
            Refusal::WipedDisk => Err(self.is_another(by)),
            _ => Ok(()),
        }
    }

    /// By the list of a member, who is sure of it.
    pub(in crate::member) fn is_removed_by(&mut self, by: NodeId) {
        let me = self.replica.node().id();
        let why = format!(
            "member {me} was removed from the cluster, as member {by} says: to bring this board back, clear its whole data \
             directory, tls/ in it too, and {}",
            self.way_back()
        );
        self.leaving.get_or_insert_with(|| (Instant::now(), Failure(why)));
    }

    /// A board that founded its cluster alone, was joined by others, lost its disk, and is started as at first: it founds a cluster
    /// of the same ids anew, in which the others are strangers. It asks nobody, so it has to hear it from them, and go, before
    /// it takes writes in their cluster's name.
    ///
    /// But what a stranger says is no proof. Boards that were founded with the same settings have the same ids, so who calls may
    /// have come to the wrong address, or be what is left of a cluster that was given up for this one, made from its
    /// snapshot. So only a board that is alone listens, and
    /// - if nothing was ever put here, to anybody: nothing is lost by going;
    /// - else to who knows a leader: then a majority goes on without this board, and what it takes in is lost to them.
    ///
    /// One of several believes its own members only, who refuse it when it calls them. (Whoever lies can do worse where peers use
    /// no TLS, such as pose as a leader. With TLS it has a certificate of the cluster's authority.)
    fn disowned_by(&mut self, by: NodeId, is_led: bool) -> Result<(), Failure> {
        let is_blank = self.figures.revision <= Revision(1);
        if !self.has_others() && (is_led || is_blank) {
            return Err(self.is_another(by));
        }
        log::warn!(
            "member {by} called, and knows this board's id with other data than this board has: is its peer URL for member {} \
             right, or is this board meant to have taken that member's place? It is not believed",
            self.replica.node().id()
        );
        Ok(())
    }

    fn is_another(&self, by: NodeId) -> Failure {
        let me = self.replica.node().id();
        Failure(format!(
            "member {me} has already been bootstrapped, with other data than this board has, as member {by} says: what it voted \
             for is lost with its disk, so it must not come back under its old id; remove it with `solder member remove {me}`, \
             clear its whole data directory, tls/ in it too, and {}",
            self.way_back()
        ))
    }

    /// What a board without data is to do to come in.
    pub(super) fn way_back(&self) -> &'static str {
        // Who was let in and never called knows of nobody.
        let me = self.replica.node().id();
        let is_new = !self.roll.knows_others(me) && self.options.goes_by_keys;
        match is_new || self.roll.goes_by_keys() {
            true => "start it with a URL that `solder invite` prints",
            false => "add it with `solder member add` and start it with --initial-cluster-state existing",
        }
    }

    /// A member that was removed goes, but not before who asked it for that has its answer.
    pub(super) fn leave_in_time(&self) -> Result<(), Failure> {
        match &self.leaving {
            Some((since, why)) if since.elapsed() >= LAST_WORDS => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// A member was found elsewhere than its row says. False: that was known.
    pub(in crate::member) fn heard_of(&mut self, id: NodeId, url: PeerUrl) -> bool {
        let is_news = self.roll.heard_of(id, url);
        self.roster_is_old |= is_news;
        is_news
    }

    /// The same of all, for a board that knows none. False: that was known.
    pub(in crate::member) fn heard_of_all(&mut self, told: RollCall, url: PeerUrl) -> bool {
        let is_news = self.roll.heard_of_all(told, url);
        self.roster_is_old |= is_news;
        is_news
    }

    /// Who the members are, if that is not what was told last.
    pub(in crate::member) fn roster(&mut self) -> Option<Roster> {
        mem::take(&mut self.roster_is_old).then(|| {
            let node = self.replica.node();
            let mut roster = self.roll.roster(node.membership(), node.id(), node.leader());
            roster.members.iter_mut().for_each(|member| member.votes |= self.keyless().contains(&member.id));
            roster
        })
    }
}
