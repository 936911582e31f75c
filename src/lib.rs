//! transload.

pub mod document;
pub mod error;
