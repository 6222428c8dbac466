//! A cluster that boards form together: the founder keeps what the others are to prove, then lets them in. The cluster takes no
//! writes before they are all there (`core/autopilot`).

use std::time::Duration;

use async_io::Timer;

use crate::types::{AutopilotChange, ClusterRow, Command, Error, LeaseId};

use super::{Formation, Member, Role, tokens::Token};

/// As long as a discovery service keeps its tokens: 7 days.
const TOKEN_TTL_S: i64 = 7 * 24 * 3600;

const AGAIN_AFTER: Duration = Duration::from_millis(100);

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
            // Not as a client: they wait for the others, who wait for this.
            let lease = LeaseId(fastrand::i64(1..));
            self.engine.propose(&Command::LeaseGrant { id: lease, ttl_s: TOKEN_TTL_S }).await?;
            let secret = format!("{:032x}", u128::from_be_bytes(secret));
            let token = Token { secret, role: Role::Auto, uses: 0, used: 0 };
            self.keep_token(&formation.token, &token, lease).await?;
        }
        let change = AutopilotChange { forming: Some(formation.size), ..AutopilotChange::default() };
        self.engine.propose(&Command::Autopilot(change)).await?;
        Ok(())
    }
}
