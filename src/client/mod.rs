//! An HTTP client of the v3 API.
