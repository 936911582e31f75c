//! transload.

pub mod document;
pub mod error;
pub mod extjson;
pub mod namespace;
pub mod selection;
pub mod shop;
