//! Boards move: a router gives them other addresses. A member is known by its key, and tells the cluster itself where it is.
//!
//! ```text
//!   the way to the others begins at another address     --> UpdateMember, by whoever leads; what an operator has said since
//!                                                           stays as it is
//!   no leader is heard of                               --> the hosts of the URL, the members where they were, and their
//!                                                           names are asked who they are, and whoever answers by mDNS; who
//!                                                           is a member, by its key, is called there from then on
//!     it has just been let in, and knows nobody         --> whom they name is called, too: nobody else may find it
//!     they say that it was removed                      --> it ends
//!     and that lasts                                    --> a line now and then
//! ```

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use async_io::Timer;
use futures_lite::future;

use crate::{
    logging::Rarely,
    mdns,
    peer::{Asker, PeerUrl, RollCall, Tls},
    types::{Command, NodeId},
};

use super::{
    Member, Reach,
    place::{address_of_neighbour, address_outward, address_towards, places_by_name},
};

/// Between two looks, which ask the system only.
const LOOK_EVERY: Duration = Duration::from_secs(3);

const ANSWER_MAX: Duration = Duration::from_secs(3);

/// A search asks every host and name: on a network that is away it finds nobody for long.
const SEARCH_EVERY: Duration = Duration::from_secs(10);

/// Without a leader. Elections are over long before.
const SILENT_FOR: Duration = Duration::from_secs(30);

/// Places in one line.
const PLACES_TOLD: usize = 4;

/// Since when nobody is heard of who leads.
struct Silence {
    since: Instant,
    searched_at: Option<Instant>,
    rarely: Rarely<bool>,
}

/// Runs as long as the member does.
pub(super) async fn mover<T>(member: Member) -> T {
    let (mut silence, mut was) = (None::<Silence>, None);
    loop {
        Timer::after(LOOK_EVERY).await;
        let Some(reach) = member.engine.options.reach.clone() else { continue };
        if !member.is_joined() {
            continue;
        }
        if member.has_leader() {
            silence = None;
            member.tell_if_moved(&reach, &mut was).await;
        } else {
            member.look_around(&reach, silence.get_or_insert_with(Silence::begins)).await;
        }
    }
}

impl Silence {
    fn begins() -> Silence {
        Silence { since: Instant::now(), searched_at: None, rarely: Rarely::after(SILENT_FOR) }
    }
}

impl Member {
    /// Are its peers known by their keys?
    fn is_joined(&self) -> bool {
        self.engine.trust.borrow().as_ref().is_some_and(|tls| tls.has_certificate())
    }

    /// `was`: the URLs that it would have told when it looked last.
    async fn tell_if_moved(&self, reach: &Reach, was: &mut Option<Vec<String>>) {
        let me = self.id();
        let Some(address) = self.own_address() else { return };
        if reach.is_settled() {
            return;
        }
        let (urls, known) = (reach.urls(address), self.engine.look(|core| core.roll.row(me).cloned()));
        let Some(known) = known else { return };
        if !is_to_be_told(was.as_deref(), &urls, &known.peer_urls) {
            *was = Some(urls);
            return;
        }
        let said = urls.join(",");
        match self.engine.propose(&Command::UpdateMember { member: me, peer_urls: urls.clone() }).await {
            Ok(_) => {
                log::info!("this board has moved from {} to {said}", known.peer_urls.join(","));
                *was = Some(urls);
            }
            Err(error) => log::debug!("that this board is at {said} now could not be told yet: {error}"),
        }
    }

    /// As another member sees it.
    pub(super) fn own_address(&self) -> Option<IpAddr> {
        let me = self.id();
        let others = self.members_here().into_iter().filter(|info| info.id != me);
        let hosts = others.flat_map(|info| info.peer_urls).filter_map(|url| PeerUrl::parse(&url).ok());
        let addresses = hosts.filter_map(|url| url.host.parse::<IpAddr>().ok());
        // Where a member is not any more, the way may lead out of the network: what is one's own there is it everywhere.
        let seen = addresses.filter_map(address_towards).find(|address| !address.is_loopback());
        seen.or_else(address_outward)
    }

    async fn look_around(&self, reach: &Reach, silence: &mut Silence) {
        if silence.searched_at.is_none_or(|at| at.elapsed() >= SEARCH_EVERY) {
            silence.searched_at = Some(Instant::now());
            self.search(reach).await;
        }
        let (is_blank, waited) = (self.is_blank(), silence.since.elapsed());
        if !self.has_leader() && silence.rarely.is_due(is_blank, waited) {
            let places = self.candidates(reach).into_iter().take(PLACES_TOLD);
            let places: Vec<String> = places.map(|url| url.to_string()).collect();
            log::warn!(
                "{}, for {} s now; members are looked for at {}: are they running, and reached from here? If this board was removed \
                 meanwhile, clear its whole data directory and start it with a URL that `solder invite` prints there",
                match is_blank {
                    true => "this board was let into the cluster, and no member has called it since",
                    false => "no member is heard of that leads the cluster",
                },
                waited.as_secs(),
                places.join(", ")
            );
        }
    }

    /// It was let in, and knows none of the others.
    fn is_blank(&self) -> bool {
        self.engine.look(|core| core.replica.node().membership().is_blank())
    }

    /// Asks whoever may be a member who it is, and tries it there from now on.
    async fn search(&self, reach: &Reach) {
        let asker = match Asker::new(Some(Tls::Board(self.engine.tls_dir())), std::time::SystemTime::now) {
            Ok(asker) => asker,
            Err(why) => return log::warn!("members cannot be searched for: {why}"),
        };
        // Who is away is waited for; who is near is not to wait for that.
        let near = async { self.ask_all(&asker, neighbours().await).await };
        future::zip(self.ask_all(&asker, self.candidates(reach)), near).await;
    }

    async fn ask_all(&self, asker: &Asker, places: Vec<PeerUrl>) {
        let me = self.id();
        for url in places {
            if self.has_leader() {
                return;
            }
            match asker.ask(std::slice::from_ref(&url), ANSWER_MAX).await {
                Ok(told) if told.cluster != self.engine.identity.cluster || told.member == me => {}
                Ok(told) if told.removed.contains(&me) => {
                    return self.engine.look(|core| core.is_removed_by(told.member));
                }
                Ok(told) if self.is_blank() => self.heard_of_all(told, url),
                Ok(told) => self.heard_of(told.member, url),
                Err(why) => log::debug!("searching for members: {why}"),
            }
        }
    }

    fn heard_of(&self, id: NodeId, url: PeerUrl) {
        let is_news = self.engine.look(|core| core.heard_of(id, url.clone()));
        if is_news {
            log::info!("member {id} was found at {url}");
            self.engine.nudge();
        }
    }

    fn heard_of_all(&self, told: RollCall, url: PeerUrl) {
        let by = told.member;
        if self.engine.look(|core| core.heard_of_all(told, url.clone())) {
            log::info!("member {by} was found at {url}, and has named the others: they are called");
            self.engine.nudge();
        }
    }

    /// The hosts of the URL; the members where they were, for it may be this board that has moved, and by their names, which are
    /// those of their hosts if nobody chose others. Voters first: one of them leads.
    fn candidates(&self, reach: &Reach) -> Vec<PeerUrl> {
        let mut found = reach.hints.clone();
        let me = self.id();
        let mut infos = self.members_here();
        infos.sort_by_key(|info| info.is_learner);
        for info in infos.into_iter().filter(|info| info.id != me) {
            let urls = || info.peer_urls.iter().filter_map(|url| PeerUrl::parse(url).ok());
            let port = urls().map(|url| url.port).next().unwrap_or(reach.port());
            found.extend(urls());
            found.extend(places_by_name(&info.name, port));
        }
        found
    }
}

/// Whoever says in this network that he is a member.
async fn neighbours() -> Vec<PeerUrl> {
    let Some(from) = address_of_neighbour() else { return Vec::new() };
    let found = mdns::browse(from).await.unwrap_or_else(|error| {
        log::debug!("the local network cannot be asked by mDNS: {error}");
        Vec::new()
    });
    found.into_iter().map(PeerUrl::at).collect()
}

/// A board that has moved tells it. That the cluster knows something else is no move: an operator has said it. After a start
/// nothing is known of before, and only names are surely an operator's.
fn is_to_be_told(was: Option<&[String]>, urls: &[String], known: &[String]) -> bool {
    let has_moved = match was {
        Some(was) => was != urls,
        None => !known.iter().any(|url| has_name(url)),
    };
    has_moved && known != urls
}

/// Is it called by a name, and not by an address?
pub(super) fn has_name(url: &str) -> bool {
    PeerUrl::parse(url).is_ok_and(|url| !url.is_loopback() && url.host.parse::<IpAddr>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operators_word_stays() {
        let urls = |host: &str| vec![format!("https://{host}:2380")];
        let is_told = |was: Option<&str>, now: &str, known: &str| {
            is_to_be_told(was.map(urls).as_deref(), &urls(now), &urls(known))
        };
        assert!(is_told(Some("10.0.0.1"), "10.0.0.2", "10.0.0.1"), "it has moved");
        assert!(is_told(Some("10.0.0.1"), "10.0.0.2", "kitchen"), "it has moved, whatever was said before");
        assert!(!is_told(Some("10.0.0.1"), "10.0.0.1", "10.0.0.9"), "somebody has said so");
        assert!(!is_told(Some("10.0.0.1"), "10.0.0.2", "10.0.0.2"), "it is known");
        assert!(is_told(None, "10.0.0.2", "10.0.0.1"), "it has moved while it was off");
        assert!(!is_told(None, "10.0.0.2", "kitchen.local"), "nobody but an operator says names");
        assert!(is_told(None, "10.0.0.2", "localhost"), "that is a default");
    }
}
