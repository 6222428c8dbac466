//! The engine: the loop of the main thread around the core, which feeds the replica and carries out what it wants.
//!
//! ```text
//!   doors ---- asked ---+                      +--> to_log    one burst, one wake
//!   threads -- inbox ---+--> Replica::handle --+--> to_store  one burst, one wake
//!   clock ----- tick ---+                      +--> answers
//! ```
//!
//! All that has come since the last turn is handled in one; what is to be done leaves at its end, so that many requests at
//! one time become one sync and one step of the store.
//!
//! Here you will not find: waiting for a disk. The future is polled first whenever the main thread wakes.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    mem,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use async_io::Timer;

use crate::{
    peer::{BoardTls, PeerFigures, Peers},
    replica::PeerMessage,
    types::{Bytes, Command, Error, MembershipChange, NodeId},
};

use super::{
    Applied, Header, Options,
    core::{Core, stand_at_once},
    digests::Checks,
    directory::{DataDir, Identity},
    inbox::Inbox,
    open::{Opened, TRANSFER_PIECE_BYTES},
    pulse::{Beats, Pulse},
    questions::Desk,
    reception,
    reply::{Query, Slot},
    store_thread::{self, StoreJob},
    threads::Threads,
};

/// Why a member ended that was not asked to: what happened to this board, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// What somebody on the main thread wants.
pub(super) enum Ask {
    Propose {
        data: Bytes,
        what: &'static str,
        slot: Rc<Slot<Result<Applied, Error>>>,
        asked_at: Instant,
    },
    /// To be read once that is linearizable.
    Read(Box<dyn Query>),
    /// To be read as it is.
    ReadAny(Box<dyn Query>),
    Barrier(Rc<Slot<Result<(), Error>>>),
    ChangeMembers {
        change: MembershipChange,
        info: Bytes,
        slot: Rc<Slot<Result<Applied, Error>>>,
        asked_at: Instant,
    },
    TransferLeader {
        to: Option<NodeId>,
        slot: Rc<Slot<Result<(), Error>>>,
    },
    /// The lessor's.
    Lease {
        command: Command,
        slot: Option<Rc<Slot<Result<(), Error>>>>,
    },
    Store(StoreJob),
    /// To another member, past Raft.
    Say(PeerMessage),
}

/// See the module. Shared by the member's handles and its future.
pub(super) struct Engine {
    pub(super) options: Options,
    pub(super) identity: Identity,
    core: RefCell<Core>,
    asked: RefCell<Vec<Ask>>,
    /// The engine's own, to be woken when something is asked.
    waker: RefCell<Option<Waker>>,
    /// Those who wait for a change of what can be seen of the engine.
    watching: RefCell<Vec<Waker>>,
    pub(super) header: Cell<Header>,
    pub(super) queries: Cell<usize>,
    stage: Cell<Stage>,
    threads: Threads,
    inbox: Arc<Inbox>,
    /// `None`: this member hears and reaches nobody.
    peers: RefCell<Option<Peers>>,
    pub(super) desk: RefCell<Desk>,
    pub(super) checks: Checks,
    /// What boards that join trust; made when the first one is invited.
    pub(super) trust: RefCell<Option<BoardTls>>,
    /// Held by who makes it, or renews it.
    pub(super) opening: Arc<smol::lock::Mutex<()>>,
    /// The same with a new key: from the thread that has written it, if nobody waited for that.
    pub(super) renewed: Arc<std::sync::Mutex<Option<BoardTls>>>,
    beats: Beats,
    /// Held as long as anything of the member lives.
    dir: DataDir,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// No new requests.
    Stopping,
    Stopped,
}

impl Engine {
    pub(super) fn start(opened: Opened, peers: Option<Peers>) -> Rc<Engine> {
        let inbox = Arc::new(Inbox::default());
        let beats = Beats::new();
        let Opened { options, identity, mut replica, store, roll, leases, backend, log, trust, dir } = opened;
        let header = Header {
            cluster: identity.cluster,
            member: identity.member,
            revision: store.revision(),
            term: replica.node().term(),
        };
        let effects = stand_at_once(&mut replica, &options);
        let mut core = Core::new(replica, &store, roll, leases, &identity, &options);
        core.roll_changed().expect("the level was looked at when the store was opened");
        core.heed_corruption(&[]);
        core.take_over_alarm();
        let keeper = store_thread::Options {
            origin: identity.member,
            replay_until: core.replay_until,
            piece_bytes: TRANSFER_PIECE_BYTES,
            flush_interval: options.flush_interval,
            pending_bytes_max: options.store.pending_bytes_max,
        };
        let threads = Threads::start(keeper, store, backend, log, &inbox, &beats);
        effects.into_iter().for_each(|effect| core.carry_out(effect));
        Rc::new(Engine {
            options,
            identity,
            core: RefCell::new(core),
            asked: RefCell::default(),
            waker: RefCell::default(),
            watching: RefCell::default(),
            header: Cell::new(header),
            queries: Cell::new(0),
            stage: Cell::new(Stage::Running),
            threads,
            inbox,
            peers: RefCell::new(peers),
            desk: RefCell::default(),
            checks: Checks::default(),
            trust: RefCell::new(trust),
            opening: Arc::default(),
            renewed: Arc::default(),
            beats,
            dir,
        })
    }

    /// Boards that want to join are heard from now on.
    pub(super) fn receive(self: &Rc<Engine>) {
        if let Some(peers) = &*self.peers.borrow() {
            peers.set_reception(reception::desk(self));
        }
    }

    /// Errors: this member has none, as one that is about to stop.
    pub(super) fn with_peers<T>(&self, act: impl FnOnce(&Peers) -> Result<T, String>) -> Result<T, String> {
        let peers = self.peers.borrow();
        act(peers.as_ref().ok_or("this member has no peers, or is stopping")?)
    }

    /// Can this board let others in?
    pub(super) fn has_authority_key(&self) -> bool {
        self.trust.borrow().as_ref().is_some_and(BoardTls::has_authority_key)
    }

    pub(super) fn tls_dir(&self) -> PathBuf {
        self.dir.tls()
    }

    /// To be done in the next turn.
    pub(super) fn ask(&self, ask: Ask) {
        let mut asked = self.asked.borrow_mut();
        asked.push(ask);
        if asked.len() == 1 {
            self.nudge();
        }
    }

    /// There is something to do that nobody asked for: a turn is made soon.
    pub(super) fn nudge(&self) {
        let waker = self.waker.borrow();
        waker.iter().for_each(Waker::wake_by_ref);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stage.get() != Stage::Running
    }

    pub(super) fn pulse(&self) -> Pulse {
        self.beats.pulse()
    }

    /// Can every other voter be reached, and has it been for a while?
    pub(super) fn is_healthy(&self) -> bool {
        let voters = self.look(|core| core.replica.node().membership().voters.clone());
        voters.iter().filter(|id| **id != self.identity.member).all(|id| self.is_connected(*id))
    }

    /// As etcd's health interval: what has just come may go again.
    pub(super) fn is_connected(&self, id: NodeId) -> bool {
        const STEADY: Duration = Duration::from_secs(5);
        self.peer_figures()
            .iter()
            .any(|peer| peer.id == id && peer.active_for.is_some_and(|time| time >= STEADY))
    }

    /// There is a connection, be it of this moment.
    pub(super) fn is_reached(&self, id: NodeId) -> bool {
        self.peer_figures().iter().any(|peer| peer.id == id && peer.is_active)
    }

    pub(super) fn peer_figures(&self) -> Vec<PeerFigures> {
        self.peers.borrow().as_ref().map_or_else(Vec::new, Peers::figures)
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Core) -> T) -> T {
        look(&mut self.core.borrow_mut())
    }

    /// Waits until what is to be seen holds.
    pub(super) async fn until(&self, mut holds: impl FnMut(&mut Core) -> bool) {
        poll_fn(|context| {
            if holds(&mut self.core.borrow_mut()) {
                return Poll::Ready(());
            }
            self.watching.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Takes no more requests; answers those under way; brings what is pending into the database. Each takes no longer
    /// than it may.
    pub(super) async fn stop(&self) {
        if self.is_stopping() {
            return self.until_stopped().await;
        }
        self.hand_over().await;
        self.stage.set(Stage::Stopping);
        let no_longer = self.request_timeout();
        within(no_longer, self.until(|core| core.is_idle())).await;
        // What the others go on writing is no reason to stay.
        let applied = self.look(|core| core.applied);
        self.ask(Ask::Store(StoreJob::FlushAll));
        let flushed = within(STOP_FLUSH_MAX, self.until(|core| core.flushed >= applied)).await;
        if !flushed {
            log::warn!("stopping without a last flush: the log holds what it would have written");
        }
        let peers = self.peers.borrow_mut().take();
        if let Some(peers) = peers {
            peers.stop().await;
        }
        self.stage.set(Stage::Stopped);
        self.wake_watching();
        self.ask(Ask::Store(StoreJob::Beat));
    }

    /// Who leads hands that over before it goes, so that nobody has to find out that it has gone.
    async fn hand_over(&self) {
        let others = self.look(|core| core.is_leader() && core.replica.node().membership().voters.len() > 1);
        if !others {
            return;
        }
        let slot = Slot::new();
        self.ask(Ask::TransferLeader { to: None, slot: slot.clone() });
        let handed_over = async {
            if slot.get().await.is_ok() {
                self.until(|core| !core.is_leader() && core.replica.node().leader().is_some()).await;
            }
        };
        if !within(2 * self.look(|core| core.election()), handed_over).await {
            log::warn!("leadership was not taken over by anybody in time");
        }
    }

    async fn until_stopped(&self) {
        let stopped = || self.stage.get() == Stage::Stopped;
        self.until(|_| stopped()).await;
    }

    fn wake_watching(&self) {
        let watching = mem::take(&mut *self.watching.borrow_mut());
        watching.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, context: &mut Context<'_>, clock: &mut Clock) -> Poll<Result<(), Failure>> {
        self.keep_waker(context.waker());
        if self.stage.get() == Stage::Stopped {
            return Poll::Ready(Ok(()));
        }
        let ticked = self.poll_timer(context, &mut clock.tick);
        let mut core = self.core.borrow_mut();
        self.inbox.take(&mut core.reports, context.waker());
        self.hear_peers(&mut core, context.waker());
        let asked = mem::take(&mut *self.asked.borrow_mut());
        let is_news = ticked || !core.reports.is_empty() || !core.peer_events.is_empty();
        if let Err(failure) = core.turn(ticked, asked) {
            return Poll::Ready(Err(failure));
        }
        if ticked && core.wants_round_trips() {
            let figures = self.peer_figures();
            core.round_trips(figures.iter().filter_map(|peer| Some((peer.id, peer.round_trip?))));
        }
        if ticked && core.wants_links() {
            let connected: Vec<_> =
                self.peer_figures().iter().filter(|peer| peer.is_active).map(|peer| peer.id).collect();
            core.note_links(&connected);
        }
        self.tell_peers(&mut core);
        if let Some(revision) = core.keys_to_check.take() {
            self.checks.put(revision);
        }
        self.threads.log.send_all(&mut core.to_log);
        self.threads.store.send_all(&mut core.to_store);
        self.show(&core);
        clock.wake_at(core.deadline(), context);
        drop(core);
        if is_news {
            self.wake_watching();
        }
        Poll::Pending
    }

    fn hear_peers(&self, core: &mut Core, waker: &Waker) {
        if let Some(peers) = &*self.peers.borrow() {
            peers.take(&mut core.peer_events, waker);
            let mut desk = self.desk.borrow_mut();
            core.peer_events.retain_mut(|event| !desk.takes(event));
        }
    }

    fn tell_peers(&self, core: &mut Core) {
        match &*self.peers.borrow() {
            Some(peers) => {
                core.roster().into_iter().for_each(|roster| peers.set_members(roster));
                core.to_peers.drain(..).for_each(|message| peers.send(message));
            }
            // A message may always be lost.
            None => core.to_peers.clear(),
        }
    }

    /// How long who asks waits.
    pub(super) fn request_timeout(&self) -> Duration {
        self.look(|core| core.request_timeout())
    }

    fn poll_timer(&self, context: &mut Context<'_>, timer: &mut Timer) -> bool {
        if std::pin::Pin::new(&mut *timer).poll(context).is_pending() {
            return false;
        }
        self.beats.engine.moved();
        // From now, not from when it was due: a process that was stopped has not lived the time between.
        timer.set_after(self.look(|core| core.heartbeat()));
        // So that it wakes this future.
        let _ = std::pin::Pin::new(timer).poll(context);
        true
    }

    fn keep_waker(&self, waker: &Waker) {
        let mut kept = self.waker.borrow_mut();
        match &*kept {
            Some(kept) if kept.will_wake(waker) => {}
            _ => *kept = Some(waker.clone()),
        }
    }

    fn show(&self, core: &Core) {
        let mut header = self.header.get();
        header.revision = core.figures.revision;
        header.term = core.replica.node().term();
        self.header.set(header);
    }
}

/// What the engine wakes for by itself.
struct Clock {
    tick: Timer,
    /// For what is due at its own moment: leases, watches that want to hear of progress.
    alarm: Timer,
    alarm_at: Option<Instant>,
}

impl Clock {
    fn wake_at(&mut self, moment: Option<Instant>, context: &mut Context<'_>) {
        if moment == self.alarm_at {
            return;
        }
        self.alarm_at = moment;
        match moment {
            Some(moment) => self.alarm.set_at(moment),
            None => self.alarm = Timer::never(),
        }
        if std::pin::Pin::new(&mut self.alarm).poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}

/// How long a stop may flush. systemd kills after 90 s unless it is told otherwise.
const STOP_FLUSH_MAX: Duration = Duration::from_secs(20);

/// Was it done in time?
pub(super) async fn within(time: Duration, work: impl Future<Output = ()>) -> bool {
    let done = async {
        work.await;
        true
    };
    let late = async {
        Timer::after(time).await;
        false
    };
    futures_lite::future::or(done, late).await
}

/// The member's life.
pub(super) async fn run(engine: Rc<Engine>) -> Result<(), Failure> {
    let mut clock =
        Clock { tick: Timer::after(engine.options.heartbeat), alarm: Timer::never(), alarm_at: None };
    poll_fn(|context| engine.poll(context, &mut clock)).await
}
