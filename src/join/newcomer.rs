//! From no data to an id. What a discovery service has to do with it stands in `registering`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use async_io::Timer;

use super::{
    JoinUrl, Origin, Way,
    asking::{Asked, Asking, Nobody, Place, Welcome},
    service::Service,
};
use crate::{
    logging::Rarely,
    mdns,
    member::{Hardware, Reach, Start, address_of_neighbour},
    peer::{BoardTls, JoinAnswer, Joiner, PeerUrl},
    types::{Bytes, MemberRow},
};

/// Between two rounds: at first short, so that boards that are switched on together are together soon.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];

/// Members in a list of where to look: the first that answers tells of the others.
const HINTS_MAX: usize = 16;

/// A board that wants to become a member.
pub struct Newcomer<'a> {
    pub url: &'a JoinUrl,
    pub name: &'a str,
    /// Nobody chose the name: it may be changed.
    pub is_default_name: bool,
    pub reach: &'a Reach,
    pub client_urls: &'a [String],
    pub hardware: &'a Hardware,
    /// Where its keys are.
    pub folder: &'a Path,
    /// Is told what is waited for, after each attempt.
    pub waits: &'a dyn Fn(&str),
}

/// How it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    pub name: String,
    pub peer_urls: Vec<String>,
    pub start: Start,
    /// Where members were when it was let in. It knows none of them before one has called it.
    pub hints: Vec<PeerUrl>,
}

/// Waits as long as waiting can help. Errors: one line that says what happened and what to do.
pub async fn begin(newcomer: Newcomer<'_>, tls: &mut BoardTls) -> Result<Begun, String> {
    let service = match &newcomer.url.way {
        Way::Service { hosts } => Some(Service::new(hosts, newcomer.url)),
        _ => None,
    };
    let origin = Origin::open(newcomer.folder, newcomer.hardware)?;
    let mut joining = Joining { service, joiner: Joiner::new()?, newcomer: &newcomer, origin };
    let (begun, mut rarely) = (Instant::now(), Rarely::after(PAUSES[1]));
    loop {
        let (wait, why) = match joining.round(tls).await? {
            Round::Done(begun) => return Ok(begun),
            Round::Wait(wait, why) => (wait, why),
        };
        (newcomer.waits)(&why);
        let waited = begun.elapsed();
        if rarely.is_due(wait, waited) {
            log::warn!("waiting to be let into the cluster{}: {why}", so_long(waited));
        }
        let is_early = waited < 10 * PAUSES[1];
        Timer::after(PAUSES[usize::from(!is_early)]).await;
    }
}

/// Nothing in the first minute.
fn so_long(waited: Duration) -> String {
    match waited.as_secs() / 60 {
        0 => String::new(),
        minutes @ 1..120 => format!(", for {minutes} min now"),
        minutes => format!(", for {} h now", minutes / 60),
    }
}

/// A board on its way.
pub(super) struct Joining<'a> {
    pub(super) newcomer: &'a Newcomer<'a>,
    /// Where the URL names one.
    pub(super) service: Option<Service<'a>>,
    joiner: Joiner,
    pub(super) origin: Origin,
}

/// What comes of looking around once.
pub(super) enum Round {
    Done(Begun),
    /// What is waited for, in words.
    Wait(Wait, String),
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Wait {
    Network,
    Service,
    Strangers,
    Founder,
    Members,
}

pub(super) const NO_ADDRESS: &str = "this board has no address in a network yet";

impl Joining<'_> {
    async fn round(&mut self, tls: &mut BoardTls) -> Result<Round, String> {
        match &self.newcomer.url.way {
            Way::Service { .. } => self.by_service(tls).await,
            Way::Members { hosts, pin } => {
                let places = hosts.iter().cloned().map(Place::told).collect();
                Ok(match self.by_members(places, Some(pin), tls).await? {
                    Round::Wait(wait, why) => Round::Wait(
                        wait,
                        format!("{why}; see that boards of the cluster are on, and in this network"),
                    ),
                    done => done,
                })
            }
            Way::Neighbours { pin } => self.by_neighbours(pin, tls).await,
            Way::Here => Err("--discovery=mdns names no cluster to join".into()),
        }
    }

    async fn by_neighbours(&self, pin: &Bytes, tls: &mut BoardTls) -> Result<Round, String> {
        let Some(from) = address_of_neighbour() else {
            return Ok(Round::Wait(Wait::Network, NO_ADDRESS.into()));
        };
        match mdns::browse(from).await {
            Ok(found) if found.is_empty() => {
                Ok(Round::Wait(Wait::Members, "nobody in this network answers by mDNS".into()))
            }
            Ok(found) => {
                // Anybody can say that he is a member.
                let places = found.into_iter().map(PeerUrl::at).map(Place::guessed).collect();
                self.by_members(places, Some(pin), tls).await
            }
            Err(error) => {
                let why = format!("the local network cannot be asked by mDNS: {error}");
                Ok(Round::Wait(Wait::Network, why))
            }
        }
    }

    /// One after the other, until one lets this board in. Errors: somebody who may has refused it for good.
    pub(super) async fn ask(
        &self,
        places: Vec<Place>,
        pin: Option<&Bytes>,
        tls: &mut BoardTls,
    ) -> Result<Result<Begun, Nobody>, String> {
        let asking = Asking {
            newcomer: self.newcomer,
            joiner: &self.joiner,
            public_key: tls.public_key(),
            pin: pin.cloned(),
        };
        match asking.run(places).await {
            Asked::Welcome(welcome) => enter(*welcome, tls).map(Ok),
            Asked::Refused(why) => Err(why),
            Asked::Nobody(nobody) => Ok(Err(nobody)),
        }
    }

    pub(super) async fn by_members(
        &self,
        places: Vec<Place>,
        pin: Option<&Bytes>,
        tls: &mut BoardTls,
    ) -> Result<Round, String> {
        let nobody = match self.ask(places, pin, tls).await? {
            Ok(begun) => return Ok(Round::Done(begun)),
            Err(nobody) => nobody,
        };
        let are_others_silent = nobody.troubles.is_empty() && nobody.strangers.is_empty();
        match nobody {
            // As long as somebody may still answer otherwise, one who does not trust this board is no reason to give up.
            Nobody { distrust: Some(why), .. } if are_others_silent => Err(why),
            nobody => {
                let why = nobody.explain();
                let why = if why.is_empty() { "no member of it is known yet".to_owned() } else { why };
                Ok(Round::Wait(Wait::Members, why))
            }
        }
    }
}

/// From here on this board is a member.
fn enter(welcome: Welcome, tls: &mut BoardTls) -> Result<Begun, String> {
    let Welcome { by, answer, peer_urls } = welcome;
    let JoinAnswer::Welcome { cluster, member, name, ca, certificate, roll } = answer else {
        unreachable!("{by} welcomes this board with {answer:?}")
    };
    tls.keep(&ca, &certificate)?;
    log::info!("let in by {by}, as {name}, member {member} of cluster {cluster}");
    let others = roll.members.iter().filter(|entry| entry.id != member);
    let rows = others.filter_map(|entry| MemberRow::decode(&entry.row).ok());
    let others = rows.flat_map(|row| row.peer_urls);
    let mut hints = vec![by];
    hints.extend(others.filter_map(|url| PeerUrl::parse(&url).ok()).take(HINTS_MAX));
    hints.dedup();
    Ok(Begun { name, peer_urls, start: Start::Join { cluster, member }, hints })
}
