//! A raw insert command, built by appending documents' bytes to one buffer.
//!
//! The driver's `insert_many` copies each document three or four times, looks for `_id` in it, and cannot carry
//! `bypassEmptyTsReplacement`; a command of our own is copied once.

use bson::RawDocumentBuf;

use crate::{
    connect::Server,
    document::{RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// Bytes at which a command is sent: the size that servers take fastest.
const COMMAND_BYTES: usize = 2 * 1024 * 1024;
/// Documents at which a command is sent. Were all of them duplicates, the reply would still be far below 16 MiB.
const COMMAND_DOCUMENTS: usize = 10_000;

/// An insert command that documents are appended to.
#[derive(Debug)]
pub(super) struct InsertCommand {
    bytes: Vec<u8>,
    /// Where the array of documents begins.
    array: usize,
    /// The length of the command without documents.
    empty: usize,
    count: usize,
}

impl InsertCommand {
    pub(super) fn new(server: &Server, namespace: &Namespace, ordered: bool) -> Self {
        let mut head = RawBuilder::new();
        head.string("insert", namespace.collection()).bool("ordered", ordered).bool("bypassDocumentValidation", true);
        if server.version().keeps_empty_timestamps() {
            head.bool("bypassEmptyTsReplacement", true);
        }
        head.document("writeConcern", server.write_concern().as_bytes());
        let mut bytes = head.finish();
        // The array is the last field: its end and the command's are put on when it is sent.
        bytes.pop();
        bytes.push(kind::ARRAY);
        bytes.extend_from_slice(b"documents\0");
        let array = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        InsertCommand { empty: bytes.len(), bytes, array, count: 0 }
    }

    /// Whether `document` must wait for the next command.
    pub(super) fn is_full_before(&self, document: &[u8]) -> bool {
        self.count > 0
            && (self.bytes.len() - self.empty + document.len() > COMMAND_BYTES || self.count >= COMMAND_DOCUMENTS)
    }

    pub(super) fn push(&mut self, document: &[u8]) {
        self.bytes.push(kind::DOCUMENT);
        push_decimal(&mut self.bytes, self.count);
        self.bytes.push(0);
        self.bytes.extend_from_slice(document);
        self.count += 1;
    }

    pub(super) fn clear(&mut self) {
        self.bytes.truncate(self.empty);
        self.count = 0;
    }

    /// The command as it goes out.
    pub(super) fn finish(&self) -> Result<RawDocumentBuf> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 2);
        bytes.extend_from_slice(&self.bytes);
        bytes.extend_from_slice(&[0, 0]);
        let whole = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        let array = i32::try_from(bytes.len() - 1 - self.array).unwrap_or(i32::MAX);
        for (at, len) in [(0, whole), (self.array, array)] {
            if let Some(field) = bytes.get_mut(at..at + 4) {
                field.copy_from_slice(&len.to_le_bytes());
            }
        }
        RawDocumentBuf::from_bytes(bytes).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
    }
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
