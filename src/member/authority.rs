//! The authority's key: every voter has it, so that the loss of any minority of them never ends joining. It is told from member
//! to member over connections that both have proven themselves on (`peer`).
//!
//! ```text
//!   leader: autopilot would promote a learner --> Question --> the learner asks the leader, and keeps it
//!                                             <-- it has it -- only now it is promoted
//!   a voter that lacks it all the same, promoted by hand or its card full: asks the other voters, again and again
//! ```

use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future;

use crate::{
    logging::Rarely,
    peer::BoardTls,
    replica::{Question, Reply},
    types::NodeId,
};

use super::{Member, core::Core};

/// Between two looks, for who was told nothing when it came to vote.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Before the next is asked, or the same again, that could not take it.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Who has just come to vote has it soon.
const SILENT_FOR: Duration = Duration::from_secs(10);

/// Runs as long as the member does.
pub(super) async fn keeper<T>(member: Member) -> T {
    let mut lacking: Option<(Instant, Rarely<String>)> = None;
    loop {
        member.tell_who_gives();
        let later = async {
            Timer::after(LOOK_EVERY).await;
        };
        future::or(member.comes_to_vote(), later).await;
        match member.lacks_authority_key() {
            true => member.make_up_for_key(&mut lacking).await,
            false => lacking = None,
        }
        member.go_on_with_renewal().await;
    }
}

/// The leader: who is about to vote is told to fetch it. Runs as long as the member does.
pub(super) async fn giver<T>(member: Member) -> T {
    loop {
        let mut next = None;
        let wanted = |core: &mut Core| {
            next = core.keyless().first().copied();
            next.is_some()
        };
        member.engine.until(wanted).await;
        let id = next.expect("waited for");
        let reply = member.engine.ask_of(id, Question::Authority).await;
        let has_key = matches!(reply, Some(Reply::Authority(true)));
        member.engine.look(|core| core.note_key(id, has_key));
        Timer::after(AGAIN_AFTER / if has_key { 50 } else { 1 }).await;
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

    /// Autopilot waits for keys where this board can give them.
    fn tell_who_gives(&self) {
        let gives = self.engine.has_authority_key();
        self.engine.look(|core| core.set_gives_key(gives));
    }

    fn could_have_authority_key(&self) -> bool {
        let lacks = |tls: &BoardTls| tls.has_certificate() && !tls.has_authority_key();
        self.engine.trust.borrow().as_ref().is_some_and(lacks)
    }

    pub(super) fn lacks_authority_key(&self) -> bool {
        self.could_have_authority_key()
            && self.engine.look(|core| core.replica.node().membership().voters.contains(&self.id()))
    }

    async fn make_up_for_key(&self, lacking: &mut Option<(Instant, Rarely<String>)>) {
        let (since, rarely) = lacking.get_or_insert_with(|| (Instant::now(), Rarely::after(SILENT_FOR)));
        if let Err(trouble) = self.fetch_authority_key(None).await {
            log::debug!("the authority's key was not had from anybody: {trouble}");
            if rarely.is_due(trouble.clone(), since.elapsed()) {
                log::warn!(
                    "this board votes and cannot let others in: it does not have the key of the cluster's authority: {trouble}"
                );
            }
        }
    }

    /// The leader says that this board is about to vote. Does it have the key now?
    pub(super) async fn takes_authority_key(&self, leader: NodeId) -> bool {
        if self.could_have_authority_key()
            && let Err(trouble) = self.fetch_authority_key(Some(leader)).await
        {
            log::warn!(
                "this board is to vote, and cannot have the key of the cluster's authority: {trouble}"
            );
        }
        self.engine.has_authority_key()
    }

    /// From this member, or from any voter.
    pub(super) async fn fetch_authority_key(&self, from: Option<NodeId>) -> Result<(), String> {
        let key = match from {
            Some(from) => self.engine.with_peers(|peers| Ok(peers.ask_authority_key_of(from)))?.await?,
            None => self.engine.with_peers(|peers| Ok(peers.ask_authority_key()))?.await?,
        };
        // Nobody is to renew this board's own meanwhile.
        let _place = self.engine.opening.lock_arc().await;
        let dir = self.engine.tls_dir();
        let kept = smol::unblock(move || {
            let mut tls = BoardTls::open(&dir)?.ok_or("this board's keys have gone")?;
            tls.keep_authority_key(&key)?;
            Ok::<BoardTls, String>(tls)
        });
        *self.engine.trust.borrow_mut() = Some(kept.await?);
        self.tell_who_gives();
        log::info!("this board can let others in from now on: it was told the authority's key");
        Ok(())
    }
}
