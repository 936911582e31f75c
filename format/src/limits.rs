//! Every limit of the format: numbers read from a file are held against these before anything is allocated.

/// Bytes of the file header.
pub const FILE_HEADER_LEN: usize = 48;
/// Bytes of a block header.
pub const BLOCK_HEADER_LEN: usize = 64;
/// Bytes of the whole footer block: its header and its body.
pub const FOOTER_LEN: usize = BLOCK_HEADER_LEN + FOOTER_BODY_LEN;
/// Bytes of the footer's body.
pub const FOOTER_BODY_LEN: usize = FILE_HEADER_LEN + 28;

/// The smallest BSON document: a length and a NUL.
pub const MIN_DOCUMENT_LEN: u32 = 5;
/// The largest document or event: the server's 16 MiB, and room for what a change event adds to it.
pub const MAX_DOCUMENT_LEN: u32 = 16 * 1024 * 1024 + 64 * 1024;
/// The largest raw length of a block of documents or events, and of a record other than the index.
pub const MAX_BLOCK_LEN: u32 = 32 * 1024 * 1024;
/// The largest raw length of the index.
pub const MAX_INDEX_LEN: u32 = 256 * 1024 * 1024;
/// The largest window of a zstd frame: what decoders allow unless they are told otherwise.
pub const MAX_ZSTD_WINDOW: u64 = 128 * 1024 * 1024;
/// Bytes of one entry of the index.
pub const INDEX_ENTRY_LEN: u32 = 32;
/// The longest namespace, in bytes of UTF-8.
pub const MAX_NAMESPACE_LEN: usize = 1024;
/// The most namespaces in an archive.
pub const MAX_NAMESPACES: u32 = 1024 * 1024;
/// The most parts of a namespace.
pub const MAX_PARTS: u32 = 64 * 1024;
/// The most index specs of a collection.
pub const MAX_INDEX_SPECS: u32 = 1024;
