//! Puts the machine together.

pub mod notify;
