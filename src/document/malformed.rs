//! The error of bytes that are no BSON: where they break and why.
//!
//! Separate from the crate's [`Error`] because a walk over a document must not allocate to say that it ended early;
//! it becomes one, without the document's content, where it is reported.

use std::{error, fmt};

use crate::error::{Error, ErrorKind};

/// Bytes that break the rules of BSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The offset of the broken element or document, in the bytes that were walked.
    pub offset: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed BSON at byte {}: {}", self.offset, self.reason)
    }
}

impl error::Error for Malformed {}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Error::new(ErrorKind::Damaged, malformed.to_string())
    }
}
