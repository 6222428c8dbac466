//! The authority's key: every voter has it, so that the loss of any minority of them never ends joining. It is asked for by who
//! has come to vote, and told from member to member over connections that both have proven themselves on (`peer`).

use std::time::Duration;

use async_io::Timer;

use crate::{
    peer::{Asker, BoardTls, PeerUrl, Tls},
    types::NodeId,
};

use super::Member;

/// Between two looks; nothing waits for it but the next board that asks this very member.
const LOOK_EVERY: Duration = Duration::from_secs(2);

const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Runs as long as the member does.
pub(super) async fn keeper<T>(member: Member) -> T {
    loop {
        Timer::after(LOOK_EVERY).await;
        if member.lacks_authority_key()
            && let Err(trouble) = member.fetch_authority_key().await
        {
            log::debug!("the authority's key was not had from anybody: {trouble}");
        }
    }
}

impl Member {
    fn lacks_authority_key(&self) -> bool {
        let lacks = |tls: &BoardTls| tls.has_certificate() && !tls.has_authority_key();
        let is_lacking = self.engine.trust.borrow().as_ref().is_some_and(lacks);
        is_lacking && self.engine.look(|core| core.replica.node().membership().voters.contains(&self.id()))
    }

    async fn fetch_authority_key(&self) -> Result<(), String> {
        let dir = self.engine.tls_dir();
        let asker = Asker::new(Some(Tls::Board(dir.clone())), std::time::SystemTime::now)?;
        let identity = &self.engine.identity;
        let mut troubles = Vec::new();
        for (id, urls) in self.other_voters() {
            let me = (identity.cluster, identity.member, identity.incarnation);
            match asker.ask_authority_key(&urls, me, id, ANSWER_MAX).await {
                Ok(key) => {
                    let kept = smol::unblock(move || {
                        let mut tls = BoardTls::open(&dir)?.ok_or("this board's keys have gone")?;
                        tls.keep_authority_key(&key)?;
                        Ok::<BoardTls, String>(tls)
                    });
                    *self.engine.trust.borrow_mut() = Some(kept.await?);
                    log::info!("this board can let others in from now on: member {id} has told it the authority's key");
                    return Ok(());
                }
                Err(trouble) => troubles.push(trouble),
            }
        }
        Err(troubles.join("; "))
    }

    fn other_voters(&self) -> Vec<(NodeId, Vec<PeerUrl>)> {
        let me = self.id();
        let voters = self.members_here().into_iter().filter(|info| !info.is_learner && info.id != me);
        let urls = |urls: &[String]| urls.iter().filter_map(|url| PeerUrl::parse(url).ok()).collect();
        voters.map(|info| (info.id, urls(&info.peer_urls))).collect()
    }
}
