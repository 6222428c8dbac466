//! What a member holds of all this.

use std::{cell::RefCell, collections::BTreeSet, future::Future, rc::Rc, task::Waker, time::SystemTime};

use async_io::Timer;
use futures_lite::future::or;
use smol::{LocalExecutor, Task};

use crate::{
    replica::PeerMessage,
    types::{Bytes, NodeId},
};

use super::{
    MemberAddress, Options, PeerEvent, PeerFigures, PeerListener, Purpose, Reception, Roster, Tls, Totals,
    accept, authority, certifying,
    clock::Clock,
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
    accepting: RefCell<Vec<Task<()>>>,
    wall_clock: fn() -> SystemTime,
    _beat: Task<()>,
}

impl Peers {
    /// `rng` is for pauses that differ. Errors: one line that names the certificate's file and what is wrong with it.
    pub fn start(
        options: Options,
        listeners: Vec<PeerListener>,
        executor: Rc<LocalExecutor<'static>>,
        rng: fastrand::Rng,
    ) -> Result<Peers, String> {
        let tls = start_tls(options.tls, options.wall_clock, &listeners)?;
        let ids = (options.cluster, options.member, options.incarnation);
        let shared = Rc::new(Shared::new(ids, options.limits, tls, executor.clone(), rng));
        let beat = executor.spawn(beat(shared.clone()));
        let peers =
            Peers { shared, accepting: RefCell::default(), wall_clock: options.wall_clock, _beat: beat };
        peers.accept(listeners);
        Ok(peers)
    }

    fn accept(&self, listeners: Vec<PeerListener>) {
        let accepting = |listener| {
            let accepting = accept::accept(self.shared.clone(), listener);
            self.shared.executor.spawn(accepting)
        };
        *self.accepting.borrow_mut() = listeners.into_iter().map(accepting).collect();
    }

    /// Takes connections at these, and no others, and goes by `tls`, from now on. Connections that stand go on. Reads files.
    /// Errors: as for `start`; then all is as before.
    pub fn listen(&self, listeners: Vec<PeerListener>, tls: Option<Tls>) -> Result<(), String> {
        self.shared.set_tls(start_tls(tls, self.wall_clock, &listeners)?);
        self.accept(listeners);
        // What could not be reached before may be now.
        for peer in self.shared.peers.borrow().values() {
            Purpose::LANES.iter().for_each(|purpose| peer.lane(*purpose).again.raise());
        }
        Ok(())
    }

    /// Takes no more connections, until `listen`: the ports are free once this returns, for addresses that overlap.
    pub fn close_listeners(&self) -> impl Future<Output = ()> + use<> {
        let accepting = self.accepting.take();
        async {
            for task in accepting {
                task.cancel().await;
            }
        }
    }

    /// Of the other voters in turn: what `BoardTls::keep_authority_key` wants. Errors: what each says.
    pub fn ask_authority_key(&self) -> impl Future<Output = Result<Bytes, String>> + use<> {
        authority::ask(self.shared.clone())
    }

    /// Of the voters in turn: what `BoardTls::renew` wants for this public key. Errors: what each says.
    pub fn ask_certificate(&self, public_key: Bytes) -> impl Future<Output = Result<Bytes, String>> + use<> {
        certifying::ask(self.shared.clone(), public_key)
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

    /// Who lets boards in. Without one a joiner is told to come later.
    pub fn set_reception(&self, reception: Rc<dyn Reception>) {
        *self.shared.reception.borrow_mut() = Some(reception);
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
        peer.set_key(member.key);
        peer.votes.set(member.votes);
        peer.fills.set(member.fills);
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
    pub async fn stop(self) {
        self.accepting.borrow_mut().clear();
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
        // It may well hold this.
        self.shared.reception.borrow_mut().take();
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

fn start_tls(
    tls: Option<Tls>,
    wall_clock: fn() -> SystemTime,
    listeners: &[PeerListener],
) -> Result<Option<Handshaker>, String> {
    if tls.is_none() && listeners.iter().any(|listener| listener.is_tls) {
        return Err("--listen-peer-urls with https:// needs --peer-cert-file, --peer-key-file and \
                    --peer-trusted-ca-file"
            .into());
    }
    tls.map(|tls| Handshaker::start(tls, Clock(wall_clock))).transpose()
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
            let is_kept = peer.keeps(purpose) && lane.sends_on(connection.number);
            // Only who dialled it knows whether it would dial it again.
            if idle >= IDLE_BEATS && connection.is_dialled && !is_kept {
                connection.end(Bye::Idle);
            } else if purpose == Purpose::Urgent {
                connection.ping();
            }
        }
    }
}
