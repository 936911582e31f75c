//! transload.

pub mod batch;
pub mod catalog;
pub mod connect;
pub mod cpu;
pub mod document;
pub mod error;
pub mod extjson;
pub mod namespace;
pub mod progress;
pub mod sandbox;
pub mod scan;
pub mod selection;
