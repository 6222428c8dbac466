//! What the owner of the store does for `Effect::Apply` and `Effect::Transfer`, one after the other.
//!
//! Here you will not find: any decision. `Replica` decides.

use crate::{
    store::{Applying, ReceiveEnd, Store, StoreError, TransferId},
    types::{Entry, EntryId, KeyRev, NodeId, Payload, ProposalId},
};

use super::{Event, Piece, Session, TransferDone, TransferJob};

/// Applies the next entry; keeps what came of it if `origin` proposed it. `None`: only a part of it is applied; the same
/// entry is to be applied again, once the store is not full.
///
/// Errors: what ends a member: a command that this build does not know, a store that cannot be read.
pub fn apply(store: &mut Store, entry: &Entry, origin: NodeId) -> Result<Option<Event>, StoreError> {
    let Applying::Done(outcome) = store.apply(entry)? else { return Ok(None) };
    let own = proposal_of(entry).filter(|id| id.origin == origin);
    let outcomes = own.map(|id| (id, outcome)).into_iter().collect();
    Ok(Some(Event::Applied { index: store.applied().index, outcomes }))
}

fn proposal_of(entry: &Entry) -> Option<ProposalId> {
    match entry.payload {
        Payload::Empty => None,
        Payload::Command { id, .. } | Payload::Membership { id, .. } => Some(id),
    }
}

/// Does this job change what a flush works on?
pub fn needs_quiet(job: &TransferJob) -> bool {
    match job {
        TransferJob::Open { .. } | TransferJob::Begin { .. } | TransferJob::Store { .. } => true,
        TransferJob::Read { .. } | TransferJob::Close { .. } => false,
    }
}

/// Carries out one job of a transfer, with pieces of at most `piece_bytes`. `None`: there is nothing to report.
/// While `needs_quiet(&job)`, no flush may be under way.
pub fn transfer(
    store: &mut Store,
    job: TransferJob,
    piece_bytes: u64,
) -> Result<Option<TransferDone>, StoreError> {
    Ok(match job {
        TransferJob::Open { peer, session } => {
            // Until the receiver says what it has, nothing may be removed.
            let base = store.pin_transfer(TransferId(peer.0)).expect("no flush is under way");
            Some(TransferDone::Opened { peer, session, base })
        }
        TransferJob::Read { peer, session, after } => {
            let piece = read(store, peer, after, piece_bytes)?.map(Box::new);
            Some(TransferDone::Read { peer, session, piece })
        }
        TransferJob::Close { peer } => {
            store.unpin_transfer(TransferId(peer.0));
            None
        }
        TransferJob::Begin { session, base } => {
            let after = store.receive_begin(base)?;
            Some(TransferDone::Begun { session, after, committed: known_committed(store) })
        }
        TransferJob::Store { session, piece } => Some(keep(store, session, &piece)?),
    })
}

fn read(
    store: &mut Store,
    peer: NodeId,
    after: KeyRev,
    piece_bytes: u64,
) -> Result<Option<Piece>, StoreError> {
    // A cursor beyond what is here moves nothing, whether true or made up.
    if after.main > store.revision() {
        return Ok(None);
    }
    store.move_transfer(TransferId(peer.0), after);
    let slice = store.transfer_slice(after, piece_bytes)?;
    let tail = if slice.done { Some(store.transfer_tail()?) } else { None };
    Ok(Some(Piece { slice, tail }))
}

fn keep(store: &mut Store, session: Session, piece: &Piece) -> Result<TransferDone, StoreError> {
    let after = store.receive_slice(&piece.slice)?;
    if let Some(tail) = &piece.tail
        && store.receive_finish(tail)? == ReceiveEnd::Done
    {
        let membership = store.membership().clone();
        return Ok(TransferDone::Finished { session, at: tail.at, membership });
    }
    Ok(TransferDone::Stored { session, after, committed: known_committed(store) })
}

pub(super) fn known_committed(store: &Store) -> EntryId {
    store.receive_mark().map_or(store.applied(), |mark| mark.committed)
}
