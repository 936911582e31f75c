//! The transload archive format: whole BSON documents in blocks that are compressed, checksummed and readable alone.
//!
//! `SPEC.md` beside this crate is the norm; this crate is one implementation of it, pure and synchronous: bytes in,
//! bytes out. It knows no network, no clock, no log, and of BSON only that a document begins with its length and ends
//! with a NUL. No input makes it panic, and no number of an input makes it allocate before it has passed a checksum
//! and a [limit](limits).
//!
//! - [`PackedBlock::pack`] compresses documents, on any thread; [`Writer`] puts blocks and [`Record`]s into a file.
//! - [`Reader`] opens a finished archive by its tail and reads any block; [`StoredBlock::unpack`] decompresses it.
//! - [`Scanner`] reads front to back from pushed bytes; [`Salvager`] does so in spite of damage; [`Walker`] follows a
//!   file that grows.
//! - [`Contents`] is what all of them agree an archive holds.

#![forbid(unsafe_code)]

mod block;
mod codec;
mod contents;
mod digest;
mod error;
mod footer;
mod framer;
mod header;
mod index;
pub mod limits;
mod read_at;
mod reader;
mod record;
mod record_type;
mod salvage;
mod scanner;
mod survey;
mod walker;
mod wire;
mod writer;

pub use block::{BlockHeader, Kind, PackedBlock, ProvenBlock, Step, StoredBlock, Subject};
pub use codec::{Codec, CodecId, Compressor};
pub use contents::{BlockEntry, Contents, Namespace, Part};
pub use digest::{Documents, Tally, document_digest};
pub use error::{Error, Fault, Newer, Place, Problem, Result};
pub use header::{ArchiveId, Features, FileHeader, MAGIC, VERSION};
pub use read_at::ReadAt;
pub use reader::Reader;
pub use record::{
    Checkpoint, Collection, CollectionType, NamespaceFinished, Origin, PartBegun, PartFinished, Record, Totals,
};
pub use salvage::{Found, Salvager};
pub use scanner::{Event, Scanner};
pub use walker::{Cursor, Walker};
pub use writer::{Finished, Writer};
