//! Batches of documents to and from archives on disk.

mod failure;
mod output;
mod ring;
mod sink;
mod source;
mod synced;
mod unfinished;

pub use crate::batch::{Batch, Budget, Permit};
pub use failure::archive_failure;
pub use output::{Destination, Output, partial_name};
pub use ring::Ring;
pub(crate) use sink::new_id;
pub use sink::{Cut, Sink, Written};
pub use source::{ArchiveFile, PendingBatch, Streamed, stream};
pub use synced::SyncedFile;
pub(crate) use unfinished::{GrowingFile, Growth, Unfinished};
