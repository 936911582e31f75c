//! transload.

pub mod archive;
pub mod batch;
pub mod catalog;
pub mod cli;
pub mod connect;
pub mod cpu;
pub mod demo;
pub mod document;
pub mod dump;
pub mod error;
pub mod extjson;
pub mod inspect;
pub mod load;
pub mod namespace;
pub mod progress;
pub mod report;
pub mod restore;
pub mod sandbox;
pub mod scan;
pub mod selection;
pub mod shop;
pub mod verify;
