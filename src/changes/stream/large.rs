//! Events over 16 MB: joined from their fragments, or reduced to what fits.
//!
//! A server fails on an event that is larger than a document may be: mostly one with the document before or after an
//! update. Newer ones (6.0.9+) cut it into fragments of whole top-level fields on request. Where there are none, or where
//! the joined event is larger than a change log takes, as little is left out as can be: what changed before the document
//! as it is now. `refetch: true` then says that the document must be fetched from the source when the event is applied,
//! unless the one that came with it will do.

use transload_format::limits::MAX_DOCUMENT_LEN;

use crate::{
    document::{self, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
};

/// What makes an event large, in the order in which it is left out.
pub(super) const LARGE_FIELDS: [&str; 3] = ["fullDocumentBeforeChange", "updateDescription", "fullDocument"];

/// An event without so much of what makes it large that a log takes it; marked for refetch if it does not tell any more
/// what happened.
pub(super) fn reduced(event: &[u8]) -> Vec<u8> {
    let without = |fields: &[&str]| {
        let mut reduced = RawBuilder::new();
        for element in document::elements(event).map_while(Result::ok) {
            if !fields.iter().any(|field| field.as_bytes() == element.name) {
                reduced.append(&element);
            }
        }
        reduced
    };
    let mut counts = 0..LARGE_FIELDS.len();
    let fitting = counts.find_map(|count| {
        let reduced = without(LARGE_FIELDS.get(..count)?).finish();
        fits(&reduced).then_some(reduced)
    });
    match fitting {
        Some(event) if tells_all(&event) => event,
        Some(event) => marked(&event),
        None => marked(&without(&LARGE_FIELDS).finish()),
    }
}

fn marked(event: &[u8]) -> Vec<u8> {
    let mut marked = RawBuilder::new();
    for element in document::elements(event).map_while(Result::ok) {
        marked.append(&element);
    }
    marked.bool("refetch", true).finish()
}

fn fits(event: &[u8]) -> bool {
    u32::try_from(event.len()).is_ok_and(|len| len <= MAX_DOCUMENT_LEN)
}

/// Whether an event has what its operation needs.
fn tells_all(event: &[u8]) -> bool {
    let has = |field: &[u8]| document::find(event, field).is_some();
    match document::find(event, b"operationType").and_then(|operation| operation.string()) {
        Some(b"insert" | b"replace") => has(b"fullDocument"),
        Some(b"update") => has(b"updateDescription"),
        _ => true,
    }
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
        Ok(Some(if fits(&event) { event } else { reduced(&event) }))
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
        let joined = rawdoc! {
            "operationType": "update", "_id": { "_data": "b" }, "fullDocument": { "a": half.as_str() }, "refetch": true,
        };
        assert!(fragments.join(second.as_bytes()).unwrap() == Some(joined.into_bytes()));
    }

    #[test]
    fn what_changed_is_left_out_before_the_document() {
        let event = |operation: &str, before: usize, update: usize, document: usize| {
            let text = |megabytes: usize| "x".repeat(megabytes << 20);
            let mut event = RawBuilder::new();
            event.string("operationType", operation);
            for (field, megabytes) in LARGE_FIELDS.iter().zip([before, update, document]) {
                if megabytes > 0 {
                    event.string(field, text(megabytes));
                }
            }
            event.finish()
        };
        let left = |event: Vec<u8>| {
            let reduced = reduced(&event);
            let names = document::elements(&reduced);
            names.skip(1).map(|field| String::from_utf8_lossy(field.unwrap().name).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(left(event("update", 9, 1, 9)), ["updateDescription", "fullDocument"]);
        assert_eq!(left(event("update", 0, 9, 9)), ["fullDocument", "refetch"]);
        assert_eq!(left(event("update", 0, 9, 17)), ["refetch"]);
        assert_eq!(left(event("update", 0, 0, 0)), ["refetch"], "the server has left it out");
        assert_eq!(left(event("insert", 9, 0, 9)), ["fullDocument"]);
        assert_eq!(left(event("insert", 0, 0, 17)), ["refetch"]);
    }
}
