//! Watch: tells clients what changed, in revision order, without gaps.
