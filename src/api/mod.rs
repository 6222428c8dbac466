//! The doors: the v3 gateway, `/kv`, and the pages beside them.
