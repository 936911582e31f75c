//! What can be wrong with an archive, told apart by what a reader can do about it.

use std::{fmt, io};

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an archive could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first bytes are not an archive's.
    #[error("not a transload archive: it does not begin with the archive's signature")]
    NotAnArchive,
    /// The archive needs a newer reader.
    #[error("needs a newer version of this program: {0}")]
    NewerVersion(Newer),
    /// The archive ends before its footer, and everything up to there is as written.
    #[error("unfinished: it ends after {blocks} whole blocks with {documents} documents, before its footer")]
    Unfinished {
        /// Whole blocks before the end.
        blocks: u64,
        /// Documents in those blocks.
        documents: u64,
        /// Bytes up to the end of the last whole block.
        offset: u64,
    },
    /// The archive's bytes are not what was written.
    #[error("{place}: {problem}")]
    Damaged {
        /// Where.
        place: Place,
        /// What is wrong there.
        problem: Problem,
    },
    /// The writer was asked for something that the format forbids.
    #[error("cannot be written: {0}")]
    Refused(String),
    /// The operating system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    pub(crate) fn damaged(place: Place, problem: Problem) -> Self {
        Error::Damaged { place, problem }
    }
}

/// What of an archive only a newer reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Newer {
    /// The format's version.
    Version(u16),
    /// A feature bit that a reader must know.
    Feature(u32),
    /// A record type that must not be skipped.
    Record(u8),
    /// A kind of block.
    Kind(u8),
    /// A codec.
    Codec(u8),
}

impl fmt::Display for Newer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Newer::Version(version) => write!(f, "format version {version}, this one reads up to {}", crate::VERSION),
            Newer::Feature(bits) => write!(f, "unknown feature bits {bits:#010x}"),
            Newer::Record(kind) => write!(f, "unknown record type {kind}"),
            Newer::Kind(kind) => write!(f, "unknown block kind {kind}"),
            Newer::Codec(codec) => write!(f, "unknown codec {codec}"),
        }
    }
}

/// Why bytes are not accepted, before it is known where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They are damaged.
    Damaged(Problem),
    /// They are whole, and mean something that this version does not know.
    Newer(Newer),
}

impl Fault {
    pub(crate) fn at(self, place: Place) -> Error {
        match self {
            Fault::Damaged(problem) => Error::damaged(place, problem),
            Fault::Newer(newer) => Error::NewerVersion(newer),
        }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Fault::Damaged(problem)
    }
}

impl From<Newer> for Fault {
    fn from(newer: Newer) -> Self {
        Fault::Newer(newer)
    }
}

/// Where in an archive something is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The file header.
    FileHeader,
    /// A block, by its sequence number and the offset of its header.
    Block {
        /// Its sequence number: the one it has, or the one it should have if its header cannot be believed.
        sequence: u64,
        /// The offset of its first byte.
        offset: u64,
        /// The name of its namespace, where that is known.
        namespace: Option<String>,
    },
    /// The end of the file, from this offset.
    Tail(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::FileHeader => f.write_str("file header"),
            Place::Block { sequence, offset, namespace: None } => write!(f, "block {sequence} at offset {offset}"),
            Place::Block { sequence, offset, namespace: Some(name) } => {
                write!(f, "block {sequence} at offset {offset} ({name})")
            }
            Place::Tail(offset) => write!(f, "offset {offset}"),
        }
    }
}

/// What is wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A checksum does not match: of what, as written, as computed.
    Checksum {
        /// What the checksum covers.
        of: &'static str,
        /// The one in the file.
        expected: u32,
        /// The one of the bytes.
        found: u32,
    },
    /// No block begins where one must.
    NoBlock,
    /// A block belongs to another archive.
    ForeignBlock,
    /// A number is above the format's limit.
    TooLarge {
        /// What it counts.
        what: &'static str,
        /// The number.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Two things that must be equal are not.
    Mismatch {
        /// What they are.
        what: &'static str,
        /// What stands elsewhere in the archive, or follows from it.
        expected: u64,
        /// What stands here.
        found: u64,
    },
    /// The bytes break a rule of the format.
    Invalid(&'static str),
    /// Bytes after the footer.
    TrailingBytes,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Checksum { of, expected, found } => {
                write!(f, "checksum mismatch of {of}, stored {expected:08x}, computed {found:08x}")
            }
            Problem::NoBlock => f.write_str("no block begins here"),
            Problem::ForeignBlock => f.write_str("the block belongs to another archive"),
            Problem::TooLarge { what, found, limit } => write!(f, "{what} is {found}, above the limit of {limit}"),
            Problem::Mismatch { what, expected, found } => write!(f, "{what}: expected {expected}, found {found}"),
            Problem::Invalid(rule) => f.write_str(rule),
            Problem::TrailingBytes => f.write_str("more bytes after the end of the archive"),
        }
    }
}
