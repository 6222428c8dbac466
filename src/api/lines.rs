//! A stream of messages: over HTTP a chunked answer of one line each, over a WebSocket one text frame each.
//!
//! Holds nothing while it waits.

use super::{answer::JSON, errors::Refusal};
use crate::http::{Closed, Exchange, Head, Room, WebSocket};

pub(super) struct Lines<'w, 'x> {
    wire: Wire<'w, 'x>,
    begun: bool,
}

/// Where in its message a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    First,
    Middle,
    Last,
}

enum Wire<'w, 'x> {
    Http(&'w mut Exchange<'x>),
    Socket(WebSocket<'w>),
}

impl<'w, 'x> Lines<'w, 'x> {
    pub(super) fn http(exchange: &'w mut Exchange<'x>) -> Lines<'w, 'x> {
        Lines { wire: Wire::Http(exchange), begun: false }
    }

    pub(super) fn socket(socket: WebSocket<'w>) -> Lines<'w, 'x> {
        Lines { wire: Wire::Socket(socket), begun: false }
    }

    /// Sends one message. The answer's head goes with the first.
    pub(super) async fn send(&mut self, mut line: Vec<u8>) -> Result<(), Closed> {
        match &mut self.wire {
            Wire::Http(exchange) => {
                if !self.begun {
                    self.begun = true;
                    exchange.start(JSON).await?;
                }
                line.push(b'\n');
                exchange.chunk(&line).await
            }
            Wire::Socket(socket) => socket.send(as_text(&line)).await,
        }
    }

    /// Sends part of a message, cut between two characters. All parts of one follow each other, and nothing is sent in
    /// between.
    pub(super) async fn part(&mut self, bytes: Vec<u8>, place: Place) -> Result<(), Closed> {
        match &mut self.wire {
            Wire::Http(_) if place == Place::Last => self.send(bytes).await,
            Wire::Http(exchange) => {
                if !self.begun {
                    self.begun = true;
                    exchange.start(JSON).await?;
                }
                exchange.chunk(&bytes).await
            }
            Wire::Socket(socket) => {
                socket.send_part(bytes, place == Place::First, place == Place::Last).await
            }
        }
    }

    /// To be asked before a large message is made.
    pub(super) fn room(&self) -> Room {
        match &self.wire {
            Wire::Http(exchange) => exchange.room(),
            Wire::Socket(socket) => socket.room(),
        }
    }

    /// What the client says next; `None`: nothing more. Over HTTP it has said all before the answer, so that this tells
    /// when it is gone, or the server stops. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Result<Option<Vec<u8>>, Closed> {
        match &mut self.wire {
            Wire::Http(exchange) => {
                exchange.closed().await;
                Ok(None)
            }
            Wire::Socket(socket) => socket.receive().await,
        }
    }

    /// The next document of a stream whose requests can have an end.
    pub(super) async fn receive_more(&mut self) -> Result<Option<Vec<u8>>, Closed> {
        match &mut self.wire {
            Wire::Http(_) => Ok(None),
            Wire::Socket(socket) => socket.receive().await,
        }
    }

    /// Ends the stream in order.
    pub(super) async fn end(mut self) -> Result<(), Closed> {
        match &mut self.wire {
            Wire::Http(exchange) => {
                if !self.begun {
                    exchange.start(JSON).await?;
                }
                exchange.finish().await
            }
            Wire::Socket(socket) => socket.close().await,
        }
    }

    /// Ends it with a refusal: as the answer if there was none yet, as the last message otherwise.
    pub(super) async fn fail(mut self, refusal: &Refusal) -> Result<(), Closed> {
        match &mut self.wire {
            Wire::Http(exchange) if !self.begun => {
                let mut line = refusal.line();
                line.push(b'\n');
                let head = Head { status: refusal.status(), content_type: "application/json", headers: &[] };
                exchange.reply(head, &line).await
            }
            _ => {
                self.send(refusal.line()).await?;
                self.end().await
            }
        }
    }
}

/// For a text frame.
pub(super) fn as_text(json: &[u8]) -> &str {
    std::str::from_utf8(json).expect("JSON was written from text and base64")
}
