//! The authority's key: every voter has it, so that the loss of any minority of them never ends joining. It is asked for by who
//! has come to vote, and told from member to member over connections that both have proven themselves on (`peer`).

use std::time::Duration;

use async_io::Timer;
use futures_lite::future;

use crate::peer::BoardTls;

use super::{Member, core::Core};

/// Between two looks, for who was told nothing when it came to vote.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Runs as long as the member does.
pub(super) async fn keeper<T>(member: Member) -> T {
    loop {
        let later = async {
            Timer::after(LOOK_EVERY).await;
        };
        future::or(member.comes_to_vote(), later).await;
        if member.lacks_authority_key()
            && let Err(trouble) = member.fetch_authority_key().await
        {
            log::debug!("the authority's key was not had from anybody: {trouble}");
        }
        member.go_on_with_renewal().await;
    }
}

impl Member {
    /// Until it has the key, the loss of who has it could end joining for ever: it is asked for at once.
    async fn comes_to_vote(&self) {
        let me = self.id();
        let votes = |core: &mut Core| core.replica.node().membership().voters.contains(&me);
        match self.engine.look(votes) {
            true => future::pending().await,
            false => self.engine.until(votes).await,
        }
    }

    fn lacks_authority_key(&self) -> bool {
        let lacks = |tls: &BoardTls| tls.has_certificate() && !tls.has_authority_key();
        let is_lacking = self.engine.trust.borrow().as_ref().is_some_and(lacks);
        is_lacking && self.engine.look(|core| core.replica.node().membership().voters.contains(&self.id()))
    }

    async fn fetch_authority_key(&self) -> Result<(), String> {
        let asked = self.engine.with_peers(|peers| Ok(peers.ask_authority_key()))?;
        let key = asked.await?;
        // Nobody is to renew this board's own meanwhile.
        let _place = self.engine.opening.lock_arc().await;
        let dir = self.engine.tls_dir();
        let kept = smol::unblock(move || {
            let mut tls = BoardTls::open(&dir)?.ok_or("this board's keys have gone")?;
            tls.keep_authority_key(&key)?;
            Ok::<BoardTls, String>(tls)
        });
        *self.engine.trust.borrow_mut() = Some(kept.await?);
        log::info!("this board can let others in from now on: it was told the authority's key");
        Ok(())
    }
}
