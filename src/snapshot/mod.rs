//! Snapshots: a store in one stream of bytes, restorable on any board.
