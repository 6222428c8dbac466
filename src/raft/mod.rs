//! (module raft)
