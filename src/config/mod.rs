//! Settings as written, settings as used.
