//! What a server says of single documents that it did not insert.

use std::collections::HashMap;

use bson::{Bson, Document};

use super::mixed_schema;
use crate::{
    connect::command_text,
    error::{Error, ErrorKind, Result},
};

const DUPLICATE_KEY: i32 = 11000;
const REFUSED_BY_VALIDATOR: i32 = 121;

/// Why one document was not inserted.
pub(super) struct WriteError {
    pub(super) is_duplicate_id: bool,
    /// Whether a validator refused it, and certainly no index.
    is_validators: bool,
    /// Whether it is a bucket with values of several types, and its collection may have none.
    pub(super) is_mixed_schema: bool,
    pub(super) reason: String,
}

impl WriteError {
    /// The errors of a reply, by the index of their document.
    pub(super) fn all(reply: &Document, documents: usize) -> Result<HashMap<usize, WriteError>> {
        let malformed = || Error::new(ErrorKind::Server, "the server's reply names a document that was not sent");
        let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
        let one = |error: &Bson| {
            let error = error.as_document().ok_or_else(malformed)?;
            let index = error.get_i32("index").ok().and_then(|index| usize::try_from(index).ok());
            let index = index.filter(|index| *index < documents).ok_or_else(malformed)?;
            Ok((index, WriteError::new(error)))
        };
        errors.iter().map(one).collect()
    }

    fn new(error: &Document) -> Self {
        let code = error.get_i32("code").unwrap_or(0);
        let message = error.get_str("errmsg").unwrap_or_default();
        let keys = error.get_document("keyPattern").ok();
        let on_id = keys.is_none_or(|keys| keys.len() == 1 && keys.contains_key("_id"));
        let reason = match keys {
            Some(keys) if code == DUPLICATE_KEY => {
                let fields: Vec<_> = keys.keys().map(String::as_str).collect();
                format!("another document has the same key of the unique index on {}", fields.join(", "))
            }
            _ => command_text(code, error.get_str("codeName").unwrap_or_default(), message),
        };
        let is_duplicate_id = code == DUPLICATE_KEY && on_id;
        let (is_validators, is_mixed_schema) = (code == REFUSED_BY_VALIDATOR, code == mixed_schema::REFUSED);
        WriteError { is_duplicate_id, is_validators, is_mixed_schema, reason }
    }

    /// Whether the document may be taken once there are no indexes.
    pub(super) fn may_be_of_an_index(&self) -> bool {
        !self.is_duplicate_id && !self.is_validators && !self.is_mixed_schema
    }

    /// The documents of a command whose fate is known, with their errors by their new places; and those that are to be sent
    /// again, as what has refused them is no more.
    pub(super) fn apart<'a>(
        documents: Vec<&'a [u8]>,
        errors: &mut HashMap<usize, WriteError>,
        is_curable: impl Fn(&WriteError) -> bool,
    ) -> (Vec<&'a [u8]>, Vec<&'a [u8]>) {
        let (mut known, mut again, mut left) = (Vec::new(), Vec::new(), HashMap::new());
        for (index, document) in documents.into_iter().enumerate() {
            match errors.remove(&index) {
                Some(error) if is_curable(&error) => again.push(document),
                error => {
                    left.extend(error.map(|error| (known.len(), error)));
                    known.push(document);
                }
            }
        }
        *errors = left;
        (known, again)
    }
}
