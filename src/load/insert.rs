//! A raw insert command, built by appending documents' bytes to one buffer.
//!
//! The driver's `insert_many` copies each document three or four times, looks for `_id` in it, and cannot carry
//! `bypassEmptyTsReplacement`; a command of our own is copied once.

use bson::RawDocumentBuf;

use super::Target;
use crate::{
    document::{RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    rate::Amount,
};

/// At how much a command is sent: at the bytes that servers take fastest, or so many documents that the reply would still
/// be far below 16 MiB if all of them were duplicates.
pub(super) const MOST: Amount = Amount { documents: 10_000, bytes: 2 * 1024 * 1024 };
/// More than an element's type byte, name and end take.
const AROUND_ELEMENT: usize = 8;

/// The command that inserts these documents, with or without the validator of their collection.
pub(super) fn command(target: &Target, bypass: bool, documents: &[&[u8]]) -> Result<RawDocumentBuf> {
    let server = &target.server;
    let mut head = RawBuilder::new();
    head.string("insert", target.namespace.collection()).bool("ordered", target.ordered);
    if bypass {
        head.bool("bypassDocumentValidation", true);
    }
    if server.version().keeps_empty_timestamps() {
        head.bool("bypassEmptyTsReplacement", true);
    }
    head.document("writeConcern", server.write_concern().as_bytes());
    let mut bytes = head.finish();
    let room = documents.iter().map(|document| document.len() + AROUND_ELEMENT).sum::<usize>();
    bytes.reserve_exact(room + AROUND_ELEMENT * 4);
    // The array is the last field: before the command's end comes its own.
    bytes.pop();
    bytes.push(kind::ARRAY);
    bytes.extend_from_slice(b"documents\0");
    let array = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    for (number, document) in documents.iter().enumerate() {
        bytes.push(kind::DOCUMENT);
        push_decimal(&mut bytes, number);
        bytes.push(0);
        bytes.extend_from_slice(document);
    }
    bytes.extend_from_slice(&[0, 0]);
    let whole = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    let inner = i32::try_from(bytes.len() - 1 - array).unwrap_or(i32::MAX);
    for (at, len) in [(0, whole), (array, inner)] {
        if let Some(field) = bytes.get_mut(at..at + 4) {
            field.copy_from_slice(&len.to_le_bytes());
        }
    }
    RawDocumentBuf::from_bytes(bytes).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
}

/// The index of a document, as the key of its array element.
fn push_decimal(bytes: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        push_decimal(bytes, number / 10);
    }
    bytes.push(b"0123456789".get(number % 10).copied().unwrap_or(b'0'));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_keys_are_decimal() {
        let decimal = |number| {
            let mut bytes = Vec::new();
            push_decimal(&mut bytes, number);
            String::from_utf8(bytes).unwrap()
        };
        for number in [0, 1, 9, 10, 99, 100, 12_345] {
            assert_eq!(decimal(number), number.to_string());
        }
    }
}
