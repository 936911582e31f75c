//! transload.

pub mod error;
pub mod sandbox;
