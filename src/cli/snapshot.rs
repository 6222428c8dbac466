//! `snapshot save|status|restore`.
