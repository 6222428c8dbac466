//! Puts the machine together.
