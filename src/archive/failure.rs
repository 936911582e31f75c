//! What is wrong with an archive, in this crate's words, with the remedy.

use transload_format::Error as FormatError;

use crate::error::{Error, ErrorKind};

/// An error of the format crate about the archive called `name`.
pub fn archive_failure(name: &str, error: FormatError) -> Error {
    let message = error.to_string();
    let translated = match error {
        FormatError::Io(io) => return Error::io(name, io),
        FormatError::NotAnArchive => Error::new(ErrorKind::NotAnArchive, message)
            .with_hint("transload reads the archives that 'transload dump' writes"),
        FormatError::NewerVersion(_) => Error::new(ErrorKind::NewerVersion, message)
            .with_hint("use the version of transload that wrote it, or a later one"),
        FormatError::Unfinished { .. } => Error::new(ErrorKind::Unfinished, message)
            .with_hint("its dump was interrupted: take it again, or salvage the whole blocks with 'transload recover'"),
        FormatError::Damaged { .. } => Error::new(ErrorKind::Damaged, message)
            .with_hint("the other blocks can be salvaged with 'transload recover'"),
        _ => Error::new(ErrorKind::Internal, message),
    };
    translated.at(name)
}
