//! What a member holds of all this.

use std::{collections::BTreeSet, rc::Rc, task::Waker};

use async_io::Timer;
use futures_lite::future::or;
use smol::{LocalExecutor, Task};

use crate::{replica::PeerMessage, types::NodeId};

use super::{
    MemberAddress, Options, PeerEvent, PeerFigures, PeerListener, Purpose, Roster, Totals, accept,
    clock::Clock,
    credentials::Credentials,
    dial,
    frame::Bye,
    handshake::Handshaker,
    limits::{BYE_TIMEOUT, IDLE_BEATS},
    peer::Peer,
    shared::Shared,
};

/// See the floor. Stays on the thread of its executor; what it started ends with it.
pub struct Peers {
    shared: Rc<Shared>,
    /// Accepting, and the beat.
    tasks: Vec<Task<()>>,
}

impl Peers {
    /// `rng` is for pauses that differ. Errors: one line that names the certificate's file and what is wrong with it.
    pub fn start(
        options: Options,
        listeners: Vec<PeerListener>,
        executor: Rc<LocalExecutor<'static>>,
        rng: fastrand::Rng,
    ) -> Result<Peers, String> {
        let tls = options.tls.map(|files| Credentials::load(files, Clock(options.wall_clock))).transpose()?;
        if tls.is_none() && listeners.iter().any(|listener| listener.is_tls) {
            return Err("--listen-peer-urls with https:// needs --peer-cert-file, --peer-key-file and \
                        --peer-trusted-ca-file"
                .into());
        }
        let tls = tls.map(Handshaker::start).transpose();
        let tls = tls.map_err(|error| format!("the thread for handshakes cannot be started: {error}"))?;
        let ids = (options.cluster, options.member, options.incarnation);
        let shared = Rc::new(Shared::new(ids, options.limits, tls, executor.clone(), rng));
        let accepting = listeners.into_iter().map(|listener| accept::accept(shared.clone(), listener));
        let mut tasks: Vec<Task<()>> = accepting.map(|accepting| executor.spawn(accepting)).collect();
        tasks.push(executor.spawn(beat(shared.clone())));
        Ok(Peers { shared, tasks })
    }

    /// To the member that it names. Never waits; a message may always be lost, and is if nobody has that id.
    pub fn send(&self, message: PeerMessage) {
        let (_, to) = message.ends();
        if let Some(peer) = self.shared.peer(to) {
            peer.send(message);
        }
    }

    /// What has come. `waker` is woken when there is more.
    pub fn take(&self, into: &mut Vec<PeerEvent>, waker: &Waker) {
        self.shared.inbox.take(into, waker);
    }

    /// The list of members as it is now: new ones are dialled, those that are gone are told and cut, others keep their
    /// connections, also if they have another address.
    pub fn set_members(&self, roster: Roster) {
        let Roster { members, removed, roll, takes_guests, is_led } = roster;
        let stay: BTreeSet<NodeId> = members.iter().map(|member| member.id).collect();
        *self.shared.removed.borrow_mut() = removed;
        *self.shared.roll.borrow_mut() = roll;
        self.shared.takes_guests.set(takes_guests);
        self.shared.is_led.set(is_led);
        self.end_others(&stay);
        for member in members.into_iter().filter(|member| member.id != self.shared.me) {
            self.set_member(member);
        }
    }

    fn end_others(&self, stay: &BTreeSet<NodeId>) {
        let shared = &self.shared;
        let is_removed = |id: &NodeId| shared.removed.borrow().contains(id);
        let stays = |id: &NodeId, peer: &Peer| {
            stay.contains(id) || (peer.is_guest.get() && shared.takes_guests.get() && !is_removed(id))
        };
        shared.peers.borrow_mut().retain(|id, peer| {
            let stays = stays(id, peer);
            if !stays {
                peer.end(if is_removed(id) { Bye::Removed } else { Bye::NotMember });
            }
            stays
        });
    }

    fn set_member(&self, member: MemberAddress) {
        let shared = &self.shared;
        let is_new = !shared.peers.borrow().contains_key(&member.id);
        let peer = shared.welcome(member.id);
        let was_guest = peer.is_guest.replace(false);
        peer.is_kept.set(member.is_kept);
        peer.set_incarnation(member.incarnation);
        let has_moved = peer.urls.replace(member.urls) != *peer.urls.borrow();
        if is_new || has_moved {
            warn_of_plain(&peer);
        }
        for purpose in Purpose::LANES {
            let lane = peer.lane(purpose);
            lane.dial.raise();
            if has_moved {
                lane.again.raise();
            }
            if is_new || was_guest {
                let dialling = dial::keep(shared.clone(), peer.clone(), purpose);
                peer.dialling.borrow_mut().push(shared.executor.spawn(dialling));
            }
        }
    }

    /// In the order of their ids.
    pub fn figures(&self) -> Vec<PeerFigures> {
        self.shared.peers.borrow().values().map(|peer| peer.figures()).collect()
    }

    pub fn totals(&self) -> Totals {
        self.shared.totals()
    }

    /// Says goodbye to all, and waits until they have heard it, a second at most.
    pub async fn stop(mut self) {
        self.tasks.clear();
        self.end_all();
        let gone = async {
            while self.is_connected() {
                Timer::after(BYE_TIMEOUT / 100).await;
            }
        };
        or(gone, async {
            Timer::after(BYE_TIMEOUT).await;
        })
        .await;
    }

    fn end_all(&self) {
        self.shared.is_stopping.set(true);
        self.shared.strangers.borrow_mut().clear();
        for peer in self.shared.peers.borrow().values() {
            peer.end(Bye::Stopping);
        }
    }

    fn is_connected(&self) -> bool {
        self.shared.peers.borrow().values().any(|peer| !peer.connections().is_empty())
    }
}

impl Drop for Peers {
    /// Tasks hold what they are tasks of: they are ended by hand.
    fn drop(&mut self) {
        self.end_all();
    }
}

fn warn_of_plain(peer: &Peer) {
    for url in peer.urls.borrow().iter().filter(|url| !url.is_tls && !url.is_loopback()) {
        log::warn!(
            "member {} is reached at {url} without TLS: whoever is on the way can read and change everything",
            peer.id
        );
    }
}

/// One timer for all connections.
async fn beat(shared: Rc<Shared>) {
    loop {
        Timer::after(shared.limits.beat).await;
        shared.peers.borrow().values().for_each(|peer| look_after(peer));
    }
}

fn look_after(peer: &Peer) {
    for purpose in Purpose::LANES {
        let lane = peer.lane(purpose);
        for connection in lane.connections() {
            let idle = connection.beat();
            let is_kept =
                purpose == Purpose::Urgent && peer.is_kept.get() && lane.sends_on(connection.number);
            // Only who dialled it knows whether it would dial it again.
            if idle >= IDLE_BEATS && connection.is_dialled && !is_kept {
                connection.end(Bye::Idle);
            } else if purpose == Purpose::Urgent {
                connection.ping();
            }
        }
    }
}
