//! Snapshots: all of a store as one stream of bytes, the same on every board, to be kept in a file.
//!
//! ```text
//!   store --begin, next_piece--> stream .. sha256 = file --verify--> summary
//!                                                     \--restore--> data directory
//!   data directory --save_offline--> file
//!
//!   file     | "SolderSn" | version | block | block | .. | sha256 of all before |
//!            | 8          | 4       |               | .. | 32                   |
//!
//!   block    | kind | length | crc32 | items ..             |
//!            | 1    | 4      | 4     | length bytes         |
//!
//!   kind 1   head      one item: cluster, applied entry, revision, compacted revision, state hash, membership, alarms
//!        2   members   each: id, what its operator told of it
//!        3   leases    each: id, time to live, what was left of it at the last checkpoint
//!        4   records   each: one change of a key, in the order of revisions
//!        5   end       one item: how many members, leases and records there were
//! ```
//!
//! Kinds come in this order; what there is none of has no block. Fixed numbers are little-endian. Items are postcard: no
//! number in it has a word's size. The crc goes on from block to block, over kind, length and items, and begins with magic and
//! version: a block that is missing, doubled or of another file does not fit. A block is closed with the item that brings
//! it to 32 KiB, so that equal states make equal bytes.
//!
//! An empty store's file begins `53 6f 6c 64 65 72 53 6e  01 00 00 00  01 ..`, and whole ones stand in
//! `tests/data/*/snapshot`.
//!
//! - A snapshot is the state as of one applied entry, exactly, whatever is written and compacted while it is read.
//! - The stream is all but the sha256, which whoever sends it says last, as etcd does. A file that holds what came, in order,
//!   is complete, and knows by itself whether it is.
//! - Nobody holds more of it in memory than a block, and the leases.
//! - What compaction took is not in it, what removal has not got to is not either.
//! - No key is in it, but for what stands in the store. The cluster's authority is in a file beside it, if somebody asks for that
//!   (`peer::AuthorityCopy`); builds that do not know it take no notice.
//!
//! Here you will not find: sockets, threads, who may have one, what stands in a data directory beside log and database.

mod error;
mod format;
mod offline;
mod read;
mod restore;
mod write;

pub use error::SnapshotError;
pub use format::{Head, VERSION};
pub use offline::{NewFile, save_offline};
pub use read::{Block, Reader, Summary, members, verify};
pub use restore::{RestoreOptions, Restored, make_log, restore};
pub use write::{SnapshotCursor, estimate_bytes, next_piece};
