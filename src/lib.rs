//! transload.

pub mod error;
