//! The files of other tools: mongodump's directories, as far as they speak of indexes.

mod file_name;
mod metadata;

pub use metadata::{FoundMetadata, MetadataFile, Rewrite, metadata_files};
