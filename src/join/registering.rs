//! By a discovery service: registers, and then founds the cluster, or asks those who have registered.
//!
//! Here you will not find: whose turn it is (`turn`), and how members are asked (`asking`).

use std::net::{IpAddr, Ipv4Addr};

use super::{
    Founding,
    asking::Place,
    id::id_of,
    newcomer::{Begun, Joining, NO_ADDRESS, Round, Wait},
    service::{Service, ServiceError},
    turn::{Board, Registered, Turn, turn},
};
use crate::{
    member::{Formation, Start, address_outward, address_towards, places_by_name},
    peer::BoardTls,
};

const HAS_FOUNDED: &str = "this board has founded the cluster of this token before, and its data is lost: clear its whole data directory, tls/ in it too, and \
     give it a URL that `solder invite` prints on another board; or make a new token, if there is none";

impl Joining<'_> {
    pub(super) async fn by_service(&mut self, tls: &mut BoardTls) -> Result<Round, String> {
        let id = id_of(&self.newcomer.url.secret, &self.newcomer.url.token, &tls.key_hash());
        let mut registered = match self.service().registered().await {
            Ok(registered) => registered,
            Err(error) => return self.without_service(error, tls).await,
        };
        if turn(&registered, &id, tls.has_certificate()) == Turn::Register {
            let Some(urls) = self.urls_for_service().await else {
                return Ok(Round::Wait(Wait::Network, NO_ADDRESS.into()));
            };
            let refused = match self.register(&registered, &id, &urls).await? {
                Ok(()) => None,
                Err(ServiceError::Useless(why)) => Some(why),
                Err(error) => return self.without_service(error, tls).await,
            };
            registered = match self.service().registered().await {
                Ok(registered) => registered,
                Err(error) => return self.without_service(error, tls).await,
            };
            match refused {
                // Others were quicker, and are as many as it takes: they let this one in.
                Some(why) if turn(&registered, &id, tls.has_certificate()) == Turn::Register => {
                    let why = format!("{why}{}", besides(&registered.strangers));
                    return self.without_service(ServiceError::Useless(why), tls).await;
                }
                Some(why) => log::debug!("{why}"),
                None => log::info!(
                    "registered with the discovery service: {} of {} boards",
                    registered.boards.len().min(registered.size as usize),
                    registered.size
                ),
            }
        }
        self.check_own(&registered, &id).await?;
        match turn(&registered, &id, tls.has_certificate()) {
            Turn::Found(me) => self.found(me, registered.size, tls).map(Round::Done),
            Turn::HasFounded => Err(HAS_FOUNDED.into()),
            Turn::Doubt => Ok(Round::Wait(Wait::Strangers, doubt(&registered))),
            Turn::Ask(others) => {
                let others: Vec<Board> = others.into_iter().cloned().collect();
                match self.by_members(self.places(&others), None, tls).await? {
                    Round::Wait(_, why) => {
                        let why = format!("{why}{}", besides(&registered.strangers));
                        Ok(self.waiting_for(registered.boards.first(), why).await)
                    }
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

    /// Noted before it is asked for, since power may go in between. Who is told that there is one of this id already, and has not
    /// asked before, has not made it.
    async fn register(
        &mut self,
        registered: &Registered,
        id: &str,
        urls: &[String],
    ) -> Result<Result<(), ServiceError>, String> {
        let has_asked = self.origin.has_registered(&self.newcomer.url.token);
        self.note(registered, id)?;
        let is_new = match self.service().register(id, self.newcomer.name, urls).await {
            Ok(is_new) => is_new,
            Err(error) => return Ok(Err(error)),
        };
        if !is_new && !has_asked {
            self.origin.take_back(self.newcomer.folder)?;
        }
        Ok(Ok(()))
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

    /// Members let boards in without it: whom it has named before may be one, or who is at a host of the URL. As long as one of them
    /// may later, the service's word is not the last.
    async fn without_service(&mut self, error: ServiceError, tls: &mut BoardTls) -> Result<Round, String> {
        let others = self.origin.others(&self.newcomer.url.token);
        let nobody = match self.ask(self.places(&others), None, tls).await? {
            Ok(begun) => return Ok(Round::Done(begun)),
            Err(nobody) => nobody,
        };
        let is_final = nobody.troubles.is_empty() && matches!(error, ServiceError::Useless(_));
        let names: Vec<&str> = others.iter().map(|board| &*board.name).collect();
        let said = match (names.is_empty(), nobody.explain()) {
            (true, said) if said.is_empty() => said,
            (true, said) => format!("; and at its hosts nobody lets this board in: {said}"),
            (false, _) => {
                format!("; of those who had registered ({}) nobody lets it in now", names.join(", "))
            }
        };
        match error {
            ServiceError::Useless(why) if is_final => Err(format!("{why}{said}")),
            ServiceError::Useless(why) => Ok(Round::Wait(Wait::Service, format!("{why}{said}"))),
            ServiceError::Unreachable(why) => Ok(Round::Wait(
                Wait::Service,
                format!(
                    "the discovery service is not reached: {why}: see that its host is on, and in this network{said}"
                ),
            )),
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
}

/// Behind what is in the way. Empty: there are none.
fn besides(strangers: &[Board]) -> String {
    match strangers.len() {
        0 => String::new(),
        count => format!(
            "; besides, {count} of another kind have registered with this token: with another secret than this board's URL has, or as \
             real etcd members do"
        ),
    }
}

/// Why this board, which is the first of its kind, founds nothing yet.
fn doubt(registered: &Registered) -> String {
    let Registered { size, boards, strangers } = registered;
    let way = match registered.needed() {
        needed if needed <= *size as usize => {
            format!(
                "this board founds the cluster once {needed} boards with its URL have registered ({} has)",
                boards.len()
            )
        }
        _ => "make a new token with `solder discovery new`".to_owned(),
    };
    format!(
        "{} of another kind have registered with this token: with another secret than this board's URL has, or as real etcd members do; \
         if they are boards of this cluster, start this one with their URL, all of it; if not, {way}",
        strangers.len()
    )
}
