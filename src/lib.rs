//! transload.

pub mod archive;
pub mod batch;
pub mod catalog;
pub mod connect;
pub mod cpu;
pub mod document;
pub mod dump;
pub mod error;
pub mod extjson;
pub mod load;
pub mod namespace;
pub mod progress;
pub mod report;
pub mod restore;
pub mod sandbox;
pub mod scan;
pub mod selection;
pub mod shop;
