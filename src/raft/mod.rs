//! Raft: which entry stands where in the log, once and for all.

mod message;
mod node;
mod options;
mod ready;

pub use message::{Envelope, Message, Refusal};
pub use node::{Node, Role, Status};
pub use options::{Options, Restored};
pub use ready::{Persist, ReadReady, Ready, Refused, Ticket};
