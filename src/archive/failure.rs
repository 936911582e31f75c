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

/// The same, with a word about what the file is instead of an archive of ours, as far as its first bytes tell.
pub(super) fn archive_failure_of(name: &str, first: &[u8], error: FormatError) -> Error {
    if first.is_empty() && matches!(error, FormatError::Unfinished { offset: 0, .. }) {
        return Error::new(ErrorKind::NotAnArchive, "is empty").at(name);
    }
    let is_ours = !matches!(error, FormatError::NotAnArchive);
    let error = archive_failure(name, error);
    match other_format(first) {
        Some(hint) if !is_ours => error.with_hint(hint),
        _ => error,
    }
}

/// What begins with these bytes.
fn other_format(first: &[u8]) -> Option<&'static str> {
    const MONGODUMP: [u8; 4] = [0x6d, 0xe2, 0x99, 0x81];
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    if first.starts_with(&MONGODUMP) {
        Some("it is an archive of mongodump: 'mongorestore --archive=FILE' reads it")
    } else if first.starts_with(&GZIP) {
        Some(
            "it is compressed with gzip: 'gunzip' first, or 'mongorestore --gzip --archive=FILE' if mongodump wrote it",
        )
    } else if first.starts_with(&ZSTD) {
        Some("it is compressed with zstd: 'unzstd' first")
    } else {
        None
    }
}
