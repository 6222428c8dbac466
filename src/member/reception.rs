//! Lets boards in: what a member does with one that has proven to know a token (see `peer`).
//!
//! ```text
//!   request --> is it in already, by its key? --------------------> welcome, as often as it asks
//!           --> can this member make certificates? no ------------> elsewhere: those who can
//!           --> a name, a use of the token, a place in the log ---> welcome, as a learner
//! ```
//!
//! A board may ask again at any point: its key says who it is. What it has been given is never given to another key.

use std::{
    rc::{Rc, Weak},
    time::Duration,
};

use async_io::Timer;
use futures_lite::FutureExt as _;
use sha2::{Digest as _, Sha256};

use crate::{
    peer::{BoardTls, JoinAnswer, JoinRequest, LocalBoxFuture, PeerUrl, Reception, RollCall},
    types::{Bytes, Error, MemberRow, Membership, MembershipChange, NodeId, hex},
};

use super::{Member, Role, engine::Engine, tokens::NoUse};

/// What a name may have at most: it is printed, and stands in every row.
const NAME_BYTES_MAX: usize = 64;

/// Before the cluster is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Of a board, peers' and clients' each.
const URLS_MAX: usize = 8;

/// Holds the member loosely: it is part of what the member holds.
pub(super) struct Desk(pub(super) Weak<Engine>);

impl Reception for Desk {
    /// Who asks bounds how long that may take: what cannot be said yet is not said.
    fn secret(&self, token: &str) -> LocalBoxFuture<'_, Result<[u8; 16], String>> {
        let token = token.to_owned();
        async move {
            loop {
                let member = self.member()?;
                match member.token(&token).await {
                    Ok(Some(kept)) => return kept.token.secret().ok_or_else(|| unknown(&token)),
                    Ok(None) if !member.begins_to_form() => return Err(unknown(&token)),
                    Ok(None) => {}
                    Err(error) => log::debug!("the token {token} cannot be looked at now: {error}"),
                }
                Timer::after(AGAIN_AFTER).await;
            }
        }
        .boxed_local()
    }

    fn admit(&self, token: &str, request: JoinRequest) -> LocalBoxFuture<'_, JoinAnswer> {
        let token = token.to_owned();
        async move {
            match self.member() {
                Ok(member) => member.admit(&token, &request).await,
                Err(why) => JoinAnswer::Later { why },
            }
        }
        .boxed_local()
    }
}

fn unknown(token: &str) -> String {
    format!(
        "the cluster knows no token {token}: it has ended, was used up or was revoked: make another with `solder invite` on one of \
         the cluster's boards"
    )
}

impl Desk {
    fn member(&self) -> Result<Member, String> {
        let engine = self.0.upgrade().filter(|engine| !engine.is_stopping());
        engine.map(Member::new).ok_or_else(|| "this member is stopping".into())
    }
}

/// Why a board does not come in.
enum No {
    /// For good.
    Refused(String),
    /// It may be different soon.
    Later(String),
}

impl From<Error> for No {
    fn from(error: Error) -> No {
        match error {
            Error::TooManyLearners => No::Refused(
                "the cluster has as many learners as it may: remove some with `solder member remove`, or raise the number with \
                 `solder cluster set --max-learners`"
                    .into(),
            ),
            Error::NotCapable => No::Refused("a member's build is too old to let boards in: upgrade it first".into()),
            error => No::Later(error.to_string()),
        }
    }
}

impl Member {
    async fn admit(&self, token: &str, request: &JoinRequest) -> JoinAnswer {
        if !self.engine.has_authority_key() {
            return self.elsewhere();
        }
        match self.take_in(token, request).await {
            Ok((id, name)) => self.welcome(id, name, request).await,
            Err(No::Refused(why)) => {
                log::warn!("a board that asked to join as {:?} was refused: {why}", request.name);
                JoinAnswer::Refused { why }
            }
            Err(No::Later(why)) => JoinAnswer::Later { why },
        }
    }

    /// Only voters have the authority's key.
    fn elsewhere(&self) -> JoinAnswer {
        let infos = self.members_here().into_iter().filter(|info| !info.is_learner && info.id != self.id());
        let urls: Vec<String> = infos.flat_map(|info| info.peer_urls).collect();
        match urls.is_empty() {
            true => JoinAnswer::Later { why: "this member cannot make certificates yet".into() },
            false => JoinAnswer::Elsewhere { urls },
        }
    }

    /// The id and the name that the board has from now on.
    async fn take_in(&self, token: &str, request: &JoinRequest) -> Result<(NodeId, String), No> {
        check(request).map_err(No::Refused)?;
        let key = key_hash(request);
        self.read_barrier().await?;
        if let Some((id, row)) = self.known_by_key(&key) {
            return match row.has_served() {
                true => Err(No::Refused(format!(
                    "member {id} has this board's key, and has served: this board's data is lost, and with it what it voted for, or its card is \
                     a copy of that member's: clear its whole data directory, tls/ in it too, and it comes in under a new id"
                ))),
                false => Ok((id, row.name)),
            };
        }
        self.check_level(request).map_err(No::Refused)?;
        self.free_name(request, &key).ok_or_else(|| No::Refused(taken(request)))?;
        self.check_room()?;
        let (role, id) = match self.use_token(token, &hex(&key), self.new_id(&request.peer_urls)).await {
            Ok(used) => used,
            Err(NoUse::Unknown) => return Err(No::Refused(unknown(token))),
            Err(NoUse::UsedUp) => {
                return Err(No::Refused(format!(
                    "the token {token} has let in as many boards as it is for: make another with `solder invite`"
                )));
            }
            Err(NoUse::Failed(error)) => return Err(error.into()),
        };
        if self.engine.look(|core| core.replica.node().membership().removed.contains(&id)) {
            return Err(No::Refused(format!(
                "this board came in as member {id}, which was removed: to come in again it needs a new key; clear the whole data \
                 directory, tls/ in it too, and make another invitation if this one was for a number of boards"
            )));
        }
        let row = MemberRow {
            peer_urls: request.peer_urls.clone(),
            key: key.clone(),
            board: request.board.clone(),
            is_replica: role == Role::Replica,
            since_s: self.since_s(),
            ..MemberRow::default()
        };
        self.settled().await?;
        let entered = self.enter(id, row, request).await;
        if let Err(No::Refused(_)) = &entered
            && let Err(error) = self.give_back(token, &hex(&key), id).await
        {
            log::warn!("a use of the token {token} is counted, and nobody came in by it: {error}");
        }
        let name = entered?;
        log::info!("{name} comes in as member {id}, from {}", request.peer_urls.join(","));
        Ok((id, name))
    }

    /// Under the first of its names that the leader has nothing against, who knows of those that come in in this moment.
    async fn enter(&self, id: NodeId, row: MemberRow, request: &JoinRequest) -> Result<String, No> {
        for name in names(request, &row.key) {
            if self.is_taken(&name, request) {
                continue;
            }
            let row = MemberRow { name: name.clone(), ..row.clone() };
            match self.change_members(MembershipChange::AddLearner(id), row.encode()).await {
                Err(Error::NameTaken) => {}
                changed => return changed.map(|()| name).map_err(No::from),
            }
        }
        Err(No::Refused(taken(request)))
    }

    /// One that the others' entries would stop is better not a member.
    fn check_level(&self, request: &JoinRequest) -> Result<(), String> {
        let level = self.cluster_level();
        match request.level >= level {
            true => Ok(()),
            false => Err(format!(
                "the members have agreed on entries of level {level}, and this board's build knows none above level {}: install the \
                 newer build on this board",
                request.level
            )),
        }
    }

    fn known_by_key(&self, key: &Bytes) -> Option<(NodeId, MemberRow)> {
        self.engine.look(|core| {
            let members: Vec<NodeId> = core.replica.node().membership().members().collect();
            let row = |id: &NodeId| core.roll.newest(*id).filter(|row| row.key == *key).cloned();
            members.iter().find_map(|id| Some((*id, row(id)?)))
        })
    }

    /// A name that was not chosen is never refused.
    fn free_name(&self, request: &JoinRequest, key: &Bytes) -> Option<String> {
        names(request, key).into_iter().find(|name| !self.is_taken(name, request))
    }

    /// A board that comes back without its data has its own again.
    fn is_taken(&self, name: &str, request: &JoinRequest) -> bool {
        let reached: Vec<NodeId> =
            self.peer_figures().iter().filter(|peer| peer.is_active).map(|peer| peer.id).collect();
        let me = self.id();
        self.engine.look(|core| {
            core.replica.node().membership().members().any(|id| {
                core.roll.newest(id).is_some_and(|row| {
                    let is_same = !row.board.is_empty() && row.board == request.board && row.has_served();
                    row.name == name && !(is_same && id != me && !reached.contains(&id))
                })
            })
        })
    }

    /// Before a use is counted, so that who is refused has used nothing.
    fn check_room(&self) -> Result<(), Error> {
        let learners = self.engine.look(|core| core.replica.node().membership().learners.len());
        if learners >= self.learners_max() { Err(Error::TooManyLearners) } else { Ok(()) }
    }

    /// Signing takes a slow board a moment in which others wait, and the keys are on its disk.
    async fn welcome(&self, member: NodeId, name: String, request: &JoinRequest) -> JoinAnswer {
        let (dir, public_key) = (self.engine.tls_dir(), request.public_key.clone());
        let made = smol::unblock(move || {
            let tls = BoardTls::open(&dir).map_err(No::Later)?;
            let Some((tls, ca)) = tls.and_then(|tls| tls.ca().map(|ca| (tls, ca))) else {
                return Err(No::Later("this member cannot make certificates yet".into()));
            };
            let certificate = tls.certify(&public_key, member).map_err(No::Refused)?;
            Ok((ca, certificate))
        });
        match made.await {
            Ok((ca, certificate)) => {
                let cluster = self.engine.identity.cluster;
                JoinAnswer::Welcome { cluster, member, name, ca, certificate, roll: self.roll_call() }
            }
            Err(No::Refused(why)) => JoinAnswer::Refused { why },
            Err(No::Later(why)) => JoinAnswer::Later { why },
        }
    }

    fn roll_call(&self) -> RollCall {
        let identity = &self.engine.identity;
        self.engine.look(|core| {
            let membership: &Membership = core.replica.node().membership();
            RollCall {
                cluster: identity.cluster,
                member: identity.member,
                members: core.roll.entries(membership),
                removed: membership.removed.clone(),
            }
        })
    }
}

fn taken(request: &JoinRequest) -> String {
    format!(
        "a member is called {:?} already: give this board another --name, or none, or `solder member remove ID` first if that board is gone",
        request.name
    )
}

fn key_hash(request: &JoinRequest) -> Bytes {
    Sha256::digest(&request.public_key).to_vec().into()
}

/// What a board may be called: what it asks for; and where that was nobody's choice, with digits behind it, as many as are needed.
fn names(request: &JoinRequest, key: &Bytes) -> Vec<String> {
    let name = &request.name;
    if !request.is_default_name {
        return vec![name.clone()];
    }
    let hex = hex(key);
    let suffixes = [4, 8, 16].map(|digits| hex[..digits.min(hex.len())].to_owned());
    let suffixes = [request.suffix.clone()].into_iter().chain(suffixes).filter(|suffix| !suffix.is_empty());
    [name.clone()].into_iter().chain(suffixes.map(|suffix| format!("{name}-{suffix}"))).collect()
}

/// It comes from a board that knows the secret, and is not believed in everything.
fn check(request: &JoinRequest) -> Result<(), String> {
    let is_plain =
        |text: &str| !text.is_empty() && !text.chars().any(|c| ",=/".contains(c) || c.is_control());
    if !is_plain(&request.name) || request.name.len() > NAME_BYTES_MAX {
        return Err(format!(
            "{:?} is no name of a member: at most {NAME_BYTES_MAX} bytes, without commas, slashes and equals signs",
            request.name
        ));
    }
    if request.suffix.len() > 8 || !request.suffix.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("{:?} does not go behind a name", request.suffix));
    }
    let is_url = |url: &String| PeerUrl::parse(url).is_ok_and(|url| url.is_tls);
    if request.peer_urls.is_empty()
        || request.peer_urls.len() > URLS_MAX
        || !request.peer_urls.iter().all(is_url)
    {
        return Err(format!("{:?} are no peer URLs of a board: https://HOST:PORT", request.peer_urls));
    }
    if request.board.len() > 32 {
        return Err("what tells its hardware is too long".into());
    }
    Ok(())
}

/// For `Peers::set_reception`.
pub(super) fn desk(engine: &Rc<Engine>) -> Rc<dyn Reception> {
    Rc::new(Desk(Rc::downgrade(engine)))
}
