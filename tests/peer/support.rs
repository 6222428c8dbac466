//! Boards of one test, on one thread.

use std::{
    cell::RefCell,
    future::Future,
    rc::Rc,
    task::Waker,
    time::{Duration, Instant},
};

use async_io::Timer;
use smol::LocalExecutor;
use solder::{
    peer::{
        Limits, MemberAddress, Options, PeerEvent, PeerFigures, PeerListener, PeerUrl, Peers, Refusal, Roster,
    },
    raft::{Envelope, Message},
    replica::{PeerMessage, Session, TransferMessage},
    types::{Bytes, ClusterId, Entry, EntryId, Index, KeyRev, NodeId, Payload, ProposalId, Term},
};

pub(crate) const CLUSTER: ClusterId = ClusterId(0xc1);

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test's story beside the boards in it.
pub(crate) fn run<F: Future<Output = ()>>(story: impl FnOnce(Rc<LocalExecutor<'static>>) -> F) {
    let executor = Rc::new(LocalExecutor::new());
    async_io::block_on(executor.run(story(executor.clone())));
}

pub(crate) async fn pause(time: Duration) {
    Timer::after(time).await;
}

/// Waits until it holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        pause(Duration::from_millis(2)).await;
    }
}

/// A board: its peers, and what it was told by them.
pub(crate) struct Board {
    pub(crate) id: NodeId,
    pub(crate) url: PeerUrl,
    pub(crate) peers: Peers,
    messages: RefCell<Vec<PeerMessage>>,
    met: RefCell<Vec<NodeId>>,
    lost: RefCell<Vec<NodeId>>,
    refusals: RefCell<Vec<(NodeId, Refusal)>>,
    disowned: RefCell<Vec<(NodeId, bool)>>,
}

/// Quick, so that no test waits.
pub(crate) fn limits() -> Limits {
    Limits { redial_max: Duration::from_millis(100), ..Limits::default() }
}

pub(crate) fn options(id: u64) -> Options {
    Options { limits: limits(), ..Options::new(CLUSTER, NodeId(id), id) }
}

impl Board {
    pub(crate) fn start(executor: &Rc<LocalExecutor<'static>>, id: u64) -> Board {
        Board::start_at(executor, options(id), "http://127.0.0.1:0")
    }

    pub(crate) fn start_at(executor: &Rc<LocalExecutor<'static>>, options: Options, url: &str) -> Board {
        let url = PeerUrl::parse(url).expect("a URL");
        let listener = PeerListener::bind(&url).expect("a free port");
        let url = PeerUrl { port: listener.address().port(), ..url };
        let id = options.member;
        let rng = fastrand::Rng::with_seed(id.0);
        let peers = Peers::start(options, vec![listener], executor.clone(), rng).expect("good options");
        Board {
            id,
            url,
            peers,
            messages: RefCell::default(),
            met: RefCell::default(),
            lost: RefCell::default(),
            refusals: RefCell::default(),
            disowned: RefCell::default(),
        }
    }

    pub(crate) fn address(&self, is_kept: bool) -> MemberAddress {
        let urls = vec![self.url.clone()];
        MemberAddress { id: self.id, urls, is_kept, ..MemberAddress::default() }
    }

    /// Knows these and nobody else.
    pub(crate) fn knows(&self, others: &[&Board]) {
        let members = others.iter().map(|other| other.address(false)).collect();
        self.peers.set_members(Roster { members, ..Roster::default() });
    }

    /// The same, and keeps connections to them.
    pub(crate) fn keeps(&self, others: &[&Board]) {
        let members = others.iter().map(|other| other.address(true)).collect();
        self.peers.set_members(Roster { members, ..Roster::default() });
    }

    pub(crate) fn figures(&self, of: u64) -> PeerFigures {
        let found = self.peers.figures().into_iter().find(|figures| figures.id == NodeId(of));
        found.unwrap_or_else(|| panic!("{} does not know {of}", self.id))
    }

    pub(crate) fn is_connected(&self, with: u64) -> bool {
        self.peers.figures().iter().any(|figures| figures.id == NodeId(with) && figures.is_active)
    }

    fn pump(&self) {
        let mut events = Vec::new();
        self.peers.take(&mut events, Waker::noop());
        for event in events {
            match event {
                PeerEvent::Received(message) => self.messages.borrow_mut().push(message),
                PeerEvent::Met(id) => self.met.borrow_mut().push(id),
                PeerEvent::Lost(id) => self.lost.borrow_mut().push(id),
                PeerEvent::Refused { by, reason } => self.refusals.borrow_mut().push((by, reason)),
                PeerEvent::Disowned { by, is_led } => self.disowned.borrow_mut().push((by, is_led)),
            }
        }
    }

    /// All that came so far.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.pump();
        self.messages.borrow().iter().map(describe).collect()
    }

    pub(crate) fn met(&self) -> Vec<u64> {
        self.pump();
        self.met.borrow().iter().map(|id| id.0).collect()
    }

    pub(crate) fn lost(&self) -> Vec<u64> {
        self.pump();
        self.lost.borrow().iter().map(|id| id.0).collect()
    }

    /// Who has said that this board was another one, and whether it was led.
    pub(crate) fn disowned(&self) -> Vec<(u64, bool)> {
        self.pump();
        self.disowned.borrow().iter().map(|(by, is_led)| (by.0, *is_led)).collect()
    }

    pub(crate) fn refusals(&self) -> Vec<(u64, Refusal)> {
        self.pump();
        self.refusals.borrow().iter().map(|(by, reason)| (by.0, *reason)).collect()
    }

    pub(crate) fn heartbeat(&self, to: u64, round: u64) {
        self.peers.send(heartbeat(self.id.0, to, round));
    }

    /// Sends heartbeats until one is there: connections come and go, and messages may be lost.
    pub(crate) async fn reaches(&self, other: &Board) {
        let round = fastrand::u64(1 << 32..1 << 40);
        let wanted = format!("heartbeat {round}");
        until(&format!("{} reaches {}", self.id, other.id), || {
            self.heartbeat(other.id.0, round);
            self.pump();
            other.messages().contains(&wanted)
        })
        .await;
    }
}

pub(crate) fn describe(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Raft(envelope) => match &envelope.message {
            Message::Heartbeat { round, .. } => format!("heartbeat {round}"),
            Message::Append { prev, .. } => format!("append {}", prev.index),
            Message::VoteRequest { last, .. } => format!("vote {}", last.index),
            other => format!("{other:?}"),
        },
        PeerMessage::Transfer { session, .. } => format!("transfer {}", session.0),
        other => format!("{other:?}"),
    }
}

fn raft(from: u64, to: u64, message: Message) -> PeerMessage {
    PeerMessage::Raft(Envelope { from: NodeId(from), to: NodeId(to), term: Term(1), message })
}

pub(crate) fn heartbeat(from: u64, to: u64, round: u64) -> PeerMessage {
    raft(from, to, Message::Heartbeat { commit: Index(0), round })
}

/// A question of which none makes another useless.
pub(crate) fn vote(from: u64, to: u64, index: u64) -> PeerMessage {
    raft(from, to, Message::VoteRequest { pre: true, last: EntryId::new(1, index), transfer: false })
}

pub(crate) fn append(from: u64, to: u64, prev: u64, bytes: usize) -> PeerMessage {
    let payload = Payload::Command { id: ProposalId::default(), data: Bytes::from(vec![7; bytes]) };
    let entries = vec![Entry { id: EntryId::new(1, prev + 1), payload }];
    raft(from, to, Message::Append { prev: EntryId::new(1, prev), entries, commit: Index(0) })
}

pub(crate) fn transfer(from: u64, to: u64, session: u64) -> PeerMessage {
    let message = TransferMessage::Want { after: KeyRev::new(1, 0), committed: EntryId::default() };
    PeerMessage::Transfer { from: NodeId(from), to: NodeId(to), session: Session(session), message }
}
