//! Asking members to be let in: one after the other, and those that they tell of.
//!
//! ```text
//!   places --connect, the next a moment later if nobody is there yet--> whoever is there first is asked
//!                 |                                                       welcome, or refused for good: done
//!                 '-- nobody is: noted                                    not now, elsewhere: the next
//! ```
//!
//! - Who is dead costs a moment, not as long as a connection may take.
//! - One is asked at a time: two that let in one board at one time would get in each other's way.

use std::{
    collections::VecDeque,
    future::poll_fn,
    net::{IpAddr, Ipv4Addr},
    task::Poll,
    time::Duration,
};

use async_io::Timer;
use futures_lite::future::or;

use super::Newcomer;
use crate::{
    member::{address_outward, can_be_told},
    peer::{JoinAnswer, JoinError, JoinRequest, Joiner, LocalBoxFuture, Pass, PeerUrl, Reached},
    types::{Bytes, Command},
};

/// For one member to answer, admission included: it waits for the log, and perhaps for other newcomers before this one.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Before the next is tried as well: longer than a connection takes that comes to be.
const STAGGER: Duration = Duration::from_millis(250);

/// Members that tell of other members, who tell of others: enough for a cluster, and bounded.
const ASKED_MAX: usize = 64;

/// They send boards to each other, and none can make a certificate.
const NO_KEY: &str = "no voter that is reached has the authority's key";

/// Where a member may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) url: PeerUrl,
    /// Nobody has said so: that nobody is there is not worth a word.
    pub(super) is_guess: bool,
}

impl Place {
    pub(super) fn told(url: PeerUrl) -> Place {
        Place { url, is_guess: false }
    }

    pub(super) fn guessed(url: PeerUrl) -> Place {
        Place { url, is_guess: true }
    }
}

/// One round.
pub(super) struct Asking<'a> {
    pub(super) newcomer: &'a Newcomer<'a>,
    pub(super) joiner: &'a Joiner,
    pub(super) public_key: Bytes,
    /// Of the cluster's authority, if the URL has one.
    pub(super) pin: Option<Bytes>,
}

/// What came of it.
pub(super) enum Asked {
    /// A member has said so that has proven itself.
    Welcome(Box<Welcome>),
    Refused(String),
    Nobody(Nobody),
}

pub(super) struct Welcome {
    pub(super) by: PeerUrl,
    pub(super) answer: JoinAnswer,
    pub(super) peer_urls: Vec<String>,
}

/// Nobody lets this board in now.
#[derive(Debug, Default)]
pub(super) struct Nobody {
    /// Those who may later, or are not there: why, for each.
    pub(super) troubles: Vec<String>,
    /// What those said who were there by chance, and do not trust this board.
    pub(super) strangers: Vec<String>,
    /// What the first said of this board who does not trust it. That may be anybody's word, or a member's that is behind.
    pub(super) distrust: Option<String>,
    /// One has sent this board on to others.
    is_sent_on: bool,
    /// One has not, and may let it in later.
    may_later: bool,
}

type Connecting<'a> = LocalBoxFuture<'a, (Place, Result<Reached, JoinError>)>;

impl Asking<'_> {
    pub(super) async fn run(&self, places: Vec<Place>) -> Asked {
        let url = self.newcomer.url;
        let pass = Pass { token: url.token.clone(), secret: url.secret, pin: self.pin.clone() };
        let (mut ahead, mut tried) = (VecDeque::from(places), Vec::new());
        let (mut connecting, mut nobody) = (Vec::new(), Nobody::default());
        loop {
            if connecting.is_empty() && !self.connect_next(&mut ahead, &mut tried, &mut connecting) {
                return Asked::Nobody(nobody);
            }
            let ended = async { Some(first(&mut connecting).await) };
            let moment = async {
                Timer::after(STAGGER).await;
                None
            };
            match or(ended, moment).await {
                None => {
                    self.connect_next(&mut ahead, &mut tried, &mut connecting);
                }
                Some((place, Err(error))) => {
                    nobody.note(&place, &error);
                    self.connect_next(&mut ahead, &mut tried, &mut connecting);
                }
                Some((place, Ok(reached))) => {
                    if let Some(asked) = self.ask(&place, reached, &pass, &mut ahead, &mut nobody).await {
                        return asked;
                    }
                }
            }
        }
    }

    /// False: all were tried.
    fn connect_next<'c>(
        &'c self,
        ahead: &mut VecDeque<Place>,
        tried: &mut Vec<PeerUrl>,
        connecting: &mut Vec<Connecting<'c>>,
    ) -> bool {
        while let Some(place) = ahead.pop_front().filter(|_| tried.len() < ASKED_MAX) {
            if !tried.contains(&place.url) {
                tried.push(place.url.clone());
                connecting.push(Box::pin(async move {
                    let reached = self.joiner.reach(&place.url).await;
                    (place, reached)
                }));
                return true;
            }
        }
        false
    }

    /// `None`: others are to be asked.
    async fn ask(
        &self,
        place: &Place,
        reached: Reached,
        pass: &Pass,
        ahead: &mut VecDeque<Place>,
        nobody: &mut Nobody,
    ) -> Option<Asked> {
        let url = &place.url;
        let Some(request) = self.request(&reached) else {
            nobody.troubles.push(format!("{url}: this board has no address there that others can call"));
            return None;
        };
        match self.joiner.join(reached, pass, &request, ANSWER_MAX).await {
            Ok(answer @ JoinAnswer::Welcome { .. }) => {
                let welcome = Welcome { by: url.clone(), answer, peer_urls: request.peer_urls };
                return Some(Asked::Welcome(Box::new(welcome)));
            }
            // It has proven itself, and speaks for the cluster.
            Ok(JoinAnswer::Refused { why }) => return Some(Asked::Refused(why)),
            Ok(JoinAnswer::Elsewhere { urls }) => {
                let urls = urls.iter().filter_map(|url| PeerUrl::parse(url).ok());
                ahead.extend(urls.map(Place::told));
                nobody.is_sent_on = true;
            }
            Ok(JoinAnswer::Later { why }) => {
                nobody.may_later = true;
                nobody.troubles.push(format!("{url}: {why}"));
            }
            Err(error) => nobody.note(place, &error),
        }
        None
    }

    /// For the member that was reached: it is told the address of this board that it sees.
    fn request(&self, reached: &Reached) -> Option<JoinRequest> {
        let newcomer = self.newcomer;
        let seen = reached.seen_as().filter(|address| !address.is_loopback() && can_be_told(address));
        let seen = seen.or_else(address_outward);
        let home = newcomer.reach.is_settled().then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Some(JoinRequest {
            name: newcomer.name.into(),
            is_default_name: newcomer.is_default_name,
            suffix: newcomer.hardware.digits(),
            public_key: self.public_key.clone(),
            peer_urls: newcomer.reach.urls(seen.or(home)?),
            client_urls: newcomer.client_urls.to_vec(),
            board: newcomer.hardware.mark(newcomer.reach.port()),
            level: Command::level_known(),
        })
    }
}

impl Nobody {
    fn note(&mut self, place: &Place, error: &JoinError) {
        match error {
            JoinError::Unreachable(_) if place.is_guess => log::debug!("asking to be let in: {error}"),
            JoinError::Unreachable(_) => self.troubles.push(error.to_string()),
            // Who is there may be of another cluster: nobody has said that it is this one's.
            _ if place.is_guess => self.strangers.push(error.to_string()),
            _ => {
                self.distrust.get_or_insert(error.to_string());
            }
        }
    }

    /// All that was in the way, in one line. Empty: there was nobody to ask.
    pub(super) fn explain(self) -> String {
        let is_in_circles = self.is_sent_on && !self.may_later;
        let keyless = is_in_circles.then(|| NO_KEY.to_owned());
        let all = self.troubles.into_iter().chain(self.strangers).chain(self.distrust).chain(keyless);
        all.collect::<Vec<_>>().join("; ")
    }
}

/// Of those under way, the one that ends first.
async fn first<'c>(connecting: &mut Vec<Connecting<'c>>) -> (Place, Result<Reached, JoinError>) {
    poll_fn(|context| {
        for place in 0..connecting.len() {
            if let Poll::Ready(ended) = connecting[place].as_mut().poll(context) {
                drop(connecting.remove(place));
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    })
    .await
}
