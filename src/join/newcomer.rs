//! From no data to an id.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, Instant},
};

use async_io::Timer;

use super::{
    Founding, JoinUrl, Origin, Way,
    asking::{Asked, Asking, Nobody, Place, Welcome},
    service::{Service, ServiceError},
    turn::{Board, Registered, Turn, turn},
};
use crate::{
    logging::Rarely,
    mdns,
    member::{
        Formation, Hardware, Reach, Start, address_of_neighbour, address_outward, address_towards,
        places_by_name,
    },
    peer::{BoardTls, JoinAnswer, Joiner, PeerUrl},
    types::{Bytes, MemberRow},
};

/// Between two rounds: at first short, so that boards that are switched on together are together soon.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];

const HAS_FOUNDED: &str = "this board has founded the cluster of this token before, and its data is lost: clear its whole data directory, tls/ in it too, and \
     give it a URL that `solder invite` prints on another board; or make a new token, if there is none";

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
        Way::Service { hosts } => Some(Service::new(hosts, &newcomer.url.token)),
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

struct Joining<'a> {
    newcomer: &'a Newcomer<'a>,
    /// Where the URL names one.
    service: Option<Service<'a>>,
    joiner: Joiner,
    origin: Origin,
}

enum Round {
    Done(Begun),
    /// What is waited for, in words.
    Wait(Wait, String),
}

#[derive(Clone, Copy, PartialEq)]
enum Wait {
    Network,
    Service,
    Founder,
    Members,
}

const NO_ADDRESS: &str = "this board has no address in a network yet";

impl Joining<'_> {
    async fn round(&mut self, tls: &mut BoardTls) -> Result<Round, String> {
        match &self.newcomer.url.way {
            Way::Service { .. } => self.by_service(tls).await,
            Way::Members { hosts, pin } => {
                let places = hosts.iter().cloned().map(Place::told).collect();
                self.by_members(places, Some(pin), tls).await
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

    async fn by_service(&mut self, tls: &mut BoardTls) -> Result<Round, String> {
        let id = id_of(tls);
        let mut registered = match self.service().registered().await {
            Ok(registered) => registered,
            Err(error) => return self.without_service(error, tls).await,
        };
        if turn(&registered, &id, tls.has_certificate()) == Turn::Register {
            let Some(urls) = self.urls_for_service().await else {
                return Ok(Round::Wait(Wait::Network, NO_ADDRESS.into()));
            };
            let is_new = match self.service().register(&id, self.newcomer.name, &urls).await {
                Ok(is_new) => is_new,
                Err(error) => return self.without_service(error, tls).await,
            };
            if is_new {
                self.note(&registered, &id)?;
            }
            registered = match self.service().registered().await {
                Ok(registered) => registered,
                Err(error) => return self.without_service(error, tls).await,
            };
            log::info!(
                "registered with the discovery service: {} of {} boards",
                registered.boards.len().min(registered.size as usize),
                registered.size
            );
        }
        self.check_own(&registered, &id).await?;
        match turn(&registered, &id, tls.has_certificate()) {
            Turn::Found(me) => self.found(me, registered.size, tls).map(Round::Done),
            Turn::HasFounded => Err(HAS_FOUNDED.into()),
            Turn::Ask(others) => {
                let others: Vec<Board> = others.into_iter().cloned().collect();
                match self.by_members(self.places(&others), None, tls).await? {
                    Round::Wait(_, why) => Ok(self.waiting_for(registered.boards.first(), why).await),
                    done => Ok(done),
                }
            }
            Turn::Register => {
                Ok(Round::Wait(Wait::Service, "the discovery service has lost what was registered".into()))
            }
        }
    }

    fn service(&self) -> &Service<'_> {
        self.service.as_ref().expect("the URL names a service")
    }

    /// This board has registered itself, and these are there, too.
    fn note(&mut self, registered: &Registered, id: &str) -> Result<(), String> {
        let others: Vec<&Board> = registered.boards.iter().filter(|board| board.id != id).collect();
        self.origin.note(self.newcomer.folder, &self.newcomer.url.token, &others)
    }

    /// Who has registered under this board's id must have been this board: two that took themselves for the first would found two
    /// clusters. A registration whose answer was lost is known by its address.
    async fn check_own(&mut self, registered: &Registered, id: &str) -> Result<(), String> {
        let Some(own) = registered.boards.iter().find(|board| board.id == id) else { return Ok(()) };
        let is_ours = self.origin.has_registered(&self.newcomer.url.token)
            || self.urls_for_service().await.is_some_and(|urls| own.is_at_one_of(&urls));
        if is_ours {
            return self.note(registered, id);
        }
        Err(format!(
            "another board has registered with this board's key, as {} at {}: this card is a copy of that one's; clear this board's \
             whole data directory, tls/ in it too, and start it again",
            own.name,
            own.urls.first().map(ToString::to_string).unwrap_or_default()
        ))
    }

    /// Where those who have registered may be: where they said, for as long as addresses stay; on the hosts of the URL, which may
    /// be theirs; and by their names. The secret decides who it is.
    fn places(&self, others: &[Board]) -> Vec<Place> {
        let urls = || others.iter().flat_map(|board| &board.urls).filter(|url| url.is_tls);
        let hosts = self.newcomer.url.member_hosts();
        let by_name = others.iter().flat_map(|board| {
            let port = board.urls.iter().find(|url| url.is_tls).map(|url| url.port);
            port.map_or_else(Vec::new, |port| places_by_name(&board.name, port))
        });
        urls().cloned().map(Place::told).chain(hosts.into_iter().chain(by_name).map(Place::guessed)).collect()
    }

    /// Members let boards in without it. Whom it has named before may be one.
    async fn without_service(&mut self, error: ServiceError, tls: &mut BoardTls) -> Result<Round, String> {
        let others = self.origin.others(&self.newcomer.url.token);
        if let Round::Done(begun) = self.by_members(self.places(&others), None, tls).await? {
            return Ok(Round::Done(begun));
        }
        match error {
            ServiceError::Unreachable(why) => {
                Ok(Round::Wait(Wait::Service, format!("the discovery service is not reached: {why}")))
            }
            ServiceError::Useless(why) if others.is_empty() => Err(why),
            ServiceError::Useless(why) => {
                let names: Vec<&str> = others.iter().map(|board| &*board.name).collect();
                let why = format!(
                    "{why}; of those who had registered ({}) nobody lets it in now",
                    names.join(", ")
                );
                Ok(Round::Wait(Wait::Service, why))
            }
        }
    }

    /// Nobody lets this board in. Until somebody else is in, only the founder can.
    async fn waiting_for(&self, founder: Option<&Board>, why: String) -> Round {
        let Some(founder) = founder else { return Round::Wait(Wait::Members, why) };
        let name = &founder.name;
        let is_here = self.urls_for_service().await.is_some_and(|urls| founder.is_at_one_of(&urls));
        if is_here {
            return Round::Wait(
                Wait::Founder,
                format!(
                    "{name}, which registered first and so founds this cluster, was at this board's address and had another key: if this \
                     board has lost its data, and no other is in the cluster, no cluster can come of this token: make a new one with \
                     `solder discovery new` for all boards; else nobody who is in it is reached: {why}"
                ),
            );
        }
        Round::Wait(
            Wait::Founder,
            format!(
                "board {name} founds this cluster, and neither it nor another that is in it lets this board in: {why}; switch {name} on, or, \
                 if its data is lost, make a new token with `solder discovery new` for all boards"
            ),
        )
    }

    /// As the service's host would see this board. A host that is this very machine sees it from within.
    async fn urls_for_service(&self) -> Option<Vec<String>> {
        let reach = self.newcomer.reach;
        for host in self.service().hosts {
            let addresses = host.resolve().await.unwrap_or_default();
            let seen = addresses.iter().find_map(|address| address_towards(address.ip()));
            if let Some(address) = seen.filter(|address| !address.is_loopback()).or_else(address_outward) {
                return Some(reach.urls(address));
            }
        }
        reach.is_settled().then(|| reach.urls(IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }

    /// This board is the first: the cluster is its to make.
    fn found(&self, me: &Board, size: u32, tls: &mut BoardTls) -> Result<Begun, String> {
        let newcomer = self.newcomer;
        let formation = Formation {
            token: newcomer.url.token.clone(),
            size,
            key: tls.key_hash(),
            board: newcomer.hardware.mark(newcomer.reach.port()),
        };
        Founding { formation: formation.clone(), secret: newcomer.url.secret }.keep(newcomer.folder)?;
        tls.found()?;
        let peer_urls = me.urls.iter().map(ToString::to_string).collect();
        log::info!("this board founds the cluster, of {size}");
        Ok(Begun {
            name: newcomer.name.into(),
            peer_urls,
            start: Start::Formed(formation),
            hints: Vec::new(),
        })
    }

    async fn by_members(
        &self,
        places: Vec<Place>,
        pin: Option<&Bytes>,
        tls: &mut BoardTls,
    ) -> Result<Round, String> {
        let asking = Asking {
            newcomer: self.newcomer,
            joiner: &self.joiner,
            public_key: tls.public_key(),
            pin: pin.cloned(),
        };
        match asking.run(places).await {
            Asked::Welcome(welcome) => enter(*welcome, tls).map(Round::Done),
            Asked::Refused(why) => Err(why),
            // As long as somebody may still answer otherwise, one who does not trust this board is no reason to give up.
            Asked::Nobody(Nobody { troubles, distrust: Some(why), .. }) if troubles.is_empty() => Err(why),
            Asked::Nobody(nobody) => {
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

/// As services know this board: the same at each attempt.
fn id_of(tls: &BoardTls) -> String {
    tls.key_hash().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
