//! The log on disk: what must not be forgotten is here before anybody says so.
//!
//! ```text
//!   records --write--> batch, whole blocks --sync--> durable --release--> reused
//!
//!   a segment, one file of a fixed size:
//!   | block 0 | block 1 | block 2 ..                                          |
//!   | header  | header  | batch 17   | batch 18 | batch 19 ..  | zeros, or    |
//!   |         | again   | 2 blocks   | 1 block  |              | an older life|
//!
//!   a batch, what one sync covers:
//!   | 40 bytes | records             | zeros to the end of the block |
//!   | header   | len, postcard | ..  |                               |
//! ```
//!
//! One record of 200 bytes, alone, as batch 17 in segment 3, is one block: 40 bytes of header (`header.rs` and `batch.rs`
//! draw the fields), 4 bytes of length, the record, about 3850 zeros. It is written once and synced once.
//!
//! What holds:
//! 1. Batches are whole blocks and never rewritten: a torn block takes nothing with it that had been synced.
//! 2. Batch n+1 is written only after the sync of n returned: whatever is behind a bad batch proves that it was durable.
//! 3. A segment's header is durable before its first batch, and stands there twice.
//! 4. Files are filled with zeros once and then overwritten: a sync moves data, and no extents or sizes.
//! 5. Numbers of segments and batches never repeat in what is acknowledged, and every life of a segment has its own random
//!    seed for its checksums: what an older life left behind never passes for this one.
//! 6. Only the last batch can be torn. It is cut, with a warning; any other damage is an error that names file and offset.
//! 7. After a failed write or sync nothing works: the process must end.
//! 8. A segment is reused when the store durably holds all that came before the next one. Its successor's header repeats
//!    what is then needed: the preceding entry's id and the hard state.
//!
//! What one board cannot know: whether its last batch was torn before it was synced or damaged after, and whether its newest
//! segment was taken away whole. A cluster knows; a single board has the warning, or an older end.
//!
//! Memory: what one `write` is given, once more as bytes; at boot the entries that the store does not have.
//!
//! Here you will not find: threads, clocks, decisions. One thread calls, and waits.

mod batch;
mod directory;
mod disk;
mod error;
mod format;
mod header;
mod inspect;
mod log;
mod record;
mod recovery;
mod replay;
mod ring;
mod salvage;
mod scan;
mod survey;
mod text;
#[cfg(feature = "testing")]
mod twin;

pub use batch::BatchHeader;
pub use directory::Directory;
pub use disk::{Disk, Slot};
pub use error::WalError;
pub use format::{BATCHES_AT, BLOCK, VERSION};
pub use header::Header;
pub use inspect::{Found, Inspector, Summary};
pub use log::{Options, Wal};
pub use record::Record;
pub use recovery::{Known, Recovered, RepairedHeader, TornTail, peek};
pub use ring::{SLOTS_MAX, SPARES_MAX};
pub use salvage::Plan;
#[cfg(feature = "testing")]
pub use twin::{Counts, Faults, Twin};
