//! Events over 16 MB: joined from their fragments, or reduced to what fits.
//!
//! A server fails on an event that is larger than a document may be: mostly one with the document before or after an
//! update. Newer ones (6.0.9+) cut it into fragments of whole top-level fields on request. Where there are none, or where
//! the joined event is larger than a change log takes, what makes it large is left out, and `refetch: true` says that the
//! document must be fetched from the source when the event is applied.

use transload_format::limits::MAX_DOCUMENT_LEN;

use crate::{
    document::{self, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
};

/// What makes an event large.
pub(super) const LARGE_FIELDS: [&str; 3] = ["fullDocument", "fullDocumentBeforeChange", "updateDescription"];

/// An event without what makes it large, marked for refetch.
pub(super) fn reduced(event: &[u8]) -> Vec<u8> {
    let mut reduced = RawBuilder::new();
    for element in document::elements(event).map_while(Result::ok) {
        if !LARGE_FIELDS.iter().any(|field| field.as_bytes() == element.name) {
            reduced.append(&element);
        }
    }
    reduced.bool("refetch", true).finish()
}

/// The fragments of an event that have come so far.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    fields: RawBuilder,
    next: Option<i32>,
}

impl Fragments {
    /// Forgets them: the event comes again from its first one.
    pub(super) fn clear(&mut self) {
        *self = Fragments::default();
    }

    /// Whether an event is begun.
    pub(super) fn is_inside(&self) -> bool {
        self.next.is_some()
    }

    /// Takes what the server has sent: an event that is whole comes back, a fragment with the last of its event.
    ///
    /// # Errors
    /// When fragments are not in order.
    pub(super) fn join(&mut self, sent: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(split) = document::find(sent, b"splitEvent") else {
            return match self.next {
                None => Ok(Some(sent.to_vec())),
                Some(_) => Err(disordered()),
            };
        };
        let number = |name: &[u8]| {
            let number = document::find(split.value, name).filter(|number| number.kind == kind::INT32)?;
            number.value.first_chunk().map(|bytes| i32::from_le_bytes(*bytes))
        };
        let (fragment, of) = number(b"fragment").zip(number(b"of")).ok_or_else(disordered)?;
        if fragment != self.next.unwrap_or(1) {
            return Err(disordered());
        }
        for element in document::elements(sent) {
            let element = element?;
            let is_token = element.name == b"_id";
            // The token of the last fragment is the one behind the event.
            if element.name != b"splitEvent" && (!is_token || fragment == of) {
                self.fields.append(&element);
            }
        }
        self.next = Some(fragment + 1);
        if fragment < of {
            return Ok(None);
        }
        self.next = None;
        let event = self.fields.finish();
        let fits = u32::try_from(event.len()).is_ok_and(|len| len <= MAX_DOCUMENT_LEN);
        Ok(Some(if fits { event } else { reduced(&event) }))
    }
}

fn disordered() -> Error {
    Error::new(ErrorKind::Server, "the fragments of a large change event are not in order")
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn fragments_become_one_event_with_the_last_token() {
        let mut fragments = Fragments::default();
        let first =
            rawdoc! { "_id": { "_data": "a" }, "splitEvent": { "fragment": 1, "of": 2 }, "operationType": "update" };
        let second =
            rawdoc! { "_id": { "_data": "b" }, "splitEvent": { "fragment": 2, "of": 2 }, "fullDocument": { "_id": 1 } };
        assert_eq!(fragments.join(first.as_bytes()).unwrap(), None);
        assert!(fragments.is_inside());
        let joined = rawdoc! { "operationType": "update", "_id": { "_data": "b" }, "fullDocument": { "_id": 1 } };
        assert_eq!(fragments.join(second.as_bytes()).unwrap(), Some(joined.into_bytes()));
        assert!(!fragments.is_inside());
        let whole = rawdoc! { "_id": { "_data": "c" } };
        assert_eq!(fragments.join(whole.as_bytes()).unwrap(), Some(whole.clone().into_bytes()));
        assert!(fragments.join(second.as_bytes()).is_err());
    }

    #[test]
    fn a_joined_event_that_no_log_takes_is_reduced() {
        let half = "x".repeat(9 << 20);
        let mut fragments = Fragments::default();
        let first = rawdoc! {
            "_id": { "_data": "a" }, "splitEvent": { "fragment": 1, "of": 2 }, "operationType": "update",
            "updateDescription": { "updatedFields": { "a": half.as_str() } },
        };
        let second = rawdoc! {
            "_id": { "_data": "b" }, "splitEvent": { "fragment": 2, "of": 2 }, "fullDocument": { "a": half.as_str() },
        };
        fragments.join(first.as_bytes()).unwrap();
        let joined = rawdoc! { "operationType": "update", "_id": { "_data": "b" }, "refetch": true };
        assert_eq!(fragments.join(second.as_bytes()).unwrap(), Some(joined.into_bytes()));
    }
}
