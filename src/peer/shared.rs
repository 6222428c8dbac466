//! What all connections to all peers have in common.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    io,
    net::TcpStream,
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use async_io::Async;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use smol::{LocalExecutor, Task, lock::Semaphore};

use crate::types::{ClusterId, NodeId};

use super::{
    GREETING_BYTES_MAX, GREETING_HEAD_BYTES, Greeting, Limits, PeerEvent, Purpose, Refusal, RollCall,
    RollEntry, Totals, VERSIONS,
    connection::Connection,
    figures::Count,
    handshake::Handshaker,
    inbox::Inbox,
    judge::{self, Known},
    limits::{LOOKUPS_MAX, WARN_EVERY},
    peer::Peer,
    strangers::Strangers,
    stream::Stream,
};

/// See the module.
pub(super) struct Shared {
    pub(super) cluster: ClusterId,
    pub(super) me: NodeId,
    incarnation: u64,
    pub(super) limits: Limits,
    pub(super) executor: Rc<LocalExecutor<'static>>,
    pub(super) tls: Option<Handshaker>,
    pub(super) inbox: Inbox,
    pub(super) peers: RefCell<BTreeMap<NodeId, Rc<Peer>>>,
    pub(super) removed: RefCell<BTreeSet<NodeId>>,
    pub(super) roll: RefCell<Vec<RollEntry>>,
    pub(super) takes_guests: Cell<bool>,
    pub(super) is_led: Cell<bool>,
    pub(super) strangers: RefCell<Strangers<Task<()>>>,
    pub(super) is_stopping: Cell<bool>,
    pub(super) lookups: Arc<Semaphore>,
    pub(super) rng: RefCell<fastrand::Rng>,
    pub(super) counts: TotalCounts,
    next_connection: Cell<u64>,
    warned_at: Cell<Option<Instant>>,
    /// The refusals that were told already, one for each who refuses.
    told: RefCell<BTreeMap<NodeId, Refusal>>,
    /// Who has said that this board was another one, and whether it was led; told once.
    disowned: Cell<Option<(NodeId, bool)>>,
}

#[derive(Default)]
pub(super) struct TotalCounts {
    pub(super) accepted: Count,
    pub(super) strangers_failed: Count,
    pub(super) strangers_pushed_out: Count,
    pub(super) refused: Count,
}

impl Shared {
    pub(super) fn new(
        (cluster, me, incarnation): (ClusterId, NodeId, u64),
        limits: Limits,
        tls: Option<Handshaker>,
        executor: Rc<LocalExecutor<'static>>,
        rng: fastrand::Rng,
    ) -> Shared {
        Shared {
            cluster,
            me,
            incarnation,
            executor,
            tls,
            inbox: Inbox::new(limits.inbox_bytes_max),
            peers: RefCell::default(),
            removed: RefCell::default(),
            roll: RefCell::default(),
            takes_guests: Cell::new(true),
            is_led: Cell::new(false),
            strangers: RefCell::new(Strangers::new(limits.strangers_max)),
            is_stopping: Cell::new(false),
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            rng: RefCell::new(rng),
            counts: TotalCounts::default(),
            next_connection: Cell::new(1),
            warned_at: Cell::new(None),
            told: RefCell::default(),
            disowned: Cell::new(None),
            limits,
        }
    }

    pub(super) fn greeting(&self, to: NodeId, purpose: Purpose, verdict: Option<Refusal>) -> Greeting {
        Greeting {
            lowest: *VERSIONS.start(),
            highest: *VERSIONS.end(),
            purpose,
            verdict,
            cluster: self.cluster,
            from: self.me,
            to,
            frame_bytes_max: self.limits.frame_bytes_max,
            incarnation: self.incarnation,
            known_as: self.peers.borrow().get(&to).map_or(0, |peer| peer.incarnation.get()),
            is_led: self.is_led.get(),
        }
    }

    pub(super) fn judge(&self, theirs: &Greeting) -> Option<Refusal> {
        let peers = self.peers.borrow();
        let known = Known {
            is_member: peers.contains_key(&theirs.from),
            incarnation: peers.get(&theirs.from).map_or(0, |peer| peer.incarnation.get()),
            removed: &self.removed.borrow(),
            takes_guests: self.takes_guests.get(),
            has_room_for_guests: peers.values().filter(|peer| peer.is_guest.get()).count()
                < self.limits.guests_max,
        };
        judge::of_caller(&self.greeting(theirs.from, theirs.purpose, None), theirs, &known)
    }

    /// As this board knows it.
    pub(super) fn roll_call(&self) -> RollCall {
        let (members, removed) = (self.roll.borrow().clone(), self.removed.borrow().clone());
        RollCall { cluster: self.cluster, member: self.me, members, removed }
    }

    pub(super) fn peer(&self, id: NodeId) -> Option<Rc<Peer>> {
        self.peers.borrow().get(&id).cloned()
    }

    /// Who was welcomed. If it is in no list, it is a guest as long as it is connected.
    pub(super) fn welcome(&self, id: NodeId) -> Rc<Peer> {
        let mut peers = self.peers.borrow_mut();
        let guest = || {
            let peer = Peer::new(id, self.me, self.limits.queue_bytes_max);
            peer.is_guest.set(true);
            Rc::new(peer)
        };
        peers.entry(id).or_insert_with(guest).clone()
    }

    /// A guest that has gone is forgotten.
    pub(super) fn forget(&self, peer: &Rc<Peer>) {
        let is_known = self.peer(peer.id).is_some_and(|known| Rc::ptr_eq(&known, peer));
        if is_known && peer.is_guest.get() && peer.connections().is_empty() {
            self.peers.borrow_mut().remove(&peer.id);
        }
    }

    pub(super) fn connection(&self, is_dialled: bool, theirs: &Greeting) -> Rc<Connection> {
        let number = self.next_connection.get();
        self.next_connection.set(number + 1);
        Rc::new(Connection::new(number, is_dialled, theirs.frame_bytes_max))
    }

    /// A member does not want this board. What does not go away by itself is told, once.
    pub(super) fn refused_by(&self, by: NodeId, reason: Refusal) {
        let lasts = !matches!(reason, Refusal::Busy | Refusal::WrongMember | Refusal::Unknown(_));
        if lasts && self.told.borrow_mut().insert(by, reason) != Some(reason) {
            self.inbox.push(PeerEvent::Refused { by, reason }, 0);
        }
    }

    /// A caller knows this board's id with other data. Who says so is not known here, and may say so at every call.
    pub(super) fn disowned_by(&self, theirs: &Greeting) {
        let said = Some((theirs.from, theirs.is_led));
        if self.disowned.replace(said) != said {
            self.inbox.push(PeerEvent::Disowned { by: theirs.from, is_led: theirs.is_led }, 0);
        }
    }

    pub(super) fn welcomed_by(&self, by: NodeId) {
        self.told.borrow_mut().remove(&by);
    }

    /// Of strangers, who may be anybody and many.
    pub(super) fn warn(&self, text: &str) {
        let is_quiet = self.warned_at.get().is_some_and(|at| at.elapsed() < WARN_EVERY);
        if is_quiet {
            log::debug!("{text}");
        } else {
            self.warned_at.set(Some(Instant::now()));
            log::warn!("{text}");
        }
    }

    pub(super) async fn accept_tls(&self, socket: Async<TcpStream>) -> io::Result<Stream> {
        Ok(Stream::Tls(Box::new(self.handshaker()?.accept(socket).await?)))
    }

    pub(super) async fn connect_tls(&self, socket: Async<TcpStream>, host: &str) -> io::Result<Stream> {
        Ok(Stream::Tls(Box::new(self.handshaker()?.connect(socket, host).await?)))
    }

    fn handshaker(&self) -> io::Result<&Handshaker> {
        let advice = "https:// peer URLs need --peer-cert-file, --peer-key-file and --peer-trusted-ca-file";
        self.tls.as_ref().ok_or_else(|| io::Error::other(advice))
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            accepted: self.counts.accepted.get(),
            strangers_failed: self.counts.strangers_failed.get(),
            strangers_pushed_out: self.counts.strangers_pushed_out.get(),
            refused: self.counts.refused.get(),
        }
    }
}

pub(super) async fn read_greeting(stream: &mut Stream) -> io::Result<Greeting> {
    let bad = |error: super::BadGreeting| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let mut bytes = [0; GREETING_BYTES_MAX];
    stream.read_exact(&mut bytes[..GREETING_HEAD_BYTES]).await?;
    let length = Greeting::length(&bytes).map_err(bad)?;
    stream.read_exact(&mut bytes[GREETING_HEAD_BYTES..length]).await?;
    Greeting::decode(&bytes[..length]).map_err(bad)
}

pub(super) async fn write_greeting(stream: &mut Stream, greeting: &Greeting) -> io::Result<()> {
    stream.write_all(&greeting.encode()).await?;
    stream.flush().await
}
