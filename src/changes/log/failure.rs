//! What can be wrong with a change log, with the remedy: other than an archive's, its last segment may be unfinished.

use std::path::Path;

use transload_format::Error as FormatError;

use crate::error::{Error, ErrorKind};

const ANEW: &str = "what stands before it can be used; for the rest take a new copy with a new change log";

/// An error of the format crate about the segment at `path`.
pub(super) fn segment_failure(path: &Path, error: FormatError) -> Error {
    let message = error.to_string();
    let translated = match error {
        FormatError::Io(io) => return Error::io(path, io),
        FormatError::NotAnArchive => {
            Error::new(ErrorKind::NotAnArchive, "is not a segment of a change log, as its name says").with_hint(ANEW)
        }
        FormatError::NewerVersion(_) => Error::new(ErrorKind::NewerVersion, message)
            .with_hint("use the version of transload that wrote it, or a later one"),
        FormatError::Unfinished { .. } if path.extension().is_some_and(|extension| extension == "partial") => {
            Error::new(ErrorKind::Damaged, "ends before its first checkpoint").with_hint(ANEW)
        }
        FormatError::Unfinished { .. } => {
            Error::new(ErrorKind::Damaged, format!("has the name of a finished segment, but is {message}"))
                .with_hint(ANEW)
        }
        FormatError::Damaged { .. } => Error::new(ErrorKind::Damaged, message).with_hint(ANEW),
        _ => Error::new(ErrorKind::Internal, message),
    };
    translated.at(path.display().to_string())
}

/// A segment that breaks a rule of change logs.
pub(super) fn damaged(path: &Path, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Damaged, message).at(path.display().to_string()).with_hint(ANEW)
}
