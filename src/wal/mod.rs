//! (module wal)
