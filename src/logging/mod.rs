//! Log lines that a person reads.
