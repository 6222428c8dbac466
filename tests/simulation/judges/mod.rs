//! Judges: what must be true of a run, told apart from what ran.
//!
//! ```text
//!   clients ---------> History ----+
//!                                  +--> linearizable::judge       at the end
//!   members' history -> Truth -----+
//!                         +----------> watches::Watcher           at every delivery
//!   raft, after steps --------------> raft_safety::Safety         after every step
//!   disks, and what is said --------> promises::Promises          at every message
//!   members, faults over -----------> progress::Deadline          while waiting
//!   who votes, and who is there ----> roles::step, Roles          at each change by autopilot, and at the end
//! ```
//!
//! A judge is told and says no: `Err` holds the reason. It knows the words of `solder::types` and nothing of how the
//! parts work, so that it cannot share their mistakes. No judge may ever refuse what is legal; what one cannot see is
//! said at its head.
//!
//! Here you will not find: raft, wal, store, chance, clocks. Time is whatever number the caller counts.

pub mod history;
pub mod linearizable;
pub mod progress;
pub mod promises;
pub mod raft_safety;
pub mod roles;
pub mod truth;
pub mod watches;

/// `Err` is the reason why the run is wrong.
pub type Verdict = Result<(), String>;
