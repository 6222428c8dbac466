//! A board on its way from nothing to a member, one step that power may end after another: the order in which `join` and
//! `run/beginning` do things.

use solder::join::id_of;

use super::service::{SECRET, TOKEN};

/// What stays without power.
#[derive(Clone, Debug, Default)]
pub(crate) struct Card {
    /// Says who the board is, and is drawn once for a card.
    pub(crate) key: Option<u32>,
    /// Made of the key and the secret of the URL.
    pub(crate) id: Option<String>,
    pub(crate) formation: bool,
    pub(crate) certificate: bool,
    /// Of the cluster whose data it holds: the key of its founder, of which the cluster's id is made.
    pub(crate) data: Option<u32>,
}

/// A board's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Off,
    Begins,
    /// It is to ask the service who has registered.
    Looks,
    /// Something is under way from it; if nothing comes back it looks again.
    Waits,
    /// It keeps that it founds a cluster of `size`.
    Founds(Founds),
    /// It was let into the cluster of this founder.
    IsLetIn(u32, LetIn),
    /// It serves its data.
    Member,
    /// It has ended with a line that says what to do.
    GivenUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Founds {
    KeepsFormation,
    MakesAuthority,
    MakesCluster,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LetIn {
    KeepsCertificate,
    MakesStore,
}

#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) card: Card,
    pub(crate) life: Life,
    /// Which of its lives this is: what an earlier one asked is not answered to it.
    pub(crate) lives: u32,
    /// How often the founder did not answer it.
    pub(crate) in_vain: u32,
}

impl Board {
    pub(crate) fn new() -> Board {
        Board { card: Card::default(), life: Life::Off, lives: 0, in_vain: 0 }
    }

    pub(crate) fn id(&self) -> Option<String> {
        self.card.id.clone()
    }

    pub(crate) fn is_on(&self) -> bool {
        self.life != Life::Off
    }

    pub(crate) fn switch_on(&mut self) {
        (self.life, self.lives, self.in_vain) = (Life::Begins, self.lives + 1, 0);
    }

    pub(crate) fn switch_off(&mut self) {
        self.life = Life::Off;
    }

    /// What its card says it is.
    pub(crate) fn begin(&mut self, new_key: u32) {
        let key = *self.card.key.get_or_insert(new_key);
        self.card.id.get_or_insert_with(|| id_of(&SECRET, TOKEN, &u64::from(key).to_be_bytes()));
        self.life = match self.card {
            Card { data: Some(_), .. } => Life::Member,
            Card { formation: true, .. } => Life::Founds(Founds::MakesAuthority),
            _ => Life::Looks,
        };
        assert_ne!(key, 0, "keys are drawn");
    }

    /// The cluster that it has made with this step.
    pub(crate) fn found(&mut self, at: Founds) -> Option<u32> {
        let key = self.card.key.expect("a board that founds has a key");
        match at {
            Founds::KeepsFormation => {
                self.card.formation = true;
                self.life = Life::Founds(Founds::MakesAuthority);
            }
            Founds::MakesAuthority => {
                self.card.certificate = true;
                self.life = Life::Founds(Founds::MakesCluster);
            }
            Founds::MakesCluster => {
                self.card.data = Some(key);
                self.life = Life::Member;
                return Some(key);
            }
        }
        None
    }

    pub(crate) fn come_in(&mut self, cluster: u32, at: LetIn) {
        match at {
            LetIn::KeepsCertificate => {
                self.card.certificate = true;
                self.life = Life::IsLetIn(cluster, LetIn::MakesStore);
            }
            LetIn::MakesStore => {
                self.card.data = Some(cluster);
                self.life = Life::Member;
            }
        }
    }

    /// It lets others in: only who founded has the authority, and others give it on later.
    pub(crate) fn lets_in(&self) -> Option<u32> {
        let founded = self.card.data.filter(|cluster| Some(*cluster) == self.card.key);
        founded.filter(|_| self.life == Life::Member)
    }
}
