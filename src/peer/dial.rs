//! Makes connections: one task for each lane of each peer that has an address.
//!
//! ```text
//!   nothing wanted --> attempt --> session --> (lived well: back-off begins anew) --.
//!        ^                '-- failed: the queue drops its data --> pause ------------'
//! ```
//!
//! A pause ends early when the peer has dialled this board, or its address has changed.

use std::{
    borrow::Cow,
    fmt, io,
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use async_io::{Async, Timer};
use futures_lite::future::or;
use smol::{channel::bounded, lock::Semaphore};

use crate::types::NodeId;

use super::{
    Greeting, PeerUrl, Purpose, Refusal, accept,
    backoff::Backoff,
    judge,
    lane::Lane,
    limits::STEADY,
    peer::Peer,
    session,
    shared::{Shared, read_greeting, write_greeting},
    stream::{Stream, tune},
};

/// Why an attempt failed.
pub(super) enum Trouble {
    Link(PeerUrl, io::Error),
    Late(PeerUrl),
    /// Who answers is to be told by its own attempts.
    Wiped(PeerUrl),
    /// What it says, be it a refusal, is not that member's word.
    WrongKey(PeerUrl),
    /// The same, and this member is known to have the key that was shown.
    Other(PeerUrl, NodeId),
    Refused {
        reason: Refusal,
        text: String,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Link(url, error) => f.write_str(&explain(url, error)),
            Trouble::Late(url) => write!(f, "{url}: no answer in time"),
            Trouble::Wiped(url) => {
                write!(f, "{url}: the board there has other data than this member had: was its disk wiped?")
            }
            Trouble::WrongKey(url) => write!(
                f,
                "{url}: the board there has not shown the key that the list of members has for this member: does another \
                 board live there?"
            ),
            Trouble::Other(url, id) => write!(f, "{url}: member {id} lives there"),
            Trouble::Refused { text, .. } => f.write_str(text),
        }
    }
}

/// In the library's words an end without TLS's goodbye is an address in the web.
pub(super) fn words(error: &io::Error) -> Cow<'static, str> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection was closed there".into(),
        _ => error.to_string().into(),
    }
}

/// A link's trouble, for people.
pub(super) fn explain(url: &PeerUrl, error: &io::Error) -> String {
    let advice = match url.is_tls && error.kind() == io::ErrorKind::InvalidData {
        true => {
            "; both boards need certificates of one authority: with --peer-trusted-ca-file, for the names in their URLs; \
             without, both must have joined one cluster"
        }
        false => "",
    };
    format!("{url}: {}{advice}", words(error))
}

/// Keeps the lane connected as long as there is a need.
pub(super) async fn keep(shared: Rc<Shared>, peer: Rc<Peer>, purpose: Purpose) {
    let lane = peer.lane(purpose);
    let mut backoff = Backoff::new(shared.limits.redial_max);
    let mut said = String::new();
    for attempt in 0.. {
        until_wanted(&peer, lane).await;
        let Some(url) = url(&peer, attempt) else { continue };
        match or(connect(&shared, &peer, purpose, &url), late(&shared, &url)).await {
            Ok((stream, theirs)) => {
                said.clear();
                let begun = Instant::now();
                serve(&shared, &peer, stream, theirs).await;
                if begun.elapsed() >= STEADY {
                    backoff.reset();
                }
            }
            Err(trouble) => {
                failed(&shared, &peer, lane, &trouble, &mut said);
                if !matches!(trouble, Trouble::Link(..) | Trouble::Late(_)) {
                    backoff.hopeless();
                }
            }
        }
        let time = backoff.pause(&mut shared.rng.borrow_mut());
        if pause(lane, time).await {
            backoff.reset();
        }
        lane.queue.borrow_mut().up();
    }
}

/// Returns whether it ended early, because trying again makes sense.
async fn pause(lane: &Lane, time: Duration) -> bool {
    let whole = async {
        Timer::after(time).await;
        false
    };
    let early = async {
        lane.again.raised().await;
        true
    };
    or(whole, early).await
}

/// In a task of its own, which says goodbye when dialling ends because the peer is no member any more.
async fn serve(shared: &Rc<Shared>, peer: &Rc<Peer>, stream: Stream, theirs: Greeting) {
    let (done, ended) = bounded::<()>(1);
    let (serving, peer) = (shared.clone(), peer.clone());
    let serve = async move {
        session::run(serving, peer, stream, true, theirs).await;
        drop(done);
    };
    shared.executor.spawn(serve).detach();
    // Nothing is ever sent.
    let _ = ended.recv().await;
}

/// Whether there is a need changes when a message comes, a connection goes, or the list of members changes.
async fn until_wanted(peer: &Peer, lane: &Lane) {
    let is_wanted = || {
        let is_kept = peer.keeps(lane.purpose);
        !lane.is_connected() && (is_kept || !lane.queue.borrow().is_empty()) && !peer.urls.borrow().is_empty()
    };
    while !is_wanted() {
        lane.dial.raised().await;
    }
}

fn url(peer: &Peer, attempt: usize) -> Option<PeerUrl> {
    let urls = peer.urls.borrow();
    urls.get(attempt % urls.len().max(1)).cloned()
}

async fn late(shared: &Shared, url: &PeerUrl) -> Result<(Stream, Greeting), Trouble> {
    Timer::after(shared.limits.greeting_timeout).await;
    Err(Trouble::Late(url.clone()))
}

/// Says so once, not at each attempt.
fn failed(shared: &Shared, peer: &Peer, lane: &Lane, trouble: &Trouble, said: &mut String) {
    peer.counts.dials_failed.add(1);
    if !lane.is_connected() {
        lane.queue.borrow_mut().down();
        peer.bulk_lost();
    }
    let text = format!("cannot connect with member {}: {trouble}", peer.id);
    if let Trouble::Other(url, _) = trouble {
        // A board that lost its disk has come back as another. It is not called by its old name before the list is another.
        log::debug!("{text}");
        peer.urls.borrow_mut().retain(|known| known != url);
    } else if matches!(trouble, Trouble::Link(_, error) if error.kind() == io::ErrorKind::UnexpectedEof) {
        // Who leaves without a word has just come, and knows nobody yet, or is about to end.
        log::debug!("{text}");
    } else if text != *said {
        log::warn!("{text}");
        *said = text;
    }
    if let Trouble::Refused { reason, .. } = trouble {
        shared.refused_by(peer.id, *reason);
    }
}

/// Greeted, and welcome.
pub(super) async fn connect(
    shared: &Shared,
    peer: &Peer,
    purpose: Purpose,
    url: &PeerUrl,
) -> Result<(Stream, Greeting), Trouble> {
    let link = |error| Trouble::Link(url.clone(), error);
    let reached = reach(&shared.lookups, shared.limits.silence_timeout, url).await;
    let socket = reached.map_err(link)?;
    let mut stream = shared.connect(socket, url).await.map_err(link)?;
    if !shared.is_key_of(peer.id, &stream) {
        let other = shared.member_with(stream.shown());
        accept::leave(stream).await;
        return Err(match other {
            Some(id) => Trouble::Other(url.clone(), id),
            None => Trouble::WrongKey(url.clone()),
        });
    }
    let mine = shared.greeting(peer.id, purpose, None);
    write_greeting(&mut stream, &mine).await.map_err(link)?;
    let theirs = read_greeting(&mut stream).await.map_err(link)?;
    match judge::of_called(&mine, &theirs) {
        None if !peer.is_incarnation(theirs.incarnation) => Err(Trouble::Wiped(url.clone())),
        // It has heard by the greeting why it does not know this board.
        Some(Refusal::NotMember) if judge::is_disowned(&theirs, &mine) => Err(Trouble::Wiped(url.clone())),
        None => Ok((stream, theirs)),
        Some(reason) => Err(Trouble::Refused { reason, text: reason.explain(&mine, &theirs) }),
    }
}

/// By the first address that answers.
pub(super) async fn reach(
    lookups: &Arc<Semaphore>,
    silence: Duration,
    url: &PeerUrl,
) -> io::Result<Async<TcpStream>> {
    let mut trouble = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in look_up(lookups, url).await? {
        match Async::<TcpStream>::connect(address).await {
            Ok(socket) => {
                tune(&socket, silence)?;
                return Ok(socket);
            }
            Err(error) => trouble = error,
        }
    }
    Err(trouble)
}

/// IPv4 first, as when listening. The system's resolver blocks, so it does that on another thread; there are few of them,
/// for as long as it takes them, even if nobody waits any more.
async fn look_up(lookups: &Arc<Semaphore>, url: &PeerUrl) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = url.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, url.port)]);
    }
    let place = lookups.acquire_arc().await;
    let (host, port) = (url.host.clone(), url.port);
    smol::unblock(move || {
        let _place = place;
        let mut addresses: Vec<SocketAddr> = (host.as_str(), port).to_socket_addrs()?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        Ok(addresses)
    })
    .await
}
