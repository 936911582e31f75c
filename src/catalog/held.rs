//! What is left for later while changes are still applied to a copy.
//!
//! - A unique index would refuse documents for the sake of others that have changed on the source since; and it cannot be
//!   built on a copy whose parts are of several times.
//! - A TTL index would delete on the target what the source has been told to keep. It is built with the longest time there
//!   is, and gets its own in the end, when `mend` compares the catalogs; so does what expires by an option of its
//!   collection.

use super::index_spec::longest_expiry;
use crate::{
    connect::Version,
    document::{self, Element, RawBuilder, kind},
};

/// The option, of indexes and of collections.
pub(super) const EXPIRES: &[u8] = b"expireAfterSeconds";

/// Whether an index refuses documents for the sake of others.
pub(crate) fn is_unique(spec: &[u8]) -> bool {
    document::find(spec, b"unique").is_some()
}

/// An index spec by which nothing expires that could still be changed.
pub(crate) fn without_expiry(spec: &[u8], target: Version) -> Vec<u8> {
    let mut held = RawBuilder::new();
    for element in document::elements(spec).map_while(Result::ok) {
        if element.name == EXPIRES && is_less(&element, longest_expiry(target)) {
            held.int32("expireAfterSeconds", longest_expiry(target));
        } else {
            held.append(&element);
        }
    }
    held.finish()
}

/// The same document without when something expires: the options of a collection, what `collMod` changes of an index.
pub(crate) fn never_expiring(options: &[u8]) -> Vec<u8> {
    let mut held = RawBuilder::new();
    for element in document::elements(options).map_while(Result::ok).filter(|element| element.name != EXPIRES) {
        held.append(&element);
    }
    held.finish()
}

/// Whether it is a number below another one.
fn is_less(element: &Element<'_>, than: i32) -> bool {
    match element.kind {
        kind::INT32 => element.value.try_into().is_ok_and(|bytes| i32::from_le_bytes(bytes) < than),
        kind::INT64 => element.value.try_into().is_ok_and(|bytes| i64::from_le_bytes(bytes) < i64::from(than)),
        kind::DOUBLE => element.value.try_into().is_ok_and(|bytes| f64::from_le_bytes(bytes) < f64::from(than)),
        // Whatever it is: what a server makes of it is not longer than that.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn nothing_expires_of_what_is_held_back() {
        let bytes = |document| bson::serialize_to_vec(&document).unwrap();
        let (newer, older) = (Version::new(6, 0, 5), Version::new(5, 0, 4));
        let spec = |seconds: i32| bytes(doc! { "key": { "a": 1 }, "name": "a_1", "expireAfterSeconds": seconds });
        assert_eq!(without_expiry(&spec(60), newer), spec(i32::MAX));
        assert_eq!(without_expiry(&spec(60), older), spec(1_700_000_000));
        assert_eq!(without_expiry(&spec(1_750_000_000), older), spec(1_750_000_000));
        let plain = bytes(doc! { "key": { "a": 1 }, "name": "a_1", "sparse": true });
        assert_eq!(without_expiry(&plain, newer), plain);
        let options =
            bytes(doc! { "clusteredIndex": { "key": { "_id": 1 }, "unique": true }, "expireAfterSeconds": 5 });
        let held = bytes(doc! { "clusteredIndex": { "key": { "_id": 1 }, "unique": true } });
        assert_eq!(never_expiring(&options), held);
    }
}
