//! Reads raw BSON by its bytes: fields, ids and document boundaries, with nothing decoded.
//!
//! Documents pass through this program untouched, so what is needed of them is found by walking type bytes and
//! lengths. bson's own iterator is not used for it: it refuses ill-formed UTF-8 in names, and costs several times
//! as much. The walk is flat (an embedded document is one value, whatever it holds), every access is checked, and
//! duplicate names, ill-formed text and the deprecated types are all fine.

mod builder;
mod elements;
mod malformed;

pub use builder::RawBuilder;
pub use elements::{Element, Elements, elements, kind};
pub use malformed::Malformed;

/// A document without fields.
pub const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];

/// The first field called `name` at the top level of `doc`.
///
/// `None` also when `doc` is malformed before such a field is met; whoever must tell the two apart walks
/// [`elements()`] instead.
pub fn find<'a>(doc: &'a [u8], name: &[u8]) -> Option<Element<'a>> {
    elements(doc).map_while(Result::ok).find(|element| element.name == name)
}

/// The document's `_id`. Servers store it as the first field, where it is found in one step.
pub fn id(doc: &[u8]) -> Option<Element<'_>> {
    find(doc, b"_id")
}

/// Whether a top-level field other than `_id` holds `Timestamp(0, 0)`, which servers replace by their clock on
/// insert and on replacement unless told otherwise.
///
/// Only the top level counts, for the server as for us. Searching the bytes instead is quadratic on binary data:
/// two random 15 MB documents took a well-known restore tool 120 s. A malformed document has none from where it
/// breaks on; the server refuses it anyway.
pub fn has_empty_timestamp(doc: &[u8]) -> bool {
    elements(doc)
        .map_while(Result::ok)
        .any(|element| element.kind == kind::TIMESTAMP && element.value == [0; 8] && element.name != b"_id")
}

#[cfg(test)]
mod tests {
    use bson::{Timestamp, rawdoc};

    use super::*;

    #[test]
    fn the_first_of_two_fields_of_one_name_is_found() {
        let mut builder = RawBuilder::new();
        let doc = builder.int32("a", 1).int32("b", 2).int32("b", 3).finish();
        assert_eq!(find(&doc, b"b").unwrap().value, 2i32.to_le_bytes());
        assert!(find(&doc, b"c").is_none());
    }

    #[test]
    fn an_id_is_found_wherever_it_stands() {
        let first = rawdoc! { "_id": 7, "a": 1 };
        let last = rawdoc! { "a": { "_id": 1 }, "_id": 7 };
        assert_eq!(id(first.as_bytes()), id(last.as_bytes()));
        assert_eq!(id(first.as_bytes()).unwrap().value, 7i32.to_le_bytes());
    }

    #[test]
    fn an_empty_timestamp_is_seen_at_the_top_level_only() {
        let zero = Timestamp { time: 0, increment: 0 };
        let some = Timestamp { time: 0, increment: 1 };
        assert!(has_empty_timestamp(rawdoc! { "_id": 1, "a": "x", "t": zero }.as_bytes()));
        assert!(!has_empty_timestamp(rawdoc! { "_id": 1, "t": some }.as_bytes()));
        assert!(!has_empty_timestamp(rawdoc! { "_id": zero }.as_bytes()), "servers keep it in _id");
        assert!(!has_empty_timestamp(rawdoc! { "_id": 1, "a": { "t": zero } }.as_bytes()));
        assert!(!has_empty_timestamp(rawdoc! { "_id": 1, "a": 0i64 }.as_bytes()));
    }

    #[test]
    fn a_malformed_document_holds_nothing_and_panics_nothing() {
        for doc in [&b""[..], b"\x05", b"\x06\0\0\0\0", b"\x07\0\0\0\x11t\0", b"\xff\xff\xff\xff\0"] {
            assert!(find(doc, b"t").is_none());
            assert!(!has_empty_timestamp(doc));
        }
    }
}
