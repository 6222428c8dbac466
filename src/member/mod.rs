//! A running member: `replica` with its log, its store, its clock and those who watch it.
//!
//! ```text
//!    main thread                                      wal thread      append, sync
//!   +------------------------------------------+ ---> store thread    apply, read
//!   | doors --> Member --> engine --> Replica  |      flush thread    LMDB
//!   |             ^          |  lessor, hub    | <--- all that they report, in one inbox
//!   +-------------|----------+-----------------+
//!                 answers
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `bootstrap` | what a board without data may become |
//! | `open`, `directory`, `options` | from a data directory to a running member |
//! | `engine` | the loop: what has come in, what is to be done |
//! | `log_thread`, `gather`, `store_thread`, `flush_thread`, `threads` | who blocks, and on what |
//! | `mailbox`, `inbox`, `reply` | how threads are told, and tell |
//! | `news` | what the store tells watchers |
//! | `roll` | who the members are |
//! | `questions` | what only the leader knows |
//! | `digests` | whether all hold the same |
//! | `advice` | which time-outs would suit |
//! | `range`, `pins`, `quota`, `compactor`, `figures`, `pulse` | what their names say |
//! | `watches`, `leases`, `snapshots`, `members`, `requests` | what doors can ask for |
//! | `restore`, `refound`, `defragment` | what is done while nobody serves |
//!
//! - Nothing is acknowledged that the log has not synced; after a failed sync nothing is acknowledged at all.
//! - Nothing on the main thread waits for a disk.
//! - Memory is bounded by `Options`, whatever clients do.
//!
//! Here you will not find: sockets, HTTP, who may do what.

mod advice;
mod authority;
mod bootstrap;
mod compactor;
mod core;
mod defragment;
mod digests;
mod directory;
mod drawn;
mod engine;
mod figures;
mod flush_thread;
mod forming;
mod gather;
mod hardware;
mod inbox;
mod invitations;
mod leases;
mod log_thread;
mod mailbox;
mod members;
mod mover;
mod news;
mod open;
mod options;
mod owed;
mod parts;
mod pins;
mod place;
mod pulse;
mod questions;
mod quota;
mod range;
mod reception;
mod refound;
mod renewal;
mod reply;
mod requests;
mod restore;
mod roll;
mod settings;
mod snapshots;
mod store_thread;
mod threads;
mod tokens;
mod watches;

use std::rc::Rc;

use crate::types::{AlarmKind, ClusterId, NodeId, Outcome, Revision, Term};

use self::{engine::Engine, pins::Pin};

pub use crate::peer::{AuthorityCopy, PeerFigures};

#[cfg(feature = "testing")]
pub use self::open::open_on;
pub use self::{
    bootstrap::{check_founding, has_data, join},
    core::BEAT_EVERY,
    defragment::defragment,
    directory::cluster,
    drawn::draw,
    engine::Failure,
    figures::{DiskTimes, Figures},
    hardware::Hardware,
    invitations::{Autopilot, Invitation, InviteError, Invited, Invitee, Reach},
    leases::TimeToLive,
    members::is_peer_url,
    open::{Claim, OpenError, Opened, claim, open, tls_dir},
    options::{AutoCompaction, Formation, Members, Options, REQUEST_TIMEOUT, Start},
    place::{address_of_neighbour, address_outward, address_towards, can_be_told, places_by_name},
    pulse::Pulse,
    range::RangeReader,
    renewal::RenewalError,
    restore::{Restoring, restore},
    settings::{ClusterSettings, ClusterSettingsChange, MemberRole},
    snapshots::SnapshotReader,
    tokens::Role,
    watches::{WatchEvent, WatchId, WatchMessage, WatchNews, WatchRequest, WatchStream},
};

/// What doors see of the running member. A handle, cheap to clone, that stays on the main thread.
#[derive(Clone)]
pub struct Member {
    engine: Rc<Engine>,
}

/// What stands in every answer.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub cluster: ClusterId,
    pub member: NodeId,
    /// The newest that is applied here.
    pub revision: Revision,
    pub term: Term,
}

/// What came of a command. As long as it lives, the places in history that `outcome` names stay readable (but no longer than
/// a minute, if nobody reads them).
pub struct Applied {
    pub outcome: Outcome,
    /// Shared by all that were applied together.
    _pin: Option<Rc<Pin>>,
}

/// What an operator told of a member.
#[derive(Clone, Debug, Default)]
pub struct MemberInfo {
    pub id: NodeId,
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    pub is_learner: bool,
}

pub struct Status {
    pub db_size_bytes: u64,
    pub db_in_use_bytes: u64,
    pub quota_bytes: u64,
    pub leader: Option<NodeId>,
    pub raft_index: u64,
    pub applied_index: u64,
    pub term: Term,
    pub is_learner: bool,
    pub alarms: Vec<(NodeId, AlarmKind)>,
    /// What a person should know: transfers under way, time-outs that do not suit.
    pub notes: Vec<String>,
}
