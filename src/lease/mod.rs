//! When leases run out: arithmetic on a clock that is passed in.
