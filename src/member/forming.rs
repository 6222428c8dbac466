//! A cluster that boards form together: the founder keeps what the others are to prove, then lets them in. The cluster takes no
//! writes before they are all there (`core/autopilot`).
//!
//! The token begins to age when they are: boards may be switched on weeks apart. Until then the leader says now and then who is
//! waited for.

use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future;

use crate::{
    logging::Rarely,
    types::{AutopilotChange, ClusterRow, Command, Error, LeaseId},
};

use super::{Formation, Member, core::Core, tokens::Token};

const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Between two looks whether all are in.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The token of a cluster that waits is kept from aging so often.
const KEEP_EVERY: Duration = Duration::from_secs(5);

/// Boards that are switched on together are in by then.
const SILENT_FOR: Duration = Duration::from_secs(1);

/// Those of discovery are longer than those of invitations.
const DISCOVERY_ID_BYTES: usize = 32;

impl Member {
    /// Until others can join. Done at once where that is done.
    pub async fn begin_forming(&self, formation: &Formation, secret: [u8; 16]) {
        loop {
            match self.try_to_form(formation, secret).await {
                Ok(()) => return,
                Err(error) => log::debug!("the cluster cannot be formed yet: {error}"),
            }
            Timer::after(AGAIN_AFTER).await;
        }
    }

    /// Is it not ready yet to let the others in?
    pub(super) fn begins_to_form(&self) -> bool {
        self.engine.look(|core| core.roll.cluster.forming) == ClusterRow::FORMING_BEGINS
    }

    async fn try_to_form(&self, formation: &Formation, secret: [u8; 16]) -> Result<(), Error> {
        self.read_barrier().await?;
        if !self.begins_to_form() {
            return Ok(());
        }
        if self.token(&formation.token).await?.is_none() {
            let ttl_s = self.engine.options.founding_ttl_s;
            // Not as a client: they wait for the others, who wait for this.
            let lease = LeaseId(fastrand::i64(1..));
            self.engine.propose(&Command::LeaseGrant { id: lease, ttl_s }).await?;
            let secret = format!("{:032x}", u128::from_be_bytes(secret));
            let token = Token { secret, ..Token::default() };
            self.keep_token(&formation.token, &token, lease).await?;
        }
        self.engine.propose(&Command::Autopilot(forming(formation.size))).await?;
        Ok(())
    }

    /// Of how many so many are missing, as this member says who leads. `None`: another does, or nobody is waited for.
    fn waits_for(&self) -> Option<(u32, u32)> {
        let waits = |core: &mut Core| core.awaited_boards().filter(|_| core.is_leader());
        self.engine.look(waits).filter(|_| !self.begins_to_form())
    }

    fn is_formed(&self) -> bool {
        self.engine.look(|core| core.knows_cluster() && core.awaited_boards().is_none())
    }

    /// Nothing is written for it, unless the leader has changed.
    async fn keep_discovery_tokens(&self) -> Result<(), Error> {
        for kept in self.tokens().await? {
            if kept.id.len() == DISCOVERY_ID_BYTES && !kept.lease.is_none() {
                self.lease_keep_alive(kept.lease).await?;
            }
        }
        Ok(())
    }

    /// A person has fewer boards than the cluster was to begin with. Those that are in go on.
    pub(super) async fn form_with(&self, size: u32) -> Result<(), Error> {
        let awaited = self.engine.look(|core| core.awaited_boards()).filter(|_| !self.begins_to_form());
        let Some((_, most)) = awaited else { return Err(Error::Founded) };
        if !(1..=most).contains(&size) {
            return Err(Error::OutOfRange { name: "size", given: size, least: 1, most });
        }
        self.propose(Command::Autopilot(forming(size))).await.map(drop)
    }
}

/// Runs as long as the member does, and does nothing once the cluster is founded.
pub(super) async fn keeper<T>(member: Member) -> T {
    let ttl = Duration::from_secs(member.engine.options.founding_ttl_s.unsigned_abs());
    let (begun, mut rarely) = (Instant::now(), Rarely::after(SILENT_FOR));
    let mut kept_at = None::<Instant>;
    while !member.is_formed() {
        Timer::after(LOOK_EVERY.min(ttl / 4)).await;
        let Some((missing, size)) = member.waits_for() else { continue };
        if rarely.is_due(missing, begun.elapsed()) {
            log::warn!(
                "waiting for {missing} more of {size} boards, before which nothing is written: start them with the URL that this board \
                 was given, any others in their place, too, or with one that `solder invite` prints here; `solder cluster set --size {}` \
                 goes on without them",
                size - missing
            );
        }
        if kept_at.is_none_or(|at| at.elapsed() >= KEEP_EVERY.min(ttl / 4)) {
            kept_at = Some(Instant::now());
            if let Err(error) = member.keep_discovery_tokens().await {
                log::debug!("the token of this cluster was not renewed: {error}");
            }
        }
    }
    future::pending().await
}

fn forming(size: u32) -> AutopilotChange {
    AutopilotChange { forming: Some(size), ..AutopilotChange::default() }
}
