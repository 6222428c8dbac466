//! What several floors ask of the system in the same way.

mod files;
mod sockets;

pub use self::{files::owner_only, sockets::listen};
