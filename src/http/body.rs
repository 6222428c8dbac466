//! The body of a request, as a whole.

use std::io;

use super::{BodyError, chunked::Chunked, connection::Connection, limits::BUFFER_BYTES, link::Phase};

/// Memory for a body is taken as it comes: what is only announced costs nothing.
const GROWTH_BYTES_MIN: usize = 4 * BUFFER_BYTES;

impl Connection {
    /// A body of known length, at most `usize` because the caller has compared it with its bound.
    pub(super) async fn read_length(&mut self, length: usize) -> Result<Vec<u8>, BodyError> {
        let mut body = Vec::new();
        let come = self.unread().len().min(length);
        self.hold(come)?;
        body.extend_from_slice(&self.unread()[..come]);
        self.consume(come);
        self.read_into(&mut body, length - come).await?;
        Ok(body)
    }

    pub(super) async fn read_chunked(&mut self, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
        let mut body = Vec::new();
        let mut chunked = Chunked::default();
        loop {
            let piece = chunked.decode(self.unread()).map_err(|_| BodyError::Malformed)?;
            if piece.data.len() as u64 + chunked.data_ahead() > (bytes_max - body.len()) as u64 {
                return Err(BodyError::TooLarge { bytes_max });
            }
            self.hold(piece.data.len())?;
            body.extend_from_slice(&self.unread()[piece.data]);
            self.consume(piece.consumed);
            if piece.ended {
                return Ok(body);
            }
            if self.unread().is_empty() {
                self.read_more(&mut body, &mut chunked).await?;
            }
        }
    }

    /// The rest of a big chunk is read to where it stays, anything else to the input.
    async fn read_more(&mut self, body: &mut Vec<u8>, chunked: &mut Chunked) -> Result<(), BodyError> {
        match usize::try_from(chunked.data_ahead()) {
            Ok(ahead) if ahead >= BUFFER_BYTES => {
                self.read_into(body, ahead).await?;
                chunked.take(ahead as u64);
                Ok(())
            }
            _ => {
                self.enter(Phase::Body);
                self.fill().await.ok().filter(|&bytes| bytes > 0).map(drop).ok_or(BodyError::Closed)
            }
        }
    }

    /// Appends `bytes` more, none of which has come yet.
    async fn read_into(&mut self, body: &mut Vec<u8>, bytes: usize) -> Result<(), BodyError> {
        let length = body.len() + bytes;
        while body.len() < length {
            if body.len() == body.capacity() || body.capacity() == 0 {
                let step = (length - body.len()).min(body.len().max(GROWTH_BYTES_MIN));
                self.hold(step)?;
                body.reserve_exact(step);
            }
            match self.link.try_read(body) {
                Ok(0) => return Err(BodyError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.enter(Phase::Body);
                    self.link.readable().await.map_err(|_| BodyError::Closed)?;
                }
                Err(_) => return Err(BodyError::Closed),
            }
        }
        // The allocator may have given more room than was asked for.
        self.put_back(&body[length..]);
        body.truncate(length);
        Ok(())
    }
}
