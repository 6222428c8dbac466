//! Boards move: a router gives them other addresses. A member is known by its key, and tells the cluster itself where it is.
//!
//! ```text
//!   the way to the others begins at another address     --> UpdateMember, by whoever leads
//!   no leader is heard of                               --> the hosts of the URL, the members where they were, and their
//!                                                           names are asked who they are; who answers is called from then on
//! ```

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use async_io::Timer;

use crate::{
    peer::{Asker, PeerUrl, Tls},
    types::{Command, NodeId},
};

use super::{
    Member, Reach,
    place::{address_outward, address_towards},
};

/// Between two looks, which ask the system only.
const LOOK_EVERY: Duration = Duration::from_secs(3);

const ANSWER_MAX: Duration = Duration::from_secs(3);

/// A search asks every host and name: on a network that is away it finds nobody for long.
const SEARCH_EVERY: Duration = Duration::from_secs(10);

/// Where a host has no name in the network's DNS, it may have one of its own.
const SUFFIXES: [&str; 2] = [".local", ""];

/// Runs as long as the member does.
pub(super) async fn mover<T>(member: Member) -> T {
    let mut searched_at = None::<Instant>;
    loop {
        Timer::after(LOOK_EVERY).await;
        let Some(reach) = member.engine.options.reach.clone() else { continue };
        if !member.is_joined() {
            continue;
        }
        if member.has_leader() {
            member.tell_if_moved(&reach).await;
        } else if searched_at.is_none_or(|at| at.elapsed() >= SEARCH_EVERY) {
            searched_at = Some(Instant::now());
            member.search(&reach).await;
        }
    }
}

impl Member {
    /// Are its peers known by their keys?
    fn is_joined(&self) -> bool {
        self.engine.trust.borrow().as_ref().is_some_and(|tls| tls.has_certificate())
    }

    async fn tell_if_moved(&self, reach: &Reach) {
        let me = self.id();
        let Some(address) = self.own_address() else { return };
        if reach.is_settled() {
            return;
        }
        let (urls, known) = (reach.urls(address), self.engine.look(|core| core.roll.row(me).cloned()));
        let Some(known) = known.filter(|row| row.peer_urls != urls) else { return };
        let said = urls.join(",");
        match self.engine.propose(&Command::UpdateMember { member: me, peer_urls: urls }).await {
            Ok(_) => log::info!("this board has moved from {} to {said}", known.peer_urls.join(",")),
            Err(error) => log::debug!("that this board is at {said} now could not be told yet: {error}"),
        }
    }

    /// As another member sees it.
    fn own_address(&self) -> Option<IpAddr> {
        let me = self.id();
        let others = self.members_here().into_iter().filter(|info| info.id != me);
        let hosts = others.flat_map(|info| info.peer_urls).filter_map(|url| PeerUrl::parse(&url).ok());
        let addresses = hosts.filter_map(|url| url.host.parse::<IpAddr>().ok());
        // Where a member is not any more, the way may lead out of the network: what is one's own there is it everywhere.
        let seen = addresses.filter_map(address_towards).find(|address| !address.is_loopback());
        seen.or_else(address_outward)
    }

    /// Asks whoever may be a member who it is, and tries it there from now on.
    async fn search(&self, reach: &Reach) {
        let asker = match Asker::new(Some(Tls::Board(self.engine.tls_dir())), std::time::SystemTime::now) {
            Ok(asker) => asker,
            Err(why) => return log::warn!("members cannot be searched for: {why}"),
        };
        let me = self.id();
        for url in self.candidates(reach) {
            if self.has_leader() {
                return;
            }
            match asker.ask(std::slice::from_ref(&url), ANSWER_MAX).await {
                Ok(told) if told.cluster == self.engine.identity.cluster && told.member != me => {
                    self.heard_of(told.member, url);
                }
                Ok(_) => {}
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
            let name = |suffix: &str| PeerUrl::parse(&format!("https://{}{suffix}:{port}", info.name)).ok();
            found.extend(urls());
            found.extend(SUFFIXES.iter().filter(|_| !info.name.is_empty()).filter_map(|suffix| name(suffix)));
        }
        found
    }
}
