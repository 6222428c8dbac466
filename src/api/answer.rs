//! The answer to a unary call, which is one JSON object: small ones whole, large ones in slices.
//!
//! What fits in a slice is sent with its length. Of the rest nobody knows the length before the end, so that it goes out
//! in chunks; once it has begun, it cannot become an error any more, and a connection that is cut says that it is not whole.

use super::errors::{Fault, Refusal, status};
use crate::{
    http::{Closed, Exchange, Head},
    rpc::{self, Value},
};

/// What is collected before it is sent. The store's slices are as large.
const SLICE_BYTES: usize = 64 << 10;

/// The largest answer that is collected whole, for a WebSocket message.
const WHOLE_BYTES_MAX: usize = 4 << 20;

pub(super) const JSON: Head<'static> = Head {
    status: status::OK,
    content_type: "application/json",
    headers: &[("Grpc-Metadata-Content-Type", "application/grpc")],
};

/// A good answer being written.
pub(super) struct Answer<'w, 'x> {
    pub(super) out: Vec<u8>,
    /// `None`: it is to be one message of a WebSocket.
    exchange: Option<&'w mut Exchange<'x>>,
    begun: bool,
}

impl<'w, 'x> Answer<'w, 'x> {
    pub(super) fn new(exchange: Option<&'w mut Exchange<'x>>) -> Answer<'w, 'x> {
        Answer { out: Vec::with_capacity(256), exchange, begun: false }
    }

    pub(super) fn message(&mut self, message: &impl Value) {
        rpc::encode_into(message, &mut self.out);
    }

    /// To be called now and then while much is written: sends what there is, if it is enough.
    pub(super) async fn spill(&mut self) -> Result<(), Fault> {
        if self.out.len() < SLICE_BYTES {
            return Ok(());
        }
        let Some(exchange) = &mut self.exchange else {
            let too_large = self.out.len() > WHOLE_BYTES_MAX;
            return if too_large { Err(Refusal::ANSWER_TOO_LARGE.into()) } else { Ok(()) };
        };
        if !self.begun {
            self.begun = true;
            exchange.start(JSON).await?;
        }
        // As long as nobody asks, nobody who is too slow is cut: so before it is sent, too.
        exchange.room().wait().await;
        exchange.chunk(&self.out).await?;
        self.out.clear();
        exchange.room().wait().await;
        Ok(())
    }

    /// Sends the rest over HTTP, or the refusal if nothing was sent yet.
    pub(super) async fn conclude(self, result: Result<(), Fault>) -> Result<(), Closed> {
        let Some(exchange) = self.exchange else { return Ok(()) };
        match result {
            Ok(()) if self.begun => {
                exchange.chunk(&self.out).await?;
                exchange.finish().await
            }
            Ok(()) => exchange.reply(JSON, &self.out).await,
            Err(Fault::Refused(refusal)) if !self.begun => refuse(exchange, &refusal).await,
            Err(Fault::Refused(_) | Fault::Closed) => Err(Closed),
        }
    }
}

/// Refuses a unary call.
pub(super) async fn refuse(exchange: &mut Exchange<'_>, refusal: &Refusal) -> Result<(), Closed> {
    let head = Head { status: refusal.status(), content_type: "application/json", headers: &[] };
    exchange.reply(head, &refusal.body()).await
}
