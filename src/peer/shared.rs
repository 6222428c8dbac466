//! What all connections to all peers have in common.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    net::TcpStream,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use async_io::Async;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use smol::{LocalExecutor, Task, lock::Semaphore};

use crate::types::{ClusterId, NodeId};

use super::{
    FRAME_HEADER_BYTES, Frame, GREETING_BYTES_MAX, GREETING_HEAD_BYTES, Greeting, Limits, PeerEvent, PeerUrl,
    Purpose, Reception, Refusal, RollCall, RollEntry, Totals, VERSIONS,
    connection::Connection,
    figures::Count,
    handshake::{self, Handshaker},
    identity::Shown,
    inbox::Inbox,
    judge::{self, Known, Listed},
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
    tls: RefCell<Option<Rc<Handshaker>>>,
    pub(super) reception: RefCell<Option<Rc<dyn Reception>>>,
    /// That have proven themselves and wait.
    pub(super) joiners: Cell<usize>,
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
            tls: RefCell::new(tls.map(Rc::new)),
            reception: RefCell::default(),
            joiners: Cell::new(0),
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

    pub(super) fn judge(&self, theirs: &Greeting, stream: &Stream) -> Option<Refusal> {
        let peers = self.peers.borrow();
        let peer = peers.get(&theirs.from);
        let known = Known {
            is_member: peer.is_some(),
            incarnation: peer.map_or(0, |peer| peer.incarnation.get()),
            is_key: self.is_key_of(theirs.from, stream),
            is_certified: self.is_certified(stream),
            removed: &self.removed.borrow(),
            takes_guests: self.takes_guests.get(),
            has_room_for_guests: peers.values().filter(|peer| peer.is_guest.get()).count()
                < self.limits.guests_max,
        };
        judge::of_caller(&self.greeting(theirs.from, theirs.purpose, None), theirs, &known)
    }

    /// Who asks for the authority's key.
    pub(super) fn judge_voter(
        &self,
        theirs: &Greeting,
        stream: &Stream,
        has_authority: bool,
    ) -> Option<Refusal> {
        let listed = self.listed(theirs.from);
        judge::of_voter(self.judge(theirs, stream), listed.as_ref(), has_authority)
    }

    /// Who asks for a certificate.
    pub(super) fn judge_member(
        &self,
        theirs: &Greeting,
        stream: &Stream,
        has_authority: bool,
    ) -> Option<Refusal> {
        let listed = self.listed(theirs.from);
        judge::of_member(self.judge(theirs, stream), listed.as_ref(), has_authority)
    }

    fn listed(&self, id: NodeId) -> Option<Listed> {
        let peer = self.peer(id).filter(|peer| !peer.is_guest.get());
        peer.map(|peer| Listed { has_key: peer.has_key(), votes: peer.votes.get() })
    }

    /// By the list of members; of whom it has no key for, by its certificate, where boards go by their keys.
    pub(super) fn is_key_of(&self, id: NodeId, stream: &Stream) -> bool {
        let listed = self.peer(id).filter(|peer| !peer.is_guest.get() && peer.has_key());
        match listed {
            Some(member) => member.is_key(stream.shown()),
            None => self.board().is_none() || stream.is_of(id),
        }
    }

    /// Is what it says that member's word, as far as this board can tell?
    pub(super) fn is_word_of(&self, id: NodeId, stream: &Stream) -> bool {
        self.is_certified(stream) && self.is_key_of(id, stream)
    }

    /// Where boards go by their keys, whoever has none of the cluster may only join.
    pub(super) fn is_certified(&self, stream: &Stream) -> bool {
        stream.shown().is_some() || self.board().is_none()
    }

    /// The folder of this board's identity, if it goes by that.
    pub(super) fn board(&self) -> Option<PathBuf> {
        self.tls.borrow().as_ref().and_then(|tls| tls.board().map(PathBuf::from))
    }

    /// From now on; what is under way goes on with what it began with.
    pub(super) fn set_tls(&self, tls: Option<Handshaker>) {
        *self.tls.borrow_mut() = tls.map(Rc::new);
    }

    /// As this board knows it.
    pub(super) fn roll_call(&self) -> RollCall {
        let (members, removed) = (self.roll.borrow().clone(), self.removed.borrow().clone());
        RollCall { cluster: self.cluster, member: self.me, members, removed }
    }

    pub(super) fn peer(&self, id: NodeId) -> Option<Rc<Peer>> {
        self.peers.borrow().get(&id).cloned()
    }

    /// Whose key this is, by the list of members.
    pub(super) fn member_with(&self, shown: Option<&Shown>) -> Option<NodeId> {
        let peers = self.peers.borrow();
        peers.values().find(|peer| peer.has_key() && peer.is_key(shown)).map(|peer| peer.id)
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

    pub(super) fn connection(
        &self,
        is_dialled: bool,
        theirs: &Greeting,
        shown: Option<Shown>,
    ) -> Rc<Connection> {
        let number = self.next_connection.get();
        self.next_connection.set(number + 1);
        Rc::new(Connection::new(number, is_dialled, theirs.frame_bytes_max, shown))
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
        let tls = self.tls.borrow().clone().ok_or_else(handshake::no_tls)?;
        Ok(Stream::Tls(Box::new(tls.accept(socket).await?)))
    }

    pub(super) async fn connect(&self, socket: Async<TcpStream>, url: &PeerUrl) -> io::Result<Stream> {
        let tls = self.tls.borrow().clone();
        handshake::secure(tls.as_deref(), socket, url).await
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

/// One frame, where nothing else is expected.
pub(super) async fn read_frame(stream: &mut Stream, bytes_max: u32) -> io::Result<Frame> {
    let bad = |what: &dyn fmt::Display| io::Error::other(format!("its answer cannot be read: {what}"));
    let mut bytes = vec![0; FRAME_HEADER_BYTES];
    stream.read_exact(&mut bytes).await?;
    let length = Frame::length(&bytes, bytes_max).map_err(|error| bad(&error))?;
    bytes.resize(length.unwrap_or(FRAME_HEADER_BYTES), 0);
    stream.read_exact(&mut bytes[FRAME_HEADER_BYTES..]).await?;
    match Frame::decode(&bytes, bytes_max) {
        Ok(Some((frame, _))) => Ok(frame),
        Ok(None) => Err(bad(&"it is shorter than it says")),
        Err(error) => Err(bad(&error)),
    }
}

pub(super) async fn write_frame(stream: &mut Stream, frame: &Frame, bytes_max: u32) -> io::Result<()> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes, bytes_max).map_err(|error| io::Error::other(error.to_string()))?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// The greeting of who is no member.
pub(super) fn nobody(purpose: Purpose, frame_bytes_max: u32) -> Greeting {
    Greeting {
        lowest: *VERSIONS.start(),
        highest: *VERSIONS.end(),
        purpose,
        verdict: None,
        cluster: ClusterId(0),
        from: NodeId(0),
        to: NodeId(0),
        frame_bytes_max,
        incarnation: 0,
        known_as: 0,
        is_led: false,
    }
}
