//! What is known to have become of every key: all of it from the truth, or pieces from what clients were told.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use solder::types::{Bytes, Revision};

use super::super::truth::Truth;

/// Facts by key and revision.
#[derive(Debug, Default)]
pub(super) struct Chronicle<'a> {
    keys: BTreeMap<&'a Bytes, BTreeMap<Revision, Fact<'a>>>,
    complete: bool,
}

/// What one revision did to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact<'a> {
    /// `life` is known where the put was seen, not only acknowledged.
    Put {
        value: &'a Bytes,
        life: Option<Life>,
    },
    Gone,
}

/// The puts of a key since it was last created, up to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) created: Revision,
    pub(super) version: i64,
}

impl<'a> Chronicle<'a> {
    /// Everything there is to know of these keys. Nothing that is not in it can be learnt later.
    pub(super) fn complete(truth: &'a Truth, keys: &BTreeSet<&Bytes>) -> Chronicle<'a> {
        let mut chronicle = Chronicle { keys: BTreeMap::new(), complete: true };
        for event in truth.events().iter().filter(|event| keys.contains(&event.key)) {
            let facts = chronicle.keys.entry(&event.key).or_default();
            let revision = event.at.main;
            let fact = match &event.value {
                Some(value) => Fact::Put { value, life: Some(life_after(facts, revision)) },
                None => Fact::Gone,
            };
            facts.insert(revision, fact);
        }
        chronicle
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Errors where it contradicts what is known.
    pub(super) fn learn(&mut self, key: &'a Bytes, revision: Revision, fact: Fact<'a>) -> Result<(), String> {
        match self.keys.entry(key).or_default().entry(revision) {
            btree_map::Entry::Vacant(place) if !self.complete => {
                place.insert(fact);
                Ok(())
            }
            btree_map::Entry::Vacant(_) => {
                Err(format!("in no member's history is {fact:?} of {key:?} in revision {revision}"))
            }
            btree_map::Entry::Occupied(mut known) => {
                let both = merge(*known.get(), fact).ok_or_else(|| {
                    format!("{key:?} in revision {revision} is both {:?} and {fact:?}", known.get())
                })?;
                known.insert(both);
                Ok(())
            }
        }
    }

    /// The last thing known to have become of a key up to a revision.
    pub(super) fn last(&self, key: &Bytes, upto: Revision) -> Option<(Revision, Fact<'a>)> {
        let (revision, fact) = self.keys.get(key)?.range(..=upto).next_back()?;
        Some((*revision, *fact))
    }

    /// All keys of which something is known, each with its facts in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&'a Bytes, &BTreeMap<Revision, Fact<'a>>)> {
        self.keys.iter().map(|(key, facts)| (*key, facts))
    }
}

fn life_after(facts: &BTreeMap<Revision, Fact<'_>>, revision: Revision) -> Life {
    match facts.last_key_value() {
        Some((_, Fact::Put { life: Some(life), .. })) => Life { version: life.version + 1, ..*life },
        _ => Life { created: revision, version: 1 },
    }
}

/// What two accounts of one change say together; `None` if they contradict each other.
fn merge<'a>(a: Fact<'a>, b: Fact<'a>) -> Option<Fact<'a>> {
    match (a, b) {
        (Fact::Gone, Fact::Gone) => Some(Fact::Gone),
        (Fact::Put { value, life: one }, Fact::Put { value: other, life: two }) if value == other => {
            let agree = one.is_none() || two.is_none() || one == two;
            agree.then_some(Fact::Put { value, life: one.or(two) })
        }
        _ => None,
    }
}
