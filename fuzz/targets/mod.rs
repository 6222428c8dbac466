//! What must hold of bytes from outside, whatever they are. Shared by the fuzz targets and `tests/fuzz`.
//!
//! A target panics if what it looks at panics, or contradicts itself.

mod disk;
mod http;
mod json;
mod peer;
mod raft;
mod txn;

use solder::types::Command;

pub use self::{
    disk::{snapshot_stream, wal_records},
    http::{http_chunked, http_head},
    json::json_bodies,
    peer::{peer_frames, peer_greeting},
    raft::raft_step,
    txn::txn_text,
};

pub type Target = fn(&[u8]);

/// All, with the names of their corpora.
#[allow(dead_code, reason = "a single fuzz target asks for itself alone")]
pub const ALL: [(&str, Target); 10] = [
    ("http_head", http_head),
    ("http_chunked", http_chunked),
    ("json_bodies", json_bodies),
    ("wal_records", wal_records),
    ("snapshot_stream", snapshot_stream),
    ("command_decode", command_decode),
    ("peer_greeting", peer_greeting),
    ("peer_frames", peer_frames),
    ("raft_step", raft_step),
    ("txn_text", txn_text),
];

/// What is read is written in a form that is read again as the same.
pub fn command_decode(data: &[u8]) {
    if let Ok(command) = Command::decode(data) {
        assert_eq!(Command::decode(&command.encode()).as_ref(), Ok(&command));
    }
}
