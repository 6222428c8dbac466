//! How a board without data begins: asks those who are named in --initial-cluster who they are. What follows from their
//! answers is decided by `member`.
//!
//! ```text
//!   new, with others   one round: who answers may know a reason against it; that nobody answers is a first start
//!   existing           round after round, until one says as whom this board joins, or all say why not
//! ```

use std::{
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

use async_io::Timer;
use smol::LocalExecutor;

use crate::{
    config::{ClusterState, Settings},
    member::{self, Options, Start},
    peer::{Asker, PeerUrl, RollCall},
};

use super::{options::peer_tls, waiting::Waiting};

/// A handshake takes a small board half a second, and the asked may be at its start.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(1);

/// After a power cut in the whole house boards come back at different times.
const PATIENCE: Duration = Duration::from_secs(180);

/// Who answers may be behind: what it does not know yet, it or another may say soon.
const UNFIT_PATIENCE: Duration = Duration::from_secs(3);

const TELL_EVERY: Duration = Duration::from_secs(30);

/// How `options` are to begin, if there is no data. Blocks. Errors: one line that says what to do.
pub(super) fn start(settings: &Settings, options: &Options, waiting: &Waiting<'_>) -> Result<Start, String> {
    if member::has_data(&settings.data_dir) {
        return Ok(options.start.clone());
    }
    let others = others(settings)?;
    let executor = Rc::new(LocalExecutor::new());
    match settings.cluster_state {
        ClusterState::New if others.is_empty() => Ok(options.start.clone()),
        ClusterState::New => {
            let asking = Asking::new(settings, others, executor.clone())?;
            async_io::block_on(executor.run(asking.found(options)))?;
            Ok(options.start.clone())
        }
        ClusterState::Existing if others.is_empty() => Err(
            "cannot fetch cluster info from peer urls: --initial-cluster names no other member: give it as `solder member \
             add` has printed it"
                .into(),
        ),
        ClusterState::Existing => {
            let asking = Asking::new(settings, others, executor.clone())?;
            waiting.during(executor.run(asking.join(settings, options, waiting)))
        }
    }
}

fn others(settings: &Settings) -> Result<Vec<Vec<PeerUrl>>, String> {
    let others = settings.initial_cluster.iter().filter(|(name, _)| **name != settings.name);
    others.map(|(_, urls)| urls.iter().map(|url| PeerUrl::parse(url)).collect()).collect()
}

struct Asking {
    asker: Rc<Asker>,
    others: Vec<Vec<PeerUrl>>,
    executor: Rc<LocalExecutor<'static>>,
}

impl Asking {
    fn new(
        settings: &Settings,
        others: Vec<Vec<PeerUrl>>,
        executor: Rc<LocalExecutor<'static>>,
    ) -> Result<Asking, String> {
        let asker = Rc::new(Asker::new(peer_tls(settings), SystemTime::now)?);
        Ok(Asking { asker, others, executor })
    }

    /// All at one time: what each says, or why it says nothing.
    async fn round(&self) -> Vec<Result<RollCall, String>> {
        let ask = |urls: &Vec<PeerUrl>| {
            let (asker, urls) = (self.asker.clone(), urls.clone());
            self.executor.spawn(async move { asker.ask(&urls, ANSWER_MAX).await })
        };
        let asked: Vec<_> = self.others.iter().map(ask).collect();
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await);
        }
        answers
    }

    async fn found(self, options: &Options) -> Result<(), String> {
        for answer in self.round().await {
            match answer {
                Ok(told) => member::check_founding(options, &told)?,
                Err(trouble) => log::debug!("nobody to ask before the first start: {trouble}"),
            }
        }
        Ok(())
    }

    async fn join(
        self,
        settings: &Settings,
        options: &Options,
        waiting: &Waiting<'_>,
    ) -> Result<Start, String> {
        let begun = Instant::now();
        let (mut unfit_since, mut told_at) = (None, None::<Instant>);
        loop {
            let mut troubles = Vec::new();
            let mut unfit = None;
            for answer in self.round().await {
                match answer.map(|told| member::join(options, &settings.initial_cluster, &told)) {
                    Ok(Ok(Some(start))) => return Ok(start),
                    Ok(Ok(None)) => {
                        troubles.push("a member has not been told of its cluster itself".to_owned())
                    }
                    Ok(Err(why)) => unfit = Some(why),
                    Err(trouble) => troubles.push(trouble),
                }
            }
            waiting.say(&troubles.join("; "));
            if let Some(why) = unfit {
                if unfit_since.get_or_insert_with(Instant::now).elapsed() >= UNFIT_PATIENCE {
                    return Err(why);
                }
            } else if begun.elapsed() >= PATIENCE {
                return Err(format!(
                    "cannot fetch cluster info from peer urls: {}: is one of the members running, and are their URLs in \
                     --initial-cluster right?",
                    troubles.join("; ")
                ));
            } else if told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
                told_at = Some(Instant::now());
                log::warn!(
                    "waiting for a member of the cluster to say who is in it: {}",
                    troubles.join("; ")
                );
            }
            Timer::after(PAUSE).await;
        }
    }
}
