//! Invitations: URLs that let boards in. The first one makes of a board that ran alone one that others can join, while it
//! serves: keys, a door to the network, and autopilot.

use std::{net::IpAddr, time::Duration};

use smol::lock::MutexGuardArc;

use crate::{
    peer::{BoardTls, PeerListener, PeerUrl, Tls},
    types::{AutopilotChange, Command, Error, LeaseId, hex, limits},
};

use super::{
    Member, Role,
    core::autopilot,
    drawn::draw,
    engine::within,
    mover::has_name,
    place::{address_outward, addresses, as_host},
    tokens::{TOKENS_MAX, Token},
};

/// Hosts in one URL: one is enough while it is there, and more make a long line.
const HOSTS_MAX: usize = 3;

/// What follows a start that takes a moment. Before it nothing about members can be written.
const SETTLED_WITHIN: Duration = Duration::from_secs(3);

/// Whom a URL is to let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// 0: it does not end.
    pub ttl_s: i64,
    /// 0: any number of boards.
    pub uses: u32,
    pub role: Role,
}

/// A URL that lets boards in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    pub url: String,
    pub id: String,
    /// As granted.
    pub ttl_s: i64,
    /// The same without addresses, where this member is found by mDNS.
    pub near_url: Option<String>,
}

/// What is known of one, but for its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitee {
    pub id: String,
    pub role: Role,
    pub uses: u32,
    pub used: u32,
    /// Of its life; `None`: it does not end.
    pub left_s: Option<i64>,
}

/// Why there is no invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InviteError {
    /// One line that says what to do.
    Refused(String),
    Failed(Error),
}

impl From<Error> for InviteError {
    fn from(error: Error) -> InviteError {
        InviteError::Failed(error)
    }
}

/// How this board can be reached by others, once there are to be others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Where peers are listened for.
    pub listen: Vec<PeerUrl>,
    /// The URLs to tell; empty: found out, and told anew when they change.
    pub fixed_urls: Vec<String>,
    /// Where they are listened for before: a board alone need not be seen by its network.
    pub until_then: Vec<PeerUrl>,
    /// Where members may be, when they are not where they were.
    pub hints: Vec<PeerUrl>,
    /// It answers who asks the network for members.
    pub is_announced: bool,
}

impl Reach {
    /// What to tell others, for a board whose address in their eyes is this one.
    pub fn urls(&self, address: IpAddr) -> Vec<String> {
        if !self.fixed_urls.is_empty() {
            return self.fixed_urls.clone();
        }
        let url = |listen: &PeerUrl| match listen.host.parse::<IpAddr>() {
            Ok(host) if !host.is_unspecified() => listen.to_string(),
            _ => format!("https://{}:{}", as_host(address), listen.port),
        };
        self.listen.iter().map(url).collect()
    }

    /// Everybody's: they listen on one address only.
    pub fn is_settled(&self) -> bool {
        let is_one = |url: &PeerUrl| url.host.parse::<IpAddr>().is_ok_and(|host| !host.is_unspecified());
        !self.fixed_urls.is_empty() || self.listen.iter().all(is_one)
    }

    pub fn port(&self) -> u16 {
        self.listen.first().map_or(0, |url| url.port)
    }
}

impl Member {
    /// Makes a URL that lets boards in.
    pub async fn invite(&self, wanted: Invitation) -> Result<Invited, InviteError> {
        self.open_to_others().await?;
        self.check_authority().await?;
        if self.tokens().await?.len() >= TOKENS_MAX {
            return Err(InviteError::Refused(format!(
                "there are {TOKENS_MAX} invitations: end some with `solder invite --revoke ID`"
            )));
        }
        let (lease, ttl_s) = match wanted.ttl_s {
            0 => (LeaseId::NONE, 0),
            ttl_s => {
                // Not as a client, who waits while a cluster is being founded: a board that is missing may be let in by this.
                let lease = LeaseId(fastrand::i64(1..));
                let ttl_s = self.engine.look(|core| core.leases.lessor().ttl_s(ttl_s));
                self.engine.propose(&Command::LeaseGrant { id: lease, ttl_s }).await?;
                (lease, ttl_s)
            }
        };
        let id = format!("{:016x}", u128::from_be_bytes(draw()) >> 64);
        let secret = format!("{:032x}", u128::from_be_bytes(draw()));
        let (role, uses) = (wanted.role, wanted.uses);
        let token = Token { secret: secret.clone(), role, uses, ..Token::default() };
        self.keep_token(&id, &token, lease).await?;
        let path = format!("/join/{id}#{secret}.{}", self.pin()?);
        let url = format!("https://{}{path}", self.hosts().join(","));
        let is_announced = self.engine.options.reach.as_ref().is_some_and(|reach| reach.is_announced);
        let near_url = is_announced.then(|| format!("mdns://{path}"));
        Ok(Invited { url, id, ttl_s, near_url })
    }

    pub async fn invitations(&self) -> Result<Vec<Invitee>, Error> {
        let mut invitees = Vec::new();
        for kept in self.tokens().await? {
            let left_s = match kept.lease {
                LeaseId::NONE => None,
                lease => Some(self.lease_time_to_live(lease, false).await?.map_or(0, |left| left.ttl_s)),
            };
            let Token { role, uses, used, .. } = kept.token;
            invitees.push(Invitee { id: kept.id, role, uses, used, left_s });
        }
        Ok(invitees)
    }

    /// Nobody is let in by it any more. False: there is none.
    pub async fn revoke_invitation(&self, id: &str) -> Result<bool, Error> {
        self.drop_token(id).await
    }

    /// A URL that would let nobody in is not printed.
    async fn check_authority(&self) -> Result<(), InviteError> {
        if self.engine.has_authority_key() {
            return Ok(());
        }
        let mut told = Err("no answer in time".to_owned());
        let asking = async {
            told = match self.lacks_authority_key() {
                true => self.fetch_authority_key(None).await,
                false => self.ask_for_own_certificate().await,
            };
        };
        within(self.engine.request_timeout(), asking).await;
        told.map_err(|trouble| {
            InviteError::Refused(format!(
                "no voter that is reached has the key of the cluster's authority, so nobody could come in by a URL: {trouble}; if it is \
                 lost for good, --force-new-cluster on one board makes a new cluster of its data, which others can join"
            ))
        })
    }

    /// Of no use but to see that a voter can: learners are never told the key.
    async fn ask_for_own_certificate(&self) -> Result<(), String> {
        let key = self.engine.trust.borrow().as_ref().map(BoardTls::public_key);
        let key = key.ok_or("this board has no keys")?;
        self.engine.with_peers(|peers| Ok(peers.ask_certificate(key)))?.await.map(drop)
    }

    /// This board first; then voters, who can let somebody in by themselves.
    fn hosts(&self) -> Vec<String> {
        let mut infos = self.members_here();
        infos.sort_by_key(|info| (info.id != self.id(), info.is_learner));
        let is_alone = infos.len() == 1;
        let mut hosts = Vec::new();
        for info in infos {
            let urls = match info.id == self.id() {
                true => self.urls_now(info.peer_urls, is_alone),
                false => info.peer_urls.into_iter().take(1).collect(),
            };
            let urls = urls.iter().filter_map(|url| PeerUrl::parse(url).ok()).filter(|url| url.is_tls);
            for host in urls.map(|url| url.to_string().trim_start_matches("https://").to_owned()) {
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
        }
        hosts.truncate(HOSTS_MAX);
        hosts
    }

    /// Where this board is called, which may be elsewhere than the cluster knows yet. While it is alone nobody knows in which of
    /// its networks the others will be.
    fn urls_now(&self, known: Vec<String>, is_alone: bool) -> Vec<String> {
        let settled = |reach: &Reach| reach.is_settled() || known.iter().any(|url| has_name(url));
        let Some(reach) = self.engine.options.reach.as_ref().filter(|reach| !settled(reach)) else {
            return known;
        };
        let addresses = match is_alone {
            true => addresses(),
            false => self.own_address().into_iter().collect(),
        };
        match addresses.is_empty() {
            true => known,
            false => addresses.into_iter().flat_map(|address| reach.urls(address)).collect(),
        }
    }

    fn pin(&self) -> Result<String, InviteError> {
        let pin = self.engine.trust.borrow().as_ref().and_then(BoardTls::pin);
        let pin =
            pin.ok_or_else(|| InviteError::Refused("this board has no authority's certificate".into()))?;
        Ok(hex(pin))
    }

    /// Makes sure that boards can join here; for one at a time, and to the end, whoever has asked for it stays or goes.
    async fn open_to_others(&self) -> Result<(), InviteError> {
        let place = self.engine.opening.lock_arc().await;
        let address = self.own_urls()?;
        // A board that has just started has yet to settle which entries all members know; of older builds nobody waits for more.
        let is_settled = self.engine.until(|core| core.roll.cluster.level >= autopilot::LEVEL);
        within(SETTLED_WITHIN, is_settled).await;
        let is_open = self.engine.trust.borrow().as_ref().is_some_and(|tls| tls.pin().is_some());
        if !is_open {
            self.check_alone()?;
            self.make_trust(place).await?;
        }
        let me = self.id();
        let (row, cluster) = self.engine.look(|core| (core.roll.row(me).cloned(), core.roll.cluster.clone()));
        let row = row.unwrap_or_default();
        let key = self.engine.trust.borrow().as_ref().map(BoardTls::key_hash).unwrap_or_default();
        if row.key != key {
            let board = match row.key.is_empty() {
                true => self.engine.options.hardware.mark(self.reach()?.port()),
                false => row.board.clone(),
            };
            self.engine.propose(&Command::Identify { member: me, key, board }).await?;
        }
        if !is_open || !row.peer_urls.iter().all(|url| url.starts_with("https:")) {
            self.engine.propose(&Command::UpdateMember { member: me, peer_urls: address }).await?;
        }
        if cluster.voters_max == 0 {
            let change = self.engine.options.joining.change();
            self.engine.propose(&Command::Autopilot(change)).await?;
        }
        Ok(())
    }

    /// Boards that were named to each other trust each other by other means, or by none.
    fn check_alone(&self) -> Result<(), InviteError> {
        let alone = self.engine.look(|core| core.replica.node().membership().members().count() == 1);
        let refused = |why: &str| Err(InviteError::Refused(why.into()));
        if !alone {
            return refused(
                "the members of this cluster were named to each other, and have no keys that a new board could trust: add it with \
                 `solder member add` and start it with --initial-cluster-state existing",
            );
        }
        if self.engine.options.reach.is_none() {
            return refused(
                "this board has certificates of its own for its peers (--peer-cert-file): add boards with `solder member add`, or \
                 start it without them to have keys made",
            );
        }
        Ok(())
    }

    fn reach(&self) -> Result<super::Reach, InviteError> {
        let reach = self.engine.options.reach.clone();
        reach.ok_or_else(|| InviteError::Refused("this board has certificates of its own".into()))
    }

    /// The door first, then the keys: what is on the disk decides how the next start begins, and must not be what cannot be.
    /// `place` is given back when the disk has them, whether anybody waits for that or not.
    async fn make_trust(&self, place: MutexGuardArc<()>) -> Result<(), InviteError> {
        let refused = InviteError::Refused;
        let listeners = self.rebind().await?;
        let dir = self.engine.tls_dir();
        let made = smol::unblock({
            let (dir, options) = (dir.clone(), &self.engine.options);
            let (hardware, has_made_keys) = (options.hardware.clone(), options.has_made_keys);
            move || {
                let mut tls = BoardTls::make(&dir)?;
                has_made_keys(&dir, &hardware);
                tls.found()?;
                Ok::<_, String>((tls, place))
            }
        });
        let (tls, _place) = made.await.map_err(refused)?;
        self.engine.with_peers(|peers| peers.listen(listeners, Some(Tls::Board(dir)))).map_err(refused)?;
        *self.engine.trust.borrow_mut() = Some(tls);
        let listened = self.reach()?.listen;
        let listened: Vec<String> = listened.iter().map(ToString::to_string).collect();
        log::info!("peers are served at {}", listened.join(", "));
        Ok(())
    }

    /// The old door may be in the way of the new one, and nobody has gone through it: this board was alone.
    async fn rebind(&self) -> Result<Vec<PeerListener>, InviteError> {
        let refused = InviteError::Refused;
        let reach = self.reach()?;
        let bind = |urls: &[PeerUrl]| urls.iter().map(PeerListener::bind).collect::<Result<Vec<_>, _>>();
        self.engine.with_peers(|peers| Ok(peers.close_listeners())).map_err(refused)?.await;
        bind(&reach.listen).map_err(|why| {
            let old = bind(&reach.until_then);
            if let Err(error) = old.and_then(|old| self.engine.with_peers(|peers| peers.listen(old, None))) {
                log::warn!("peers are not served any more: {error}");
            }
            InviteError::Refused(format!("{why}; nothing was changed"))
        })
    }

    /// This member's URLs, as others reach it from now on.
    fn own_urls(&self) -> Result<Vec<String>, InviteError> {
        // Who has no keys yet and cannot have any is told so first.
        if self.engine.trust.borrow().is_none() {
            self.check_alone()?;
        }
        let reach = self.reach()?;
        let Some(address) = address_outward().or_else(|| reach.is_settled().then_some(HOME)) else {
            return Err(InviteError::Refused(
                "this board is in no network that others could reach it by: connect it, or give --initial-advertise-peer-urls"
                    .into(),
            ));
        };
        Ok(reach.urls(address))
    }
}

/// Not told to anybody: where it is given, the URLs are settled.
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// How a cluster that boards join by themselves begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autopilot {
    pub voters_max: u32,
    pub replace_after_s: u32,
    pub learners_max: u32,
}

impl Default for Autopilot {
    fn default() -> Autopilot {
        Autopilot { voters_max: 5, replace_after_s: 600, learners_max: limits::LEARNERS_WITH_AUTOPILOT }
    }
}

impl Autopilot {
    #[must_use]
    pub fn change(self) -> AutopilotChange {
        AutopilotChange {
            voters_max: Some(self.voters_max),
            replace_after_s: Some(self.replace_after_s),
            learners_max: Some(self.learners_max),
            forming: None,
        }
    }
}
