//! Do all members hold the same? At each compaction they tell each other two checksums, and compare.
//!
//! ```text
//!   compaction applied --> of all that was ever applied, up to its entry        at once, costs nothing
//!                      --> of all keys that can be read at its revision         slice by slice, beside all else
//! ```
//!
//! Who has another one than a majority of the voters is wrong, and knows it by itself: nobody has to be believed. Where no
//! majority agrees, somebody is wrong and nobody knows who.
//!
//! Here you will not find: what is done about it (`core/corruption.rs`).

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    task::{Poll, Waker},
};

use crate::{
    replica::DigestOf,
    store::HashAt,
    types::{NodeId, Revision},
};

use super::{Member, range};

/// Of each kind, what is compared at one time. Compactions are minutes apart, and a comparison takes seconds; who is further behind is
/// compared at the next one.
const SUBJECTS_MAX: usize = 16;

/// The revision whose keys are to be looked at next: the newest that somebody asked for.
#[derive(Default)]
pub(super) struct Checks(RefCell<(Option<Revision>, Option<Waker>)>);

impl Checks {
    pub(super) fn put(&self, revision: Revision) {
        let waker = {
            let mut checks = self.0.borrow_mut();
            checks.0 = Some(revision);
            checks.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    async fn next(&self) -> Revision {
        poll_fn(|context| {
            let mut checks = self.0.borrow_mut();
            match checks.0.take() {
                Some(revision) => Poll::Ready(revision),
                None => {
                    checks.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Takes the checksum of all keys at each compaction. Never ends.
pub(super) async fn checker<T>(member: Member) -> T {
    loop {
        let revision = member.engine.checks.next().await;
        match range::hash_kv(&member.engine, revision).await {
            Ok(HashAt { hash, revision, compact_revision: compacted }) => {
                let of = DigestOf::Keys { revision, compacted };
                member.engine.look(|core| core.digested(of, hash));
                member.engine.nudge();
            }
            Err(error) => log::debug!("the keys at revision {revision} are not compared: {error}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not all who could make it certain have been heard; or all is well.
    Nothing,
    /// A majority agrees, and this member does not agree with it.
    WeDiffer,
    /// All voters were heard, and no majority agrees.
    NobodyKnows,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Digests {
    heard: [BTreeMap<DigestOf, BTreeMap<NodeId, u32>>; 2],
}

impl Digests {
    pub(super) fn hear(&mut self, of: DigestOf, from: NodeId, hash: u32) {
        let heard = &mut self.heard[kind(of)];
        heard.entry(of).or_default().insert(from, hash);
        while heard.len() > SUBJECTS_MAX {
            heard.pop_first();
        }
    }

    pub(super) fn judge(&self, of: DigestOf, me: NodeId, voters: &BTreeSet<NodeId>) -> Verdict {
        let Some(heard) = self.heard[kind(of)].get(&of) else { return Verdict::Nothing };
        let Some(own) = heard.get(&me) else { return Verdict::Nothing };
        let said: Vec<u32> = voters.iter().filter_map(|voter| heard.get(voter).copied()).collect();
        let majority = voters.len() / 2 + 1;
        let agreed = said.iter().find(|hash| said.iter().filter(|other| other == hash).count() >= majority);
        match agreed {
            Some(agreed) if agreed != own => Verdict::WeDiffer,
            None if said.len() == voters.len() => Verdict::NobodyKnows,
            _ => Verdict::Nothing,
        }
    }
}

/// They would push each other out.
fn kind(of: DigestOf) -> usize {
    matches!(of, DigestOf::Keys { .. }).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::EntryId;

    const AT: DigestOf = DigestOf::Applied(EntryId::new(1, 7));

    fn judge(me: u64, voters: impl IntoIterator<Item = u64>, heard: &[(u64, u32)]) -> Verdict {
        let mut digests = Digests::default();
        heard.iter().for_each(|(from, hash)| digests.hear(AT, NodeId(*from), *hash));
        digests.judge(AT, NodeId(me), &voters.into_iter().map(NodeId).collect())
    }

    #[test]
    fn who_differs_from_a_majority_knows() {
        assert_eq!(judge(1, 1..=3, &[(1, 5), (2, 6)]), Verdict::Nothing, "it takes a majority");
        assert_eq!(judge(1, 1..=3, &[(1, 5), (2, 6), (3, 6)]), Verdict::WeDiffer);
        assert_eq!(judge(2, 1..=3, &[(1, 5), (2, 6), (3, 6)]), Verdict::Nothing);
        assert_eq!(judge(1, 1..=3, &[(1, 5), (2, 6), (3, 7)]), Verdict::NobodyKnows);
        assert_eq!(judge(1, 1..=2, &[(1, 5), (2, 6)]), Verdict::NobodyKnows);
        assert_eq!(judge(9, 1..=3, &[(9, 5), (2, 6), (3, 6)]), Verdict::WeDiffer, "a learner");
        assert_eq!(judge(1, 1..=3, &[(2, 6), (3, 6)]), Verdict::Nothing, "not there yet");
        assert_eq!(judge(1, 1..=3, &[(1, 6), (2, 6), (3, 5)]), Verdict::Nothing);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut digests = Digests::default();
        for revision in 0..100 {
            let of = DigestOf::Keys { revision: Revision(revision), compacted: Revision(revision) };
            digests.hear(of, NodeId(1), 0);
        }
        assert_eq!(digests.heard[1].len(), SUBJECTS_MAX);
        digests.hear(AT, NodeId(1), 5);
        digests.hear(AT, NodeId(2), 6);
        let voters = [NodeId(1), NodeId(2)].into();
        assert_eq!(
            digests.judge(AT, NodeId(1), &voters),
            Verdict::NobodyKnows,
            "the other kind has its own room"
        );
    }
}
