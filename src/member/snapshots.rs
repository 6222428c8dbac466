//! Snapshots and defragmentation, for doors.

use std::rc::Rc;

use crate::{
    snapshot::{self, SnapshotCursor},
    types::Error,
};

use super::{
    Member,
    engine::{Ask, Engine},
    pins::Pin,
    reply,
    store_thread::StoreJob,
};

const PIECE_BYTES: usize = 32 << 10;

impl Member {
    /// Gives disk back. Answers when it is done; puts go on meanwhile. The error is a sentence for the operator.
    pub async fn defragment(&self) -> Result<(), String> {
        if self.engine.is_stopping() {
            return Err(Error::NoLeader.to_string());
        }
        let (promise, reply) = reply::promise();
        self.engine.ask(Ask::Store(StoreJob::Defragment(promise)));
        reply.get().await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The whole store in pieces, as of now.
    pub async fn snapshot(&self) -> Result<SnapshotReader, Error> {
        let begin = self.engine.query(|keeper| {
            let cursor = SnapshotCursor::begin(keeper.store())?;
            let pin = keeper.pin(cursor.pinned());
            Ok(Rest { cursor, pin })
        });
        let rest = begin.await?;
        let remaining_bytes = rest.cursor.remaining_bytes();
        Ok(SnapshotReader { engine: self.engine.clone(), rest: Some(rest), remaining_bytes })
    }
}

/// A snapshot being read.
pub struct SnapshotReader {
    engine: Rc<Engine>,
    /// `None`: an answer was not waited for, or there was an error.
    rest: Option<Rest>,
    remaining_bytes: u64,
}

struct Rest {
    cursor: SnapshotCursor,
    pin: Pin,
}

impl SnapshotReader {
    /// An estimate of what is still to come, in bytes; 0 only at the end.
    pub fn remaining_bytes(&self) -> u64 {
        self.remaining_bytes
    }

    /// The next piece of at most 32 KiB; `None`: that was all.
    ///
    /// Errors: `Timeout` if nothing was asked for so long that what was pinned has been let go. Not to be read on after one,
    /// nor after a piece that was not waited for.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let mut rest = self.rest.take().ok_or(Error::Timeout)?;
            let read = self.engine.query(move |keeper| {
                keeper.touch(&rest.pin)?;
                let piece = snapshot::next_piece(keeper.store(), &mut rest.cursor, PIECE_BYTES)?;
                Ok((piece, rest))
            });
            let (piece, rest) = read.await?;
            self.remaining_bytes = rest.cursor.remaining_bytes();
            self.rest = Some(rest);
            // Where much is compacted there is nothing in a slice, and more behind it.
            if piece.as_ref().is_none_or(|piece| !piece.is_empty()) {
                return Ok(piece);
            }
        }
    }
}
