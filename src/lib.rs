//! transload.

pub mod batch;
pub mod connect;
pub mod cpu;
pub mod document;
pub mod error;
pub mod extjson;
pub mod namespace;
pub mod progress;
pub mod sandbox;
pub mod selection;
