//! The transload archive format.
