//! From no data to an id.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    path::Path,
    time::{Duration, Instant},
};

use async_io::Timer;

use super::{
    Founding, JoinUrl, Way,
    service::{Service, ServiceError},
    turn::{Board, Turn, turn},
};
use crate::{
    mdns,
    member::{Formation, Hardware, Reach, Start, address_outward, address_towards},
    peer::{BoardTls, JoinAnswer, JoinError, JoinRequest, Joiner, Pass, PeerUrl},
    types::{Bytes, Command},
};

/// Between two rounds: at first short, so that boards that are switched on together are together soon.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];

/// For one member to answer, admission included: it waits for the log, and perhaps for other newcomers before this one.
const ANSWER_MAX: Duration = Duration::from_secs(20);

const TELL_EVERY: Duration = Duration::from_secs(30);

const HAS_FOUNDED: &str = "this board has founded the cluster of this token before, and its data is lost: clear its whole data directory, tls/ in it too, and \
     give it a URL that `solder invite` prints on another board; or make a new token, if there is none";

/// Members that tell of other members, who tell of others: enough for a cluster, and bounded.
const ASKED_MAX: usize = 64;

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
}

/// How it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    pub name: String,
    pub peer_urls: Vec<String>,
    pub start: Start,
}

/// Waits as long as waiting can help. Errors: one line that says what happened and what to do.
pub async fn begin(newcomer: Newcomer<'_>, tls: &mut BoardTls) -> Result<Begun, String> {
    let joining = Joining { newcomer, joiner: Joiner::new()?, begun: Instant::now() };
    let mut told_at = None::<Instant>;
    loop {
        let why = match joining.round(tls).await? {
            Round::Done(begun) => return Ok(begun),
            Round::Wait(why) => why,
        };
        if told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) && joining.begun.elapsed() >= PAUSES[1] {
            told_at = Some(Instant::now());
            log::warn!("waiting to be let into the cluster: {why}");
        }
        let is_early = joining.begun.elapsed() < 10 * PAUSES[1];
        Timer::after(PAUSES[usize::from(!is_early)]).await;
    }
}

struct Joining<'a> {
    newcomer: Newcomer<'a>,
    joiner: Joiner,
    begun: Instant,
}

enum Round {
    Done(Begun),
    /// What is waited for.
    Wait(String),
}

impl Joining<'_> {
    async fn round(&self, tls: &mut BoardTls) -> Result<Round, String> {
        match &self.newcomer.url.way {
            Way::Service { hosts } => {
                let service = Service { hosts, token: &self.newcomer.url.token };
                self.by_service(&service, tls).await
            }
            Way::Members { hosts, pin } => self.by_members(hosts.clone(), Some(pin.clone()), tls).await,
            Way::Neighbours { pin } => self.by_neighbours(pin, tls).await,
            Way::Here => Err("--discovery=mdns names no cluster to join".into()),
        }
    }

    async fn by_neighbours(&self, pin: &Bytes, tls: &mut BoardTls) -> Result<Round, String> {
        let Some(IpAddr::V4(from)) = address_outward() else {
            return Ok(Round::Wait("this board has no address in a network yet".into()));
        };
        match mdns::browse(from).await {
            Ok(found) if found.is_empty() => Ok(Round::Wait("nobody in this network answers by mDNS".into())),
            Ok(found) => {
                let url = |place: SocketAddr| PeerUrl {
                    is_tls: true,
                    host: place.ip().to_string(),
                    port: place.port(),
                };
                self.by_members(found.into_iter().map(url).collect(), Some(pin.clone()), tls).await
            }
            Err(error) => Ok(Round::Wait(format!("the local network cannot be asked by mDNS: {error}"))),
        }
    }

    async fn by_service(&self, service: &Service<'_>, tls: &mut BoardTls) -> Result<Round, String> {
        let id = id_of(tls);
        let mut registered = match service.registered().await {
            Ok(registered) => registered,
            Err(error) => return self.no_service(error),
        };
        if turn(&registered, &id, tls.has_certificate()) == Turn::Register {
            let Some(urls) = self.urls_for_service(service).await else {
                return Ok(Round::Wait("this board has no address in a network yet".into()));
            };
            if let Err(error) = service.register(&id, self.newcomer.name, &urls).await {
                return self.no_service(error);
            }
            registered = match service.registered().await {
                Ok(registered) => registered,
                Err(error) => return self.no_service(error),
            };
            log::info!(
                "registered with the discovery service: {} of {} boards",
                registered.boards.len().min(registered.size as usize),
                registered.size
            );
        }
        match turn(&registered, &id, tls.has_certificate()) {
            Turn::Found(me) => self.found(me, registered.size, tls).map(Round::Done),
            Turn::HasFounded => Err(HAS_FOUNDED.into()),
            Turn::Ask(boards) => {
                let urls = boards.into_iter().flat_map(|board| board.urls.iter().cloned());
                self.by_members(urls.filter(|url| url.is_tls).collect(), None, tls).await
            }
            Turn::Register => Ok(Round::Wait("the discovery service has lost what was registered".into())),
        }
    }

    fn no_service(&self, error: ServiceError) -> Result<Round, String> {
        match error {
            ServiceError::Unreachable(why) => {
                Ok(Round::Wait(format!("the discovery service is not reached: {why}")))
            }
            ServiceError::Useless(why) => Err(why),
        }
    }

    /// As the service's host would see this board. A host that is this very machine sees it from within.
    async fn urls_for_service(&self, service: &Service<'_>) -> Option<Vec<String>> {
        let reach = self.newcomer.reach;
        for host in service.hosts {
            let addresses = host.resolve().await.unwrap_or_default();
            let seen = addresses.iter().find_map(|address| address_towards(address.ip()));
            if let Some(address) = seen.filter(|address| !address.is_loopback()).or_else(address_outward) {
                return Some(reach.urls(address));
            }
        }
        reach.is_settled().then(|| reach.urls(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)))
    }

    /// This board is the first: the cluster is its to make.
    fn found(&self, me: &Board, size: u32, tls: &mut BoardTls) -> Result<Begun, String> {
        let newcomer = &self.newcomer;
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
        Ok(Begun { name: newcomer.name.into(), peer_urls, start: Start::Formed(formation) })
    }

    /// One member after the other, and those that they tell of.
    async fn by_members(
        &self,
        urls: Vec<PeerUrl>,
        pin: Option<Bytes>,
        tls: &mut BoardTls,
    ) -> Result<Round, String> {
        let url = self.newcomer.url;
        let pass = Pass { token: url.token.clone(), secret: url.secret, pin };
        let (mut ahead, mut asked) = (VecDeque::from(urls), Vec::new());
        let (mut troubles, mut refused) = (Vec::new(), None);
        while let Some(url) = ahead.pop_front() {
            if asked.contains(&url) || asked.len() >= ASKED_MAX {
                continue;
            }
            let Some(request) = self.request(&url, tls).await else {
                troubles.push(format!("{url}: there is no way there from this board"));
                asked.push(url);
                continue;
            };
            match self.joiner.join(&url, &pass, &request, ANSWER_MAX).await {
                Ok(JoinAnswer::Welcome { cluster, member, name, ca, certificate, .. }) => {
                    tls.keep(&ca, &certificate)?;
                    log::info!("let in by {url}, as {name}, member {member} of cluster {cluster}");
                    let start = Start::Join { cluster, member };
                    return Ok(Round::Done(Begun { name, peer_urls: request.peer_urls, start }));
                }
                Ok(JoinAnswer::Elsewhere { urls }) => {
                    ahead.extend(urls.iter().filter_map(|url| PeerUrl::parse(url).ok()));
                }
                Ok(JoinAnswer::Later { why }) => troubles.push(format!("{url}: {why}")),
                // It has proven itself, and speaks for the cluster.
                Ok(JoinAnswer::Refused { why }) => return Err(why),
                Err(error @ JoinError::Unreachable(_)) => troubles.push(error.to_string()),
                // That may be anybody's word, or a member's that is behind: another may know better.
                Err(error) => {
                    refused.get_or_insert(error.to_string());
                }
            }
            asked.push(url);
        }
        // As long as somebody may still answer otherwise, one who does not trust this board is no reason to give up; nor ever
        // where anybody can say that he is a member.
        let is_final = troubles.is_empty() && !matches!(self.newcomer.url.way, Way::Neighbours { .. });
        match refused {
            Some(why) if is_final => Err(why),
            refused => {
                troubles.extend(refused);
                let nobody = || "no member of it is known yet".to_owned();
                Ok(Round::Wait(if troubles.is_empty() { nobody() } else { troubles.join("; ") }))
            }
        }
    }

    /// For the member at `url`: it is told the address of this board that it sees.
    async fn request(&self, url: &PeerUrl, tls: &BoardTls) -> Option<JoinRequest> {
        let newcomer = &self.newcomer;
        let seen = addresses(url).await.into_iter().find_map(address_towards);
        let seen = seen.filter(|address| !address.is_loopback()).or_else(address_outward);
        let peer_urls = match seen {
            Some(address) => newcomer.reach.urls(address),
            None if newcomer.reach.is_settled() => {
                newcomer.reach.urls(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST))
            }
            None => return None,
        };
        Some(JoinRequest {
            name: newcomer.name.into(),
            is_default_name: newcomer.is_default_name,
            suffix: newcomer.hardware.digits(),
            public_key: tls.public_key(),
            peer_urls,
            client_urls: newcomer.client_urls.to_vec(),
            board: newcomer.hardware.mark(newcomer.reach.port()),
            level: Command::level_known(),
        })
    }
}

async fn addresses(url: &PeerUrl) -> Vec<IpAddr> {
    if let Ok(address) = url.host.parse() {
        return vec![address];
    }
    let (host, port) = (url.host.clone(), url.port);
    let found = smol::unblock(move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect));
    // A name that nobody knows now leads nowhere now: it is asked for again in the next round.
    let found: Vec<SocketAddr> = found.await.unwrap_or_default();
    found.iter().map(SocketAddr::ip).collect()
}

/// As services know this board: the same at each attempt.
fn id_of(tls: &BoardTls) -> String {
    tls.key_hash().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
