//! Without the truth: what must lie between two known changes of a key.
//!
//! ```text
//!   put p ......... seen ......... missed ......... put q, created c
//!        |            |               |
//!        |            |               a delete by here, if it was missed at all;
//!        |            no delete up to here                    by c, if c is above p
//! ```
//!
//! And within one life of a key (from `created` on), `version` counts its puts: what is not known of them must have
//! been calls of unknown outcome.

use std::collections::BTreeMap;

use solder::types::{Bytes, Revision};

use super::{
    super::Verdict,
    chronicle::{Fact, Life},
    needs::Needs,
};

/// What was seen between two known changes of a key; each gap is named by the change before it, the first by 0.
#[derive(Debug, Default)]
pub(super) struct Gaps<'a> {
    gaps: BTreeMap<(&'a Bytes, Revision), Gap>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    /// The last revision at which the put before it was seen to be the newest.
    seen: Revision,
    /// The first and the last revision at which the key was seen not to be there.
    missed: Option<(Revision, Revision)>,
}

/// One known change with all that can be told of it.
#[derive(Clone, Copy, Debug)]
struct Known {
    revision: Revision,
    is_put: bool,
    life: Option<Life>,
    /// When the life that it belongs to began.
    created: Option<Revision>,
}

impl<'a> Gaps<'a> {
    pub(super) fn saw(&mut self, key: &'a Bytes, after: Revision, at: Revision) {
        let gap = self.gaps.entry((key, after)).or_default();
        gap.seen = gap.seen.max(at);
    }

    pub(super) fn missed(&mut self, key: &'a Bytes, after: Revision, at: Revision) {
        let gap = self.gaps.entry((key, after)).or_default();
        let (first, last) = gap.missed.unwrap_or((at, at));
        gap.missed = Some((first.min(at), last.max(at)));
    }

    pub(super) fn check(
        &self,
        key: &'a Bytes,
        facts: &BTreeMap<Revision, Fact<'a>>,
        needs: &mut Needs<'a>,
    ) -> Verdict {
        let known = known(facts)?;
        let start = Known { revision: Revision(0), is_put: false, life: None, created: None };
        let nexts = known.iter().map(Some).chain([None]);
        for (before, next) in [start].iter().chain(&known).zip(nexts) {
            let gap = self.gaps.get(&(key, before.revision)).copied().unwrap_or_default();
            let created = next.and_then(|next| next.created);
            gap.check_missed(created)?;
            if before.is_put
                && let Some(deadline) = gap.delete_by(before.revision, created)?
            {
                needs.delete(key, deadline);
            }
        }
        count_puts(key, &known, needs)
    }
}

impl Gap {
    /// `created`: when the life of the next known change began.
    fn check_missed(&self, created: Option<Revision>) -> Verdict {
        match (self.missed, created) {
            (Some((_, missed)), Some(created)) if missed >= created => {
                Err(format!("missed at revision {missed}, though it lived from {created} on"))
            }
            _ => Ok(()),
        }
    }

    /// The last revision in which the key must have been deleted after this put, if it must.
    fn delete_by(&self, put: Revision, created: Option<Revision>) -> Result<Option<Revision>, String> {
        let seen = self.seen.max(put);
        let created_by = created.filter(|created| *created > put).map(|created| Revision(created.0 - 1));
        match self.missed.map(|(first, _)| first).or(created_by) {
            Some(deadline) if deadline <= seen => {
                Err(format!("its revision {put} was seen at {seen}, though it was gone by {deadline}"))
            }
            deadline => Ok(deadline),
        }
    }
}

/// In order, and each with the beginning of its life where a later change of the same life tells it.
fn known(facts: &BTreeMap<Revision, Fact<'_>>) -> Result<Vec<Known>, String> {
    let mut known = Vec::with_capacity(facts.len());
    let mut later: Option<Revision> = None;
    for (&revision, fact) in facts.iter().rev() {
        let created = later.filter(|created| *created <= revision);
        let (is_put, life) = match *fact {
            Fact::Put { life, .. } => (true, life),
            Fact::Gone => (false, None),
        };
        if let Some(created) = created
            && (!is_put || life.is_some_and(|life| life.created != created))
        {
            return Err(format!("one life from {created} on, with {fact:?} in revision {revision}"));
        }
        later = created.or(life.map(|life| life.created));
        known.push(Known { revision, is_put, life, created: later });
    }
    known.reverse();
    Ok(known)
}

/// `version` tells how many puts there were; those that are not known must have been made by somebody.
fn count_puts<'a>(key: &'a Bytes, known: &[Known], needs: &mut Needs<'a>) -> Verdict {
    let mut began = None;
    let mut puts = 0;
    let mut unknown = 0;
    for change in known.iter().filter(|change| change.created.is_some()) {
        if change.created != began {
            (began, puts, unknown) = (change.created, 0, 0);
        }
        puts += 1;
        let Some(Life { version, created }) = change.life else { continue };
        let missing = version - puts;
        if missing < unknown {
            return Err(format!(
                "version {version} in revision {} cannot be: {puts} puts are known since {created}, {unknown} more were counted",
                change.revision
            ));
        }
        for _ in unknown..missing {
            needs.put(key, Revision(change.revision.0 - 1));
        }
        unknown = missing;
    }
    Ok(())
}
