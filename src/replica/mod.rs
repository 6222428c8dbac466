//! (module replica)
