//! This member's own key is renewed.
//!
//! ```text
//!   a majority answers --> a new key, made here --> the authority's word about it: own, or a voter's
//!                      --> on the disk it takes the old one's place; from here on connections are made with it
//!                      --> Identify: the list has it, and the old one is nobody's
//! ```
//!
//! What is cut off before the middle has changed nothing. Behind it there is no way back and none is needed: who has not
//! heard of the new key believes it by the old one's word (`peer`), and the keeper tells the list, however often it takes.

use std::sync::PoisonError;

use crate::{
    peer::{BoardTls, NextKey},
    types::{Bytes, Command, Error, MemberRow, hex, step},
};

use super::{Member, engine::Engine};

/// Why a key was not renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenewalError {
    /// One line that says what to do.
    Refused(String),
    Failed(Error),
}

impl From<Error> for RenewalError {
    fn from(error: Error) -> RenewalError {
        RenewalError::Failed(error)
    }
}

impl Member {
    /// Makes a new key for this member. Its SHA-256, once the list of members has it.
    pub async fn renew_key(&self) -> Result<Bytes, RenewalError> {
        let refused = RenewalError::Refused;
        let place = self.engine.opening.lock_arc().await;
        self.check_renewal()?;
        // Who cannot reach the others, or was removed, is told so before anything is done.
        self.read_barrier().await?;
        let dir = self.engine.tls_dir();
        let begun = smol::unblock(move || BoardTls::begin_renewal(&dir).map(|begun| (begun, place)));
        let ((board, next), place) = begun.await.map_err(refused)?;
        let (mut board, next, certificate) = self.certified(board, next).await.map_err(refused)?;
        let renewed = self.engine.renewed.clone();
        // To the end, whoever has asked for it stays or goes.
        let kept = smol::unblock(move || {
            board.renew(next, &certificate)?;
            *renewed.lock().unwrap_or_else(PoisonError::into_inner) = Some(board);
            Ok(place)
        });
        let _place = kept.await.map_err(refused)?;
        self.engine.take_renewed();
        self.tell_key().await?;
        step("renewal: told");
        Ok(self.engine.own_key().unwrap_or_default())
    }

    fn check_renewal(&self) -> Result<(), RenewalError> {
        let refused = |why: &str| Err(RenewalError::Refused(why.into()));
        if !self.engine.trust.borrow().as_ref().is_some_and(BoardTls::has_certificate) {
            return refused(
                "this member has no key of its own to renew: it goes by the files of --peer-cert-file and --peer-key-file, which may \
                 be replaced while it runs, or its peers use no TLS",
            );
        }
        if self.engine.look(|core| core.roll.cluster.forming != 0) {
            return refused("this cluster is being founded: renew keys once all its boards are in");
        }
        let command = identify(self, Bytes::new());
        match self.engine.look(|core| core.is_known_to_all(&command)) {
            true => Ok(()),
            false => Err(Error::NotCapable.into()),
        }
    }

    /// By this board itself, if it has the authority's key.
    async fn certified(&self, board: BoardTls, next: NextKey) -> Result<(BoardTls, NextKey, Bytes), String> {
        if !board.has_authority_key() {
            let asked = self.engine.with_peers(|peers| Ok(peers.ask_certificate(next.public_key())))?;
            let certificate = asked.await?;
            return Ok((board, next, certificate));
        }
        let me = self.id();
        let signed = smol::unblock(move || {
            let certificate = board.certify(&next.public_key(), me)?;
            Ok((board, next, certificate))
        });
        signed.await
    }

    /// What was cut off is gone on with.
    pub(super) async fn go_on_with_renewal(&self) {
        let Some(_place) = self.engine.opening.try_lock_arc() else { return };
        self.engine.take_renewed();
        if self.has_leader()
            && let Err(error) = self.tell_key().await
        {
            log::debug!("this board's key could not be told yet: {error}");
        }
    }

    /// The list of members is to have this board's key.
    async fn tell_key(&self) -> Result<(), Error> {
        let me = self.id();
        let Some(key) = self.engine.own_key() else { return Ok(()) };
        let listed = self.engine.look(|core| core.roll.row(me).map(|row| row.key.clone()));
        let Some(old) = listed.filter(|listed| *listed != key) else { return Ok(()) };
        self.engine.propose(&identify(self, key.clone())).await?;
        let hash = hex(&key);
        match old.is_empty() {
            true => log::info!("this board is known by its key from now on: SHA-256 {hash}"),
            false => log::info!(
                "this board has a new key, and the old one is nobody's from now on: SHA-256 {hash}"
            ),
        }
        Ok(())
    }
}

/// Nothing else is to change, nor a mark that was found to be another board's, too, to come back.
fn identify(member: &Member, key: Bytes) -> Command {
    let me = member.id();
    let has_key = |row: &&MemberRow| !row.key.is_empty();
    let known = member.engine.look(|core| core.roll.row(me).filter(has_key).map(|row| row.board.clone()));
    let options = &member.engine.options;
    let mark = || options.reach.as_ref().map(|reach| options.hardware.mark(reach.port()));
    let board = known.or_else(mark).unwrap_or_default();
    Command::Identify { member: me, key, board }
}

impl Engine {
    /// A key that has taken the old one's place on the disk does so here.
    fn take_renewed(&self) {
        let renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if renewed.is_some() {
            *self.trust.borrow_mut() = renewed;
        }
    }

    /// `None`: it has none that the list is to know.
    fn own_key(&self) -> Option<Bytes> {
        let trust = self.trust.borrow();
        trust.as_ref().filter(|tls| tls.has_certificate()).map(BoardTls::key_hash)
    }
}
