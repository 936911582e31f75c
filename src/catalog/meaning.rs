//! What the options and the indexes of a collection mean, whichever release lists them: two that mean the same are
//! equal here.
//!
//! Releases list one number in several types, write down what they know for themselves, and list as an option what a
//! collection without it does as well: after any `collMod`, 4.2, 5.0 and 6.0 list `validationLevel: "strict"` and
//! `validationAction: "error"` of a collection that has no validator and never had one.

use super::index_spec::{Author, Context, Verdict, sanitize};
use crate::{
    connect::Version,
    document::{self, Element, RawBuilder, kind},
};

/// Fields of an index spec that say nothing of the index: its collection, and how it was built.
const NOT_OF_AN_INDEX: [&[u8]; 3] = [b"ns", b"background", b"dropDups"];
/// Fields of the spec of an index that comes with its collection.
const OF_AN_INHERENT_INDEX: [&[u8]; 3] = [b"key", b"name", b"collation"];
/// Where late servers keep what they know of the buckets of a time series (SERVER-91195). Others know it too, and do not list it.
const METADATA: &[u8] = b"app_metadata=(timeseries";
/// The `max` of a capped collection that 6.0 lists when `collMod` has taken its limit away.
const NO_LIMIT: f64 = 2_147_483_647.0;

/// Options as they are to be held against those of `other`: without what a server has written there of its own accord,
/// and without those that say no more than their absence from the others does.
pub(crate) fn meant_options(options: &[u8], other: &[u8]) -> Vec<u8> {
    let is_meant = |option: &Element<'_>| {
        !is_metadata(option) && (document::find(other, option.name).is_some() || !goes_without_saying(option))
    };
    let mut kept = RawBuilder::new();
    for option in document::elements(options).map_while(Result::ok).filter(is_meant) {
        kept.append(&option);
    }
    kept.finish()
}

fn is_metadata(option: &Element<'_>) -> bool {
    option.name == b"storageEngine" && option.value.windows(METADATA.len()).any(|bytes| bytes == METADATA)
}

/// Whether a collection without this option does as much.
fn goes_without_saying(option: &Element<'_>) -> bool {
    match option.name {
        b"validator" => option.value == document::EMPTY,
        b"validationLevel" => option.string() == Some(b"strict"),
        b"validationAction" => option.string() == Some(b"error"),
        b"recordPreImages" => option.value == [0],
        b"changeStreamPreAndPostImages" => {
            document::find(option.value, b"enabled").is_some_and(|enabled| enabled.value == [0])
        }
        b"max" => number(option).is_some_and(|max| max >= NO_LIMIT),
        _ => false,
    }
}

/// Whether two values are the same: numbers by what they say, as servers list one number in several types.
pub(crate) fn is_same(left: &Element<'_>, right: &Element<'_>) -> bool {
    let bytes = (left.kind, left.value) == (right.kind, right.value);
    bytes || number(left).is_some_and(|one| number(right) == Some(one))
}

/// The number that a value is.
#[allow(clippy::cast_precision_loss, reason = "sizes of collections and seconds are far below 2^53")]
pub(crate) fn number(element: &Element<'_>) -> Option<f64> {
    match element.kind {
        kind::INT32 => element.value.try_into().ok().map(|bytes| f64::from(i32::from_le_bytes(bytes))),
        kind::INT64 => element.value.try_into().ok().map(|bytes| i64::from_le_bytes(bytes) as f64),
        kind::DOUBLE => element.value.try_into().ok().map(f64::from_le_bytes),
        _ => None,
    }
}

/// The names of the fields that only one of two documents has, or that differ in them.
pub(crate) fn unlike<'a>(left: &'a [u8], right: &'a [u8]) -> Vec<&'a [u8]> {
    let differs =
        |one: &Element<'_>, other: &[u8]| document::find(other, one.name).is_none_or(|other| !is_same(one, &other));
    let of_left = document::elements(left).map_while(Result::ok).filter(|field| differs(field, right));
    let of_right = document::elements(right).map_while(Result::ok);
    let of_right = of_right.filter(|field| document::find(left, field.name).is_none());
    of_left.chain(of_right).map(|field| field.name).collect()
}

/// An index, as it is to be compared.
#[derive(Clone, Debug)]
pub(crate) struct MeantIndex {
    pub(crate) name: String,
    /// What its spec says of it.
    pub(crate) spec: Vec<u8>,
    /// What becomes of it on the server that it is compared on.
    pub(crate) verdict: Verdict,
}

/// The indexes that a collection has, or would have on a server of this version: what a repair would take out is nothing
/// that a copy could have, and neither is an index that another one serves for.
pub(crate) fn meant_indexes(options: &[u8], specs: &[Vec<u8>], version: Version) -> Vec<MeantIndex> {
    let context = Context { options, target: version, author: Author::Server };
    let all = sanitize(specs, &context).into_iter().filter_map(|sanitized| {
        let spec = match &sanitized.verdict {
            Verdict::Build(spec) => spec.clone(),
            // What else stands there is told by the options of the collection, as far as its release lists it.
            Verdict::Inherent => only(&sanitized.without_removed(), &OF_AN_INHERENT_INDEX),
            Verdict::Merged(_) => return None,
            Verdict::Refused(_) => sanitized.original.clone(),
        };
        let mut kept = RawBuilder::new();
        for field in document::elements(&spec).map_while(Result::ok) {
            if !NOT_OF_AN_INDEX.contains(&field.name) {
                kept.append(&field);
            }
        }
        Some(MeantIndex { name: sanitized.name, spec: kept.finish(), verdict: sanitized.verdict })
    });
    all.collect()
}

/// These fields of a document.
fn only(document: &[u8], names: &[&[u8]]) -> Vec<u8> {
    let mut kept = RawBuilder::new();
    for field in document::elements(document).map_while(Result::ok).filter(|field| names.contains(&field.name)) {
        kept.append(&field);
    }
    kept.finish()
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn options_that_say_no_more_than_their_absence_are_left_out() {
        let listed = rawdoc! {
            "capped": true, "size": 4096, "max": 2_147_483_647_i64, "validator": {}, "validationLevel": "strict",
            "validationAction": "error", "changeStreamPreAndPostImages": { "enabled": false }, "recordPreImages": false,
        };
        let meant = rawdoc! { "capped": true, "size": 4096 };
        assert_eq!(meant_options(listed.as_bytes(), meant.as_bytes()), meant.as_bytes());
        let other = rawdoc! {
            "max": 5, "validator": { "x": 1 }, "validationLevel": "moderate", "validationAction": "warn",
            "changeStreamPreAndPostImages": { "enabled": true }, "recordPreImages": true,
        };
        assert_eq!(meant_options(listed.as_bytes(), other.as_bytes()), listed.as_bytes());
        assert_eq!(meant_options(other.as_bytes(), &document::EMPTY), other.as_bytes());
    }

    #[test]
    fn fields_are_unlike_by_what_they_say() {
        let left = rawdoc! { "a": 1, "b": 2, "c": "x", "d": { "e": 1 } };
        let right = rawdoc! { "b": 3.0, "a": 1.0, "c": "x", "f": true };
        assert_eq!(unlike(left.as_bytes(), right.as_bytes()), [&b"b"[..], b"d", b"f"]);
    }
}
